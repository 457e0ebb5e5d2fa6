//! From a file to programs, whatever it is written in.

use super::declared;
use super::diagnostic::{Diagnostic, Severity};
use super::parse::parse;
use super::resolve::resolve;
use super::schema;
use super::source::Sources;
use super::sql;
use super::syntax::{Document, Statement};
use crate::strategy::derive::{Definition, derive};
use crate::strategy::program::{FromView, Program};

/// What a strategy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Put rules, and perhaps get rules: `.dl`.
    Datalog,
    /// CREATE VIEW, and CREATE TABLE for its tables: `.sql`.
    Sql,
    /// Declarations, as in a peer's configuration: `.toml`. Their tables are in a schema.
    Toml,
}

impl Format {
    /// By the ending of a file's name.
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "dl" => Some(Self::Datalog),
            "sql" => Some(Self::Sql),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A file as it is handed over.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// How the user calls it.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// What a file says of one Dejima table.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The files that were read.
    pub sources: Sources,
    /// The strategy as put rules, as far as it could be read.
    pub document: Document,
    /// What it means, if there is no error.
    pub program: Option<Program>,
    /// What is to be said of it.
    pub findings: Vec<Diagnostic>,
}

/// Reads a strategy, or the several that a file of declarations has. The schema has CREATE TABLE statements.
pub fn read(file: File<'_>, format: Format, schema: Option<File<'_>>) -> Vec<Reading> {
    let mut sources = Sources::default();
    let number = sources.add(file.name, file.text);
    let schema = schema.map(|schema| sources.add(schema.name, schema.text));
    let files: Vec<u16> = [Some(number), schema].into_iter().flatten().collect();
    let documents = match format {
        Format::Datalog => vec![datalog(&sources, number, file.text, schema)],
        Format::Sql => {
            vec![sql::definition(&sources, &files).map_or_else(nothing, |found| derived(&found))]
        }
        Format::Toml => match declared::definitions(&sources, number, schema) {
            Ok(definitions) => definitions.iter().map(derived).collect(),
            Err(findings) => vec![nothing(findings)],
        },
    };
    documents
        .into_iter()
        .map(|said| reading(sources.clone(), said))
        .collect()
}

/// What was read, and what is to be said of it.
struct Said {
    document: Document,
    findings: Vec<Diagnostic>,
    from_view: Option<FromView>,
}

fn nothing(findings: Vec<Diagnostic>) -> Said {
    Said {
        document: Document::default(),
        findings,
        from_view: None,
    }
}

/// Put rules; with what a schema says of their base tables.
fn datalog(sources: &Sources, number: u16, text: &str, schema: Option<u16>) -> Said {
    let (mut document, mut findings) = parse(number, text);
    if let Some(schema) = schema {
        match sql::tables(sources, &[schema]) {
            Ok(tables) => schema::add(&mut document, &tables),
            Err(more) => findings.extend(more),
        }
    }
    Said {
        document,
        findings,
        from_view: None,
    }
}

fn derived(definition: &Definition) -> Said {
    match derive(definition) {
        Ok((document, from_view)) => Said {
            document,
            findings: Vec::new(),
            from_view: Some(from_view),
        },
        Err(finding) => nothing(vec![*finding]),
    }
}

fn reading(sources: Sources, said: Said) -> Reading {
    let Said {
        document,
        mut findings,
        from_view,
    } = said;
    let is_read = !findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let mut program = None;
    if is_read {
        let (resolved, more) = resolve(&document);
        program = resolved.map(|program| Program {
            from_view,
            ..program
        });
        findings.extend(more);
    }
    Reading {
        sources,
        document,
        program,
        findings,
    }
}

impl Reading {
    /// The name of the Dejima table, as far as it could be read.
    pub fn view(&self) -> Option<&str> {
        self.document
            .statements
            .iter()
            .find_map(|statement| match statement {
                Statement::Relation(relation)
                    if relation.kind == super::syntax::RelationKind::View =>
                {
                    Some(relation.name.text.as_str())
                }
                _ => None,
            })
    }
}
