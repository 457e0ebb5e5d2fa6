//! A client that hangs between the vote and his COMMIT record. His own COMMIT alone decides, so everybody waits.

use std::time::{Duration, Instant};

use dejima_proto::v1::TransactionsRequest;
use dejima_testbed::{Layout, World, WorldOptions};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fixture::{TABLES, at_rest, explain, persons, run, text, world_with};
use crate::gate::Gate;

/// How long all may take to agree after the decision: the origin asks its database once a second at least, and tells
/// the decision at once; the rest is room for a busy machine.
const AGREED_MAX: Duration = Duration::from_secs(10);

/// DEJIMA_HUNG_SECONDS makes it longer.
fn span() -> Duration {
    let seconds = std::env::var("DEJIMA_HUNG_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(8))
}

/// Clusters of their own: what happens to a session concerns its server.
async fn world_of_clusters() -> World {
    let world = world_with(WorldOptions {
        layout: Layout::ClusterEach,
        ..WorldOptions::default()
    })
    .await;
    let bank = world.client("bank").await.expect("a connection");
    let people =
        "INSERT INTO bank_users VALUES ('A', 'Hung', '1', 'before', 1), ('B', 'Hung', '1', '0', 1)";
    run(&bank, people).await;
    at_rest(&world).await;
    world
}

/// What is in flight at a peer, as `dejima tx list` shows it: gids with their states.
async fn in_flight(world: &World, peer: &str, gid: &str) -> Vec<(String, String)> {
    let request = TransactionsRequest { gid: gid.into() };
    let answer = world.operator(peer).transactions(request).await;
    let transactions = answer.expect("the peer answers").into_inner().transactions;
    let states = transactions
        .into_iter()
        .map(|found| (found.gid, found.state));
    states.collect()
}

/// The one transaction that is in flight.
async fn only_one(world: &World) -> String {
    let mut found = in_flight(world, "bank", "").await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0).0
}

/// Nobody presumes anything: the origin waits for the decision, the participants stay prepared.
async fn all_wait(world: &World, gid: &str) {
    let expected = [
        ("bank", "deciding", 0),
        ("government", "in doubt", 1),
        ("insurance", "in doubt", 1),
    ];
    for (peer, state, prepared) in expected {
        let found = in_flight(world, peer, gid).await;
        assert_eq!(found, [(gid.to_owned(), state.to_owned())], "{peer}");
        let superuser = world.superuser(peer).await.expect("a connection");
        let sql = "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE '%' || $1";
        let count = superuser.query_one(sql, &[&gid]).await.expect("it counts");
        assert_eq!(count.get::<_, i64>(0), prepared, "{peer}");
        for row in persons(world, peer, "Hung").await {
            assert!(!row.contains("after"), "{peer}: {row}");
        }
    }
}

/// A client of each organisation changes somebody else.
async fn others_work(world: &World, address: &str) {
    for (peer, table) in TABLES {
        let client = world.client(peer).await.expect("a connection");
        let sql = format!(
            "UPDATE {table} SET address = '{address} by {peer}' WHERE first_name = 'B' AND last_name = 'Hung'"
        );
        run(&client, &sql).await;
        // The next one must find what this one has done; and quiet the peers will not be.
        others_agree(world, &format!("{address} by {peer}")).await;
    }
}

async fn others_agree(world: &World, address: &str) {
    let until = Instant::now() + AGREED_MAX;
    for (peer, _) in TABLES {
        while !persons(world, peer, "Hung").await[1].contains(address) {
            assert!(Instant::now() < until, "{address} did not come to {peer}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn agreed(world: &World, address: &str) {
    let begun = Instant::now();
    timeout(AGREED_MAX, at_rest(world))
        .await
        .expect("all agree in time");
    println!("all agreed after {:?}", begun.elapsed());
    for (peer, _) in TABLES {
        let rows = persons(world, peer, "Hung").await;
        assert!(rows[0].contains(address), "{peer}: {rows:?}");
    }
}

/// A client whose session stands between the vote and its COMMIT record.
struct Waiting {
    gate: Gate,
    commit: JoinHandle<Result<(), tokio_postgres::Error>>,
    session: u32,
    gid: String,
}

async fn waiting(world: &World) -> Waiting {
    let gate = Gate::before_commit(world, "bank").await;
    let client = world.client("bank").await.expect("a connection");
    run(&client, "SET gate.waits = 'yes'").await;
    let update =
        "UPDATE bank_users SET address = 'after' WHERE first_name = 'A' AND last_name = 'Hung'";
    let commit = tokio::spawn(async move { client.batch_execute(update).await });
    let session = gate.arrival().await;
    let gid = only_one(world).await;
    Waiting {
        gate,
        commit,
        session,
        gid,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_presumes_while_the_client_hangs() {
    let world = world_of_clusters().await;
    let Waiting {
        gate,
        commit,
        session,
        gid,
    } = waiting(&world).await;
    assert!(world.cluster("bank").freeze_session(session));
    // Nothing but SIGCONT separates him from his COMMIT record now.
    gate.open().await;

    let until = Instant::now() + span();
    let mut look = tokio::time::interval(Duration::from_millis(500));
    others_work(&world, "soon").await;
    while Instant::now() < until {
        look.tick().await;
        all_wait(&world, &gid).await;
    }
    others_work(&world, "late").await;
    all_wait(&world, &gid).await;
    assert!(!commit.is_finished());

    assert!(world.cluster("bank").thaw_session(session));
    let committed = timeout(AGREED_MAX, commit).await.expect("he goes on");
    committed
        .expect("no panic")
        .unwrap_or_else(|e| panic!("{}", explain(&e)));
    agreed(&world, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_before_his_commit_record_has_aborted_everywhere() {
    let world = world_of_clusters().await;
    let Waiting {
        gate,
        commit,
        session,
        gid,
    } = waiting(&world).await;
    assert!(world.cluster("bank").freeze_session(session));
    gate.open().await;
    all_wait(&world, &gid).await;

    assert!(world.cluster("bank").kill_session(session));
    let error = timeout(AGREED_MAX, commit).await.expect("he is cut off");
    error.expect("no panic").expect_err("he was killed");
    agreed(&world, "before").await;
    others_work(&world, "then").await;
    agreed(&world, "before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn his_commit_counts_although_the_origins_peer_has_died_meanwhile() {
    let mut world = world_of_clusters().await;
    let Waiting {
        gate, commit, gid, ..
    } = waiting(&world).await;
    all_wait(&world, &gid).await;

    // The next process has never heard of the transaction, and finds no decision row yet.
    let process = &mut world.member_mut("bank").process;
    process.kill();
    process.start().expect("it starts");
    process.wait_until_ready().await.expect("it is ready");
    gate.open().await;
    let committed = timeout(AGREED_MAX, commit).await.expect("he goes on");
    committed
        .expect("no panic")
        .unwrap_or_else(|e| panic!("{}", explain(&e)));
    // The participants ask, and are told by the database of the origin.
    agreed(&world, "after").await;

    // By asking they have told it of the row: it is forgotten like any other.
    forgotten(&world).await;
}

/// Waits until the bank has no row about a transaction any more.
async fn forgotten(world: &World) {
    let superuser = world.superuser("bank").await.expect("a connection");
    let until = Instant::now() + AGREED_MAX;
    let sql = "SELECT count(*)::text FROM dejima.transaction";
    while text(&superuser, sql).await.as_deref() != Some("0") {
        assert!(Instant::now() < until, "the decision row is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
