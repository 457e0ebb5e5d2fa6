//! What a change in place (`in_place`) shows: the changed rows, as they were and as they are, and what a clause makes of them.

use super::get::Now;
use super::in_place::{Columns, NOW, Rows, WAS};
use super::select::{Names, Select};
use super::unfold::{Clause, Item};
use super::{Size, keeps_spaces};
use crate::strategy::bound::Bound;
use crate::strategy::program::{Argument, RelationId};
use crate::strategy::{BaseColumn, identifier, text};

/// The changed rows: what matters of them as it is, and the free columns also as they were.
pub(super) fn rows(bound: &Bound, relation: RelationId, columns: &Columns, of: Rows) -> String {
    let source = bound.source(relation);
    let now = [columns.steady.as_slice(), &columns.free].concat();
    let now = now.iter().map(|at| (*at, NOW, "new"));
    let before = columns.free.iter().map(|at| (*at, WAS, "old"));
    let mut selected = Vec::new();
    let mut cells = Vec::new();
    for (cell, (at, variable, side)) in now.chain(before).enumerate() {
        let column = &source.columns[at];
        let value = match of {
            Rows::One => format!("{variable}[{}][1]", columns.place(at)),
            Rows::Logged(_) | Rows::All(_) => format!("i.cell{cell}"),
        };
        let name = if variable == WAS {
            was(column)
        } else {
            identifier(&column.name)
        };
        let text = logged_text(column, variable == WAS);
        selected.push(format!(
            "{value}::{} AS {name}, {value} AS {text}",
            column.base_type
        ));
        let place = columns.place(at);
        cells.push(format!("unnest(p.{side}[{place}:{place}]) AS cell{cell}"));
    }
    let selected = selected.join(", ");
    if of == Rows::One {
        return format!("(SELECT {selected})");
    }
    // In step, without a table of them in between, as unnest() of them all in FROM would make.
    format!(
        "(SELECT {selected}{} FROM (SELECT p.section, {} FROM dejima.pending AS p WHERE {} AND p.relation = {relation} ORDER BY p.section) AS i)",
        of.more(),
        cells.join(", "),
        of.logged(bound),
    )
}

/// A free column as it was.
fn was(column: &BaseColumn) -> String {
    identifier(&format!("dejima was {}", column.name))
}

/// The text of a column as it is in the log.
fn logged_text(column: &BaseColumn, was: bool) -> String {
    let when = if was { "was" } else { "is" };
    identifier(&format!("dejima text {when} {}", column.name))
}

/// What a clause shows of the changed rows.
pub(super) struct Shown {
    /// For each column of the Dejima table, its value as it was and as it is, as texts; nothing as it is if it is the same.
    pub(super) cells: Vec<(String, Option<String>)>,
    /// The name of the changed row.
    changed: String,
    /// The rest of the SELECT.
    rest: String,
}

impl Shown {
    /// `None` if nothing that it shows is another.
    pub(super) fn of(
        bound: &Bound,
        clause: &Clause,
        relation: RelationId,
        columns: &Columns,
        rows: &str,
        names: &mut Names,
    ) -> Option<Self> {
        let is_changed = |item: &&Item| matches!(item, Item::Row(of, _) if *of == relation);
        let Item::Row(_, arguments) = clause.items.iter().find(is_changed)? else {
            return None;
        };
        let mut select = Select::new(bound, &clause.variables);
        let name = select.row(relation, arguments, rows, names);
        let others = clause.items.iter().filter(|item| !is_changed(item));
        let others: Vec<Item> = others.cloned().collect();
        // What looks for rows beside takes them as they are: in one SELECT.
        let mut now = select.items(&others, &Now(bound), names).pop()?;
        let mut before = now.clone();
        for &at in &columns.free {
            if let Argument::Variable(variable) = &arguments[at] {
                let cell = format!("{name}.{}", was(&bound.source(relation).columns[at]));
                before.known.insert(*variable, cell);
            }
        }
        let view = bound.program.view;
        // What is shown as it is in the table is shown as it is in the log.
        let logged = |at: usize, was: bool| {
            let column = arguments
                .iter()
                .position(|other| *other == clause.head[at])?;
            let variable = matches!(clause.head[at], Argument::Variable(_));
            let is_free = columns.free.contains(&column);
            let of_table = &bound.source(relation).columns[column];
            let is_same = of_table.base_type == bound.column_type(view, at)
                && of_table.keeps_spaces == keeps_spaces(bound, at);
            let is_logged = is_free || columns.steady.contains(&column);
            (variable && is_same && is_logged)
                .then(|| format!("{name}.{}", logged_text(of_table, was && is_free)))
        };
        let texts = |select: &Select<'_>, was: bool| -> Vec<String> {
            let values = select.values(view, &clause.head).into_iter().enumerate();
            let text = |(at, value): (usize, String)| {
                let computed = || text(&format!("({value})"), keeps_spaces(bound, at));
                logged(at, was).unwrap_or_else(computed)
            };
            values.map(text).collect()
        };
        let pairs = texts(&before, true).into_iter().zip(texts(&now, false));
        let cells: Vec<_> = pairs
            .map(|(old, new)| {
                (new != old)
                    .then_some(new)
                    .map_or((old.clone(), None), |new| (old, Some(new)))
            })
            .collect();
        let differing = cells
            .iter()
            .filter_map(|(old, new)| Some((old.as_str(), new.as_deref()?)));
        let (old, new): (Vec<&str>, Vec<&str>) = differing.unzip();
        if old.is_empty() {
            return None;
        }
        let differ = format!(
            "ROW({}) IS DISTINCT FROM ROW({})",
            old.join(", "),
            new.join(", ")
        );
        now.conditions.push(differ);
        Some(Self {
            cells,
            changed: name,
            rest: now.rest(),
        })
    }

    /// Those that are another, with the new values of these columns.
    pub(super) fn select(&self, differs: &[bool], of: Rows) -> String {
        let mut named = Vec::new();
        if of == Rows::Logged(Size::Many) {
            named.push(format!("{}.\"dejima section\" AS section", self.changed));
        }
        for (at, (old, new)) in self.cells.iter().enumerate() {
            named.push(format!("{old} AS old{at}"));
            if differs[at] {
                named.push(format!("{} AS new{at}", new.as_ref().unwrap_or(old)));
            }
        }
        format!("SELECT {}{}", named.join(", "), self.rest)
    }
}
