//! Capture: triggers on a base table that log what a statement changed in its Dejima tables.
//!
//! They read the transition tables only, so their cost depends on the rows changed and not on the table. Rows go into
//! the log by the section: many in one row of `dejima.delta`, which costs less than half of one row each.
//! Names that the generated SQL adds hold a space: no condition can mean them by accident.

use super::bound::{self, Bound};
use super::program::RelationId;
use super::{BaseColumn, BaseTable, PINNED, Strategy, identifier, literal, text_of};

/// Rows in a section. 64 narrow rows fit into a page.
const SECTION_ROWS_MAX: u32 = 64;
/// Wide rows come by fewer, so that a section stays near this size as PostgreSQL stores it; as text it is larger, and an
/// array may have 1 GiB.
const SECTION_BYTES: u32 = 1 << 20;

/// What is logged of a base table under one name.
pub(super) struct Logged<'a> {
    /// In the log: a Dejima table, or [`source_name`].
    name: String,
    /// Of the column with its rows, in what is generated.
    image: String,
    columns: &'a [BaseColumn],
    /// Which rows, in SQL; all if there is none.
    condition: Option<String>,
}

impl<'a> Logged<'a> {
    /// The rows that a Dejima table shows, as it shows them.
    pub(super) fn shown(strategy: &'a Strategy) -> Self {
        Self {
            name: strategy.table.to_string(),
            image: format!("\"dejima {}\"", strategy.id),
            columns: &strategy.columns,
            condition: strategy.condition.as_ref().map(|_| strategy.shows()),
        }
    }

    /// All rows of a base table of a program: what they change in the Dejima table is found at the end of the transaction.
    pub(super) fn source(bound: &Bound, relation: RelationId, source: &'a bound::Source) -> Self {
        Self {
            name: source_name(bound, relation),
            image: format!("\"dejima {} {relation}\"", bound.id),
            columns: &source.columns,
            condition: None,
        }
    }
}

/// How the log calls a base table of a program. No Dejima table can have such a name: it begins with a control character.
pub(super) fn source_name(bound: &Bound, relation: RelationId) -> String {
    format!("\t{} {relation}", bound.id)
}

/// Creates the functions and triggers for one base table and all that is logged of it.
pub(super) fn create(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let inserted = Source::One("dejima_new".into());
    let deleted = Source::One("dejima_old".into());
    let updated = Source::Both;
    let log = |source: &Source, images: &str| log(source, images, base, logged);
    let triggers = [
        function(base, "insert", &log(&inserted, "NULL, d.\"dejima rows\"")),
        function(
            base,
            "update",
            &log(&updated, "d.\"dejima old\", d.\"dejima new\""),
        ),
        function(base, "delete", &log(&deleted, "d.\"dejima rows\", NULL")),
        function(base, "truncate", &log_truncated(base, logged)),
        format!(
            "SELECT dejima.make_capture_triggers({0}, p.relation) FROM (SELECT DISTINCT relation FROM dejima.capture_points({0})) AS p",
            base.oid
        ),
    ];
    triggers.join(";\n\n")
}

/// Drops them. The triggers go with their functions: only the base table's owner could drop a trigger alone.
pub(super) fn remove(oid: u32) -> String {
    ["insert", "update", "delete", "truncate"]
        .map(|event| {
            format!(
                "DROP FUNCTION IF EXISTS {}() CASCADE",
                function_name(oid, event)
            )
        })
        .join(";\n")
}

fn function_name(oid: u32, event: &str) -> String {
    format!("dejima.capture_{oid}_{event}")
}

/// A trigger function for the base table and all its partitions: a row has the same names in each.
fn function(base: &BaseTable, event: &str, statements: &str) -> String {
    let name = function_name(base.oid, event);
    // A plan made for one changed row must do for ten thousand: the sections of old and new rows are paired by a hash,
    // always, also when a put function with other settings makes the change.
    let planner = match event {
        "update" => "SET enable_nestloop = off SET enable_mergejoin = off SET enable_hashjoin = on",
        _ => "",
    };
    let body = format!(
        "\n#variable_conflict use_column\nDECLARE\n  \"dejima section rows\" bigint := {SECTION_ROWS_MAX};\n  \"dejima sections\" bigint;\nBEGIN\n{statements}\n\
         GET DIAGNOSTICS \"dejima sections\" = ROW_COUNT;\nIF \"dejima sections\" > 0 THEN\n  PERFORM dejima.open_transaction();\nEND IF;\nRETURN NULL;\nEND\n"
    );
    format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {PINNED} {planner} AS {};\n\
         REVOKE ALL ON FUNCTION {name}() FROM PUBLIC",
        literal(&body),
    )
}

/// Where the changed rows are.
enum Source {
    /// In one table: all are new, or all are gone.
    One(String),
    /// In both transition tables of an UPDATE.
    Both,
}

/// Logs what the source says under one number for the whole statement.
fn log(source: &Source, images: &str, base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let insert = insert(source, images, base, logged);
    format!("{}{insert};", shorten(source, base, logged))
}

fn insert(source: &Source, images: &str, base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let (from, changed) = match source {
        Source::One(table) => (
            one_sided(table, base, logged),
            // The row of nulls stands for one that the Dejima table does not show.
            "num_nonnulls(VARIADIC d.\"dejima rows\") > 0",
        ),
        Source::Both => (
            two_sided(base, logged),
            "d.\"dejima old\" IS DISTINCT FROM d.\"dejima new\"",
        ),
    };
    format!(
        "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, section, old, new)\n\
         SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), pg_trigger_depth(), d.\"dejima table\", \"dejima section\", {images}\n\
         FROM {from}\nWHERE {changed}"
    )
}

