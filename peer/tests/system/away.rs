//! A peer that is away stops what concerns it, and nothing else.

use std::time::{Duration, Instant};

use crate::fixture::{at_rest, own_world, persons, refused, run};

#[tokio::test(flavor = "multi_thread")]
async fn with_a_peer_away_only_what_it_shares_is_refused() {
    let mut world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Away', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
    assert!(
        world.member_mut("insurance").process.stop().await,
        "it stops in peace"
    );

    let begun = Instant::now();
    let error = refused(
        &bank,
        "INSERT INTO bank_users VALUES ('Jane', 'Away', '556', 'Side St', 8)",
    )
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        ["08", "57"].contains(&&error.code().code()[..2]),
        "{error:?}"
    );
    assert!(error.message().contains("insurance"), "{error:?}");
    assert!(error.hint().is_some(), "{error:?}");
    run(
        &bank,
        "UPDATE bank_users SET phone = '557' WHERE last_name = 'Away'",
    )
    .await;

    let insurance = &mut world.member_mut("insurance").process;
    insurance.start().expect("it starts");
    insurance.wait_until_ready().await.expect("it is ready");
    // The others take it for away until they have heard of it.
    at_rest(&world).await;
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('Jane', 'Away', '556', 'Side St', 8)",
    )
    .await;
    at_rest(&world).await;
    assert_eq!(
        persons(&world, "insurance", "Away").await,
        ["(Jane,Away,\"Side St\",,8)", "(John,Away,\"Main St\",,7)"]
    );
    assert_eq!(
        persons(&world, "government", "Away").await,
        [
            "(Jane,Away,556,\"Side St\",)",
            "(John,Away,557,\"Main St\",)"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_peer_that_hangs_the_client_is_refused_in_time() {
    let mut world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    world.member_mut("insurance").process.freeze();
    let begun = Instant::now();
    let error = refused(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Hang', '555', 'Main St', 7)",
    )
    .await;
    let waited = begun.elapsed();
    world.member_mut("insurance").process.thaw();
    assert!(waited < Duration::from_secs(6), "{waited:?}");
    assert!(
        ["08", "57"].contains(&&error.code().code()[..2]),
        "{error:?}"
    );
    at_rest(&world).await;
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Hang', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_own_peer_a_database_refuses_changes_and_stays_usable() {
    let mut world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    assert!(
        world.member_mut("bank").process.stop().await,
        "it stops in peace"
    );
    let error = refused(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Alone', '555', 'Main St', 7)",
    )
    .await;
    assert_eq!(&error.code().code()[..2], "08", "{error:?}");
    assert!(error.hint().is_some(), "{error:?}");
    run(&bank, "SELECT count(*) FROM bank_users").await;
    let process = &mut world.member_mut("bank").process;
    process.start().expect("it starts");
    process.wait_until_ready().await.expect("it is ready");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Alone', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
}
