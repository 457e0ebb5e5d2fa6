//! Two peers of three that cannot hear each other: packets are dropped, in one direction or in both. Nobody hangs, who
//! need not cross the cut goes on working, and after the healing all agree.

use std::time::{Duration, Instant};

use dejima_simulator::random::Random;
use dejima_testbed::{Layout, Load, LoadOptions, World, WorldOptions};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::fixture::{TABLES, at_rest, explain, persons, refused, run, text, world_with};
use crate::gate::Gate;

/// A client is refused when `transaction_ms_max` (4 s) is over; the rest is room for a busy machine.
const REFUSED_MAX: Duration = Duration::from_secs(8);
/// After the healing: the longest wait between two attempts (`retry_ms_max`, 10 s), a call that was under way when it
/// healed (3 s), and room for a busy machine.
const HEALED_MAX: Duration = Duration::from_secs(16);

/// A client of the load may also wait for a row that somebody in doubt holds (its `lock_timeout`, 5 s), before COMMIT.
const RESTED_MAX: Duration = Duration::from_secs(14);

/// Who is not heard by whom.
type Directions = &'static [(&'static str, &'static str)];
const BOTH: Directions = &[("bank", "government"), ("government", "bank")];
const FROM_BANK: Directions = &[("bank", "government")];
const TO_BANK: Directions = &[("government", "bank")];

async fn cuttable_world() -> World {
    world_with(WorldOptions {
        layout: Layout::OneCluster,
        cuttable: true,
        ..WorldOptions::default()
    })
    .await
}

fn cut(world: &World, directions: Directions) {
    for (from, to) in directions {
        world.cut(from, to);
    }
}

async fn heal(world: &World, what: &str) {
    world.heal();
    let begun = Instant::now();
    timeout(HEALED_MAX, at_rest(world))
        .await
        .expect("all agree in time");
    println!("{what}: all agreed {:?} after the healing", begun.elapsed());
}

/// A person whom all three know, by way of the bank.
async fn introduce(world: &World, last_name: &str) {
    let bank = world.client("bank").await.expect("a connection");
    let person = format!("INSERT INTO bank_users VALUES ('A', '{last_name}', '1', 'before', 1)");
    run(&bank, &person).await;
    at_rest(world).await;
}

/// The address of a person at each of the three.
async fn addresses(world: &World, last_name: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for (peer, table) in TABLES {
        let client = world.client(peer).await.expect("a connection");
        let sql = format!("SELECT address FROM {table} WHERE last_name = '{last_name}'");
        found.push(text(&client, &sql).await);
    }
    found
}

/// What must cross the cut is refused, in time and with a class that says that somebody is away.
async fn refused_in_time(client: &Client, sql: &str) {
    let begun = Instant::now();
    let error = refused(client, sql).await;
    let waited = begun.elapsed();
    println!(
        "refused after {waited:?}: {} {}",
        error.code().code(),
        error.message()
    );
    assert!(waited < REFUSED_MAX, "{waited:?}");
    assert!(
        ["08", "57", "40"].contains(&&error.code().code()[..2]),
        "{error:?}"
    );
}

/// Clients whose changes do not cross the cut notice nothing.
async fn others_work(world: &World, last_name: &str, value: i32) {
    let changes = [
        (
            "bank",
            format!("UPDATE bank_users SET risk_factor = {value}"),
        ),
        (
            "insurance",
            format!("UPDATE insurance_users SET birthdate = '2000-01-0{value}'"),
        ),
        (
            "government",
            format!("UPDATE government_users SET birthdate = '1990-01-0{value}'"),
        ),
    ];
    for (peer, update) in changes {
        let client = world.client(peer).await.expect("a connection");
        // The one before may still be on its way to the same row.
        run(&client, "SET lock_timeout = '5s'").await;
        let begun = Instant::now();
        run(
            &client,
            &format!("{update} WHERE last_name = '{last_name}'"),
        )
        .await;
        assert!(
            begun.elapsed() < REFUSED_MAX,
            "{peer}: {:?}",
            begun.elapsed()
        );
        // Neither end of this change is behind the cut, so it arrives.
        arrived(world, last_name, peer, value).await;
    }
}

