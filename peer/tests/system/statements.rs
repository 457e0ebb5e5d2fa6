//! INSERT, UPDATE and DELETE at each of the three peers, one row and many.

use crate::fixture::{TABLES, persons, run, shared_world};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_inserted_at_any_peer_stands_at_all_with_what_each_may_see() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Insert1', '555', 'Main St', 7)",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "government", "Insert1").await,
        ["(John,Insert1,555,\"Main St\",)"]
    );
    assert_eq!(
        persons(world, "insurance", "Insert1").await,
        ["(John,Insert1,\"Main St\",,7)"]
    );

    let government = world.client("government").await.expect("a connection");
    run(
        &government,
        "INSERT INTO government_users VALUES ('Jane', 'Insert2', '556', 'Side St', '1990-02-03')",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "bank", "Insert2").await,
        ["(Jane,Insert2,556,\"Side St\",)"]
    );
    assert_eq!(
        persons(world, "insurance", "Insert2").await,
        ["(Jane,Insert2,\"Side St\",1990-02-03,)"]
    );

    let insurance = world.client("insurance").await.expect("a connection");
    run(
        &insurance,
        "INSERT INTO insurance_users VALUES ('Jim', 'Insert3', 'Back St', '1991-02-03', 9)",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "bank", "Insert3").await,
        ["(Jim,Insert3,,\"Back St\",9)"]
    );
    assert_eq!(
        persons(world, "government", "Insert3").await,
        ["(Jim,Insert3,,\"Back St\",1991-02-03)"]
    );
}

/// A COMMIT returns when the change is decided, before it is visible at the other peers.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_change_at_once_what_he_has_just_committed() {
    let world = shared_world().await;
    let insurance = world.client("insurance").await.expect("a connection");
    for turn in 0..30 {
        let of_john = format!("WHERE first_name = 'John{turn}' AND last_name = 'Atonce'");
        let of_jim = format!("WHERE first_name = 'Jim{turn}' AND last_name = 'Atonce'");
        for sql in [
            format!(
                "INSERT INTO insurance_users VALUES ('John{turn}', 'Atonce', 'Main St', '1990-02-03', 1)"
            ),
            format!("UPDATE insurance_users SET address = 'Side St' {of_john}"),
            format!("UPDATE insurance_users SET first_name = 'Jim{turn}' {of_john}"),
            format!("UPDATE insurance_users SET risk_factor = 2 {of_jim}"),
            format!("DELETE FROM insurance_users {of_jim}"),
            format!(
                "INSERT INTO insurance_users VALUES ('Jim{turn}', 'Atonce', 'Back St', NULL, 3)"
            ),
        ] {
            run(&insurance, &sql).await;
        }
    }
    world.await_quiet().await.expect("peers answer");
    for (peer, _) in TABLES {
        assert_eq!(persons(world, peer, "Atonce").await.len(), 30, "{peer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_an_update_leaves_what_others_alone_know() {
    let world = shared_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let government = world.client("government").await.expect("a connection");
    run(
        &government,
        "INSERT INTO government_users VALUES ('A', 'Update', '1', 'x', '1990-02-03')",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    run(
        &bank,
        "UPDATE bank_users SET phone = '2', risk_factor = 3 WHERE last_name = 'Update'",
    )
    .await;
    // The key too: the birth date, which the bank has never seen, must stay.
    run(
        &bank,
        "UPDATE bank_users SET first_name = 'B', address = NULL WHERE last_name = 'Update'",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "government", "Update").await,
        ["(B,Update,2,,1990-02-03)"]
    );
    assert_eq!(
        persons(world, "insurance", "Update").await,
        ["(B,Update,,1990-02-03,3)"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rows_in_one_statement_at_each_peer() {
    let world = shared_world().await;
    for (peer, table) in TABLES {
        let client = world.client(peer).await.expect("a connection");
        let last_name = format!("Bulk {peer}");
        let insert = format!(
            "INSERT INTO {table} (first_name, last_name, address)
             SELECT 'first ' || i, '{last_name}', 'address ' || i FROM generate_series(1, 10000) AS i"
        );
        run(&client, &insert).await;
        run(
            &client,
            &format!("UPDATE {table} SET address = address || '!' WHERE last_name = '{last_name}'"),
        )
        .await;
        run(
            &client,
            &format!("DELETE FROM {table} WHERE last_name = '{last_name}' AND address LIKE '%7!'"),
        )
        .await;
        world.await_quiet().await.expect("peers answer");
        assert_eq!(persons(world, peer, &last_name).await.len(), 9_000);
        let count = |rows: Vec<String>| rows.iter().filter(|row| row.contains('!')).count();
        for (other, _) in TABLES {
            assert_eq!(
                count(persons(world, other, &last_name).await),
                9_000,
                "{peer} to {other}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rows_in_one_statement_and_all_of_them_deleted() {
    let world = shared_world().await;
    let insurance = world.client("insurance").await.expect("a connection");
    run(&insurance, "INSERT INTO insurance_users VALUES ('A', 'Many', 'a', NULL, 1), ('B', 'Many', NULL, '2000-01-01', 2)").await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(
        persons(world, "bank", "Many").await,
        ["(A,Many,,a,1)", "(B,Many,,,2)"]
    );
    let government = world.client("government").await.expect("a connection");
    run(
        &government,
        "DELETE FROM government_users WHERE last_name = 'Many'",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    for (peer, _) in TABLES {
        assert_eq!(
            persons(world, peer, "Many").await,
            Vec::<String>::new(),
            "{peer}"
        );
    }
}
