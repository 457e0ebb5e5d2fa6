//! Transactions of several statements: all of what was committed, nothing of what was not, at one moment.

use crate::fixture::{TABLES, persons, refused, run, shared_world};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_savepoint_took_back_arrives_nowhere() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(&bank, "BEGIN").await;
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('A', 'Savepoint', '1', 'x', 1)",
    )
    .await;
    run(
        &bank,
        "SAVEPOINT s; INSERT INTO bank_users VALUES ('B', 'Savepoint', '2', 'y', 2)",
    )
    .await;
    run(
        &bank,
        "UPDATE bank_users SET address = 'lost' WHERE first_name = 'A' AND last_name = 'Savepoint'",
    )
    .await;
    run(&bank, "ROLLBACK TO s; UPDATE bank_users SET phone = '3' WHERE first_name = 'A' AND last_name = 'Savepoint'").await;
    assert_eq!(
        persons(world, "government", "Savepoint").await,
        Vec::<String>::new(),
        "not before COMMIT"
    );
    run(&bank, "COMMIT").await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "government", "Savepoint").await,
        ["(A,Savepoint,3,x,)"]
    );
    assert_eq!(
        persons(world, "insurance", "Savepoint").await,
        ["(A,Savepoint,x,,1)"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_savepoint_may_be_rolled_back_before_anything_else_happens() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(&bank, "BEGIN; SAVEPOINT s; INSERT INTO bank_users VALUES ('A', 'First', '1', 'x', 1); ROLLBACK TO s").await;
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('B', 'First', '2', 'y', 2); COMMIT",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "government", "First").await,
        ["(B,First,2,y,)"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_and_a_killed_client_leave_nothing_anywhere() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "BEGIN; INSERT INTO bank_users VALUES ('A', 'Rollback', '1', 'x', 1); ROLLBACK",
    )
    .await;
    let killed = world.client("bank").await.expect("a connection");
    run(
        &killed,
        "BEGIN; INSERT INTO bank_users VALUES ('B', 'Rollback', '1', 'x', 1)",
    )
    .await;
    let backend: i32 = killed
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .expect("its own")
        .get(0);
    let superuser = world.superuser("bank").await.expect("a connection");
    let ended = superuser
        .query_one("SELECT pg_terminate_backend($1, 10000)", &[&backend])
        .await;
    assert!(ended.expect("a superuser may").get::<_, bool>(0));
    world.await_quiet().await.expect("peers answer");
    for (peer, _) in TABLES {
        assert_eq!(
            persons(world, peer, "Rollback").await,
            Vec::<String>::new(),
            "{peer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nets_to_nothing_is_sent_to_nobody() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('A', 'Net', '1', 'x', 1)",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    let version = "SELECT xmin::text FROM government_users WHERE last_name = 'Net'";
    let government = world.client("government").await.expect("a connection");
    let before: String = government
        .query_one(version, &[])
        .await
        .expect("one row")
        .get(0);
    run(
        &bank,
        "UPDATE bank_users SET phone = phone WHERE last_name = 'Net'",
    )
    .await;
    run(
        &bank,
        "BEGIN; UPDATE bank_users SET phone = '2' WHERE last_name = 'Net'",
    )
    .await;
    run(
        &bank,
        "UPDATE bank_users SET phone = '1' WHERE last_name = 'Net'; COMMIT",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        government
            .query_one(version, &[])
            .await
            .expect("one row")
            .get::<_, String>(0),
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_may_prepare_his_transaction_himself() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    for (name, end) in [("mine 1", "COMMIT"), ("mine 2", "ROLLBACK")] {
        let insert = format!(
            "BEGIN; INSERT INTO bank_users VALUES ('{end}', 'Prepared', '1', 'x', 1); PREPARE TRANSACTION '{name}'"
        );
        run(&bank, &insert).await;
        assert_eq!(
            persons(world, "bank", "Prepared").await.len(),
            usize::from(end == "ROLLBACK"),
            "nothing is decided before {end} PREPARED"
        );
        // Any session may end it.
        let other = world.client("bank").await.expect("a connection");
        run(&other, &format!("{end} PREPARED '{name}'")).await;
        world.await_quiet().await.expect("peers answer");
    }
    for (peer, expected) in [
        ("bank", "(COMMIT,Prepared,1,x,1)"),
        ("government", "(COMMIT,Prepared,1,x,)"),
        ("insurance", "(COMMIT,Prepared,x,,1)"),
    ] {
        assert_eq!(persons(world, peer, "Prepared").await, [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_that_a_savepoint_took_back_refuses_the_transaction() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "BEGIN; INSERT INTO bank_users VALUES ('A', 'Voted', '1', 'x', 1);
         SAVEPOINT s; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO s",
    )
    .await;
    let error = refused(&bank, "COMMIT").await;
    assert_eq!(error.code().code(), "55000", "{error:?}");
    assert!(
        error
            .detail()
            .is_some_and(|said| said.contains("savepoint")),
        "{error:?}"
    );
    world.await_quiet().await.expect("peers answer");
    for (peer, _) in TABLES {
        assert_eq!(persons(world, peer, "Voted").await, Vec::<String>::new());
    }
}
