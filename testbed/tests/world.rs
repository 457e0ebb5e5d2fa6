//! A world of organisations shares, agrees, and survives what is done to its parts.

use dejima_testbed::{Counts, Layout, Shutdown, World, WorldOptions, worked_example};

const INSERT: &str =
    "INSERT INTO bank_users (first_name, last_name, address) VALUES ('John', 'Doe', '1 Quay')";

#[tokio::test]
async fn a_world_shares_and_its_copies_agree() {
    let world = World::start(worked_example(Counts::default()), WorldOptions::default())
        .await
        .unwrap();
    world
        .client("bank")
        .await
        .unwrap()
        .batch_execute(INSERT)
        .await
        .unwrap();
    let agreement = world.compare().await.unwrap();
    assert!(agreement.holds(), "{agreement:?}");
    let tables: Vec<(&str, usize)> = agreement
        .tables
        .iter()
        .map(|t| (t.name.as_str(), t.rows))
        .collect();
    assert_eq!(
        tables,
        [
            ("ShareGovBank", 1),
            ("ShareGovInsurance", 1),
            ("ShareRiskFactor", 1)
        ]
    );
}

#[tokio::test]
async fn a_difference_is_found() {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options)
        .await
        .unwrap();
    world
        .client("bank")
        .await
        .unwrap()
        .batch_execute(INSERT)
        .await
        .unwrap();
    world.await_quiet().await.unwrap();
    // Behind the peer's back: a superuser can switch triggers off.
    let behind =
        "SET session_replication_role = replica; UPDATE government_users SET address = '2 Quay'";
    world
        .superuser("government")
        .await
        .unwrap()
        .batch_execute(behind)
        .await
        .unwrap();
    let agreement = world.compare().await.unwrap();
    let of_bank = agreement
        .differences
        .iter()
        .filter(|d| d.table == "ShareGovBank");
    let seen: Vec<(&str, &str)> = of_bank
        .map(|d| (d.there.as_str(), d.row.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("bank", "(John,Doe,,\"1 Quay\")"),
            ("government", "(John,Doe,,\"2 Quay\")")
        ]
    );
}

#[tokio::test]
async fn peers_and_clusters_can_be_ended_and_started() {
    let mut world = World::start(worked_example(Counts::default()), WorldOptions::default())
        .await
        .unwrap();
    let bank = world.client("bank").await.unwrap();

    world.member_mut("insurance").process.kill();
    assert!(!world.member_mut("insurance").process.runs());
    let refused = bank.batch_execute(INSERT).await.unwrap_err();
    let class = refused.code().unwrap().code()[..2].to_owned();
    assert!(["08", "57"].contains(&class.as_str()), "{refused:?}");

    world.member_mut("insurance").process.start().unwrap();
    world
        .member_mut("insurance")
        .process
        .wait_until_ready()
        .await
        .unwrap();
    // The others take it for away until they have heard of it.
    world.await_quiet().await.unwrap();
    bank.batch_execute(INSERT).await.unwrap();

    assert!(
        world.member_mut("government").process.stop().await,
        "it ends by itself with 0"
    );
    world.cluster_mut("government").stop(Shutdown::Fast);
    world.cluster_mut("government").start_again().unwrap();
    world.member_mut("government").process.start().unwrap();
    world
        .member_mut("government")
        .process
        .wait_until_ready()
        .await
        .unwrap();
    world.await_quiet().await.unwrap();
    bank.batch_execute("UPDATE bank_users SET phone = '1'")
        .await
        .unwrap();
    assert!(world.compare().await.unwrap().holds());
}
