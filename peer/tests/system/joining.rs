//! Peers that join while transactions run: each transaction is at all members or was refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dejima_testbed::{Counts, Layout, Organisation, Share, World, WorldOptions, worked_example};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::fixture::{TABLES, explain};

const NEWCOMER: &str = "second-bank";
/// Where clients write, and what.
const WRITERS: [(&str, &str); 2] = [
    (
        "bank",
        "INSERT INTO bank_users VALUES ('bank', $1, '555', 'Main St', 7)",
    ),
    (
        "insurance",
        "INSERT INTO insurance_users VALUES ('insurance', $1, 'Main St', '1980-01-01', 7)",
    ),
];
/// Transactions of each client before the newcomer boots, and after it is complete.
const BEFORE: usize = 20;
const AFTER: usize = 20;
const PROGRESS_POLL: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_whoever_joins_misses_nothing_of_what_comes_later() {
    let mut world = world_of_four().await;
    for newcomer in 0..3 {
        world.forget_peers().await.expect("databases are cleared");
        world
            .boot(&["bank", "government", "insurance"])
            .await
            .expect("they listen");
        world.await_quiet().await.expect("they detect their groups");
        clear(&world).await;
        let mut writers = Vec::new();
        let clock = Arc::new(AtomicUsize::new(0));
        for (peer, sql) in WRITERS {
            let client = world.client(peer).await.expect("a connection");
            writers.push(Writer::start(client, sql, Arc::clone(&clock)));
        }
        for writer in &writers {
            writer.await_successes(BEFORE).await;
        }
        world.boot(&[NEWCOMER]).await.expect("it listens");
        let joined: Vec<_> = writers.iter().map(Writer::successes).collect();
        world
            .member_mut(NEWCOMER)
            .process
            .wait_until_ready()
            .await
            .expect("it is ready");
        for (writer, joined) in writers.iter().zip(joined) {
            writer.await_successes(joined + AFTER).await;
        }
        let mut succeeded = Vec::new();
        for writer in writers {
            succeeded.push(writer.stop().await);
        }
        world.await_quiet().await.expect("peers answer");

        let mut reached = Vec::new();
        for ((peer, _), succeeded) in WRITERS.iter().zip(&succeeded) {
            for (other, table) in TABLES {
                let found = written(&world, other, table, peer).await;
                let expected = succeeded.iter().map(|inserted| inserted.name.clone());
                assert_eq!(found, expected.collect(), "{peer} wrote, {other}");
            }
            reached.push(written(&world, NEWCOMER, "bank_users", peer).await);
        }
        let both = || succeeded.iter().zip(&reached);
        let all = both().flat_map(|(succeeded, reached)| {
            succeeded
                .iter()
                .map(move |inserted| (inserted, reached.contains(&inserted.name)))
        });
        let first = all
            .clone()
            .filter(|(_, reached)| *reached)
            .map(|(inserted, _)| inserted.ended)
            .min();
        let first = first.expect("the newcomer is told of some");
        let missed = all.filter(|(inserted, reached)| inserted.began > first && !reached);
        assert_eq!(missed.count(), 0, "newcomer {newcomer}");
    }
}

/// A person that a client has inserted, and the ticks of a clock of all clients before and after.
struct Inserted {
    name: String,
    began: usize,
    ended: usize,
}

/// A client that inserts one person after the other.
struct Writer {
    task: JoinHandle<Vec<Inserted>>,
    successes: Arc<AtomicUsize>,
    is_stopping: Arc<AtomicBool>,
}

impl Writer {
    fn start(client: Client, sql: &'static str, clock: Arc<AtomicUsize>) -> Self {
        let successes = Arc::new(AtomicUsize::new(0));
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (counter, stop) = (Arc::clone(&successes), Arc::clone(&is_stopping));
        let task = tokio::spawn(async move {
            let mut succeeded: Vec<Inserted> = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("{number:06}");
                let began = clock.fetch_add(1, Ordering::SeqCst);
                match client.execute(sql, &[&name]).await {
                    Ok(_) => {
                        let ended = clock.fetch_add(1, Ordering::SeqCst);
                        succeeded.push(Inserted { name, began, ended });
                        counter.store(succeeded.len(), Ordering::Relaxed);
                    }
                    Err(error) => assert_is_lost_race(&error),
                }
            }
            succeeded
        });
        Self {
            task,
            successes,
            is_stopping,
        }
    }

    fn successes(&self) -> usize {
        self.successes.load(Ordering::Relaxed)
    }

    async fn await_successes(&self, count: usize) {
        while self.successes() < count {
            assert!(!self.task.is_finished(), "the client has given up");
            tokio::time::sleep(PROGRESS_POLL).await;
        }
    }

    /// Whom it has inserted, in this order.
    async fn stop(self) -> Vec<Inserted> {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.task.await.expect("each refusal was one to try again")
    }
}

/// 40001: the group has changed. 57P03: the newcomer does not know all members yet.
fn assert_is_lost_race(error: &tokio_postgres::Error) {
    let sqlstate = error.code().map_or("", |code| code.code());
    assert!(["40001", "57P03"].contains(&sqlstate), "{}", explain(error));
}

async fn world_of_four() -> World {
    // One of those who write hears of the newcomer first, the other from him.
    let share = |(table, seed): (&str, &str)| Share {
        table: table.to_owned(),
        seeds: vec![seed.to_owned()],
    };
    let seeds = [
        ("ShareGovBank", "government"),
        ("ShareRiskFactor", "insurance"),
    ];
    let shares = seeds.map(share);
    let mut organisations = worked_example(Counts::default());
    organisations.push(Organisation::of_kind("bank", NEWCOMER, shares.into()));
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(organisations, options).await;
    world.expect("the world starts")
}

/// So that all hold the same rows when the newcomer joins.
async fn clear(world: &World) {
    for (peer, table) in TABLES.into_iter().chain([(NEWCOMER, "bank_users")]) {
        let superuser = world.superuser(peer).await.expect("a connection");
        let sql = format!("SET session_replication_role = replica; DELETE FROM {table}");
        superuser.batch_execute(&sql).await.expect("it is cleared");
    }
}

/// The persons of one writer that a peer holds.
async fn written(world: &World, peer: &str, table: &str, writer: &str) -> BTreeSet<String> {
    let superuser = world.superuser(peer).await.expect("a connection");
    let sql = format!("SELECT last_name FROM {table} WHERE first_name = $1");
    let rows = superuser.query(&sql, &[&writer]).await.expect("a query");
    rows.iter().map(|row| row.get(0)).collect()
}
