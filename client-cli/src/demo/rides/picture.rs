//! The rows that a step has changed.

use std::collections::BTreeSet;
use std::io;

use comfy_table::Cell as Field;

use super::snapshot::{Row, Snapshot};
use crate::demo::screen::{Mark, Screen, add_marked};
use crate::output::print;

/// What the marks mean; said once.
pub(super) fn legend(screen: &Screen) -> io::Result<()> {
    screen.note("only changed rows are shown: + new  ~ changed  - deleted")
}

/// The rows that a step has changed, at whichever organisation.
pub(super) fn change(screen: &Screen, before: &Snapshot, after: &Snapshot) -> io::Result<()> {
    let mut rows = screen.changes(["organisation", "base table", "row"]);
    let mut label = "";
    for ((organisation, table), rows_after) in &after.tables {
        let rows_before = before.tables.get(&(organisation.clone(), table.clone()));
        let old = |key: &Row| rows_before.and_then(|rows| rows.get(key));
        let keys: BTreeSet<&Row> = rows_before
            .iter()
            .flat_map(|rows| rows.keys())
            .chain(rows_after.keys())
            .collect();
        for key in keys {
            let (old, new) = (old(key), rows_after.get(key));
            let mark = Mark::of(old, new);
            if mark == Mark::Same {
                continue;
            }
            let shown = if label == organisation {
                ""
            } else {
                organisation
            };
            add_marked(
                &mut rows,
                mark,
                &[shown, table],
                [Field::new(text(old, new))],
            );
            label = organisation;
        }
    }
    print(rows.trim_fmt())
}

/// The values of a row; where they have changed, the old one and the new one.
fn text(old: Option<&Row>, new: Option<&Row>) -> String {
    let (old, new) = (old.or(new), new.or(old));
    let values = old.into_iter().flatten().zip(new.into_iter().flatten());
    let values = values.map(|(old, new)| {
        if old == new {
            new.clone()
        } else {
            format!("{old} → {new}")
        }
    });
    values.collect::<Vec<_>>().join("  ")
}
