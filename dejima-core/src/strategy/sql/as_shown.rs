//! Programs of which each rule shows one base table, and each row of the Dejima table hangs on one row of it: a union whose parts show
//! a constant of their own, put rules over one table. What a statement changes in the base table is then logged at once as the Dejima
//! table shows it, as for a declaration: nothing is left to derive, and there is nothing for two transactions to meet at but the row.

use super::alone;
use super::get::{Now, get_clauses};
use super::keeps_spaces;
use super::select::{Names, Select};
use super::unfold::{Clause, Item};
use crate::strategy::bound::Bound;
use crate::strategy::capture::Shown;
use crate::strategy::program::{Argument, RelationId};
use crate::strategy::text;

/// What each rule shows of its base table, if the program is one of these.
pub(in crate::strategy) fn as_shown(bound: &Bound) -> Option<Vec<(RelationId, Shown)>> {
    if alone::tables(bound).len() < bound.sources.len() {
        return None;
    }
    let clauses = get_clauses(bound);
    let shown = clauses.iter().enumerate();
    shown
        .map(|(number, clause)| shown_by(bound, number, clause))
        .collect()
}

fn shown_by(bound: &Bound, number: usize, clause: &Clause) -> Option<(RelationId, Shown)> {
    let (relation, row) = only_row(clause)?;
    let mut select = Select::new(bound, &clause.variables);
    for item in &clause.items {
        match item {
            Item::Row(..) => select.cells(relation, row, ""),
            _ => {
                let one = std::slice::from_ref(item);
                select = select
                    .items(one, &Now(bound), &mut Names::default())
                    .pop()?;
            }
        }
    }
    let values = select.values(bound.program.view, &clause.head);
    let values = values.iter().enumerate();
    let condition = select.conditions.join(" AND ");
    let named = bound.source(relation).columns.iter().zip(row);
    let shown = Shown {
        table: bound.table.as_str().to_owned(),
        number: format!("{} {number}", bound.id),
        texts: values
            .map(|(at, value)| text(value, keeps_spaces(bound, at)))
            .collect(),
        columns: named
            .filter(|(_, argument)| **argument != Argument::Any)
            .map(|(column, _)| column.clone())
            .collect(),
        condition: (!condition.is_empty()).then(|| format!("({condition})")),
    };
    Some((relation, shown))
}

/// The row that the clause is made of, if it looks at no other.
fn only_row(clause: &Clause) -> Option<(RelationId, &[Argument])> {
    let mut found = None;
    for item in &clause.items {
        match item {
            Item::Row(relation, row) if found.is_none() => {
                found = Some((*relation, row.as_slice()))
            }
            Item::Row(..) | Item::None(_) => return None,
            Item::Define(..) | Item::Test(_) => {}
        }
    }
    found
}
