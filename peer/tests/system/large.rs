//! A delta that no command line could carry.

use dejima_testbed::{Layout, Organisation, Share, World, WorldOptions};

use crate::fixture::{own_world, run, text};

/// DEJIMA_LARGE_MIB makes it larger.
fn mebibytes() -> usize {
    std::env::var("DEJIMA_LARGE_MIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_mebibytes_in_one_transaction_arrive_whole() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let rows = mebibytes() * 8;
    let insert = format!(
        "INSERT INTO bank_users SELECT 'P' || i, 'Large', i, repeat(md5(i::text) || 'é', 3856), 1
         FROM generate_series(1, {rows}) AS i"
    );
    run(&bank, &insert).await;
    world.await_quiet().await.expect("peers answer");
    let digest = |table| {
        format!("SELECT md5(string_agg(md5(address), '' ORDER BY first_name)) FROM {table}")
    };
    let sent = text(&bank, &digest("bank_users")).await;
    for (peer, table) in [
        ("government", "government_users"),
        ("insurance", "insurance_users"),
    ] {
        let client = world.client(peer).await.expect("a connection");
        assert_eq!(text(&client, &digest(table)).await, sent, "{peer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_value_of_many_mebibytes_arrives_whole() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let insert = format!(
        "INSERT INTO bank_users VALUES ('P', 'Huge', '1', repeat('0123456789abcdefghijklmnopqrstuvwxyz é€ ', {}), 1)",
        mebibytes() * 25_000
    );
    run(&bank, &insert).await;
    world.await_quiet().await.expect("peers answer");
    let sent = text(&bank, "SELECT md5(address) FROM bank_users").await;
    let insurance = world.client("insurance").await.expect("a connection");
    assert_eq!(
        text(&insurance, "SELECT md5(address) FROM insurance_users").await,
        sent
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_value_of_many_mebibytes_of_bytes_arrives_whole() {
    let share = |peer: &str, seeds: &[&str]| Organisation {
        name: peer.to_owned(),
        kind: peer.to_owned(),
        base_sql: format!("CREATE TABLE {peer} (id integer PRIMARY KEY, bytes bytea)"),
        base_tables: vec![peer.to_owned()],
        declarations: format!(
            "[[dejima_table]]\nname = \"Bytes\"\nbase_table = \"public.{peer}\"\nkey = [\"id\"]\ncolumns = [\"id\", \"bytes\"]\n"
        ),
        shares: vec![Share {
            table: "Bytes".to_owned(),
            seeds: seeds.iter().map(|&seed| seed.to_owned()).collect(),
        }],
        strategies: vec![],
        more_configuration: String::new(),
    };
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(
        vec![share("north", &[]), share("south", &["north"])],
        options,
    )
    .await;
    let world = world.expect("the world starts");
    let north = world.client("north").await.expect("a connection");
    // Every byte, zeros among them.
    let insert = format!(
        "INSERT INTO north SELECT 1, string_agg(block, '') FROM generate_series(1, {}),
         (SELECT string_agg(set_byte('\\x00', 0, b), '' ORDER BY b) AS block FROM generate_series(0, 255) AS b) AS all_bytes",
        mebibytes() * 4_096
    );
    run(&north, &insert).await;
    world.await_quiet().await.expect("peers answer");
    let south = world.client("south").await.expect("a connection");
    let digest = |table| format!("SELECT octet_length(bytes) || ' ' || md5(bytes) FROM {table}");
    let sent = text(&north, &digest("north")).await;
    assert!(sent.is_some());
    assert_eq!(text(&south, &digest("south")).await, sent);
}
