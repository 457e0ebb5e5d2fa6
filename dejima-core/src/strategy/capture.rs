//! Capture: triggers on a base table that log what a statement changed in its Dejima tables.
//!
//! They read the transition tables only, so their cost depends on the rows changed and not on the table.
//! Names that the generated SQL adds hold a space: no condition can mean them by accident.

use super::{BaseTable, PINNED, Strategy, identifier, literal, text_of};

/// Creates the functions and triggers for one base table and all Dejima tables over it.
pub(super) fn create(base: &BaseTable, strategies: &[&Strategy]) -> String {
    let inserted = log(
        &one_sided("dejima_new", base, strategies),
        "NULL, d.\"dejima row\", 0",
        "d.\"dejima row\" IS NOT NULL",
    );
    let deleted = log(
        &one_sided("dejima_old", base, strategies),
        "d.\"dejima row\", NULL, 0",
        "d.\"dejima row\" IS NOT NULL",
    );
    let updated = log(
        &two_sided(base, strategies),
        "d.\"dejima old\", d.\"dejima new\", \"dejima ordinal\"",
        "d.\"dejima old\" IS DISTINCT FROM d.\"dejima new\"",
    );
    let truncated = format!(
        "PERFORM dejima.check_truncate({});\n{}",
        literal(&base.sql_name()),
        log(
            &one_sided(&base.sql_name(), base, strategies),
            "d.\"dejima row\", NULL, 0",
            "d.\"dejima row\" IS NOT NULL"
        ),
    );
    [
        trigger(
            base,
            "insert",
            "AFTER INSERT",
            "REFERENCING NEW TABLE AS dejima_new",
            &inserted,
        ),
        trigger(
            base,
            "update",
            "AFTER UPDATE",
            "REFERENCING OLD TABLE AS dejima_old NEW TABLE AS dejima_new",
            &updated,
        ),
        trigger(
            base,
            "delete",
            "AFTER DELETE",
            "REFERENCING OLD TABLE AS dejima_old",
            &deleted,
        ),
        trigger(base, "truncate", "BEFORE TRUNCATE", "", &truncated),
    ]
    .join(";\n\n")
}

/// Drops them. The triggers go with their functions: only the base table's owner could drop a trigger alone.
pub(super) fn remove(oid: u32) -> String {
    ["insert", "update", "delete", "truncate"]
        .map(|event| format!("DROP FUNCTION IF EXISTS {}() CASCADE", function(oid, event)))
        .join(";\n")
}

fn function(oid: u32, event: &str) -> String {
    format!("dejima.capture_{oid}_{event}")
}

fn trigger(
    base: &BaseTable,
    event: &str,
    when: &str,
    referencing: &str,
    statements: &str,
) -> String {
    let function = function(base.oid, event);
    // A plan made for one changed row must do for ten thousand: pairing old and new rows hashes, always, also
    // when a put function with other settings makes the change.
    let planner = match event {
        "update" => "SET enable_nestloop = off SET enable_mergejoin = off SET enable_hashjoin = on",
        _ => "",
    };
    let body = format!(
        "\n#variable_conflict use_column\nBEGIN\n{statements}\nIF FOUND THEN\n  PERFORM dejima.open_transaction();\nEND IF;\nRETURN NULL;\nEND\n"
    );
    format!(
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql {PINNED} {planner} AS {};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE TRIGGER dejima_capture_{event} {when} ON {} {referencing}\nFOR EACH STATEMENT EXECUTE FUNCTION {function}()",
        literal(&body),
        base.sql_name(),
    )
}

/// Logs what the source says under one number for the whole statement.
fn log(source: &str, images: &str, changed: &str) -> String {
    format!(
        "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, old, new, ordinal)\n\
         SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), pg_trigger_depth(), d.\"dejima table\", {images}\n\
         FROM {source}\nWHERE {changed};"
    )
}

/// For each changed row and each Dejima table the row as the Dejima table shows it, or NULL.
fn one_sided(from: &str, base: &BaseTable, strategies: &[&Strategy]) -> String {
    let values: Vec<_> = strategies
        .iter()
        .map(|s| format!("({}, r.{})", literal(s.table.as_str()), image_name(s)))
        .collect();
    format!(
        "(SELECT {}\n  FROM {from} AS {}) AS r,\nLATERAL (VALUES {}) AS d(\"dejima table\", \"dejima row\")",
        images(strategies),
        identifier(&base.name),
        values.join(", "),
    )
}

/// The same for old and new rows in pairs. PostgreSQL writes both transition tables of an UPDATE in step
/// (AfterTriggerSaveEvent), so the n-th old row became the n-th new row.
fn two_sided(base: &BaseTable, strategies: &[&Strategy]) -> String {
    let values: Vec<_> = strategies
        .iter()
        .map(|s| {
            format!(
                "({}, o.{1}, n.{1})",
                literal(s.table.as_str()),
                image_name(s)
            )
        })
        .collect();
    let side = |from: &str, alias: &str| {
        format!(
            "(SELECT row_number() OVER () AS \"dejima ordinal\", {}\n  FROM {from} AS {}) AS {alias}",
            images(strategies),
            identifier(&base.name),
        )
    };
    format!(
        "{}\nJOIN {} USING (\"dejima ordinal\"),\nLATERAL (VALUES {}) AS d(\"dejima table\", \"dejima old\", \"dejima new\")",
        side("dejima_old", "o"),
        side("dejima_new", "n"),
        values.join(", "),
    )
}

/// Each value as text under the pinned settings.
fn images(strategies: &[&Strategy]) -> String {
    let image = |s: &&Strategy| {
        let cells: Vec<_> = s
            .columns
            .iter()
            .map(|c| text_of(&identifier(&c.name), c))
            .collect();
        let row = format!("ARRAY[{}]", cells.join(", "));
        match s.condition {
            Some(_) => format!(
                "CASE WHEN {} THEN {row} END AS {}",
                s.shows(),
                image_name(s)
            ),
            None => format!("{row} AS {}", image_name(s)),
        }
    };
    strategies
        .iter()
        .map(image)
        .collect::<Vec<_>>()
        .join(",\n    ")
}

fn image_name(strategy: &Strategy) -> String {
    format!("\"dejima {}\"", strategy.id)
}
