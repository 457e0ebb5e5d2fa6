//! Declarations of Dejima tables as definitions of views: the same rules of derivation, the same checks.

use serde::Deserialize;
use toml::Spanned;

use super::diagnostic::Diagnostic;
use super::source::{Sources, Span};
use super::sql;
use super::syntax::{Expression, ExpressionKind, Name};
use crate::strategy::Declaration;
use crate::strategy::derive::{
    Branch, Choice, ChoiceKind, Definition, Table, Use, UseKind, column_variable,
};

/// The part of a peer's configuration that declares Dejima tables.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    dejima_table: Vec<Spanned<Declaration>>,
}

/// All Dejima tables that a file declares.
pub(super) fn definitions(
    sources: &Sources,
    file: u16,
    schema: Option<u16>,
) -> Result<Vec<Definition>, Vec<Diagnostic>> {
    let text = sources
        .file(file)
        .map(|source| source.text.clone())
        .unwrap_or_default();
    let configuration: Configuration = toml::from_str(&text).map_err(|error| {
        let span = span(file, error.span().unwrap_or_default());
        vec![Diagnostic::error(error.message().to_owned(), span, "")]
    })?;
    let schema: Vec<u16> = schema.into_iter().collect();
    let tables = sql::tables(sources, &schema)?;
    if configuration.dejima_table.is_empty() {
        let start = span(file, 0..0);
        return Err(vec![Diagnostic::error(
            "no [[dejima_table]] is declared",
            start,
            "",
        )]);
    }
    let mut findings = Vec::new();
    let mut definitions = Vec::new();
    for declaration in &configuration.dejima_table {
        match definition(
            declaration.get_ref(),
            span(file, declaration.span()),
            &tables,
        ) {
            Ok(definition) => definitions.push(definition),
            Err(finding) => findings.push(*finding),
        }
    }
    if findings.is_empty() {
        Ok(definitions)
    } else {
        Err(findings)
    }
}

fn span(file: u16, range: std::ops::Range<usize>) -> Span {
    let byte = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Span {
        file,
        start: byte(range.start),
        end: byte(range.end),
    }
}

fn definition(
    declaration: &Declaration,
    span: Span,
    tables: &[Table],
) -> Result<Definition, Box<Diagnostic>> {
    let error = |message: String, label: &str| Box::new(Diagnostic::error(message, span, label));
    let base = base_name(&declaration.base_table);
    let Some(number) = tables.iter().position(|table| table.name.text == base) else {
        return Err(Box::new(
            Diagnostic::error(
                format!("base table {base} is not known"),
                span,
                "declared over it",
            )
            .help("name a file that has its CREATE TABLE: --schema FILE.sql"),
        ));
    };
    let mut tables = tables.to_vec();
    let table = &mut tables[number];
    let column = |table: &Table, name: &str| {
        let known = || {
            table
                .columns
                .iter()
                .map(|column| column.name.text.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        table.column(name).ok_or_else(|| {
            error(
                format!(
                    "{base} has no column \"{name}\"; its columns are {}",
                    known()
                ),
                "no such column",
            )
        })
    };
    let mut outputs = Vec::new();
    let mut names = Vec::new();
    let mut key = Vec::new();
    for mapping in &declaration.columns {
        let position = column(table, &mapping.column)?;
        if declaration.key.contains(&mapping.name) {
            key.push(position);
        }
        let variable = ExpressionKind::Variable(column_variable(0, position));
        outputs.push(Expression::new(variable, span));
        names.push(Name {
            text: mapping.name.clone(),
            span,
        });
    }
    let is_declared = |columns: &[usize]| {
        columns.len() == key.len() && columns.iter().all(|column| key.contains(column))
    };
    if !table.keys.iter().any(|known| is_declared(&known.columns)) {
        let text = declaration.key.join(", ");
        return Err(error(
            format!("nothing keeps the key ({text}) unique in {base}"),
            "declared here",
        ));
    }
    for known in &mut table.keys {
        known.is_primary = is_declared(&known.columns);
    }
    let conditions = match &declaration.condition {
        Some(condition) => sql::condition(condition, table, span)?,
        None => Vec::new(),
    };
    let mut choices = Vec::new();
    for default in &declaration.defaults {
        column(table, &default.column)?;
        let value = Expression::new(ExpressionKind::Text(default.value.0.clone()), span);
        choices.push(Choice {
            kind: ChoiceKind::Default(base.clone(), default.column.clone(), value),
        });
    }
    Ok(Definition {
        view: Name {
            text: declaration.name.as_str().to_owned(),
            span,
        },
        columns: names,
        branches: vec![Branch {
            uses: vec![Use {
                table: number,
                kind: UseKind::Inner,
                on: Vec::new(),
                span,
            }],
            conditions,
            outputs,
            span,
        }],
        choices,
        tables,
    })
}

/// `schema.table` as SQL has it; the schema `public` is left out.
fn base_name(written: &str) -> String {
    let folded = |part: &str| match part
        .strip_prefix('"')
        .and_then(|part| part.strip_suffix('"'))
    {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => part.to_lowercase(),
    };
    match written.split_once('.') {
        Some((schema, name)) if folded(schema) == "public" => folded(name),
        Some((schema, name)) => format!("{}.{}", folded(schema), folded(name)),
        None => folded(written),
    }
}
