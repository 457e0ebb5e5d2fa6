//! What arrives at a participant: heap-only updates and WAL beside the same update by hand.

use std::time::{Duration, Instant};

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
/// How long the statistics may take, and the pause between two looks.
const COUNTED_MAX: Duration = Duration::from_secs(70);
const COUNTED_POLL: Duration = Duration::from_millis(100);

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

/// Heap-only updates, deletions and WAL of one table.
#[derive(Clone, Copy, Debug, Default)]
struct Heap {
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
    let bank = world.client("bank").await?;
    let mut by_hand = vec![];
    let mut arrived = vec![];
    for turn in 0..turns {
        let plain = format!("UPDATE {PLAIN} SET address = 'by hand {turn}'");
        let before = heap(&government, PLAIN).await?;
        government.batch_execute(&plain).await?;
        by_hand.push(since(before, counted(&government, PLAIN, before).await?));
        let before = heap(&government, "government_users").await?;
        let shared = format!("UPDATE bank_users SET address = 'by dejima {turn}'");
        bank.batch_execute(&shared).await?;
        world.await_quiet().await?;
        arrived.push(since(
            before,
            counted(&government, "government_users", before).await?,
        ));
        government
            .batch_execute(&format!("VACUUM government_users, {PLAIN}"))
            .await?;
    }
    let (by_hand, arrived) = (median_heap(by_hand), median_heap(arrived));
    for (name, heap) in [("by hand", by_hand), ("by dejima", arrived)] {
        println!(
            "{name:44} {:>9} {:>9} {:>9} {:>12}",
            heap.updated, heap.hot, heap.deleted, heap.wal_bytes
        );
    }
    println!(
        "WAL x {:.2}, heap-only {:.1} %",
        ratio(arrived.wal_bytes as f64, by_hand.wal_bytes as f64),
        100.0 * ratio(arrived.hot as f64, arrived.updated as f64)
    );
    Ok(())
}

/// Sessions tell what they have counted a while after they have ended their transaction.
async fn counted(superuser: &Client, table: &str, before: Heap) -> Result<Heap> {
    let wal_bytes = look(superuser, table).await?.wal_bytes;
    let until = Instant::now() + COUNTED_MAX;
    loop {
        let heap = look(superuser, table).await?;
        if heap.updated - before.updated >= i64::try_from(ROWS)? {
            return Ok(Heap { wal_bytes, ..heap });
        }
        if Instant::now() > until {
            return Err(format!("the updates of {table} are not counted: {heap:?}").into());
        }
        tokio::time::sleep(COUNTED_POLL).await;
    }
}

/// Each side begins after a checkpoint: both write the same full pages.
async fn heap(superuser: &Client, table: &str) -> Result<Heap> {
    superuser.batch_execute("CHECKPOINT").await?;
    look(superuser, table).await
}

async fn look(superuser: &Client, table: &str) -> Result<Heap> {
    let flush = "SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()";
    superuser.batch_execute(flush).await?;
    let sql = "SELECT n_tup_upd, n_tup_hot_upd, n_tup_del, (pg_current_wal_insert_lsn() - '0/0')::bigint \
               FROM pg_stat_user_tables WHERE relid = $1::text::regclass";
    let row = superuser.query_one(sql, &[&table]).await?;
    Ok(Heap {
        updated: row.get(0),
        hot: row.get(1),
        deleted: row.get(2),
        wal_bytes: row.get(3),
    })
}

fn since(before: Heap, now: Heap) -> Heap {
    Heap {
        updated: now.updated - before.updated,
        hot: now.hot - before.hot,
        deleted: now.deleted - before.deleted,
        wal_bytes: now.wal_bytes - before.wal_bytes,
    }
}

fn median_heap(mut heaps: Vec<Heap>) -> Heap {
    heaps.sort_by_key(|heap| heap.wal_bytes);
    heaps.get(heaps.len() / 2).copied().unwrap_or_default()
}
