//! One row written through the Dejima table of which only direct columns change: one UPDATE of its base table, at once.

use super::direct::{self, BY_INDEX, Direct};
use super::get::{view_columns, view_name};
use super::through::{Cells, are_alike, is_old};
use crate::strategy::bound::Bound;
use crate::strategy::literal;

/// The rows as plpgsql has them.
const HERE: [&str; 2] = ["old", "new"];
/// The same as parameters.
const GIVEN: [&str; 2] = ["($1)", "($2)"];

/// Creates the function that tries it: whether it was such a row, and is updated.
pub(super) fn create(bound: &Bound, direct: &[Direct]) -> String {
    if direct.is_empty() {
        return String::new();
    }
    let (function, view) = (function(bound), view_name(bound));
    format!(
        "CREATE OR REPLACE FUNCTION {function}(old {view}, new {view}) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off {BY_INDEX} SET jit = off AS {};\n\
         REVOKE ALL ON FUNCTION {} FROM PUBLIC;\n",
        literal(&body(bound, direct)),
        signature(bound),
    )
}

/// The name of the function.
pub(super) fn function(bound: &Bound) -> String {
    format!("dejima.through_{}_first", bound.id)
}

/// Its arguments have the view's type.
pub(super) fn signature(bound: &Bound) -> String {
    let view = view_name(bound);
    format!("{}({view}, {view})", function(bound))
}

/// The values of the key's columns in a row.
pub(super) fn key_of(bound: &Bound, row: &Cells<'_>) -> Vec<Option<String>> {
    let key = bound.key();
    let all = 0..bound.schema.columns.len();
    all.map(|at| key.contains(&at).then(|| row(at))).collect()
}

/// The same, and of the columns that are constant: a row with another value there is none of the clause.
pub(super) fn asked(bound: &Bound, direct: &Direct, row: &Cells<'_>) -> Vec<Option<String>> {
    let known = key_of(bound, row).into_iter().enumerate();
    let constant = |at: usize| direct.is_constant(at).then(|| row(at));
    known
        .map(|(at, value)| value.or_else(|| constant(at)))
        .collect()
}

fn body(bound: &Bound, direct: &[Direct]) -> String {
    let columns = view_columns(bound);
    let old = |at: usize| format!("{}.{}", HERE[0], columns[at]);
    let tries = direct.iter().map(|direct| attempt(bound, direct));
    format!(
        "
#variable_conflict use_column
DECLARE
  done bigint := 0;
BEGIN
{tries}IF done = 0 THEN
  RETURN false;
END IF;
{check}
RETURN true;
END
",
        tries = tries.collect::<String>(),
        check = direct::check(bound, &key_of(bound, &old)),
    )
}

/// Updates a row that differs in direct columns of one clause alone. Values are compared as they are stored: the clause's row must
/// be the old one in every column.
fn attempt(bound: &Bound, direct: &Direct) -> String {
    let columns = view_columns(bound);
    let [old, new] = HERE.map(|row| {
        let columns = &columns;
        move |at: usize| format!("{row}.{}", columns[at])
    });
    let update = direct.update(bound, &asked(bound, direct, &old));
    let branch = |&(at, column): &(usize, usize)| {
        let others: Vec<usize> = (0..columns.len()).filter(|&other| other != at).collect();
        format!(
            "IF {alike} THEN
    {head}{assignment}{tail};
    GET DIAGNOSTICS done = ROW_COUNT;
  ELS",
            alike = are_alike([&old, &new], &others),
            head = update.head(),
            assignment = direct.assignment(bound, column, &new(at)),
            tail = update.tail(&[], &update.of_one(vec![is_old(&update.values, &old)])),
        )
    };
    let branches: String = direct.columns.iter().map(branch).collect();
    let several = format!(
        "IF {alike} THEN
    EXECUTE {execute} USING old, new;
    GET DIAGNOSTICS done = ROW_COUNT;
  END IF;",
        alike = are_alike([&old, &new], &direct.others()),
        execute = several(bound, direct, [&old, &new]),
    );
    // Of a single column all is said.
    let branches = match direct.columns.len() {
        1 => branches.trim_end_matches("ELS").to_owned() + "END IF;",
        _ => branches + &several,
    };
    format!(
        "IF done = 0 AND {guard} THEN
  {branches}
END IF;
",
        guard = update.guard,
    )
}

/// SQL text (as an SQL expression) of the UPDATE of all columns that differ, and of no others, so that a base table's UPDATE OF
/// triggers see the truth.
fn several(bound: &Bound, direct: &Direct, here: [&Cells<'_>; 2]) -> String {
    let columns = view_columns(bound);
    let [old, new] = GIVEN.map(|row| {
        let columns = &columns;
        move |at: usize| format!("{row}.{}", columns[at])
    });
    let update = direct.update(bound, &asked(bound, direct, &old));
    let piece = |&(at, column): &(usize, usize)| {
        format!(
            "CASE WHEN NOT {} THEN {} END",
            are_alike(here, &[at]),
            literal(&direct.assignment(bound, column, &new(at)))
        )
    };
    let pieces: Vec<_> = direct.columns.iter().map(piece).collect();
    format!(
        "{} || array_to_string(ARRAY[{}], ', ') || {}",
        literal(&update.head()),
        pieces.join(", "),
        literal(&update.tail(&[], &update.of_one(vec![is_old(&update.values, &old)]))),
    )
}
