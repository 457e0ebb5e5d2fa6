//! What was installed and generated: that it is there, switched on, and fits the base tables.

use deadpool_postgres::{Client, Transaction};
use tokio_postgres::{Error, Row};

use super::{DeclaredTable, Finding, UsedTable, or_ok, read_only};
use crate::database::{VERSION, constraint};
use crate::strategy::identifier;

pub(super) const CHECK: &str = "triggers";

const HOOK: &str = "
SELECT t.tgenabled::text FROM pg_class AS c
LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = 'hook' AND t.tgfoid = to_regproc('dejima.hook')
WHERE c.oid = 'dejima.transaction'::regclass";

const GUARD: &str = "
SELECT g.name, e.evtenabled::text FROM unnest(ARRAY['dejima_guard', 'dejima_guard_drop']) AS g(name)
LEFT JOIN pg_event_trigger AS e ON e.evtname = g.name AND e.evtfoid = to_regproc('dejima.guard')";

/// The triggers of each base table and its partitions; of those that are gone the state is NULL.
const CAPTURE: &str = "
SELECT CASE WHEN c.oid = r.relation THEN b.name ELSE r.relation::regclass::text END, 'dejima_capture_' || r.event, r.state::text
FROM (SELECT DISTINCT name FROM unnest($1::text[]) AS name) AS b CROSS JOIN LATERAL parse_ident(b.name) AS p(part)
JOIN pg_namespace AS n ON n.nspname = p.part[1]
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.part[2]
CROSS JOIN dejima.capture_points(c.oid) AS r
ORDER BY 1, 2";

/// What must be there for each generated part. The names are those that strategy/ gives.
const GENERATED: &str = "
SELECT g.part FROM dejima.generated AS g
WHERE CASE
  WHEN g.part = 'dispatcher' THEN to_regprocedure('dejima.put(jsonb)') IS NULL
  -- The view is an argument's type: PostgreSQL finds no fault with a signature only if it is there.
  WHEN g.part ~ '^(put|derive) ' AND NOT EXISTS (
    SELECT FROM dejima.generated AS v
    WHERE v.part = 'view ' || substring(g.part FROM '\\d+$')
      AND to_regclass(substring(v.removing FROM '^DROP VIEW IF EXISTS ([^;]*)')) IS NOT NULL) THEN true
  WHEN g.part ~ '^(put|derive) ' THEN EXISTS (
    SELECT FROM regexp_matches(g.removing, 'dejima\\.\\w+\\([^)]*\\)', 'g') AS f WHERE to_regprocedure(f[1]) IS NULL)
  WHEN g.part LIKE 'view %' THEN to_regclass(substring(g.removing FROM '^DROP VIEW IF EXISTS ([^;]*)')) IS NULL
  ELSE false END
UNION ALL SELECT 'view of ' || name FROM unnest($1::text[]) AS name
WHERE to_regclass(format('dejima_tables.%I', name)) IS NULL
ORDER BY 1";

const COLUMN: &str = "
SELECT format_type(a.atttypid, -1) FROM parse_ident($1) AS p(part)
JOIN pg_namespace AS n ON n.nspname = p.part[1]
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.part[2]
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = $2 AND NOT a.attisdropped";

pub(super) async fn examine(
    client: &mut Client,
    tables: &[DeclaredTable],
) -> Result<Vec<Finding>, Error> {
    let transaction = read_only(client).await?;
    let used = tables.iter().flat_map(|table| &table.base_tables);
    let bases: Vec<_> = used.map(|used| used.name.as_str()).collect();
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    let hook = transaction.query(HOOK, &[]).await?;
    let capture = transaction.query(CAPTURE, &[&bases]).await?;
    let faults = hook
        .iter()
        .filter_map(hook_fault)
        .chain(capture.iter().filter_map(capture_fault));
    let what = format!(
        "the hook and {} capture triggers are there and enabled",
        capture.len()
    );
    let mut findings = or_ok(CHECK, faults.collect(), what);
    let guard = transaction.query(GUARD, &[]).await?;
    let faults = guard.iter().filter_map(guard_fault).collect();
    let what = "changes of base tables that would stop the sharing are refused";
    findings.extend(or_ok("guard", faults, what));
    let gone = transaction.query(GENERATED, &[&names]).await?;
    let faults = gone.iter().map(generated_fault).collect();
    findings.extend(or_ok("generated", faults, "views and functions are there"));
    let faults = column_faults(&transaction, tables).await?;
    findings.extend(or_ok(
        "columns",
        faults,
        "the base tables are as they were declared",
    ));
    let faults = constraint::findings(&transaction, tables).await?;
    let what = "the strategies know the constraints of the base tables that they write";
    findings.extend(or_ok(constraint::CHECK, faults, what));
    findings.extend(version(&transaction).await?);
    Ok(findings)
}

