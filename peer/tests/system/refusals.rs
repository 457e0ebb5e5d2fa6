//! Who is refused hears who refused, what and why, in an SQLSTATE that his driver understands.

use crate::fixture::{TABLES, at_rest, own_world, persons, refused, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_of_another_peer_refuses_with_its_own_sqlstate() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Check', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
    let error = refused(
        &bank,
        "UPDATE bank_users SET risk_factor = 250, phone = '556' WHERE last_name = 'Check'",
    )
    .await;
    assert_eq!(error.code().code(), "23514", "{error:?}");
    let detail = error.detail().expect("a DETAIL");
    assert!(
        detail.contains("insurance") && detail.contains("risk_factor_range"),
        "{detail}"
    );
    assert!(
        !format!("{error:?}").contains("250"),
        "no value crosses: {error:?}"
    );
    at_rest(&world).await;
    assert_eq!(
        persons(&world, "bank", "Check").await,
        ["(John,Check,555,\"Main St\",7)"]
    );
    assert_eq!(
        persons(&world, "government", "Check").await,
        ["(John,Check,555,\"Main St\",)"]
    );
    assert_eq!(
        persons(&world, "insurance", "Check").await,
        ["(John,Check,\"Main St\",,7)"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_refused_with_40001() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Conflict', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
    run(
        &bank,
        "BEGIN; UPDATE bank_users SET address = 'bank' WHERE last_name = 'Conflict'",
    )
    .await;
    let government = world.client("government").await.expect("a connection");
    let error = refused(
        &government,
        "UPDATE government_users SET address = 'gov' WHERE last_name = 'Conflict'",
    )
    .await;
    assert_eq!(error.code().code(), "40001", "{error:?}");
    assert!(
        error.detail().is_some_and(|detail| detail.contains("bank")),
        "{error:?}"
    );
    run(&bank, "COMMIT").await;
    at_rest(&world).await;
    for (peer, _) in TABLES {
        assert!(
            persons(&world, peer, "Conflict").await[0].contains(",bank,"),
            "{peer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_row_is_refused_with_40001() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Stale', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
    // What no client can do: the government's copy changes behind the back of the triggers.
    let superuser = world.superuser("government").await.expect("a connection");
    run(&superuser, "SET session_replication_role = replica; UPDATE government_users SET phone = '1' WHERE last_name = 'Stale'").await;
    let error = refused(
        &bank,
        "UPDATE bank_users SET phone = '2' WHERE last_name = 'Stale'",
    )
    .await;
    assert_eq!(error.code().code(), "40001", "{error:?}");
    run(
        &bank,
        "UPDATE bank_users SET risk_factor = 8 WHERE last_name = 'Stale'",
    )
    .await;
}
