//! The load's ledger holds on a world that works, also over deaths, and finds what was tampered with.

use std::time::Duration;

use dejima_testbed::{Counts, Layout, Load, LoadOptions, World, WorldOptions, worked_example};

async fn loaded_world() -> (World, Load) {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options).await;
    let world = world.expect("the world starts");
    let options = LoadOptions {
        seed: 1,
        clients: 6,
        think: Duration::ZERO,
    };
    let load = Load::new(&world, options).await;
    (world, load.expect("all peers are up"))
}

/// Far longer than any wait here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_is_found_at_every_member_and_a_changed_copy_is_not() {
    let (world, mut load) = loaded_world().await;
    load.work();
    assert!(load.await_successes(100, PATIENCE).await);
    load.rest().await.unwrap();
    world.await_quiet().await.unwrap();
    assert_eq!(load.check(&world).await.unwrap(), []);
    println!("{}", load.counters());
    assert_eq!(load.counters().unknown, 0);

    // A superuser can write behind the triggers: a person of a client, and one that all change.
    let database = world.superuser("government").await.unwrap();
    let tamper = "SET session_replication_role = replica;
        UPDATE government_users SET address = 'tampered' WHERE last_name = 'Common' AND first_name = 'C1';
        DELETE FROM government_users WHERE ctid = (SELECT ctid FROM government_users WHERE last_name = 'Load0' LIMIT 1)";
    database.batch_execute(tamper).await.unwrap();
    let wrong = load.check(&world).await.unwrap();
    let said: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let count = |text: &str| said.iter().filter(|said| said.contains(text)).count();
    assert_eq!(
        count("C1 Common in ShareGovBank at government: found tampered"),
        1,
        "{said:#?}"
    );
    assert_eq!(
        count("C1 Common in ShareGovInsurance at government: found tampered"),
        1,
        "{said:#?}"
    );
    assert_eq!(
        count("Load0 in ShareGovBank at government: found no row"),
        1,
        "{said:#?}"
    );
    assert_eq!(said.len(), 4, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_after_deaths() {
    let (mut world, mut load) = loaded_world().await;
    load.work();
    assert!(load.await_successes(20, PATIENCE).await);
    let cluster = world.cluster_mut("bank");
    cluster.kill();
    cluster.start_again().unwrap();
    let process = &mut world.member_mut("insurance").process;
    process.kill();
    process.start().unwrap();
    process.wait_until_ready().await.unwrap();
    assert!(load.await_successes(20, PATIENCE).await);
    load.rest().await.unwrap();
    world.await_quiet().await.unwrap();
    let wrong = load.check(&world).await.unwrap();
    assert_eq!(wrong, []);
    let counters = load.counters();
    println!("{counters}");
    assert!(counters.broken + counters.unknown > 0, "{counters}");
}
