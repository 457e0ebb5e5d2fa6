//! The persons that all organisations hold, before and after a step.

use std::collections::BTreeSet;
use std::io;
use std::iter;

use comfy_table::{Cell as Field, Color, Table};

use super::snapshot::{COLUMNS, Cell, NAME_COLUMNS, Rows, Snapshot};
use crate::demo::screen::{Mark, Screen, add_marked, changed};
use crate::output::print;

/// Stands where an organisation's base table has no such column.
const NO_COLUMN: &str = "░░░";

/// What the marks mean; said once.
pub(super) fn legend(screen: &Screen) -> io::Result<()> {
    screen.note(&format!(
        "+ new  ~ changed  - deleted  {NO_COLUMN} this organisation has no such column"
    ))
}

/// All base tables after a step, with what the step changed.
pub(super) fn change(screen: &Screen, before: &Snapshot, after: &Snapshot) -> io::Result<()> {
    let shown = COLUMNS.into_iter().skip(NAME_COLUMNS);
    let mut rows = screen.changes(["organisation", "person"].into_iter().chain(shown));
    for (organisation, rows_after) in &after.tables {
        add_organisation(
            &mut rows,
            organisation,
            &before.rows_of(organisation),
            rows_after,
        );
    }
    print(rows.trim_fmt())
}

fn add_organisation(rows: &mut Table, organisation: &str, before: &Rows, after: &Rows) {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut label = organisation;
    for key in &keys {
        let (old, new) = (before.get(*key), after.get(*key));
        let mark = Mark::of(old, new);
        let name = Field::new(format!("{} {}", key.0, key.1));
        let values = old.or(new).into_iter().flatten();
        let values = values.zip(new.or(old).into_iter().flatten());
        let values = values.skip(NAME_COLUMNS).map(|(old, new)| field(old, new));
        add_marked(rows, mark, &[label], iter::once(name).chain(values));
        label = "";
    }
    if keys.is_empty() {
        rows.add_row(["", organisation, "(no rows)"]);
    }
}

fn field(old: &Cell, new: &Cell) -> Field {
    if old != new {
        return changed(text(old), text(new));
    }
    match new {
        Cell::Value(_) => Field::new(text(new)),
        Cell::Null | Cell::NoColumn => Field::new(text(new)).fg(Color::DarkGrey),
    }
}

fn text(cell: &Cell) -> &str {
    match cell {
        Cell::NoColumn => NO_COLUMN,
        Cell::Null => "NULL",
        Cell::Value(value) => value,
    }
}
