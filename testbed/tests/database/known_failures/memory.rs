//! Failure: every statement leaves 660 KB of memory behind.

use dejima_core::strategy::literal;
use tokio_postgres::Client;

use super::{TABLES, joined, number, run, served};

const STATEMENTS: i64 = 3_000;
const FEW: i64 = 100;
/// Statements of one transaction: what its end would give back counts too.
const TOGETHER: i64 = 10;
/// What all of them after the first few may add to the session: 90 bytes a statement.
const GROWTH_BYTES_MAX: i64 = 256 * 1024;

/// All memory contexts of the backend that asks; clients may not read the view.
const MEMORY: &str = "CREATE FUNCTION public.memory() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    AS 'SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts'";

/// The memory of a session after a few statements and after many, each time before the transaction ends.
async fn measured(session: &Client, statement: impl Fn(i64) -> String) -> [i64; 2] {
    let mut few = 0;
    let mut many = 0;
    for transaction in 0..STATEMENTS / TOGETHER {
        let first = 1 + transaction * TOGETHER;
        let statements: Vec<_> = (first..first + TOGETHER).map(&statement).collect();
        for statement in &statements {
            let begin = if statement == &statements[0] {
                "BEGIN;"
            } else {
                ""
            };
            run(session, &format!("{begin} {statement}")).await;
        }
        many = number(session, "SELECT public.memory()").await;
        if first < FEW {
            few = many;
        }
        run(session, "ROLLBACK").await;
    }
    [few, many]
}

/// A session has after 3,000 statements what it had after 100: a client's on the base table and through the view, and the
/// peer's that puts.
#[tokio::test]
async fn statements_leave_no_memory_behind() {
    let content = format!(
        "INSERT INTO city SELECT g, 'c' || g FROM generate_series(1, 100) AS g;
         INSERT INTO client SELECT g, 'n' || g, 1 + g % 100 FROM generate_series(1, {STATEMENTS}) AS g; {MEMORY}"
    );
    let (bed, _database) = served("memory", &format!("{TABLES} {content}"), joined()).await;
    let base = |at: i64| format!("UPDATE client SET name = 'x' WHERE id = {at}");
    let view = |at: i64| format!("UPDATE dejima_tables.\"T\" SET name = 'x' WHERE id = {at}");
    let put = |at: i64| {
        let row = serde_json::json!({"op": "update", "key": [at.to_string()], "old": {"name": format!("n{at}")}, "new": {"name": "x"}});
        let puts = serde_json::json!([{"table": "T", "rows": [row]}]);
        format!(
            "SELECT dejima.put({}::jsonb); SELECT dejima.derive()",
            literal(&puts.to_string())
        )
    };
    for (what, role, statement) in [
        ("base table", "client", &base as &dyn Fn(i64) -> String),
        ("view", "client", &view),
        ("put", "dejima", &put),
    ] {
        let session = bed.session(role).await;
        let [few, many] = measured(&session, statement).await;
        println!("{what}: {few} bytes after {FEW} statements, {many} after {STATEMENTS}");
        assert!(
            many < few + GROWTH_BYTES_MAX,
            "{what}: {few} bytes, then {many}"
        );
    }
}
