//! What arrives at a participant: heap-only updates and WAL beside the same update by hand.
//!
//! Both are read from the WAL, with PostgreSQL's extension `pg_walinspect` (15 or later). The statistics come up to ten seconds later, and not
//! at once: heap-only updates are counted by the session that puts them, updates by the one that commits what was prepared.

use dejima_testbed::{Counts, World, WorldOptions, worked_example};
use tokio_postgres::Client;

use crate::measure::{PLAIN, Result, ratio};
use crate::persons;

const TABLES: [(&str, &str); 3] = [
    ("bank", "bank_users"),
    ("government", "government_users"),
    ("insurance", "insurance_users"),
];
/// Rows that all peers hold.
pub(crate) const ROWS: u64 = 10_000;

/// What was done to a table between two places of the WAL; its records name it by database and file.
const WRITTEN: &str = "
SELECT count(*) FILTER (WHERE record_type ~ 'UPDATE'), count(*) FILTER (WHERE record_type ~ 'HOT_UPDATE'),
    count(*) FILTER (WHERE record_type ~ 'DELETE'), ($3::text::pg_lsn - $2::text::pg_lsn)::bigint
FROM pg_database AS d, pg_get_wal_records_info($2::text::pg_lsn, $3::text::pg_lsn)
WHERE d.datname = current_database() AND resource_manager = 'Heap'
    AND strpos(block_ref, format('/%s/%s fork main', d.oid, pg_relation_filenode($1::text::regclass))) > 0";

/// The worked example with its tables filled.
pub(crate) async fn world() -> Result<World> {
    let options = WorldOptions {
        durable: true,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options).await?;
    for (peer, table) in TABLES {
        let superuser = world.superuser(peer).await?;
        persons::make_room(&superuser, table).await?;
        persons::fill(&superuser, table, 1..=ROWS).await?;
    }
    Ok(world)
}

/// Updates of one table, those that were heap-only, deletions, and the WAL of all.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    updated: i64,
    hot: i64,
    deleted: i64,
    wal_bytes: i64,
}

/// Prints the figures of both.
pub(crate) async fn measure(world: &World, turns: usize) -> Result<()> {
    println!("\n{ROWS} updates of one column without an index, as they arrive at the government");
    println!(
        "{:44} {:>9} {:>9} {:>9} {:>12}",
        "", "updated", "heap-only", "deleted", "WAL bytes"
    );
    let government = world.superuser("government").await?;
    let extension = "CREATE EXTENSION IF NOT EXISTS pg_walinspect";
    government.batch_execute(extension).await?;
    let bank = world.client("bank").await?;
    let mut by_hand = vec![];
    let mut arrived = vec![];
    for turn in 0..turns {
        // Updates that came before fill some pages and empty others: both sides begin with the same room on each.
        world.await_quiet().await?;
        let vacuum = format!("VACUUM FULL government_users, {PLAIN}");
        government.batch_execute(&vacuum).await?;
        let plain = format!("UPDATE {PLAIN} SET address = 'by hand {turn}'");
        let from = begin(&government).await?;
        government.batch_execute(&plain).await?;
        by_hand.push(written(&government, PLAIN, &from).await?);
        let from = begin(&government).await?;
        let shared = format!("UPDATE bank_users SET address = 'by dejima {turn}'");
        bank.batch_execute(&shared).await?;
        world.await_quiet().await?;
        arrived.push(written(&government, "government_users", &from).await?);
    }
    let (by_hand, arrived) = (median(by_hand), median(arrived));
    for (name, found) in [("by hand", by_hand), ("by dejima", arrived)] {
        println!(
            "{name:44} {:>9} {:>9} {:>9} {:>12}",
            found.updated, found.hot, found.deleted, found.wal_bytes
        );
    }
    println!(
        "WAL x {:.2}, heap-only {:.1} %",
        ratio(arrived.wal_bytes as f64, by_hand.wal_bytes as f64),
        100.0 * ratio(arrived.hot as f64, arrived.updated as f64)
    );
    Ok(())
}

/// Each side begins after a checkpoint: both write the same full pages.
async fn begin(superuser: &Client) -> Result<String> {
    superuser.batch_execute("CHECKPOINT").await?;
    place(superuser).await
}

/// Up to where the WAL is on the disk.
async fn place(superuser: &Client) -> Result<String> {
    let sql = "SELECT pg_current_wal_flush_lsn()::text";
    Ok(superuser.query_one(sql, &[]).await?.get(0))
}

async fn written(superuser: &Client, table: &str, from: &str) -> Result<Written> {
    let to = place(superuser).await?;
    let row = superuser.query_one(WRITTEN, &[&table, &from, &to]).await?;
    Ok(Written {
        updated: row.get(0),
        hot: row.get(1),
        deleted: row.get(2),
        wal_bytes: row.get(3),
    })
}

fn median(mut all: Vec<Written>) -> Written {
    all.sort_by_key(|written| written.wal_bytes);
    all.get(all.len() / 2).copied().unwrap_or_default()
}
