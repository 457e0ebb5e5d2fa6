//! Failures: tables are read from end to end for one row, and a view insert into a table of 100,000 rows takes minutes.
//!
//! Work is counted, not timed: rows and pages that PostgreSQL says it has read.

use dejima_core::strategy::literal;
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{TABLES, joined, number, run, served};
use crate::bed::Bed;

const CITIES: usize = 100;
/// Runs a statement and the hook, so that all that a transaction does is in one plan.
const WORK: &str = "CREATE FUNCTION public.work(sql text) RETURNS void LANGUAGE plpgsql AS
    'BEGIN EXECUTE sql; SET CONSTRAINTS ALL IMMEDIATE; END'";
/// Of the running transaction, and exact. What the session has not told yet of earlier ones is in it, too. PostgreSQL's own check
/// of the foreign key may scan the small table.
const SCANNED: &str = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_xact_user_tables WHERE relname = 'client'";
const FETCHED: &str = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables";

/// A database with so many clients.
async fn with_rows(name: &'static str, clients: usize) -> Bed {
    let content = format!(
        "INSERT INTO city SELECT g, 'c' || g FROM generate_series(1, {CITIES}) AS g;
         INSERT INTO client SELECT g, 'n' || g, 1 + g % {CITIES} FROM generate_series(1, {clients}) AS g;
         CREATE INDEX ON client (city); {WORK}"
    );
    let (bed, _database) = served(name, &format!("{TABLES} {content}"), joined()).await;
    bed.admin("VACUUM ANALYZE city, client");
    bed
}

fn put(row: &Value) -> String {
    let puts = serde_json::json!([{"table": "T", "rows": [row]}]);
    format!("SELECT dejima.put({}::jsonb)", literal(&puts.to_string()))
}

/// Rows of the large table read from end to end, and all rows read, by one transaction that is undone.
async fn read(session: &Client, sql: &str) -> [i64; 2] {
    run(session, "BEGIN").await;
    let before = [
        number(session, SCANNED).await,
        number(session, FETCHED).await,
    ];
    run(session, sql).await;
    let after = [
        number(session, SCANNED).await,
        number(session, FETCHED).await,
    ];
    run(session, "ROLLBACK").await;
    [after[0] - before[0], after[1] - before[1]]
}

/// One row of 20,000 changes: no base table is scanned, and few rows are read, when the change is derived, put, or made
/// through the view.
#[tokio::test]
async fn one_changed_row_reads_no_table_from_end_to_end() {
    let bed = with_rows("scans", 20_000).await;
    let (client, peer) = (bed.client().await, bed.session("dejima").await);
    let derive = "SET CONSTRAINTS ALL IMMEDIATE";
    let inserted =
        serde_json::json!({"op": "insert", "new": {"id": "0", "name": "x", "town": "c7"}});
    let updated = serde_json::json!({"op": "update", "key": ["7"], "old": {"name": "n7"}, "new": {"name": "x"}});
    let deleted = serde_json::json!({"op": "delete", "key": ["7"], "old": {"name": "n7"}});
    for (session, sql) in [
        (
            &client,
            format!("INSERT INTO client VALUES (0, 'x', 7); {derive}"),
        ),
        (
            &client,
            format!("UPDATE client SET name = 'x' WHERE id = 7; {derive}"),
        ),
        (
            &client,
            format!("UPDATE client SET city = 9 WHERE id = 7; {derive}"),
        ),
        (
            &client,
            format!("DELETE FROM client WHERE id = 7; {derive}"),
        ),
        (
            &client,
            format!("INSERT INTO dejima_tables.\"T\" VALUES (0, 'x', 'c7'); {derive}"),
        ),
        (
            &client,
            format!(
                "UPDATE dejima_tables.\"T\" SET name = 'x', town = 'c9' WHERE id = 7; {derive}"
            ),
        ),
        (
            &client,
            format!("DELETE FROM dejima_tables.\"T\" WHERE id = 7; {derive}"),
        ),
        (&peer, format!("{}; SELECT dejima.derive()", put(&inserted))),
        (&peer, format!("{}; SELECT dejima.derive()", put(&updated))),
        (&peer, format!("{}; SELECT dejima.derive()", put(&deleted))),
    ] {
        let [scanned, fetched] = read(session, &sql).await;
        println!("{scanned} rows scanned, {fetched} read: {sql}");
        assert_eq!(scanned, 0, "{sql}");
        assert!(fetched < 300, "{fetched} rows: {sql}");
    }
}

/// Pages that a transaction touches, with what its triggers and the hook do. The first run of a session, which reads the
/// catalogue and plans, does not count.
async fn pages(session: &Client, sql: &str) -> u64 {
    let mut pages = 0;
    for _ in 0..2 {
        run(session, "BEGIN").await;
        let explain = format!(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT public.work({})",
            literal(sql)
        );
        let answer = session.simple_query(&explain).await;
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let plan = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(plan.expect("a plan")).expect("JSON");
        let of = |what: &str| plan[0]["Plan"][what].as_u64().expect("a number");
        pages = of("Shared Hit Blocks") + of("Shared Read Blocks");
        run(session, "ROLLBACK").await;
    }
    pages
}

/// Through the view and in the base table: the work for 1 and for 1,000 rows is the same over 1,000 rows and over 100,000.
#[tokio::test]
async fn an_insert_costs_the_same_in_a_large_table() {
    let (small, large) = (
        with_rows("small", 1_000).await,
        with_rows("large", 100_000).await,
    );
    let (small, large) = (small.client().await, large.client().await);
    for rows in [1, 1_000] {
        let new = format!("FROM generate_series(1, {rows}) AS g");
        for sql in [
            format!(
                "INSERT INTO dejima_tables.\"T\" SELECT -g, 'x', 'c' || 1 + g % {CITIES} {new}"
            ),
            format!("UPDATE dejima_tables.\"T\" AS t SET name = 'x' {new} WHERE t.id = g"),
            format!("INSERT INTO client SELECT -g, 'x', 1 + g % {CITIES} {new}"),
        ] {
            let (few, many) = (pages(&small, &sql).await, pages(&large, &sql).await);
            println!("{few} pages of 1,000 rows, {many} of 100,000: {sql}");
            assert!(many < 5 * few, "{few} pages, and {many}: {sql}");
            assert!(many < 1_000 + 200 * rows, "{many} pages: {sql}");
        }
    }
}
