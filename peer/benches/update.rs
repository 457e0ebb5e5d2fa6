//! One-row updates over three peers, against the floor: the same updates in bare two-phase commit by a program
//! that knows all three databases. Both run in turn on the same three clusters, with fsync.
//!
//! `cargo bench -p dejima-peer --bench update -- [SECONDS]`: seconds for each measurement (default 3).

use std::error::Error;
use std::time::{Duration, Instant};

use dejima_testbed::{World, WorldOptions, worked_example};
use futures::future::try_join_all;
use tokio_postgres::Client;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The peers, and each one's base table.
const TABLES: [(&str, &str); 3] = [
    ("bank", "bank_users"),
    ("government", "government_users"),
    ("insurance", "insurance_users"),
];
/// How often the contenders take turns.
const TURNS: usize = 3;
/// Rows of the base tables while clients are compared.
const ROWS: u64 = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(3.0);
    let span = Duration::from_secs_f64(seconds);
    println!("booting three clusters (fsync on) and three peers");
    let options = WorldOptions {
        durable: true,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(dejima_testbed::Counts::default()), options).await?;
    let mut rows = 0;
    fill(&world, &mut rows, ROWS).await?;
    compare_clients(&world, span).await?;
    compare_sizes(&world, span, &mut rows).await
}

/// Bare two-phase commit and ours, with one client and with eight.
async fn compare_clients(world: &World, span: Duration) -> Result<()> {
    println!("\none-row updates of an address that all three hold, {ROWS} rows in each base table");
    println!(
        "{:28} {:>9} {:>9} {:>9} {:>16}",
        "", "p50 ms", "p95 ms", "tx/s", "of the floor"
    );
    for clients in [1, 8] {
        let (mut floor, mut ours) = (Measure::default(), Measure::default());
        for _ in 0..TURNS {
            floor.add(measure(world, Contender::Floor, clients, ROWS, span).await?);
            ours.add(measure(world, Contender::Ours, clients, ROWS, span).await?);
        }
        let name = |who| {
            format!(
                "{who}, {clients} client{}",
                if clients == 1 { "" } else { "s" }
            )
        };
        println!("{}", floor.line(&name("bare two-phase commit"), None));
        println!(
            "{}",
            ours.line(&name("plain SQL over dejima"), Some(&floor))
        );
    }
    Ok(())
}

/// Ours with one client, while the base tables grow a thousandfold.
async fn compare_sizes(world: &World, span: Duration, rows: &mut u64) -> Result<()> {
    println!("\nthe same, one client, by rows in each base table");
    println!(
        "{:28} {:>9} {:>9} {:>9} {:>16}",
        "", "p50 ms", "p95 ms", "tx/s", "of 1,000 rows"
    );
    let mut first = None;
    for size in [1_000, 100_000, 1_000_000] {
        // The first size is a subset of the rows that are there: what counts is what the table holds.
        if size < *rows {
            empty(world, rows).await?;
        }
        fill(world, rows, size).await?;
        let mut ours = Measure::default();
        for _ in 0..TURNS {
            ours.add(measure(world, Contender::Ours, 1, size, span).await?);
        }
        println!("{}", ours.line(&format!("{size} rows"), first.as_ref()));
        first.get_or_insert(ours);
    }
    Ok(())
}

/// Loads the same persons everywhere, past the triggers: as an administrator would before sharing begins.
async fn fill(world: &World, rows: &mut u64, size: u64) -> Result<()> {
    for (peer, table) in TABLES {
        let client = world.superuser(peer).await?;
        let persons = format!(
            "SELECT 'first' || i, 'last' || i, 'address ' || i FROM generate_series({}, {size}) AS i",
            *rows + 1
        );
        client
            .batch_execute(&format!(
                "SET session_replication_role = replica;
                 CREATE TABLE IF NOT EXISTS floor_users (LIKE {table} INCLUDING ALL);
                 INSERT INTO {table} (first_name, last_name, address) {persons};
                 INSERT INTO floor_users (first_name, last_name, address) {persons};
                 VACUUM ANALYZE {table}; VACUUM ANALYZE floor_users; CHECKPOINT"
            ))
            .await?;
    }
    *rows = size;
    Ok(())
}