fn is_enabled(state: Option<&str>) -> bool {
    matches!(state, Some("O" | "A"))
}

fn hook_fault(row: &Row) -> Option<Finding> {
    let state: Option<&str> = row.get(0);
    let (what, cure) = match state {
        state if is_enabled(state) => return None,
        None => ("is gone", "dejima install; then compare the copies"),
        Some(_) => (
            "is disabled",
            "ALTER TABLE dejima.transaction ENABLE TRIGGER hook; then compare the copies",
        ),
    };
    let what =
        format!("trigger hook of dejima.transaction {what}: changes of clients reach nobody");
    Some(Finding::critical(CHECK, what, cure))
}

fn capture_fault(row: &Row) -> Option<Finding> {
    let (table, trigger, state): (&str, &str, Option<&str>) = (row.get(0), row.get(1), row.get(2));
    let (what, cure) = match state {
        state if is_enabled(state) => return None,
        None => (
            "is gone",
            "restart the peer, which makes it again; then compare the copies".to_owned(),
        ),
        Some(_) => (
            "is disabled",
            format!("ALTER TABLE {table} ENABLE TRIGGER {trigger}; then compare the copies"),
        ),
    };
    let what = format!("trigger {trigger} of {table} {what}: such changes reach nobody");
    Some(Finding::critical(CHECK, what, cure))
}

fn guard_fault(row: &Row) -> Option<Finding> {
    let (trigger, state): (&str, Option<&str>) = (row.get(0), row.get(1));
    let (what, cure) = match state {
        state if is_enabled(state) => return None,
        None => ("is gone", "dejima install".to_owned()),
        Some(_) => (
            "is disabled",
            format!("ALTER EVENT TRIGGER {trigger} ENABLE"),
        ),
    };
    let what = format!(
        "event trigger {trigger} {what}: nobody refuses to rename a shared column or to disable a trigger"
    );
    Some(Finding::warning("guard", what, cure))
}

fn generated_fault(row: &Row) -> Finding {
    let part: &str = row.get(0);
    // The peer compares texts and does not look whether a function is still there.
    let cure = "DELETE FROM dejima.generated WHERE part NOT LIKE 'capture %'; then restart the peer, which makes them again";
    Finding::critical("generated", format!("{part} is gone: puts fail"), cure)
}

async fn column_faults(
    transaction: &Transaction<'_>,
    tables: &[DeclaredTable],
) -> Result<Vec<Finding>, Error> {
    let mut faults = vec![];
    let statement = transaction.prepare_cached(COLUMN).await?;
    for table in tables {
        for used in &table.base_tables {
            for (column, type_name) in &used.columns {
                let row = transaction
                    .query_opt(&statement, &[&used.name, column])
                    .await?;
                let now: Option<&str> = row.as_ref().map(|row| row.get(0));
                if now != Some(type_name) {
                    faults.push(column_fault(table, used, column, type_name, now));
                }
            }
        }
    }
    Ok(faults)
}

fn column_fault(
    table: &DeclaredTable,
    used: &UsedTable,
    column: &str,
    type_name: &str,
    now: Option<&str>,
) -> Finding {
    let (column, place, table) = (identifier(column), &used.name, &table.name);
    let what = match now {
        None => {
            format!("column {column} of {place} is gone; Dejima table \"{table}\" relies on it")
        }
        Some(now) => format!(
            "column {column} of {place} has type {now}, and Dejima table \"{table}\" was declared with {type_name}"
        ),
    };
    let cure = "change it back, or declare the Dejima table anew at all its members and restart their peers";
    Finding::critical("columns", what, cure)
}

async fn version(transaction: &Transaction<'_>) -> Result<Vec<Finding>, Error> {
    let row = transaction
        .query_one("SELECT version FROM dejima.peer", &[])
        .await?;
    let version: i32 = row.get(0);
    Ok(vec![if version == VERSION {
        Finding::ok("version", format!("schema dejima has version {version}"))
    } else {
        let what = format!("schema dejima has version {version}, and this peer needs {VERSION}");
        Finding::critical(
            "version",
            what,
            "dejima install, with the command of the peer's own version",
        )
    }])
}
