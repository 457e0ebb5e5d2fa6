//! The comments `-- put: ...` that answer what a view leaves open.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{Places, Read, expression};
use crate::strategy::derive::{Choice, ChoiceKind};
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;

const MARK: &str = "-- put:";

/// All answers in a file.
pub(super) fn choices(places: &Places) -> Read<Vec<Choice>> {
    let mut choices = Vec::new();
    let mut at = 0;
    for line in places.source.text.split_inclusive('\n') {
        if let Some(indent) = line.find(MARK) {
            let text = &line[indent + MARK.len()..];
            let byte = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
            let span = Span {
                file: places.file,
                start: byte(at + indent),
                end: byte(at + line.trim_end().len()),
            };
            let kind = choice(text.trim(), span)?;
            choices.push(Choice { kind });
        }
        at += line.len();
    }
    Ok(choices)
}

fn choice(text: &str, span: Span) -> Read<ChoiceKind> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let name = |text: &str| folded(text.trim());
    let kind = match word.to_ascii_lowercase().as_str() {
        "read" => name(rest).map(ChoiceKind::Read),
        "write" => name(rest).map(ChoiceKind::Write),
        "insert" => rest
            .trim()
            .strip_prefix("into ")
            .and_then(name)
            .map(ChoiceKind::InsertInto),
        "default" => default(rest, span),
        _ => None,
    };
    kind.ok_or_else(|| {
        Box::new(
            Diagnostic::error("this answer is not understood", span, "")
                .help("write `-- put: read TABLE`, `-- put: write TABLE`, `-- put: insert into TABLE`,\nor `-- put: default TABLE.COLUMN = CONSTANT`"),
        )
    })
}

/// `TABLE.COLUMN = CONSTANT`.
fn default(text: &str, span: Span) -> Option<ChoiceKind> {
    let (place, value) = text.split_once('=')?;
    let (table, column) = place.trim().rsplit_once('.')?;
    let mut parser = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(value)
        .ok()?;
    let value = expression::constant(&parser.parse_expr().ok()?, span)?;
    Some(ChoiceKind::Default(folded(table)?, folded(column)?, value))
}

/// A name, folded to lower case unless it is quoted.
fn folded(text: &str) -> Option<String> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let name = match quoted {
        Some(name) => name.replace("\"\"", "\""),
        None => text.to_lowercase(),
    };
    (!name.is_empty() && (quoted.is_some() || !name.contains(char::is_whitespace))).then_some(name)
}
