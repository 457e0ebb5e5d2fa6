//! Base tables as they were: what is there now, without what came, with what went.

use super::Size;
use super::get::{get_clauses, is_among, logged_columns, source_columns, source_pairs};
use super::occurrence::Atom;
use super::select::{Names, Tables, Taken, same};
use crate::strategy::bound::{Bound, Source};
use crate::strategy::identifier;
use crate::strategy::program::RelationId;

/// Base rows that came and went, as queries by name; perhaps of one base table only.
pub(super) fn changes(bound: &Bound, only: Option<RelationId>, logged: &str) -> String {
    let of = |(&relation, source): (&RelationId, &Source)| {
        let logged_columns = logged_columns(bound, relation);
        let columns = || 1..=logged_columns.len();
        let typed = columns().zip(&logged_columns).map(|(at, &column)| {
            let column = &source.columns[column];
            let name = identifier(&column.name);
            format!("i.cell{at}::{} AS {name}", column.base_type)
        });
        let cells: Vec<_> = columns().map(|at| format!("cell{at}")).collect();
        let rows = |side: &str| {
            let columns = columns().map(|at| format!("p.{side}[{at}:{at}]"));
            format!("unnest({})", columns.collect::<Vec<_>>().join(", "))
        };
        format!(
            "{net} AS MATERIALIZED (
SELECT {typed}, sum(i.sign) AS \"dejima count\"
FROM dejima.pending AS p, LATERAL (
  SELECT -1, o.* FROM {old} AS o UNION ALL SELECT 1, n.* FROM {new} AS n
) AS i(sign, {cells})
WHERE {logged} AND p.relation = {relation}
GROUP BY {cells} HAVING sum(i.sign) <> 0)",
            net = net(relation),
            typed = typed.collect::<Vec<_>>().join(", "),
            old = rows("old"),
            new = rows("new"),
            cells = cells.join(", "),
        )
    };
    let is_meant = |(relation, _): &(&RelationId, _)| only.is_none_or(|only| **relation == only);
    let sources = bound.sources.iter().filter(is_meant);
    sources.map(of).collect::<Vec<_>>().join(", ")
}

/// The query of what came and went of a base table.
pub(super) fn net(relation: RelationId) -> String {
    format!("\"dejima net {relation}\"")
}

fn came(relation: RelationId) -> String {
    format!(
        "(SELECT * FROM {} WHERE \"dejima count\" > 0)",
        net(relation)
    )
}

fn went(relation: RelationId) -> String {
    format!(
        "(SELECT * FROM {} WHERE \"dejima count\" < 0)",
        net(relation)
    )
}

/// The base tables as they were. For few keys each row is looked up from what is known of it: PostgreSQL takes the keys for
/// more than they are, and would begin with the rows of a whole table.
pub(super) struct Was<'a>(pub(super) &'a Bound, pub(super) Size);