/// Waits until the other end of the change shows it.
async fn arrived(world: &World, last_name: &str, from: &str, value: i32) {
    let (there, shown) = match from {
        "bank" => ("insurance", format!(",{value})")),
        "insurance" => ("government", format!("2000-01-0{value}")),
        _ => ("insurance", format!("1990-01-0{value}")),
    };
    let until = Instant::now() + REFUSED_MAX;
    while !persons(world, there, last_name).await[0].contains(&shown) {
        assert!(Instant::now() < until, "{shown} did not come to {there}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_before_it_propagates_a_change_is_refused_in_time() {
    let world = cuttable_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let insurance = world.client("insurance").await.expect("a connection");
    for last_name in ["Early", "Other", "Bystander"] {
        introduce(&world, last_name).await;
    }
    for (directions, value) in [(BOTH, 2), (FROM_BANK, 3), (TO_BANK, 4)] {
        cut(&world, directions);
        let at_bank =
            format!("UPDATE bank_users SET address = '{value}' WHERE last_name = 'Early'");
        tokio::join!(
            refused_in_time(&bank, &at_bank),
            others_work(&world, "Bystander", value),
        );
        // By way of the government it would have to cross, too. Another row: the cut may keep the participants of the
        // first attempt from hearing that it is over, and they hold its row until `idle_ms_max`.
        let at_insurance =
            format!("UPDATE insurance_users SET address = '{value}' WHERE last_name = 'Other'");
        refused_in_time(&insurance, &at_insurance).await;
        heal(&world, &format!("{directions:?}")).await;
        assert_eq!(
            addresses(&world, "Early").await,
            vec![Some("before".to_owned()); 3]
        );
    }
    run(
        &bank,
        "UPDATE bank_users SET address = 'after' WHERE last_name = 'Early'",
    )
    .await;
    at_rest(&world).await;
    assert_eq!(
        addresses(&world, "Early").await,
        vec![Some("after".to_owned()); 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_after_the_vote_a_participant_waits_for_the_decision_and_gets_it() {
    let world = cuttable_world().await;
    introduce(&world, "Late").await;
    introduce(&world, "Bystander").await;
    let bank = world.client("bank").await.expect("a connection");
    let gate = Gate::before_commit(&world, "bank").await;
    for (directions, value) in [(BOTH, 2), (FROM_BANK, 3), (TO_BANK, 4)] {
        let client = world.client("bank").await.expect("a connection");
        run(&client, "SET gate.waits = 'yes'").await;
        let sql = format!("UPDATE bank_users SET address = '{value}' WHERE last_name = 'Late'");
        let commit = tokio::spawn(async move { client.batch_execute(&sql).await });
        gate.arrival().await;
        // The hook has returned, and nobody has heard of a decision.
        cut(&world, directions);
        gate.open().await;
        let committed = timeout(REFUSED_MAX, commit)
            .await
            .expect("the decision is local");
        committed
            .expect("no panic")
            .unwrap_or_else(|e| panic!("{}", explain(&e)));

        others_work(&world, "Bystander", value).await;
        refused_in_time(
            &bank,
            "UPDATE bank_users SET phone = '2' WHERE last_name = 'Bystander'",
        )
        .await;
        if directions.contains(&("bank", "government")) {
            let government = world.superuser("government").await.expect("a connection");
            let sql = "SELECT count(*)::text FROM pg_prepared_xacts WHERE database = 'government'";
            assert_eq!(
                text(&government, sql).await.as_deref(),
                Some("1"),
                "it waits"
            );
        }
        heal(&world, &format!("{directions:?}")).await;
        assert_eq!(
            addresses(&world, "Late").await,
            vec![Some(value.to_string()); 3]
        );
        gate.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_while_it_prepares_all_abort_unless_the_promise_is_heard() {
    let world = cuttable_world().await;
    introduce(&world, "Unheard").await;
    let gate = Gate::before_prepare(&world, "government", "government_users", "Unheard").await;
    let mut before = "before".to_owned();
    for directions in [BOTH, FROM_BANK, TO_BANK] {
        let client = world.client("bank").await.expect("a connection");
        let after = format!("{directions:?}");
        let update =
            format!("UPDATE bank_users SET address = '{after}' WHERE last_name = 'Unheard'");
        let promise_is_heard = directions == FROM_BANK;
        let attempt = tokio::spawn(async move {
            if promise_is_heard {
                run(&client, &update).await;
            } else {
                refused_in_time(&client, &update).await;
            }
        });
        gate.arrival().await;
        // The government is in the midst of PREPARE, its promise is still to come.
        cut(&world, directions);
        gate.open().await;
        let ended = timeout(REFUSED_MAX, attempt).await.expect("nobody hangs");
        ended.expect("it ends as it should");
        heal(&world, &after).await;
        if promise_is_heard {
            before = after;
        }
        assert_eq!(
            addresses(&world, "Unheard").await,
            vec![Some(before.clone()); 3]
        );
        gate.close().await;
    }
}

/// DEJIMA_PARTITION_ROUNDS makes it longer, DEJIMA_PARTITION_SEED another one.
fn from_environment(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok().and_then(|text| text.parse().ok());
    value.unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_at_any_moment_no_client_hangs_and_all_agree() {
    let world = cuttable_world().await;
    let seed = from_environment("DEJIMA_PARTITION_SEED", 1);
    let mut random = Random::new(seed);
    let options = LoadOptions {
        seed,
        clients: 6,
        think: Duration::from_millis(5),
    };
    let mut load = Load::new(&world, options).await.expect("the load is made");
    for round in 0..from_environment("DEJIMA_PARTITION_ROUNDS", 4) {
        load.work();
        tokio::time::sleep(Duration::from_millis(300 + random.below(700))).await;
        let directions = [BOTH, FROM_BANK, TO_BANK][random.index(3)];
        cut(&world, directions);
        tokio::time::sleep(Duration::from_millis(100 + random.below(6_000))).await;
        let is_first_rest = random.chance(500);
        if !is_first_rest {
            world.heal();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        // Each client only finishes the transaction that he is at.
        timeout(RESTED_MAX, load.rest())
            .await
            .expect("nobody hangs")
            .expect("nobody hangs");
        heal(
            &world,
            &format!("seed {seed}, round {round}, {directions:?}"),
        )
        .await;
        assert_eq!(load.check(&world).await.expect("it is read"), []);
    }
    println!("{}", load.counters());
    assert!(load.counters().succeeded() > 50, "{}", load.counters());
}
