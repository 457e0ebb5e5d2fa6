//! Rows of the Dejima table that are another now, in the form of the log.

use super::super::capture::{SECTION_BYTES, SECTION_ROWS_MAX, STATEMENT_ROWS_MAX};
use crate::strategy::bound::Bound;
use crate::strategy::literal;

/// What is to be logged.
pub(super) struct Changed<'a> {
    /// A WITH clause before it, or nothing.
    pub(super) with: &'a str,
    /// A query: a row for each of the Dejima table's.
    pub(super) rows: &'a str,
    /// Bytes of such a row `c`.
    pub(super) width: &'a str,
    /// Aggregates over rows `r` that give one side of a section each, as it was and as it is.
    pub(super) sides: [&'a str; 2],
}

/// Sections for rows none of which is wide, so that none is looked at before it is written.
pub(super) enum Sections {
    /// Those in which the base table's rows were logged, as the rows say: one came of each at most.
    Logged,
    /// Small ones.
    Narrow,
}

impl Changed<'_> {
    /// Logs all under one number, in the sections that are said.
    pub(super) fn log_in(&self, bound: &Bound, sections: Sections) -> String {
        let Self {
            with,
            rows,
            sides: [old, new],
            ..
        } = self;
        let (section, from) = match sections {
            Sections::Logged => ("r.section".to_owned(), format!("({rows})")),
            Sections::Narrow => (
                format!("(r.ordinal - 1) / {SECTION_ROWS_MAX}"),
                format!("(SELECT c.*, row_number() OVER () AS ordinal FROM ({rows}) AS c)"),
            ),
        };
        format!(
            "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, section, old, new)
{with}SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), 1, {table}, {section}, {old}, {new}
FROM {from} AS r
GROUP BY 5;",
            table = literal(bound.table.as_str()),
        )
    }

    /// Logs all under one number: as one section if they are no more than a statement may have in one, else in small ones.
    pub(super) fn log(&self, bound: &Bound) -> String {
        let Self {
            with,
            rows,
            width,
            sides: [old, new],
        } = self;
        format!(
            "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, section, old, new)
{with}SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), 1, {table}, (r.ordinal - 1) / r.rows_max,
  {old}, {new}
FROM (
  SELECT c.*, row_number() OVER () AS ordinal,
    greatest(1, least(CASE WHEN count(*) OVER () <= {STATEMENT_ROWS_MAX} THEN {STATEMENT_ROWS_MAX} ELSE {SECTION_ROWS_MAX} END,
      {SECTION_BYTES} / max(1 + {width}) OVER ())) AS rows_max
  FROM (
{rows}) AS c) AS r
GROUP BY 5;",
            table = literal(bound.table.as_str()),
        )
    }
}
