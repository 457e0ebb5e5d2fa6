//! Tables for people, JSON for programs. What is shown may come from other organisations: a terminal must not obey it.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use dejima_core::plain;
use serde_json::Value;

/// The two forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// An empty table in the style of all our tables, as wide as the terminal allows.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED.with_rounded_corners());
    if is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(Cell::new));
    table
}

/// True if people look on.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Rows for people, whose cells are texts and nothing else.
pub(crate) struct Rows(Table);

impl Rows {
    /// No rows yet, under a header.
    pub(crate) fn new(header: &[&str]) -> Self {
        let header: Vec<String> = header.iter().map(|text| text_of(text)).collect();
        Self(table(
            &header.iter().map(String::as_str).collect::<Vec<_>>(),
        ))
    }

    /// Adds a row.
    pub(crate) fn add_row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.0
            .add_row(cells.into_iter().map(|cell| text_of(cell.as_ref())));
    }

    /// Whether no row was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text as people may see it; line breaks and tabs are part of it.
pub(crate) fn text_of(text: &str) -> String {
    plain::lines(text, usize::MAX)
}

/// Prints one line or block; a reader who has gone away ends the program quietly (see failure.rs).
pub(crate) fn print(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a sentence that names what others have named.
pub(crate) fn print_text(text: impl fmt::Display) -> io::Result<()> {
    print(text_of(&text.to_string()))
}

/// Prints a document for programs. JSON escapes some control characters, and in a text any character may be escaped.
pub(crate) fn print_json(document: &Value) -> io::Result<()> {
    print(json_of(document))
}

/// A document in which no character is left that a terminal obeys.
pub(crate) fn json_of(document: &Value) -> String {
    let document = format!("{document:#}");
    let is_shown = |c: char| !c.is_control() || c == '\n';
    if document.chars().all(is_shown) {
        return document;
    }
    let escaped = |c: char| match c {
        c if is_shown(c) => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    document.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{9b}2J\r\u{7f}";

    #[test]
    fn a_terminal_obeys_no_cell() {
        let mut rows = Rows::new(&[HOSTILE]);
        rows.add_row([HOSTILE, "two\nlines"]);
        let shown = rows.to_string();
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert!(
            shown.contains("\\u{1b}]0;title\\u{7}\\u{9b}2J\\r\\u{7f}"),
            "{shown}"
        );
    }

    #[test]
    fn a_document_stays_the_same_document() {
        let document = serde_json::json!({ HOSTILE: [HOSTILE, "plain"] });
        let shown = json_of(&document);
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert_eq!(serde_json::from_str::<Value>(&shown).ok(), Some(document));
    }
}