/// Before a TRUNCATE the rows are still in the table; in that one of a partitioned table's partitions that is truncated.
fn log_truncated(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let truncated = Source::One(TRUNCATED.into());
    let sql = insert(&truncated, "d.\"dejima rows\", NULL", base, logged);
    let width = width(base, logged);
    format!(
        "PERFORM dejima.check_truncate(TG_RELID::regclass::text);\n\
         EXECUTE replace({}, {marker}, TG_RELID::regclass::text) INTO \"dejima section rows\";\n\
         EXECUTE replace({}, {marker}, TG_RELID::regclass::text) USING \"dejima section rows\";",
        literal(&format!(
            "SELECT {} FROM {TRUNCATED} AS r",
            section_rows(&width)
        )),
        literal(&sql.replace("\"dejima section rows\"", "$1")),
        marker = literal(TRUNCATED),
    )
}

/// Stands for the table in SQL that is made when it is truncated.
const TRUNCATED: &str = "\"dejima truncated\"";

/// Makes the sections of wide rows shorter. A table whose TOAST table is empty has none: its rows fit into a page each.
fn shorten(source: &Source, base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let may_be_wide = match base.toast {
        None if !base.is_partitioned => return String::new(),
        None => "true".to_owned(),
        Some(toast) => format!("pg_relation_size({toast}::oid) IS DISTINCT FROM 0"),
    };
    let (some, all) = match source {
        Source::One(table) => (table.as_str(), table.as_str()),
        Source::Both => (
            "dejima_new",
            "(SELECT * FROM dejima_old UNION ALL SELECT * FROM dejima_new)",
        ),
    };
    format!(
        "IF {may_be_wide} AND EXISTS (SELECT FROM {some} OFFSET 1) THEN\n  \
           \"dejima section rows\" := (SELECT {} FROM {all} AS r);\nEND IF;\n",
        section_rows(&width(base, logged))
    )
}

/// How many rows of that width go into a section.
fn section_rows(width: &str) -> String {
    format!("greatest(1, least({SECTION_ROWS_MAX}, {SECTION_BYTES} / max({width})))")
}

/// Bytes of what is logged of a row `r`, as they are stored.
fn width(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let shown = |column: &&BaseColumn| logged.iter().any(|s| s.columns.contains(column));
    let size = |column: &BaseColumn| {
        format!(
            "coalesce(pg_column_size(r.{}), 0)",
            identifier(&column.name)
        )
    };
    let sizes: Vec<_> = base.columns.iter().filter(shown).map(size).collect();
    format!("1 + {}", sizes.join(" + "))
}

/// For each Dejima table the sections of the rows as it shows them.
fn one_sided(from: &str, base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let values: Vec<_> = logged
        .iter()
        .map(|s| format!("({}, r.{})", literal(&s.name), s.image))
        .collect();
    format!(
        "{},\nLATERAL (VALUES {}) AS d(\"dejima table\", \"dejima rows\")",
        sections(from, "r", base, logged),
        values.join(", "),
    )
}

/// The same for old and new rows in pairs. PostgreSQL writes both transition tables of an UPDATE in step
/// (AfterTriggerSaveEvent), so the n-th old row became the n-th new row.
fn two_sided(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let values: Vec<_> = logged
        .iter()
        .map(|s| format!("({}, o.{1}, n.{1})", literal(&s.name), s.image))
        .collect();
    format!(
        "{}\nJOIN {} USING (\"dejima section\"),\nLATERAL (VALUES {}) AS d(\"dejima table\", \"dejima old\", \"dejima new\")",
        sections("dejima_old", "o", base, logged),
        sections("dejima_new", "n", base, logged),
        values.join(", "),
    )
}

/// The rows of a table in sections, each Dejima table's as an array of rows, in the order in which they stand there: an
/// aggregate takes them as the subquery gives them, and grouping by a hash keeps the order within a group.
fn sections(from: &str, alias: &str, base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let arrays: Vec<_> = logged
        .iter()
        .map(|s| format!("array_agg({0}) AS {0}", s.image))
        .collect();
    format!(
        "(SELECT (\"dejima ordinal\" - 1) / \"dejima section rows\" AS \"dejima section\", {}\n  \
         FROM (SELECT row_number() OVER () AS \"dejima ordinal\", {}\n    FROM {from} AS {}) AS r\n  GROUP BY 1) AS {alias}",
        arrays.join(", "),
        images(logged),
        identifier(&base.name),
    )
}

/// Each value as text under the pinned settings; nulls for a row that is not shown.
fn images(logged: &[Logged<'_>]) -> String {
    let image = |s: &Logged<'_>| {
        let cells: Vec<_> = s
            .columns
            .iter()
            .map(|c| text_of(&identifier(&c.name), c))
            .collect();
        let row = format!("ARRAY[{}]", cells.join(", "));
        match &s.condition {
            Some(condition) => format!(
                "CASE WHEN {} THEN {row} ELSE array_fill(NULL::text, ARRAY[{}]) END AS {}",
                condition,
                cells.len(),
                s.image
            ),
            None => format!("{row} AS {}", s.image),
        }
    };
    logged.iter().map(image).collect::<Vec<_>>().join(",\n    ")
}
