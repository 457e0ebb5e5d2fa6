//! Rows written through the Dejima table of which only direct columns change: for each clause one UPDATE of its base table, of the
//! columns that differ in any of them, and of no others, so that a base table's UPDATE OF triggers see the truth. What it does not
//! find as the statement saw it stays in the log, for the general way; so does all of it if the base table has rules of its owner's,
//! with which PostgreSQL does not say which rows it has updated.

use super::direct::{self, Direct};
use super::through::{are_alike, is_old, log, logged, logged_column};
use super::through_one::{asked, key_of};
use crate::strategy::bound::Bound;
use crate::strategy::literal;

/// The variables of [`update`].
pub(super) const DECLARED: &str = "  assigned text[];\n  places tid[];\n";

/// Updates what is logged, and takes it out of the log.
pub(super) fn update(bound: &Bound, direct: &[Direct]) -> String {
    let of_clause = |direct: &Direct| clause(bound, direct);
    direct.iter().map(of_clause).collect()
}

/// Columns of a row in the log.
fn old(at: usize) -> String {
    format!("l.{}", logged_column("old", at))
}

fn new(at: usize) -> String {
    format!("l.{}", logged_column("new", at))
}

fn clause(bound: &Bound, direct: &Direct) -> String {
    let update = direct.update(bound, &asked(bound, direct, &old));
    let piece = |&(at, column): &(usize, usize)| {
        format!(
            "CASE WHEN bool_or(NOT {}) THEN {} END",
            are_alike([&old, &new], &[at]),
            literal(&direct.assignment(bound, column, &new(at)))
        )
    };
    let pieces: Vec<_> = direct.columns.iter().map(piece).collect();
    let log = format!("{} AS l", log(bound));
    let meant = format!(
        "{} AND l.has_old AND l.has_new AND {} AND {}",
        logged(),
        update.guard,
        are_alike([&old, &new], &direct.others()),
    );
    let tail = update.tail(
        std::slice::from_ref(&log),
        &[meant.clone(), is_old(&update.values, &old)],
    );
    let base = direct.base(bound);
    // A trigger of the base table may have made something else of a row.
    let check = direct::check_all(
        bound,
        &format!("{log} WHERE l.ctid = ANY (places)"),
        &key_of(bound, &old),
    );
    format!(
        "SELECT array_remove(ARRAY[{pieces}], NULL) INTO assigned FROM {log} WHERE {meant}
  AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = {base} AND c.relhasrules);
IF assigned <> '{{}}' THEN
  EXECUTE {head} || array_to_string(assigned, ', ') || {tail} INTO places;
  IF dejima.is_watched({base}) THEN
    {check}
  END IF;
  DELETE FROM {log} WHERE l.ctid = ANY (places);
END IF;
",
        pieces = pieces.join(", "),
        head = literal(&format!("WITH done AS ({}", update.head())),
        tail = literal(&format!(
            "{tail} RETURNING l.ctid AS place) SELECT array_agg(d.place) FROM done AS d"
        )),
    )
}