async fn empty(world: &World, rows: &mut u64) -> Result<()> {
    world.await_quiet().await?;
    for (peer, table) in TABLES {
        let client = world.superuser(peer).await?;
        let sql = format!("SET session_replication_role = replica; TRUNCATE {table}, floor_users");
        client.batch_execute(&sql).await?;
    }
    *rows = 0;
    Ok(())
}

#[derive(Clone, Copy)]
enum Contender {
    Floor,
    Ours,
}

/// What was measured: milliseconds of each transaction, and seconds in all.
#[derive(Default)]
struct Measure {
    ms: Vec<f64>,
    seconds: f64,
}

impl Measure {
    fn add(&mut self, other: Measure) {
        self.ms.extend(other.ms);
        self.seconds += other.seconds;
        self.ms.sort_by(f64::total_cmp);
    }

    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.ms.len() * percent / 100).min(self.ms.len().saturating_sub(1));
        self.ms.get(at).copied().unwrap_or(f64::NAN)
    }

    fn per_second(&self) -> f64 {
        self.ms.len() as f64 / self.seconds
    }

    fn line(&self, name: &str, base: Option<&Measure>) -> String {
        let (p50, p95, rate) = (self.percentile(50), self.percentile(95), self.per_second());
        let ratio = base.map_or(String::new(), |base| {
            format!(
                "{:.2}× p50 {:3.0}% tx/s",
                p50 / base.percentile(50),
                100.0 * rate / base.per_second()
            )
        });
        format!("{name:28} {p50:9.2} {p95:9.2} {rate:9.0} {ratio:>18}")
    }
}

async fn measure(
    world: &World,
    who: Contender,
    clients: u64,
    rows: u64,
    span: Duration,
) -> Result<Measure> {
    let runs = (0..clients).map(|client| run_client(world, who, client, clients, rows, span));
    let begun = Instant::now();
    let ms = try_join_all(runs).await?.concat();
    let measure = Measure {
        ms,
        seconds: begun.elapsed().as_secs_f64(),
    };
    world.await_quiet().await?;
    Ok(measure)
}

/// Updates rows of its own, one after the other, until the time is over.
async fn run_client(
    world: &World,
    who: Contender,
    client: u64,
    clients: u64,
    rows: u64,
    span: Duration,
) -> Result<Vec<f64>> {
    let connections = match who {
        Contender::Ours => vec![world.client("bank").await?],
        Contender::Floor => try_join_all(TABLES.map(|(peer, _)| world.superuser(peer))).await?,
    };
    let mut ms = Vec::new();
    let begun = Instant::now();
    for turn in 0_u64.. {
        if begun.elapsed() > span {
            break;
        }
        // Steps through the table without touching a row twice in a row, a multiple of `clients` apart.
        let row = (turn * 7919 * clients + client) % rows + 1;
        let start = Instant::now();
        match who {
            Contender::Ours => update(&connections[0], row, turn).await?,
            Contender::Floor => two_phase_commit(&connections, client, row, turn).await?,
        }
        ms.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(ms)
}

fn update_sql(table: &str, row: u64, turn: u64) -> String {
    format!(
        "UPDATE {table} SET address = 'street {turn} {row}' WHERE first_name = 'first{row}' AND last_name = 'last{row}'"
    )
}

async fn update(bank: &Client, row: u64, turn: u64) -> Result<()> {
    Ok(bank
        .batch_execute(&update_sql("bank_users", row, turn))
        .await?)
}

async fn two_phase_commit(databases: &[Client], client: u64, row: u64, turn: u64) -> Result<()> {
    let prepare = format!(
        "BEGIN; {}; PREPARE TRANSACTION 'floor {client}'",
        update_sql("floor_users", row, turn)
    );
    try_join_all(
        databases
            .iter()
            .map(|database| database.batch_execute(&prepare)),
    )
    .await?;
    let commit = format!("COMMIT PREPARED 'floor {client}'");
    try_join_all(
        databases
            .iter()
            .map(|database| database.batch_execute(&commit)),
    )
    .await?;
    Ok(())
}
