//! Capture: triggers on a base table that log what a statement changed in its Dejima tables.
//!
//! They read the transition tables only, so their cost depends on the rows changed and not on the table. Rows go into
//! the log by the section, many in one row of `dejima.delta`, and column by column: of an UPDATE, new values of a column
//! are written only if one of them is another. A statement is one section, unless it is large: to number rows, and to
//! gather them by their numbers, costs as much as all the rest.
//! Names that the generated SQL adds hold a space: no condition can mean them by accident.

use super::{BaseTable, PINNED, Strategy, identifier, literal, text_of};

/// Rows of a statement that is one section; as many as a peer takes in one batch. A table without TOAST holds at most
/// 8 KB a row.
const STATEMENT_ROWS_MAX: u32 = 10_000;
/// Rows in a section of a larger statement. 64 narrow rows fit into a page.
const SECTION_ROWS_MAX: u32 = 64;
/// Wide rows come by fewer, so that a section stays near this size as PostgreSQL stores it; as text it is larger, and a
/// text may have 1 GiB.
const SECTION_BYTES: u32 = 1 << 20;

/// Creates the functions and triggers for one base table and all Dejima tables over it.
pub(super) fn create(base: &BaseTable, strategies: &[&Strategy]) -> String {
    let log = |source| log(source, base, strategies);
    let triggers = [
        function(base, "insert", &log(&Source::New)),
        function(base, "update", &log(&Source::Both)),
        function(base, "delete", &log(&Source::Old("dejima_old"))),
        function(base, "truncate", &log_truncated(base, strategies)),
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
        "\n#variable_conflict use_column\nDECLARE\n  \"dejima section rows\" bigint := {STATEMENT_ROWS_MAX};\n  \"dejima sections\" bigint;\nBEGIN\n{statements}\n\
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
fn log(source: &Source, base: &BaseTable, strategies: &[&Strategy]) -> String {
    format!(
        "{}IF EXISTS (SELECT FROM {} OFFSET \"dejima section rows\") THEN\n\
         \"dejima section rows\" := least(\"dejima section rows\", {SECTION_ROWS_MAX});\n{};\nELSE\n{};\nEND IF;",
        shorten(source, base, strategies),
        source.table(),
        insert(source, Sections::Numbered, base, strategies),
        insert(source, Sections::One, base, strategies),
    )
}

/// How a statement's rows are gathered.
#[derive(Clone, Copy)]
enum Sections {
    /// All in one section.
    One,
    /// By their number in the statement.
    Numbered,
}

fn insert(
    source: &Source,
    sections: Sections,
    base: &BaseTable,
    strategies: &[&Strategy],
) -> String {
    let gathered = |table, alias| gather(table, alias, sections, base, strategies);
    let from = match source {
        Source::New => gathered("dejima_new", "n"),
        Source::Old(table) => gathered(table, "o"),
        // PostgreSQL writes both transition tables of an UPDATE in step (AfterTriggerSaveEvent), so the n-th old row
        // became the n-th new row.
        Source::Both => {
            let (old, new) = (gathered("dejima_old", "o"), gathered("dejima_new", "n"));
            match sections {
                Sections::One => format!("{old},\n{new}"),
                Sections::Numbered => format!("{old}\nJOIN {new} USING (\"dejima section\")"),
            }
        }
    };
    let section = match sections {
        Sections::One => "0",
        Sections::Numbered => "\"dejima section\"",
    };
    let values: Vec<_> = strategies.iter().map(|s| change(source, s)).collect();
    format!(
        "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, section, old, new)\n\
         SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), pg_trigger_depth(), d.\"dejima table\", {section}, d.\"dejima old\", d.\"dejima new\"\n\
         FROM {from},\nLATERAL (VALUES {}) AS d(\"dejima table\", \"dejima changed\", \"dejima old\", \"dejima new\")\nWHERE d.\"dejima changed\"",
        values.join(",\n  ")
    )
}

/// What is logged of a section for one Dejima table: its name, whether it has a change at all, old and new values.
fn change(source: &Source, strategy: &Strategy) -> String {
    let columns = |of: &dyn Fn(String) -> String| -> String {
        let columns: Vec<_> = (0..strategy.columns.len())
            .map(|at| of(cells_name(strategy, at)))
            .collect();
        columns.join(" || E'\\n' || ")
    };
    let side = |alias: &str| columns(&|cells| format!("{alias}.{cells}"));
    let (changed, old, new) = match source {
        Source::New => (shown_in("n", strategy), "NULL::text".into(), side("n")),
        Source::Old(_) => (shown_in("o", strategy), side("o"), "NULL::text".into()),
        Source::Both => (
            differs(strategy),
            side("o"),
            columns(&|cells| format!("coalesce(nullif(n.{cells}, o.{cells}), '')")),
        ),
    };
    let table = literal(strategy.table.as_str());
    format!("({table}, {changed}, {old}, {new})")
}

/// True if the Dejima table shows a row of the section.
fn shown_in(alias: &str, strategy: &Strategy) -> String {
    match strategy.condition {
        Some(_) => format!("{alias}.{}", shown_name(strategy)),
        None => format!("{alias}.{} IS NOT NULL", cells_name(strategy, 0)),
    }
}

fn differs(strategy: &Strategy) -> String {
    let row = |alias: &str| {
        let cells: Vec<_> = (0..strategy.columns.len())
            .map(|at| format!("{alias}.{}", cells_name(strategy, at)))
            .collect();
        format!("ROW({})", cells.join(", "))
    };
    format!("{} IS DISTINCT FROM {}", row("o"), row("n"))
}

/// Before a TRUNCATE the rows are still in the table; in that one of a partitioned table's partitions that is truncated.
fn log_truncated(base: &BaseTable, strategies: &[&Strategy]) -> String {
    let truncated = Source::Old(TRUNCATED);
    let sql = insert(&truncated, Sections::Numbered, base, strategies);
    let width = width(base, strategies);
    format!(
        "PERFORM dejima.check_truncate(TG_RELID::regclass::text);\n\
         EXECUTE replace({}, {marker}, TG_RELID::regclass::text) INTO \"dejima section rows\";\n\
         EXECUTE replace({}, {marker}, TG_RELID::regclass::text) USING \"dejima section rows\";",
        literal(&format!(
            "SELECT {} FROM {TRUNCATED} AS r",
            section_rows(SECTION_ROWS_MAX, &width)
        )),
        literal(&sql.replace("\"dejima section rows\"", "$1")),
        marker = literal(TRUNCATED),
    )
}

/// Stands for the table in SQL that is made when it is truncated.
const TRUNCATED: &str = "\"dejima truncated\"";

/// Makes the sections of wide rows shorter. A table whose TOAST table is empty has none: its rows fit into a page each.
fn shorten(source: &Source, base: &BaseTable, strategies: &[&Strategy]) -> String {
    let may_be_wide = match base.toast {
        None if !base.is_partitioned => return String::new(),
        None => "true".to_owned(),
        Some(toast) => format!("pg_relation_size({toast}::oid) IS DISTINCT FROM 0"),
    };
    let some = source.table();
    let all = match source {
        Source::Both => "(SELECT * FROM dejima_old UNION ALL SELECT * FROM dejima_new)",
        Source::New | Source::Old(_) => some,
    };
    format!(
        "IF {may_be_wide} AND EXISTS (SELECT FROM {some} OFFSET 1) THEN\n  \
           \"dejima section rows\" := (SELECT {} FROM {all} AS r);\nEND IF;\n",
        section_rows(STATEMENT_ROWS_MAX, &width(base, strategies))
    )
}

/// How many rows of that width go into a section.
fn section_rows(rows_max: u32, width: &str) -> String {
    format!("greatest(1, least({rows_max}, {SECTION_BYTES} / max({width})))")
}

/// Bytes of what is logged of a row `r`, as they are stored.
fn width(base: &BaseTable, strategies: &[&Strategy]) -> String {
    let shown = |column: &&super::BaseColumn| strategies.iter().any(|s| s.columns.contains(column));
    let size = |column: &super::BaseColumn| {
        format!(
            "coalesce(pg_column_size(r.{}), 0)",
            identifier(&column.name)
        )
    };
    let sizes: Vec<_> = base.columns.iter().filter(shown).map(size).collect();
    format!("1 + {}", sizes.join(" + "))
}

/// The rows of a table in sections, the values of each column one after the other, in the order in which the rows stand
/// there: an aggregate takes them as the subquery gives them, and grouping by a hash keeps the order within a group.
fn gather(
    from: &str,
    alias: &str,
    sections: Sections,
    base: &BaseTable,
    strategies: &[&Strategy],
) -> String {
    let gathered: Vec<_> = strategies.iter().flat_map(|s| cells(s)).collect();
    let gathered = gathered.join(",\n    ");
    let rows = rows(from, base, strategies);
    match sections {
        Sections::One => {
            format!("(SELECT {gathered}\n  FROM {rows}) AS {alias}")
        }
        Sections::Numbered => format!(
            "(SELECT (\"dejima ordinal\" - 1) / \"dejima section rows\" AS \"dejima section\",\n    {gathered}\n  \
             FROM (SELECT *, row_number() OVER () AS \"dejima ordinal\" FROM {rows}) AS r\n  GROUP BY 1) AS {alias}"
        ),
    }
}

/// The rows, and which Dejima tables show them. A condition is evaluated once for each row (OFFSET 0 keeps it there).
fn rows(from: &str, base: &BaseTable, strategies: &[&Strategy]) -> String {
    let shown = |s: &&Strategy| format!(", {} AS {}", s.shows(), shown_name(s));
    let conditional = strategies.iter().filter(|s| s.condition.is_some());
    let shown: String = conditional.map(shown).collect();
    let name = identifier(&base.name);
    if shown.is_empty() {
        format!("{from} AS {name}")
    } else {
        format!("(SELECT *{shown} FROM {from} AS {name} OFFSET 0) AS {name}")
    }
}

/// For each column its values as literals of their text under the pinned settings; NULL throughout for a row that is not
/// shown.
fn cells(strategy: &Strategy) -> Vec<String> {
    let shown = shown_name(strategy);
    let gathered = |(at, column): (usize, &super::BaseColumn)| {
        let text = text_of(&identifier(&column.name), column);
        let cell = match strategy.condition {
            Some(_) => format!("CASE WHEN {shown} THEN quote_nullable({text}) ELSE 'NULL' END"),
            None => format!("quote_nullable({text})"),
        };
        format!("string_agg({cell}, ',') AS {}", cells_name(strategy, at))
    };
    let mut cells: Vec<_> = strategy.columns.iter().enumerate().map(gathered).collect();
    if strategy.condition.is_some() {
        cells.push(format!("bool_or({shown}) AS {shown}"));
    }
    cells
}

fn cells_name(strategy: &Strategy, column: usize) -> String {
    format!("\"dejima {} {column}\"", strategy.id)
}

fn shown_name(strategy: &Strategy) -> String {
    format!("\"dejima {} shown\"", strategy.id)
}
