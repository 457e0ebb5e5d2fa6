//! SQL views as strategies: CREATE TABLE statements for what there is, one CREATE VIEW for what is shared.
//!
//! What a view alone does not say is answered by comments, so that the file stays a file for psql:
//!
//! ```sql
//! -- put: read customers
//! -- put: write customers
//! -- put: default orders.status = 'new'
//! -- put: insert into domestic
//! ```

mod cast;
mod choice;
mod expression;
mod query;
mod select;
mod statements;
mod table;

use sqlparser::ast::{self, Spanned, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use self::expression::{Column, Context};
use super::diagnostic::Diagnostic;
use super::source::{Position, Source, Sources, Span};
use super::syntax::{Expression, Name};
use crate::strategy::derive::{Definition, Table, column_variable, conjuncts};

/// What can go wrong at one place.
type Read<T> = Result<T, Box<Diagnostic>>;

/// The definition of the one view in the files, the first of which is the strategy itself, the others schemas.
pub(super) fn definition(sources: &Sources, files: &[u16]) -> Result<Definition, Vec<Diagnostic>> {
    let mut reader = Reader::default();
    for &file in files {
        reader.file(sources, file);
    }
    let found = reader.definition(files.first().copied().unwrap_or_default());
    match found {
        Some(definition) if reader.findings.is_empty() => Ok(definition),
        _ => Err(reader.findings),
    }
}

/// The tables of files that are schemas.
pub(super) fn tables(sources: &Sources, files: &[u16]) -> Result<Vec<Table>, Vec<Diagnostic>> {
    let mut reader = Reader::default();
    for &file in files {
        reader.file(sources, file);
    }
    if reader.findings.is_empty() {
        Ok(reader.tables)
    } else {
        Err(reader.findings)
    }
}

/// A condition on the columns of a table, which is the first use of a definition. It stands at one place as a whole.
pub(super) fn condition(text: &str, table: &Table, span: Span) -> Read<Vec<Expression>> {
    let unreadable = |error: String| {
        Box::new(Diagnostic::error(
            format!("this condition cannot be read: {error}"),
            span,
            "",
        ))
    };
    let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text);
    let expr = parser.and_then(|mut parser| parser.parse_expr());
    let expr = expr.map_err(|error| unreadable(error.to_string()))?;
    let places = Places {
        file: span.file,
        source: Source {
            name: String::new(),
            text: text.into(),
        },
    };
    let columns = |_: Option<&str>, ident: &ast::Ident| {
        let name = places.name(ident);
        let column = table.column(&name.text).ok_or_else(|| {
            let message = format!("{} has no column \"{}\"", table.name.text, name.text);
            Box::new(Diagnostic::error(message, span, "in its condition"))
        })?;
        Ok(Column {
            variable: column_variable(0, column),
            type_name: table.columns[column].type_name.text.clone(),
        })
    };
    let context = Context {
        places: &places,
        columns: &columns,
        is_output: false,
    };
    let found = expression::expression(&expr, &context);
    let found = found.map_err(|mut finding| {
        for label in &mut finding.labels {
            label.span = span;
        }
        finding
    })?;
    Ok(conjuncts(found.placed(span)))
}

#[derive(Default)]
struct Reader {
    tables: Vec<Table>,
    views: Vec<(ast::CreateView, Name, Places)>,
    choices: Vec<crate::strategy::derive::Choice>,
    findings: Vec<Diagnostic>,
}

/// Turns the parser's places into ours.
#[derive(Clone, Debug)]
struct Places {
    file: u16,
    source: Source,
}

impl Places {
    fn span(&self, of: &impl Spanned) -> Span {
        self.at(of.span())
    }

    fn at(&self, span: sqlparser::tokenizer::Span) -> Span {
        let offset = |at: sqlparser::tokenizer::Location| {
            let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            self.source.offset(Position {
                line: number(at.line),
                column: number(at.column),
            })
        };
        let (start, end) = (offset(span.start), offset(span.end));
        Span {
            file: self.file,
            start,
            end: end.max(start),
        }
    }

