//! Writing through the Dejima table itself. What one statement asks of its rows is logged row by row and put at the end of the
//! statement, all at once. Of rows of which only direct columns change (`direct`), the first is updated at once where it stands, for
//! most statements have no other (`through_one`), the others by one UPDATE at the end (`through_many`).
//!
//! One statement may have rows of all kinds. Each is put as if the other rows were as they are before or after, and it makes no
//! difference which: no rule and no constraint asks for a direct column but that of its own row, and the row that is updated keeps
//! all else. A row that a statement asks for twice is refused, now as stale: its second old values are not there any more.

use super::direct;
use super::get::{view_columns, view_name};
use super::{put_function, through_many, through_one};
use crate::strategy::PINNED;
use crate::strategy::bound::Bound;
use crate::strategy::literal;

/// Settings of the trigger functions, which make no texts of values. Each setting of a function costs every call of it.
const PLAIN: &str = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp";

/// Says in a session that a statement has tried its first row: the number of the Dejima table. A mere hint of which way is
/// shorter; it goes with the statement, and with its savepoint.
const HINT: &str = "dejima.through";

/// Creates the log, and the triggers of the view.
pub(super) fn create(bound: &Bound) -> String {
    let (row, end) = (row_function(bound), end_function(bound));
    let (log, put) = (log(bound), taking_function(bound));
    let view = view_name(bound);
    let columns = bound.schema.columns.iter().enumerate();
    let columns: String = columns
        .map(|(at, column)| {
            format!(
                ", {} {type_name}, {} {type_name}",
                logged_column("old", at),
                logged_column("new", at),
                type_name = column.type_name
            )
        })
        .collect();
    format!(
        "CREATE UNLOGGED TABLE {log} (xid xid8 NOT NULL, depth integer NOT NULL, has_old boolean NOT NULL, has_new boolean NOT NULL{columns})\n  \
           WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);\n\
         CREATE INDEX ON {log} (xid, depth);\n\
         {first}CREATE OR REPLACE FUNCTION {put}() RETURNS void LANGUAGE plpgsql {PINNED} SET enable_seqscan = off AS {};\n\
         REVOKE ALL ON FUNCTION {put}() FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {row}() RETURNS trigger LANGUAGE plpgsql {PLAIN} AS {};\n\
         REVOKE ALL ON FUNCTION {row}() FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {end}() RETURNS trigger LANGUAGE plpgsql {PLAIN} SET enable_seqscan = off AS {};\n\
         REVOKE ALL ON FUNCTION {end}() FROM PUBLIC;\n\
         CREATE OR REPLACE TRIGGER dejima_row INSTEAD OF INSERT OR UPDATE OR DELETE ON {view} FOR EACH ROW EXECUTE FUNCTION {row}();\n\
         CREATE OR REPLACE TRIGGER dejima_end AFTER INSERT OR UPDATE OR DELETE ON {view} FOR EACH STATEMENT EXECUTE FUNCTION {end}()",
        literal(&put_rows(bound)),
        literal(&take_row(bound)),
        literal(&end_statement(bound)),
        first = through_one::create(bound, &direct::all(bound)),
    )
}

/// Drops them.
pub(super) fn remove(bound: &Bound) -> String {
    // The triggers go with their functions.
    format!(
        "DROP FUNCTION IF EXISTS {}(), {}(), {}() CASCADE;\nDROP TABLE IF EXISTS {}",
        row_function(bound),
        end_function(bound),
        taking_function(bound),
        log(bound),
    )
}

fn row_function(bound: &Bound) -> String {
    format!("dejima.through_{}", bound.id)
}

fn end_function(bound: &Bound) -> String {
    format!("dejima.through_{}_end", bound.id)
}

fn taking_function(bound: &Bound) -> String {
    format!("dejima.through_{}_put", bound.id)
}

/// What running statements ask for, a row each: of an INSERT without the old one, of a DELETE without the new one.
pub(super) fn log(bound: &Bound) -> String {
    format!("dejima.through_{}_log", bound.id)
}

/// The name there of a column of the old or the new row.
pub(super) fn logged_column(side: &str, at: usize) -> String {
    format!("{side}_{at}")
}

/// What this statement logged.
pub(super) fn logged() -> &'static str {
    "l.xid = pg_current_xact_id() AND l.depth = pg_trigger_depth()"
}

