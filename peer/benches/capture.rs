//! What sharing costs a database beside the same statements on a table that is not shared: CPU of the client's session at
//! the origin, and heap-only updates and WAL at a participant.
//!
//! `cargo bench -p dejima-peer --bench capture -- [TURNS]`: how often each measurement is taken (default 3); the medians
//! are printed. CPU time is what /proc says of the session's process, so waiting for other peers does not count.

use std::error::Error;
use std::time::{Duration, Instant};

use dejima_testbed::{Counts, World, WorldOptions, worked_example};
use tokio_postgres::Client;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const TABLES: [(&str, &str); 3] = [
    ("bank", "bank_users"),
    ("government", "government_users"),
    ("insurance", "insurance_users"),
];
/// The table beside the shared one, with the same columns and indexes.
const PLAIN: &str = "plain_users";
/// Rows that all peers hold.
const ROWS: u64 = 10_000;
/// Rows of the origin's table when it is large.
const LARGE: u64 = 1_000_000;
/// One-row transactions of a measurement.
const SINGLES: u64 = 1_000;
/// How long the statistics may take, and the pause between two looks.
const COUNTED_MAX: Duration = Duration::from_secs(70);
const COUNTED_POLL: Duration = Duration::from_millis(100);
/// Statements of a session before it counts as old.
const OLD: u64 = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let turns = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(3);
    println!("booting three clusters (fsync on) and three peers");
    let options = WorldOptions {
        durable: true,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options).await?;
    for (peer, table) in TABLES {
        prepare(&world.superuser(peer).await?, table).await?;
        fill(&world.superuser(peer).await?, table, 1..=ROWS).await?;
    }
    at_a_participant(&world, turns).await?;
    at_the_origin(&world, turns).await
}

/// Room on each page, so that an update can stay on it.
async fn prepare(superuser: &Client, table: &str) -> Result<()> {
    let sql = format!(
        "ALTER TABLE {table} SET (fillfactor = 45, autovacuum_enabled = false);
         CREATE TABLE {PLAIN} (LIKE {table} INCLUDING ALL) WITH (fillfactor = 45, autovacuum_enabled = false);
         GRANT ALL ON {PLAIN} TO PUBLIC"
    );
    Ok(superuser.batch_execute(&sql).await?)
}

/// The same persons in both tables, past the triggers.
async fn fill(superuser: &Client, table: &str, rows: std::ops::RangeInclusive<u64>) -> Result<()> {
    let persons = format!(
        "SELECT 'first' || i, 'last' || i, 'address ' || i FROM generate_series({}, {}) AS i",
        rows.start(),
        rows.end()
    );
    for sql in [
        "SET session_replication_role = replica".to_owned(),
        format!("INSERT INTO {table} (first_name, last_name, address) {persons}"),
        format!("INSERT INTO {PLAIN} (first_name, last_name, address) {persons}"),
        format!("VACUUM ANALYZE {table}, {PLAIN}"),
    ] {
        superuser.batch_execute(&sql).await?;
    }
    Ok(())
}

/// Heap-only updates, deletions and WAL of one table.
#[derive(Clone, Copy, Debug, Default)]
struct Heap {
    updated: i64,
    hot: i64,
    deleted: i64,
    wal_bytes: i64,
}

async fn at_a_participant(world: &World, turns: usize) -> Result<()> {
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

async fn at_the_origin(world: &World, turns: usize) -> Result<()> {
    println!("\nCPU of the client's session at the bank, COMMIT and hook included");
    println!(
        "{:44} {:>9} {:>9} {:>9} {:>9}",
        "", "plain ms", "ours ms", "more ms", "ratio"
    );
    let superuser = world.superuser("bank").await?;
    let client = world.client("bank").await?;
    let new = singles(&client, "one row, a new session", turns).await?;
    many(&client, turns).await?;
    for _ in 0..OLD / SINGLES {
        one_by_one(&client, "bank_users", SINGLES).await?;
    }
    let old = singles(&client, "one row, after 10,000 statements", turns).await?;
    fill(&superuser, "bank_users", ROWS + 1..=LARGE).await?;
    let client = world.client("bank").await?;
    let large = singles(&client, "one row of 1,000,000", turns).await?;
    println!(
        "ours: old session x {:.2}, large table x {:.2}",
        ratio(old, new),
        ratio(large, new)
    );
    Ok(())
}

/// Milliseconds a transaction that updates one row costs in the shared table.
async fn singles(client: &Client, what: &str, turns: usize) -> Result<f64> {
    let (mut plain, mut ours) = (vec![], vec![]);
    for _ in 0..turns {
        plain.push(one_by_one(client, PLAIN, SINGLES).await? / SINGLES as f64);
        ours.push(one_by_one(client, "bank_users", SINGLES).await? / SINGLES as f64);
    }
    Ok(report(what, plain, ours))
}

async fn many(client: &Client, turns: usize) -> Result<()> {
    let (mut plain, mut ours) = (vec![], vec![]);
    for turn in 0..turns {
        for (table, times) in [(PLAIN, &mut plain), ("bank_users", &mut ours)] {
            let sql = format!("UPDATE {table} SET phone = 'many {turn}'");
            let before = cpu_ms(client).await?;
            client.batch_execute(&sql).await?;
            times.push(cpu_ms(client).await? - before);
        }
    }
    report("10,000 rows in one statement", plain, ours);
    Ok(())
}

/// CPU of so many transactions, in milliseconds.
async fn one_by_one(client: &Client, table: &str, number: u64) -> Result<f64> {
    let sql = format!("UPDATE {table} SET phone = $1 WHERE first_name = $2 AND last_name = $3");
    let update = client.prepare(&sql).await?;
    let before = cpu_ms(client).await?;
    for at in 1..=number {
        // Another value each time, so that each is a change.
        let phone = format!("{before} {at}");
        let (first, last) = (format!("first{at}"), format!("last{at}"));
        client.execute(&update, &[&phone, &first, &last]).await?;
    }
    Ok(cpu_ms(client).await? - before)
}

/// CPU time of a session's process so far.
async fn cpu_ms(client: &Client) -> Result<f64> {
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
    let pid: i32 = row.get(0);
    let said = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let ns: u64 = said.split(' ').next().unwrap_or_default().parse()?;
    Ok(ns as f64 / 1e6)
}

fn report(what: &str, plain: Vec<f64>, ours: Vec<f64>) -> f64 {
    let (plain, ours) = (median(plain), median(ours));
    println!(
        "{what:44} {plain:>9.3} {ours:>9.3} {:>9.3} {:>9.2}",
        ours - plain,
        ratio(ours, plain)
    );
    ours
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { f64::NAN } else { a / b }
}
