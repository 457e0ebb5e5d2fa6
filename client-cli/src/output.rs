//! Tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{Cell, ContentArrangement, Table, presets};
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

/// Prints one line or block; a reader who has gone away ends the program quietly (see failure.rs).
pub(crate) fn print(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a document for programs.
pub(crate) fn print_json(document: &Value) -> io::Result<()> {
    print(format_args!("{document:#}"))
}
