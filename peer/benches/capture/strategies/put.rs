//! What arrives at a participant: a delta of one row, and one of many.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::cases::{Case, Change};
use super::{SINGLES, SMALL};
use crate::alone::Alone;
use crate::measure::{Result, cpu_ms, median};

/// Rows that the peer puts in one call, at most.
const BATCH: u64 = 10_000;

const PUT: &str = "SELECT dejima.put($1::text::jsonb)";

/// Milliseconds a delta of one row costs.
pub(super) async fn singles(alone: &Alone, case: &Case, turns: usize) -> Result<f64> {
    let participant = alone.participant().await?;
    let mut times = vec![];
    for _ in 0..turns {
        let deltas = deltas(alone, case, SINGLES.min(SMALL), 1).await?;
        let before = cpu_ms(&participant).await?;
        for delta in &deltas {
            put(&participant, std::slice::from_ref(delta)).await?;
        }
        times.push((cpu_ms(&participant).await? - before) / deltas.len() as f64);
    }
    Ok(median(times))
}

/// Milliseconds a delta of so many rows costs, as the peer puts it: call by call in one transaction.
pub(super) async fn many(alone: &Alone, case: &Case, rows: u64) -> Result<f64> {
    let participant = alone.participant().await?;
    let deltas = deltas(alone, case, rows, BATCH).await?;
    let before = cpu_ms(&participant).await?;
    put(&participant, &deltas).await?;
    Ok(cpu_ms(&participant).await? - before)
}

/// Puts in one transaction, which forgets what it captured.
async fn put(participant: &Client, deltas: &[String]) -> Result<()> {
    participant.batch_execute("BEGIN").await?;
    for delta in deltas {
        participant.execute(PUT, &[delta]).await?;
    }
    Ok(participant
        .batch_execute("DELETE FROM dejima.delta WHERE xid = pg_current_xact_id(); COMMIT")
        .await?)
}

/// The first rows with another value each, in deltas of so many.
async fn deltas(alone: &Alone, case: &Case, rows: u64, size: u64) -> Result<Vec<String>> {
    let change = case.changes.first().ok_or("no change")?;
    let shown = shown_rows(alone, case, change, rows).await?;
    let chunks = shown.chunks(usize::try_from(size)?);
    let delta = |rows: &[Value]| json!([{"table": case.shown, "rows": rows}]).to_string();
    Ok(chunks.map(delta).collect())
}

async fn shown_rows(alone: &Alone, case: &Case, change: &Change, rows: u64) -> Result<Vec<Value>> {
    let column = change.column;
    let key = if change.shown_key.starts_with("kind") {
        "kind, id::text"
    } else {
        "id::text"
    };
    let sql = format!(
        "SELECT ARRAY[{key}]::text[], {column}::text, ({column} + 1)::text FROM dejima_tables.{} WHERE {} ORDER BY id LIMIT {rows}",
        case.shown,
        change.shown_key.replace("= $2::int", "> 0"),
    );
    let found = alone.superuser.query(&sql, &[]).await?;
    let update = |row: &tokio_postgres::Row| {
        let (key, old, new): (Vec<String>, String, String) = (row.get(0), row.get(1), row.get(2));
        json!({"op": "update", "key": key, "old": {column: old}, "new": {column: new}})
    };
    Ok(found.iter().map(update).collect())
}