/// What is to become of one row: nothing if it stays as it is.
fn take_row(bound: &Bound) -> String {
    let log = log(bound);
    let columns = view_columns(bound);
    let side = |side: &str, is_there: bool| {
        let columns = columns.iter().enumerate();
        let pair = |(at, name): (usize, &String)| {
            is_there.then(|| (logged_column(side, at), format!("{side}.{name}")))
        };
        columns.filter_map(pair).collect::<Vec<_>>()
    };
    let insert = |has_old: bool, has_new: bool| {
        let (names, values): (Vec<String>, Vec<String>) =
            [side("old", has_old), side("new", has_new)]
                .concat()
                .into_iter()
                .unzip();
        format!(
            "INSERT INTO {log} (xid, depth, has_old, has_new, {}) VALUES (pg_current_xact_id(), pg_trigger_depth(), {has_old}, {has_new}, {});",
            names.join(", "),
            values.join(", ")
        )
    };
    let first = if direct::all(bound).is_empty() {
        String::new()
    } else {
        format!(
            "  IF current_setting('{HINT}', true) IS DISTINCT FROM '{id}' THEN
    is_done := {function}(OLD, NEW);
    hint := set_config('{HINT}', '{id}', true);
    IF is_done THEN
      RETURN NEW;
    END IF;
  END IF;
",
            id = bound.id,
            function = through_one::function(bound),
        )
    };
    let declared = if first.is_empty() {
        ""
    } else {
        "\nDECLARE\n  is_done boolean;\n  hint text;"
    };
    format!(
        "{declared}
BEGIN
IF TG_OP = 'UPDATE' THEN
  IF OLD *= NEW THEN
    RETURN NEW;
  END IF;
{first}  {update}
ELSIF TG_OP = 'INSERT' THEN
  {come}
ELSE
  {gone}
  RETURN OLD;
END IF;
RETURN NEW;
END
",
        update = insert(true, true),
        come = insert(false, true),
        gone = insert(true, false),
    )
}

/// A row of the Dejima table, as the value of each of its columns.
pub(super) type Cells<'a> = dyn Fn(usize) -> String + 'a;

/// The old row and the new one are the same in these columns.
pub(super) fn are_alike([old, new]: [&Cells<'_>; 2], positions: &[usize]) -> String {
    let row = |cells: &Cells<'_>| {
        let values = positions.iter().map(|&at| cells(at));
        values.collect::<Vec<_>>().join(", ")
    };
    same_image(&row(old), &row(new))
}

/// These values of a row of the Dejima table are those of the old row.
pub(super) fn is_old(values: &[String], old: &Cells<'_>) -> String {
    let columns: Vec<_> = (0..values.len()).map(old).collect();
    same_image(&values.join(", "), &columns.join(", "))
}

/// What `*=` says of two records; between two ROW() it would be taken for an operator on each of their values.
fn same_image(left: &str, right: &str) -> String {
    format!("record_image_eq(ROW({left}), ROW({right}))")
}

/// Most statements leave nothing to put.
fn end_statement(bound: &Bound) -> String {
    let hint = if direct::all(bound).is_empty() {
        "BEGIN\n".to_owned()
    } else {
        format!(
            "DECLARE\n  hint text := current_setting('{HINT}', true);\nBEGIN\n\
             IF hint <> '' THEN\n  hint := set_config('{HINT}', '', true);\nEND IF;\n"
        )
    };
    format!(
        "
{hint}IF EXISTS (SELECT FROM {log} AS l WHERE l.xid = pg_current_xact_id_if_assigned() AND l.depth = pg_trigger_depth()) THEN
  PERFORM {put}();
END IF;
RETURN NULL;
END
",
        log = log(bound),
        put = taking_function(bound),
    )
}

/// What is not updated where it stands.
fn put_rows(bound: &Bound) -> String {
    let view = view_name(bound);
    let count = bound.schema.columns.len();
    let rows = |side: &str| {
        let cells: Vec<_> = (0..count)
            .map(|at| format!("t.{}", logged_column(side, at)))
            .collect();
        format!(
            "array_agg(ROW({})::{view}) FILTER (WHERE t.has_{side})",
            cells.join(", ")
        )
    };
    format!(
        "
DECLARE
  gone {view}[];
  come {view}[];
{declared}BEGIN
{update}WITH taken AS (
  DELETE FROM {log} AS l WHERE {logged} RETURNING l.*
) SELECT {old}, {new} INTO gone, come FROM taken AS t;
IF gone IS NOT NULL OR come IS NOT NULL THEN
  PERFORM {function}(coalesce(gone, '{{}}'), coalesce(come, '{{}}'));
END IF;
END
",
        declared = through_many::DECLARED,
        update = through_many::update(bound, &direct::all(bound)),
        log = log(bound),
        logged = logged(),
        old = rows("old"),
        new = rows("new"),
        function = put_function(bound),
    )
}
