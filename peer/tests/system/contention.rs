//! Eight clients at three peers fight for the same persons.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::fixture::{TABLES, at_rest, explain, own_world, persons, run};

const CLIENTS: usize = 8;
const PERSONS: usize = 5;

/// DEJIMA_CONTENTION_SECONDS makes it longer.
fn span() -> Duration {
    let seconds = std::env::var("DEJIMA_CONTENTION_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(8))
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_updates_all_succeed_or_fail_with_40001() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    for person in 0..PERSONS {
        run(
            &bank,
            &format!("INSERT INTO bank_users VALUES ('P{person}', 'Fight', '0', 'start', 0)"),
        )
        .await;
    }
    world.await_quiet().await.expect("peers answer");
    // Every success adds one to a counter that all three share, so a lost update cannot hide.
    let successes = Mutex::new(BTreeMap::<usize, u32>::new());
    let failures = Mutex::new(0_u32);
    let until = Instant::now() + span();
    let clients = (0..CLIENTS).map(async |client| {
        let (peer, table) = TABLES[client % TABLES.len()];
        let connection = world.client(peer).await.expect("a connection");
        for turn in 0.. {
            if Instant::now() > until {
                return;
            }
            let person = (client * 3 + turn * 7) % PERSONS;
            let sql = format!(
                "UPDATE {table} SET address = CASE address WHEN 'start' THEN '1' ELSE (address::integer + 1)::text END
                 WHERE first_name = 'P{person}' AND last_name = 'Fight'"
            );
            match connection.batch_execute(&sql).await {
                Ok(()) => *successes.lock().expect("no panic").entry(person).or_default() += 1,
                Err(e) if e.code().is_some_and(|code| code.code() == "40001") => {
                    *failures.lock().expect("no panic") += 1;
                }
                Err(e) => panic!("{}", explain(&e)),
            }
        }
    });
    join_all(clients).await;
    at_rest(&world).await;
    let successes = successes.into_inner().expect("no panic");
    let total: u32 = successes.values().sum();
    println!(
        "{total} succeeded, {} failed with 40001",
        failures.into_inner().expect("no panic")
    );
    assert!(total > 0);
    for (peer, _) in TABLES {
        for row in persons(&world, peer, "Fight").await {
            let person: usize = row[2..3].parse().expect("P and a digit");
            let count = successes.get(&person).copied().unwrap_or(0);
            assert!(
                row.contains(&format!(",{count},")),
                "{peer}: {row}, but {count} updates succeeded"
            );
        }
    }
}