    /// A name, folded to lower case unless it is quoted.
    fn name(&self, ident: &ast::Ident) -> Name {
        let text = match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        };
        Name {
            text,
            span: self.at(ident.span),
        }
    }

    /// A name that may be qualified; the schema `public` is left out.
    fn object(&self, name: &ast::ObjectName) -> Name {
        let parts: Vec<Name> = name
            .0
            .iter()
            .filter_map(ast::ObjectNamePart::as_ident)
            .map(|ident| self.name(ident))
            .collect();
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        let text = match texts[..] {
            ["public", name] => name.to_owned(),
            [schema, name] => super::parse::qualified(schema, name),
            _ => texts.join("."),
        };
        Name {
            text,
            span: self.span(name),
        }
    }
}

impl Reader {
    fn file(&mut self, sources: &Sources, file: u16) {
        let Some(source) = sources.file(file) else {
            return;
        };
        let places = Places {
            file,
            source: source.clone(),
        };
        match choice::choices(&places) {
            Ok(choices) => self.choices.extend(choices),
            Err(finding) => self.findings.push(*finding),
        }
        match statements::statements(&source.text) {
            Ok(statements) => {
                for statement in statements {
                    if let Err(finding) = self.statement(statement, &places) {
                        self.findings.push(*finding);
                    }
                }
            }
            Err(error) => self.findings.push(unreadable(&error.to_string(), &places)),
        }
    }

    fn statement(&mut self, statement: Statement, places: &Places) -> Read<()> {
        match statement {
            Statement::CreateTable(create) => {
                let table = table::table(&create, places)?;
                self.tables.push(table);
            }
            Statement::AlterTable(alter) => table::alter(&mut self.tables, &alter, places)?,
            Statement::CreateView(view) => {
                let name = places.object(&view.name);
                self.views.push((view, name, places.clone()));
            }
            // Whatever else a dump contains says nothing of what can be stored.
            _ => {}
        }
        Ok(())
    }

    fn definition(&mut self, file: u16) -> Option<Definition> {
        let mut views = std::mem::take(&mut self.views).into_iter();
        let Some((view, name, places)) = views.next() else {
            if self.findings.is_empty() {
                let start = Span {
                    file,
                    ..Span::default()
                };
                let finding =
                    Diagnostic::error("no view is defined", start, "CREATE VIEW must be somewhere");
                self.findings.push(finding);
            }
            return None;
        };
        if let Some((_, second, _)) = views.next() {
            let finding = Diagnostic::error(
                "a strategy is about one Dejima table",
                second.span,
                "a second view",
            )
            .and_at(name.span, "the first view")
            .help("write each view into a file of its own");
            self.findings.push(finding);
        }
        if let Some(finding) = self.twice() {
            self.findings.push(finding);
        }
        let branches = query::branches(&view.query, &self.tables, &places);
        let outcome = branches.and_then(|(columns, branches)| {
            let declared: Vec<Name> = view
                .columns
                .iter()
                .map(|column| places.name(&column.name))
                .collect();
            let columns = if declared.is_empty() {
                columns
            } else {
                declared
            };
            query::check_columns(&columns, &branches, name.span)?;
            Ok((columns, branches))
        });
        match outcome {
            Ok((columns, branches)) => Some(Definition {
                tables: std::mem::take(&mut self.tables),
                view: name,
                columns,
                branches,
                choices: std::mem::take(&mut self.choices),
            }),
            Err(finding) => {
                self.findings.push(*finding);
                None
            }
        }
    }

    fn twice(&self) -> Option<Diagnostic> {
        self.tables
            .iter()
            .enumerate()
            .find_map(|(position, table)| {
                let first = self.tables[..position]
                    .iter()
                    .find(|first| first.name.text == table.name.text)?;
                Some(
                    Diagnostic::error(
                        format!("table {} is created twice", table.name.text),
                        table.name.span,
                        "created again",
                    )
                    .and_at(first.name.span, "first created here"),
                )
            })
    }
}

/// The parser's error ends with the place: `... at Line: 3, Column: 5`.
fn unreadable(error: &str, places: &Places) -> Diagnostic {
    let message = error.strip_prefix("sql parser error: ").unwrap_or(error);
    let (text, place) = message.split_once(" at Line: ").unwrap_or((message, ""));
    let (line, column) = place.split_once(", Column: ").unwrap_or(("1", "1"));
    let number = |text: &str| text.trim().parse().unwrap_or(1);
    let start = places.source.offset(Position {
        line: number(line),
        column: number(column),
    });
    let span = Span {
        file: places.file,
        start,
        end: start,
    };
    Diagnostic::error(format!("this SQL cannot be read: {text}"), span, "here")
}
