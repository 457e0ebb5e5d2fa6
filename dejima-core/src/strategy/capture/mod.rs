//! Capture: triggers on a base table that log what a statement changed in it.
//!
//! They read the transition tables only, so their cost depends on the rows changed and not on the table. Rows go into
//! the log by the section, many in one row, and column by column. A statement is one section, unless it is large: to
//! number rows, and to gather them by their numbers, costs as much as all the rest.
//! What of a row is logged, and where, is said in `logged`. Names that the generated SQL adds hold a space: no condition
//! can mean them by accident.

mod logged;

pub(super) use logged::{Logged, Shown, columns_text};

use super::{BaseColumn, BaseTable, PINNED, identifier, literal};
use logged::Log;

/// Rows of a statement that is one section; as many as a peer takes in one batch. A table without TOAST holds at most
/// 8 KB a row.
pub(super) const STATEMENT_ROWS_MAX: u32 = 10_000;
/// Rows in a section of a larger statement. 64 narrow rows fit into a page.
pub(super) const SECTION_ROWS_MAX: u32 = 64;
/// Wide rows come by fewer, so that a section stays near this size as PostgreSQL stores it; as text it is larger, and a
/// text may have 1 GiB.
pub(super) const SECTION_BYTES: u32 = 1 << 20;

/// Settings of a function that makes texts only of values that have one text each: a setting costs every statement.
const PINNED_FOR_PLAIN: &str =
    "SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off";