impl Tables for Was<'_> {
    fn rows(&self, relation: RelationId, known: &[Option<String>], _: &mut Names) -> String {
        let Self(bound, size) = *self;
        let declared = &bound.program.relation(relation).columns;
        let columns = bound.source(relation).columns.iter().zip(declared);
        let equal = columns
            .zip(known)
            .filter_map(|((column, declared), value)| {
                let (name, value) = (identifier(&column.name), value.as_ref()?);
                Some(same(&name, value, declared.nullable))
            });
        let equal: Vec<_> = equal.filter(|_| size == Size::Few).collect();
        if equal.is_empty() {
            now_and_before(bound, relation, true, "")
        } else {
            let condition = format!(" WHERE {}", equal.join(" AND "));
            format!(
                "LATERAL {}",
                now_and_before(bound, relation, true, &condition)
            )
        }
    }

    /// Of many rows that went all would be looked through for each key.
    fn parts(
        &self,
        relation: RelationId,
        known: &[Option<String>],
        _: bool,
        names: &mut Names,
    ) -> Vec<Taken> {
        let one = || vec![Taken::Rows(self.rows(relation, known, names))];
        sides(self.0, relation, self.1, true).unwrap_or_else(one)
    }

    fn condition(&self, relation: RelationId, name: &str) -> Option<String> {
        let bound = self.0;
        let source = bound.source(relation);
        let is_new = match &source.key {
            Some(key) => is_among(name, &source_pairs(bound, relation, key), &came(relation)),
            // Rows alike are one row; it is new if there are no more of them than came.
            None => {
                let all: Vec<usize> = (0..source.columns.len()).collect();
                let pairs = source_pairs(bound, relation, &all);
                let alike = |left: &str| {
                    let pairs = pairs.iter().map(|(column, may_be_null)| {
                        same(
                            &format!("{left}.{column}"),
                            &format!("{name}.{column}"),
                            *may_be_null,
                        )
                    });
                    pairs.collect::<Vec<_>>().join(" AND ")
                };
                format!(
                    "coalesce((SELECT sum(c.\"dejima count\") FROM {} AS c WHERE {}) >= (SELECT count(*) FROM {} AS a WHERE {}), false)",
                    came(relation),
                    alike("c"),
                    source.base.sql_name(),
                    alike("a"),
                )
            }
        };
        Some(format!("({name}.\"dejima went\" OR NOT {is_new})"))
    }
}

/// The base tables as they were and as they are.
pub(super) struct Ever<'a>(pub(super) &'a Bound, pub(super) Size);

impl Tables for Ever<'_> {
    fn rows(&self, relation: RelationId, _: &[Option<String>], _: &mut Names) -> String {
        now_and_before(self.0, relation, false, "")
    }

    /// Of many rows that went all would be looked through for each row.
    fn parts(
        &self,
        relation: RelationId,
        known: &[Option<String>],
        _: bool,
        names: &mut Names,
    ) -> Vec<Taken> {
        let one = || vec![Taken::Rows(self.rows(relation, known, names))];
        sides(self.0, relation, self.1, false).unwrap_or_else(one)
    }
}

/// Of many rows each side for itself, if there are not too many ways to take rows from them.
fn sides(bound: &Bound, relation: RelationId, size: Size, is_marked: bool) -> Option<Vec<Taken>> {
    let part =
        |side: Side| Taken::Rows(format!("({})", side.select(bound, relation, is_marked, "")));
    (size == Size::Many && is_in_parts(bound)).then(|| [Side::Now, Side::Before].map(part).into())
}

/// The rows that are there and those that went, with a mark that says which, if one is wanted. Of this form PostgreSQL knows that
/// it can look for rows in both.
fn now_and_before(bound: &Bound, relation: RelationId, is_marked: bool, condition: &str) -> String {
    let side = |side: Side| side.select(bound, relation, is_marked, condition);
    format!("({} UNION ALL {})", side(Side::Now), side(Side::Before))
}

/// Whether there is a SELECT for each way to take rows from the parts of base tables: their number doubles with each row of a clause.
fn is_in_parts(bound: &Bound) -> bool {
    let clauses = get_clauses(bound);
    clauses
        .iter()
        .all(|clause| Atom::all(clause).len() <= ATOMS_IN_PARTS_MAX)
}

const ATOMS_IN_PARTS_MAX: usize = 5;

/// Where a row of a base table as it was, or as it is, can be.
#[derive(Clone, Copy)]
enum Side {
    /// In the table.
    Now,
    /// Among those that went.
    Before,
}

impl Side {
    fn select(
        self,
        bound: &Bound,
        relation: RelationId,
        is_marked: bool,
        condition: &str,
    ) -> String {
        let source = bound.source(relation);
        let (rows, went) = match self {
            Self::Now => (source.base.sql_name(), false),
            Self::Before => (went(relation), true),
        };
        let mark = is_marked.then(|| format!("{went} AS \"dejima went\""));
        let columns = source_columns(source, &logged_columns(bound, relation)).into_iter();
        let columns: Vec<_> = columns.chain(mark).collect();
        format!("SELECT {} FROM {rows} AS b{condition}", columns.join(", "))
    }
}
