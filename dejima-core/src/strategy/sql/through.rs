//! Writing through the Dejima table itself: what one statement asks of its rows is put at the end of the statement, all at once.

use super::get::{view_columns, view_name};
use super::put_function;
use crate::strategy::bound::Bound;
use crate::strategy::literal;
use crate::strategy::{PINNED, text};

/// Creates the triggers of the view.
pub(super) fn create(bound: &Bound) -> String {
    let (row, end) = (row_function(bound), end_function(bound));
    let view = view_name(bound);
    format!(
        "CREATE OR REPLACE FUNCTION {row}() RETURNS trigger LANGUAGE plpgsql {PINNED} AS {};\n\
         REVOKE ALL ON FUNCTION {row}() FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {end}() RETURNS trigger LANGUAGE plpgsql {PINNED} SET enable_seqscan = off AS {};\n\
         REVOKE ALL ON FUNCTION {end}() FROM PUBLIC;\n\
         CREATE OR REPLACE TRIGGER dejima_row INSTEAD OF INSERT OR UPDATE OR DELETE ON {view} FOR EACH ROW EXECUTE FUNCTION {row}();\n\
         CREATE OR REPLACE TRIGGER dejima_end AFTER INSERT OR UPDATE OR DELETE ON {view} FOR EACH STATEMENT EXECUTE FUNCTION {end}()",
        literal(&log_row(bound)),
        literal(&put_rows(bound)),
    )
}

/// Drops them.
pub(super) fn remove(bound: &Bound) -> String {
    // The triggers go with their functions.
    format!(
        "DROP FUNCTION IF EXISTS {}(), {}() CASCADE",
        row_function(bound),
        end_function(bound)
    )
}

fn row_function(bound: &Bound) -> String {
    format!("dejima.through_{}", bound.id)
}

fn end_function(bound: &Bound) -> String {
    format!("dejima.through_{}_end", bound.id)
}

fn log_row(bound: &Bound) -> String {
    let image = |row: &str| {
        let columns = view_columns(bound);
        let values: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cell = format!("{row}.{column}");
                format!(
                    "ARRAY[{}]",
                    text(&cell, super::derive::keeps_spaces(bound, at))
                )
            })
            .collect();
        format!("ARRAY[{}]", values.join(", "))
    };
    format!(
        "
BEGIN
INSERT INTO dejima.pending (xid, statement, depth, dejima_table, old, new)
VALUES (pg_current_xact_id(), 0, pg_trigger_depth(), {id},
  CASE WHEN TG_OP <> 'INSERT' THEN {old} END, CASE WHEN TG_OP <> 'DELETE' THEN {new} END);
IF TG_OP = 'DELETE' THEN
  RETURN OLD;
END IF;
RETURN NEW;
END
",
        id = bound.id,
        old = image("OLD"),
        new = image("NEW"),
    )
}

/// Rows that a statement leaves as they are, or changes and changes back, cost nothing.
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
  WHERE p.xid = pg_current_xact_id() AND p.dejima_table = {id} AND p.relation IS NULL AND p.depth = pg_trigger_depth()
  RETURNING p.old, p.new
) SELECT {old}, {new} INTO gone, come FROM taken AS t;
IF gone IS NOT NULL OR come IS NOT NULL THEN
  PERFORM {function}(coalesce(gone, '{{}}'), coalesce(come, '{{}}'));
END IF;
RETURN NULL;
END
",
        id = bound.id,
        old = row("old"),
        new = row("new"),
        function = put_function(bound),
    )
}