/// Creates the functions and triggers for one base table and all that is logged of it.
pub(super) fn create(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let log = |source| log(source, base, logged);
    let pinned = if logged.iter().all(Logged::is_plain) {
        PINNED_FOR_PLAIN
    } else {
        PINNED
    };
    let function = |event, statements: String| function(base, event, pinned, &statements);
    let triggers = [
        function("insert", log(&Source::New)),
        function("update", log(&Source::Both)),
        function("delete", log(&Source::Old("dejima_old"))),
        function("truncate", log_truncated(base, logged)),
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
fn function(base: &BaseTable, event: &str, pinned: &str, statements: &str) -> String {
    let name = function_name(base.oid, event);
    // The sections of a large statement are gathered side by side in memory.
    // A plan made for one changed row must do for ten thousand: the sections of old and new rows are paired by a hash,
    // always, also when a put function with other settings makes the change.
    let planner = match event {
        "update" => "SET enable_nestloop = off SET enable_mergejoin = off SET enable_hashjoin = on",
        _ => "",
    };
    let body = format!(
        "\n#variable_conflict use_column\nDECLARE\n  \"dejima section rows\" bigint := {STATEMENT_ROWS_MAX};\n  \
         \"dejima sections\" bigint := 0;\n  \"dejima added\" bigint;\nBEGIN\n{statements}\n\
         IF \"dejima sections\" > 0 THEN\n  PERFORM dejima.open_transaction();\nEND IF;\nRETURN NULL;\nEND\n"
    );
    format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {pinned} SET work_mem = '64MB' {planner} AS {};\n\
         REVOKE ALL ON FUNCTION {name}() FROM PUBLIC",
        literal(&body),
    )
}

/// Where the changed rows are.
enum Source {
    /// In the transition table of an INSERT.
    New,
    /// In this table, and all of it is gone.
    Old(&'static str),
    /// In both transition tables of an UPDATE.
    Both,
}

impl Source {
    /// A table that has as many rows as have changed.
    fn table(&self) -> &'static str {
        match self {
            Self::Old(table) => table,
            Self::New | Self::Both => "dejima_new",
        }
    }
}

/// Logs what the source says under one number for the whole statement.
fn log(source: &Source, base: &BaseTable, logged: &[Logged<'_>]) -> String {
    if logged.is_empty() {
        return String::new();
    }
    let in_sections = |sections| -> String {
        let inserts = inserts(source, sections, base, logged);
        inserts.map(|sql| format!("{sql};\n{ADD}")).collect()
    };
    format!(
        "IF EXISTS (SELECT FROM {table} OFFSET 1) THEN\n{}  \
           IF EXISTS (SELECT FROM {table} OFFSET \"dejima section rows\") THEN\n\
             \"dejima section rows\" := least(\"dejima section rows\", {SECTION_ROWS_MAX});\n{}  \
           ELSE\n{}  END IF;\n\
         ELSE\n{}END IF;",
        shorten(source, base, logged),
        in_sections(Sections::Numbered),
        in_sections(Sections::One),
        in_sections(Sections::Row),
        table = source.table(),
    )
}

/// Counts the sections just written.
const ADD: &str = "GET DIAGNOSTICS \"dejima added\" = ROW_COUNT;\n\
                   \"dejima sections\" := \"dejima sections\" + \"dejima added\";\n";

/// How a statement's rows are gathered.
#[derive(Clone, Copy)]
enum Sections {
    /// There is one row, or none: nothing is to be gathered.
    Row,
    /// All in one section.
    One,
    /// By their number in the statement.
    Numbered,
}

/// One for each log that the base table's rows go to. The statement's number in `dejima.delta` is the last that is given,
/// and so the one that dejima.order_statement() finds.
fn inserts(
    source: &Source,
    sections: Sections,
    base: &BaseTable,
    logged: &[Logged<'_>],
) -> impl Iterator<Item = String> {
    [Log::Pending, Log::Delta]
        .into_iter()
        .filter_map(move |log| {
            let logged: Vec<_> = logged.iter().filter(|l| l.log() == log).collect();
            (!logged.is_empty()).then(|| insert(source, sections, log, base, &logged))
        })
}

fn insert(
    source: &Source,
    sections: Sections,
    log: Log,
    base: &BaseTable,
    logged: &[&Logged<'_>],
) -> String {
    let gathered = |table, alias| gather(table, alias, sections, base, logged);
    let from = match source {
        Source::New => gathered("dejima_new", "n"),
        Source::Old(table) => gathered(table, "o"),
        // PostgreSQL writes both transition tables of an UPDATE in step (AfterTriggerSaveEvent), so the n-th old row
        // became the n-th new row.
        Source::Both => {
            let (old, new) = (gathered("dejima_old", "o"), gathered("dejima_new", "n"));
            match sections {
                Sections::Row | Sections::One => format!("{old},\n{new}"),
                Sections::Numbered => format!("{old}\nJOIN {new} USING (\"dejima section\")"),
            }
        }
    };
    let section = match sections {
        Sections::Row | Sections::One => "0",
        Sections::Numbered => "\"dejima section\"",
    };
    let values: Vec<_> = logged.iter().map(|l| l.change(source)).collect();
    let taken = log.columns().iter();
    let taken: Vec<_> = taken.map(|column| format!("\"dejima {column}\"")).collect();
    format!(
        "INSERT INTO {log} (xid, statement, depth, section, {which}, old, new)\n\
         SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), pg_trigger_depth(), {section}, {taken}, d.\"dejima old\", d.\"dejima new\"\n\
         FROM {from},\nLATERAL (VALUES {values}) AS d({taken}, \"dejima changed\", \"dejima old\", \"dejima new\")\nWHERE d.\"dejima changed\"",
        log = log.table(),
        which = log.columns().join(", "),
        taken = taken.join(", "),
        values = values.join(",\n  ")
    )
}

/// Before a TRUNCATE the rows are still in the table; in that one of a partitioned table's partitions that is truncated.
fn log_truncated(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    if logged.is_empty() {
        return String::new();
    }
    let truncated = Source::Old(TRUNCATED);
    let execute = |sql: &str, rest: &str| {
        format!(
            "EXECUTE replace({}, {}, TG_RELID::regclass::text) {rest} \"dejima section rows\";\n",
            literal(sql),
            literal(TRUNCATED)
        )
    };
    let rows = section_rows(SECTION_ROWS_MAX, &width(base, logged));
    let inserts = inserts(&truncated, Sections::Numbered, base, logged)
        .map(|sql| execute(&sql.replace("\"dejima section rows\"", "$1"), "USING") + ADD);
    format!(
        "PERFORM dejima.check_truncate(TG_RELID::regclass::text);\n{}{}",
        execute(&format!("SELECT {rows} FROM {TRUNCATED} AS r"), "INTO"),
        inserts.collect::<String>(),
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
    let all = match source {
        Source::Both => "(SELECT * FROM dejima_old UNION ALL SELECT * FROM dejima_new)",
        Source::New | Source::Old(_) => source.table(),
    };
    format!(
        "  IF {may_be_wide} THEN\n    \
             \"dejima section rows\" := (SELECT {} FROM {all} AS r);\n  END IF;\n",
        section_rows(STATEMENT_ROWS_MAX, &width(base, logged))
    )
}

/// How many rows of that width go into a section.
fn section_rows(rows_max: u32, width: &str) -> String {
    format!("greatest(1, least({rows_max}, {SECTION_BYTES} / max({width})))")
}

/// Bytes of what is logged of a row `r`, as they are stored.
fn width(base: &BaseTable, logged: &[Logged<'_>]) -> String {
    let is_logged = |column: &&BaseColumn| logged.iter().any(|l| l.columns().contains(column));
    let size = |column: &BaseColumn| {
        format!(
            "coalesce(pg_column_size(r.{}), 0)",
            identifier(&column.name)
        )
    };
    let sizes = base.columns.iter().filter(is_logged).map(size);
    let all: Vec<_> = std::iter::once("1".to_owned()).chain(sizes).collect();
    all.join(" + ")
}

/// The rows of a table in sections, the values of each column one after the other, in the order in which the rows stand
/// there: an aggregate takes them as the subquery gives them, and grouping by a hash keeps the order within a group.
fn gather(
    from: &str,
    alias: &str,
    sections: Sections,
    base: &BaseTable,
    logged: &[&Logged<'_>],
) -> String {
    let is_one = matches!(sections, Sections::Row);
    let gathered: Vec<_> = logged.iter().flat_map(|l| l.cells(is_one)).collect();
    let gathered = gathered.join(",\n    ");
    let rows = rows(from, base, logged);
    match sections {
        // Each value is computed once, however often it is named (OFFSET 0 keeps it there).
        Sections::Row => format!("(SELECT {gathered}\n  FROM {rows} OFFSET 0) AS {alias}"),
        Sections::One => format!("(SELECT {gathered}\n  FROM {rows}) AS {alias}"),
        Sections::Numbered => format!(
            "(SELECT (\"dejima ordinal\" - 1) / \"dejima section rows\" AS \"dejima section\",\n    {gathered}\n  \
             FROM (SELECT *, row_number() OVER () AS \"dejima ordinal\" FROM {rows}) AS r\n  GROUP BY 1) AS {alias}"
        ),
    }
}

/// The rows, and which Dejima tables show them. A condition is evaluated once for each row (OFFSET 0 keeps it there).
fn rows(from: &str, base: &BaseTable, logged: &[&Logged<'_>]) -> String {
    let shown: String = logged.iter().filter_map(|l| l.shown()).collect();
    let name = identifier(&base.name);
    if shown.is_empty() {
        format!("{from} AS {name}")
    } else {
        format!("(SELECT *{shown} FROM {from} AS {name} OFFSET 0) AS {name}")
    }
}
