//! A world of bank, government and insurance, and short words for what tests do to it.

use std::time::{Duration, Instant};

use dejima_proto::v1::{ExamineRequest, Finding, FindingState};
use dejima_testbed::{Counts, Layout, World, WorldOptions, worked_example};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

/// The three organisations, with the base table of each.
pub(crate) const TABLES: [(&str, &str); 3] = [
    ("bank", "bank_users"),
    ("government", "government_users"),
    ("insurance", "insurance_users"),
];

/// How long something may take until an examination finds it, and how often it is asked.
const FOUND_MAX: Duration = Duration::from_secs(20);
const FOUND_POLL: Duration = Duration::from_millis(50);

/// A world of one's own, for tests that stop peers.
pub(crate) async fn own_world() -> World {
    world_with(WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    })
    .await
}

/// A world of one's own that is made in another way.
pub(crate) async fn world_with(options: WorldOptions) -> World {
    World::start(worked_example(Counts::default()), options)
        .await
        .expect("the world starts")
}

/// Each with a cluster of its own, for tests that stop databases, too.
pub(crate) async fn world_of_clusters() -> World {
    let options = WorldOptions {
        durable: true,
        ..WorldOptions::default()
    };
    World::start(worked_example(Counts::default()), options)
        .await
        .expect("the world starts")
}

/// Starts an organisation's peer, again if it runs, and waits until it serves.
pub(crate) async fn restart(world: &mut World, peer: &str) {
    let process = &mut world.member_mut(peer).process;
    assert!(process.stop().await, "it stops in peace");
    process.start().expect("it starts");
    process.wait_until_ready().await.expect("it is ready");
}

/// What an examination of a peer finds not to be well.
pub(crate) async fn faults(world: &World, peer: &str) -> Vec<Finding> {
    examine(world, peer, ExamineRequest { copies: false }).await
}

/// The same, and which copies differ from those of other members.
pub(crate) async fn faults_and_copies(world: &World, peer: &str) -> Vec<Finding> {
    examine(world, peer, ExamineRequest { copies: true }).await
}

async fn examine(world: &World, peer: &str, request: ExamineRequest) -> Vec<Finding> {
    let answer = world.operator(peer).examine(request).await;
    let findings = answer.expect("it answers").into_inner().findings;
    let is_fault = |finding: &Finding| finding.state() != FindingState::Ok;
    findings.into_iter().filter(is_fault).collect()
}

/// Examines a peer until what is not well satisfies the condition: nothing says when a peer has heard of others.
pub(crate) async fn faults_until(
    world: &World,
    peer: &str,
    what: &str,
    satisfies: impl Fn(&[Finding]) -> bool,
) -> Vec<Finding> {
    let until = Instant::now() + FOUND_MAX;
    loop {
        let found = faults(world, peer).await;
        if satisfies(&found) {
            return found;
        }
        assert!(Instant::now() < until, "{what} at {peer}: {found:#?}");
        tokio::time::sleep(FOUND_POLL).await;
    }
}

/// The world that all other tests share; each uses persons of its own.
pub(crate) async fn shared_world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_init(own_world).await
}

/// Runs SQL as the organisation's client.
pub(crate) async fn run(client: &Client, sql: &str) {
    client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {}", explain(&e)));
}

/// Runs SQL that must be refused; returns the database's error.
pub(crate) async fn refused(client: &Client, sql: &str) -> tokio_postgres::error::DbError {
    let error = client
        .batch_execute(sql)
        .await
        .expect_err("it should be refused");
    error
        .as_db_error()
        .unwrap_or_else(|| panic!("{sql}: {error}"))
        .clone()
}

/// The error with its DETAIL and HINT.
pub(crate) fn explain(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |e| {
            format!(
                "{} {} DETAIL {:?} HINT {:?}",
                e.code().code(),
                e.message(),
                e.detail(),
                e.hint()
            )
        },
    )
}

/// One value as text.
pub(crate) async fn text(client: &Client, sql: &str) -> Option<String> {
    let row = client
        .query_one(sql, &[])
        .await
        .unwrap_or_else(|e| panic!("{sql}: {}", explain(&e)));
    row.get(0)
}

/// The whole base table of an organisation where the last name is this, as text, sorted.
pub(crate) async fn persons(world: &World, peer: &str, last_name: &str) -> Vec<String> {
    let table = TABLES
        .iter()
        .find(|(name, _)| *name == peer)
        .map(|(_, table)| table)
        .expect("one of the three");
    let client = world.client(peer).await.expect("a connection");
    let sql = format!("SELECT t::text FROM {table} AS t WHERE last_name = $1 ORDER BY 1");
    let rows = client
        .query(&sql, &[&last_name])
        .await
        .expect("a client may read his own table");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits for rest, then demands that all copies agree and nothing is prepared anywhere.
pub(crate) async fn at_rest(world: &World) {
    at_rest_of(world, &TABLES.map(|(peer, _)| peer)).await;
}

/// The same for organisations of the caller's.
pub(crate) async fn at_rest_of(world: &World, peers: &[&str]) {
    world.await_quiet().await.expect("peers answer");
    let agreement = world.compare().await.expect("copies can be compared");
    assert!(agreement.holds(), "{agreement:?}");
    for peer in peers {
        let superuser = world.superuser(peer).await.expect("a connection");
        let prepared = text(&superuser, "SELECT count(*)::text FROM pg_prepared_xacts").await;
        assert_eq!(
            prepared.as_deref(),
            Some("0"),
            "prepared transactions at {peer}"
        );
    }
}
