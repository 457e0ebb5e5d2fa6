//! Does anything grow? Many small transactions between two peers, in a world where nothing dies, while the
//! memory of the peers and the size of schema `dejima` are watched.
//!
//! `cargo bench -p dejima-peer --bench endurance -- [TRANSACTIONS]` (default 100,000). Prints a line for each tenth
//! of them, then the growth after the warm-up. Exit status 1 if a peer's memory grew by more than 20 %, the tables
//! and indexes of schema `dejima` to more than 1.5 times their size, or the copies differ at the end.

mod report;
mod sample;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dejima_testbed::{Counts, Layout, World, WorldOptions, worked_example};
use futures::future::try_join_all;

use report::Report;
use sample::{Sample, Sampler};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The peers, and each one's base table. Clients sit at both in turn: each peer is origin and participant.
const TABLES: [(&str, &str); 2] = [("bank", "bank_users"), ("government", "government_users")];
/// As many as keep two cores busy.
const CLIENTS: u64 = 8;
/// No two clients change the same row.
const ROWS_A_CLIENT: u64 = 1_000;
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// How far the clients are.
#[derive(Debug, Default)]
struct Progress {
    begun: AtomicU64,
    succeeded: AtomicU64,
    refused: AtomicU64,
}

impl Progress {
    fn ended(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let transactions = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    println!("booting one cluster (fsync off) and two peers");
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let counts = Counts {
        insurances: 0,
        ..Counts::default()
    };
    let world = World::start(worked_example(counts), options).await?;
    fill(&world).await?;
    let mut report = Report::new(TABLES.map(|(peer, _)| peer), transactions);
    let progress = Progress::default();
    let clients = try_join_all(
        (0..CLIENTS).map(|client| run_client(&world, client, transactions, &progress)),
    );
    let sampler = Sampler::connect(&world, &TABLES.map(|(peer, _)| peer)).await?;
    tokio::select! {
        ended = clients => drop(ended?),
        ended = watch(&sampler, &progress, &mut report) => ended?,
    }
    report.add(take(&sampler, &progress).await?);
    world.await_quiet().await?;
    let agreement = world.compare().await?;
    if !agreement.holds() {
        println!("the copies differ: {agreement:?}");
    }
    let is_flat = report.close();
    Ok(if is_flat && agreement.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The persons, by way of a client.
async fn fill(world: &World) -> Result<()> {
    let sql = format!(
        "INSERT INTO bank_users (first_name, last_name, phone)
         SELECT 'P' || i, 'Endure', '0' FROM generate_series(0, {}) AS i",
        CLIENTS * ROWS_A_CLIENT - 1
    );
    world.client("bank").await?.batch_execute(&sql).await?;
    world.await_quiet().await?;
    Ok(())
}

/// Samples at even intervals, for ever.
async fn watch(sampler: &Sampler, progress: &Progress, report: &mut Report) -> Result<()> {
    let mut interval = tokio::time::interval(SAMPLE_EVERY);
    loop {
        interval.tick().await;
        report.add(take(sampler, progress).await?);
    }
}

async fn take(sampler: &Sampler, progress: &Progress) -> Result<Sample> {
    let refused = progress.refused.load(Ordering::Relaxed);
    sampler.take(progress.ended(), refused).await
}

/// Changes one row of its own after the other, until all clients together have begun so many transactions.
async fn run_client(
    world: &World,
    client: u64,
    transactions: u64,
    progress: &Progress,
) -> Result<()> {
    let (peer, table) = TABLES[usize::try_from(client)? % TABLES.len()];
    let connection = world.client(peer).await?;
    let sql =
        format!("UPDATE {table} SET phone = $1 WHERE first_name = $2 AND last_name = 'Endure'");
    let update = connection.prepare(&sql).await?;
    loop {
        let number = progress.begun.fetch_add(1, Ordering::Relaxed);
        if number >= transactions {
            return Ok(());
        }
        let person = format!("P{}", client * ROWS_A_CLIENT + number % ROWS_A_CLIENT);
        let done = connection
            .execute(&update, &[&number.to_string(), &person])
            .await;
        match done {
            Ok(1) => progress.succeeded.fetch_add(1, Ordering::Relaxed),
            Ok(rows) => return Err(format!("{person} has {rows} rows").into()),
            // Nobody fights for a row; but a peer may be late on a busy machine.
            Err(error) if error.code().is_some() => {
                progress.refused.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => return Err(error.into()),
        };
    }
}
