//! Writing through the Dejima table itself. What one statement asks of its rows is put at the end of the statement, all at once; but
//! a row of which only direct columns change (`direct`) is updated at once where it stands.
//!
//! One statement may have rows of both kinds. Each is put as if the other rows were as they are before or after, and it makes no
//! difference which: no rule and no constraint asks for a direct column but that of its own row, and the row that is updated keeps
//! all else. A row that a statement asks for twice is refused, now as stale: its second old values are not there any more.

use super::direct::{self, BY_INDEX, Direct};
use super::get::{view_columns, view_name};
use super::put_function;
use crate::strategy::bound::Bound;
use crate::strategy::literal;
use crate::strategy::{PINNED, text};

/// Settings of a function that makes no texts of values. Each setting of a function costs every call of it.
const PLAIN: &str =
    "SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off";

/// Creates the triggers of the view.
pub(super) fn create(bound: &Bound) -> String {
    let (row, end) = (row_function(bound), end_function(bound));
    let (log, put) = (log_function(bound), taking_function(bound));
    let (view, signature) = (view_name(bound), log_signature(bound));
    format!(
        "CREATE OR REPLACE FUNCTION {log}(tg_op text, old {view}, new {view}) RETURNS void LANGUAGE plpgsql {PINNED} AS {};\n\
         REVOKE ALL ON FUNCTION {signature} FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {put}() RETURNS void LANGUAGE plpgsql {PINNED} SET enable_seqscan = off AS {};\n\
         REVOKE ALL ON FUNCTION {put}() FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {row}() RETURNS trigger LANGUAGE plpgsql {PLAIN} {BY_INDEX} SET jit = off AS {};\n\
         REVOKE ALL ON FUNCTION {row}() FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {end}() RETURNS trigger LANGUAGE plpgsql {PLAIN} AS {};\n\
         REVOKE ALL ON FUNCTION {end}() FROM PUBLIC;\n\
         CREATE OR REPLACE TRIGGER dejima_row INSTEAD OF INSERT OR UPDATE OR DELETE ON {view} FOR EACH ROW EXECUTE FUNCTION {row}();\n\
         CREATE OR REPLACE TRIGGER dejima_end AFTER INSERT OR UPDATE OR DELETE ON {view} FOR EACH STATEMENT EXECUTE FUNCTION {end}()",
        literal(&log_row(bound)),
        literal(&put_rows(bound)),
        literal(&take_row(bound)),
        literal(&end_statement(bound)),
    )
}

/// Drops them but for the one of [`log_signature`].
pub(super) fn remove(bound: &Bound) -> String {
    // The triggers go with their functions.
    format!(
        "DROP FUNCTION IF EXISTS {}(), {}(), {}() CASCADE",
        row_function(bound),
        end_function(bound),
        taking_function(bound),
    )
}

/// The function whose arguments have the view's type.
pub(super) fn log_signature(bound: &Bound) -> String {
    let view = view_name(bound);
    format!("{}(text, {view}, {view})", log_function(bound))
}

fn row_function(bound: &Bound) -> String {
    format!("dejima.through_{}", bound.id)
}

fn end_function(bound: &Bound) -> String {
    format!("dejima.through_{}_end", bound.id)
}

fn log_function(bound: &Bound) -> String {
    format!("dejima.through_{}_log", bound.id)
}

fn taking_function(bound: &Bound) -> String {
    format!("dejima.through_{}_put", bound.id)
}

/// What is to become of one row: nothing if it stays as it is.
fn take_row(bound: &Bound) -> String {
    let direct = direct::all(bound);
    let tries: String = direct.iter().map(|direct| attempt(bound, direct)).collect();
    let direct = if tries.is_empty() {
        String::new()
    } else {
        let check = direct::check(bound, &key_of_old(bound, "OLD"));
        format!("{tries}  IF done > 0 THEN\n  {check}\n  RETURN NEW;\n  END IF;\n")
    };
    let log = log_function(bound);
    format!(
        "
#variable_conflict use_column
DECLARE
  done bigint := 0;
BEGIN
IF TG_OP = 'UPDATE' THEN
  IF OLD *= NEW THEN
    RETURN NEW;
  END IF;
{direct}  PERFORM {log}(TG_OP, OLD, NEW);
ELSIF TG_OP = 'INSERT' THEN
  PERFORM {log}(TG_OP, NULL, NEW);
ELSE
  PERFORM {log}(TG_OP, OLD, NULL);
  RETURN OLD;
END IF;
RETURN NEW;
END
"
    )
}

/// The values of the key's columns in a row of that name.
fn key_of_old(bound: &Bound, old: &str) -> Vec<Option<String>> {
    let key = bound.key();
    let columns = view_columns(bound).into_iter().enumerate();
    let value =
        |(at, column): (usize, String)| key.contains(&at).then(|| format!("{old}.{column}"));
    columns.map(value).collect()
}

/// The same, and of the columns that are constant: a row with another value there is none of the clause.
fn asked(bound: &Bound, direct: &Direct, old: &str) -> Vec<Option<String>> {
    let columns = view_columns(bound);
    let known = key_of_old(bound, old).into_iter().enumerate();
    let constant = |at: usize| {
        direct
            .is_constant(at)
            .then(|| format!("{old}.{}", columns[at]))
    };
    known
        .map(|(at, value)| value.or_else(|| constant(at)))
        .collect()
}

/// Updates a row that differs in direct columns of one clause alone. Values are compared as they are stored: the clause's row must
/// be the old one in every column.
fn attempt(bound: &Bound, direct: &Direct) -> String {
    let update = direct.update(bound, &asked(bound, direct, "OLD"));
    let columns = view_columns(bound);
    let branch = |&(at, column): &(usize, usize)| {
        let others: Vec<usize> = (0..columns.len()).filter(|&other| other != at).collect();
        let value = format!("NEW.{}", columns[at]);
        format!(
            "IF {alike} THEN
      {head}{assignment}{tail};
      GET DIAGNOSTICS done = ROW_COUNT;
    ELS",
            alike = are_alike(&columns, &others),
            head = update.head(),
            assignment = direct.assignment(bound, column, &value),
            tail = update.tail(&[is_old(bound, &update.values, "OLD")]),
        )
    };
    let branches: String = direct.columns.iter().map(branch).collect();
    format!(
        "  IF done = 0 AND {guard} THEN
    {branches}IF {alike} THEN
      EXECUTE {execute} USING OLD, NEW;
      GET DIAGNOSTICS done = ROW_COUNT;
    END IF;
  END IF;
",
        guard = update.guard,
        alike = are_alike(&columns, &direct.others()),
        execute = several(bound, direct),
    )
}

/// SQL text (as an SQL expression) of the UPDATE of all columns that differ, and of no others, so that a base table's UPDATE OF
/// triggers see the truth.
fn several(bound: &Bound, direct: &Direct) -> String {
    let update = direct.update(bound, &asked(bound, direct, "($1)"));
    let columns = view_columns(bound);
    let piece = |&(at, column): &(usize, usize)| {
        let value = format!("($2).{}", columns[at]);
        format!(
            "CASE WHEN NOT {} THEN {} END",
            are_alike(&columns, &[at]),
            literal(&direct.assignment(bound, column, &value))
        )
    };
    let pieces: Vec<_> = direct.columns.iter().map(piece).collect();
    format!(
        "{} || array_to_string(ARRAY[{}], ', ') || {}",
        literal(&update.head()),
        pieces.join(", "),
        literal(&update.tail(&[is_old(bound, &update.values, "($1)")])),
    )
}

/// The old row and the new one are the same in these columns.
fn are_alike(columns: &[String], positions: &[usize]) -> String {
    let row = |name: &str| {
        let values = positions
            .iter()
            .map(|&at| format!("{name}.{}", columns[at]));
        values.collect::<Vec<_>>().join(", ")
    };
    same_image(&row("OLD"), &row("NEW"))
}

fn is_old(bound: &Bound, values: &[String], old: &str) -> String {
    let columns = view_columns(bound);
    let columns: Vec<_> = columns
        .iter()
        .map(|column| format!("{old}.{column}"))
        .collect();
    same_image(&values.join(", "), &columns.join(", "))
}

/// What `*=` says of two records; between two ROW() it would be taken for an operator on each of their values.
fn same_image(left: &str, right: &str) -> String {
    format!("record_image_eq(ROW({left}), ROW({right}))")
}

fn log_row(bound: &Bound) -> String {
    let image = |row: &str| {
        let columns = view_columns(bound);
        let values: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cell = format!("{row}.{column}");
                format!("ARRAY[{}]", text(&cell, super::keeps_spaces(bound, at)))
            })
            .collect();
        format!("ARRAY[{}]", values.join(", "))
    };
    format!(
        "
BEGIN
INSERT INTO dejima.pending (xid, statement, depth, dejima_table, old, new)
VALUES (pg_current_xact_id(), 0, pg_trigger_depth(), {id},
  CASE WHEN tg_op <> 'INSERT' THEN {old} END, CASE WHEN tg_op <> 'DELETE' THEN {new} END);
END
",
        id = bound.id,
        old = image("old"),
        new = image("new"),
    )
}

/// What this statement logged.
fn logged(bound: &Bound, xid: &str) -> String {
    format!(
        "p.xid = {xid} AND p.dejima_table = {} AND p.relation IS NULL AND p.depth = pg_trigger_depth()",
        bound.id
    )
}

/// Most statements leave nothing to put.
fn end_statement(bound: &Bound) -> String {
    format!(
        "
BEGIN
IF EXISTS (SELECT FROM dejima.pending AS p WHERE {}) THEN
  PERFORM {}();
END IF;
RETURN NULL;
END
",
        logged(bound, "pg_current_xact_id_if_assigned()"),
        taking_function(bound),
    )
}

/// Rows that a statement changes and changes back cost nothing.
fn put_rows(bound: &Bound) -> String {
    let view = view_name(bound);
    let row = |side: &str| {
        let values: Vec<_> = bound
            .schema
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("(t.{side}[{}][1])::{}", at + 1, column.type_name))
            .collect();
        format!(
            "array_agg(ROW({})::{view}) FILTER (WHERE t.{side} IS NOT NULL AND t.old IS DISTINCT FROM t.new)",
            values.join(", ")
        )
    };
    format!(
        "
DECLARE
  gone {view}[];
  come {view}[];
BEGIN
WITH taken AS (
  DELETE FROM dejima.pending AS p
  WHERE {logged}
  RETURNING p.old, p.new
) SELECT {old}, {new} INTO gone, come FROM taken AS t;
IF gone IS NOT NULL OR come IS NOT NULL THEN
  PERFORM {function}(coalesce(gone, '{{}}'), coalesce(come, '{{}}'));
END IF;
END
",
        logged = logged(bound, "pg_current_xact_id()"),
        old = row("old"),
        new = row("new"),
        function = put_function(bound),
    )
}
