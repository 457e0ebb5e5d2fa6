//! Transactions in doubt, seen and ended by the operator.

use std::time::{Duration, Instant};

use dejima_proto::v1::resolve_response::Answer;
use dejima_proto::v1::{
    Decision, FindingState, ResolveRequest, ShowTransactionRequest, ShowTransactionResponse,
    TransactionsRequest,
};
use dejima_testbed::World;
use tokio_postgres::Client;

use crate::fixture::{at_rest, faults, faults_until, persons, restart, run, world_of_clusters};

/// A client of the bank waits between the vote and its COMMIT while somebody holds the advisory lock 42: fires when
/// the hook has had its answer.
const HOLD: &str = "
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON dejima.transaction DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.voted) EXECUTE FUNCTION public.hold()";

const DOUBT_MAX: Duration = Duration::from_secs(20);
const DOUBT_POLL: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_ends_what_is_in_doubt_and_hears_whether_he_was_right() {
    let mut world = world_of_clusters().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('Jo', 'Doubt', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
    let superuser = world.superuser("bank").await.expect("a connection");
    run(&superuser, HOLD).await;

    committed_while_in_doubt(&mut world, &superuser).await;
    aborted_while_in_doubt(&mut world, &superuser).await;
}

/// The origin's peer dies, its database commits; the government's operator chooses the same.
async fn committed_while_in_doubt(world: &mut World, superuser: &Client) {
    run(superuser, "SELECT pg_advisory_lock(42)").await;
    let update = "UPDATE bank_users SET address = 'Side St' WHERE last_name = 'Doubt'";
    let client = begin(world, update).await;
    let gid = in_doubt(world, "government").await;
    in_doubt(world, "insurance").await;

    let shown = show(world, "government", &gid).await;
    let [row] = shown
        .changes
        .iter()
        .filter(|row| row.table == "ShareGovBank")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{shown:?}");
    };
    assert_eq!(
        (row.operation.as_str(), &row.key),
        ("update", &vec!["Jo".to_owned(), "Doubt".to_owned()])
    );
    let address = row
        .columns
        .iter()
        .find(|column| column.name == "address")
        .expect("it changed");
    assert_eq!(
        (address.old.as_deref(), address.new.as_deref()),
        (Some("Main St"), Some("Side St"))
    );
    assert!(
        holds(&shown, "public.government_users", "RowExclusiveLock"),
        "{shown:?}"
    );
    let shown = show(world, "bank", &gid).await;
    let pid = shown.pid.expect("the client's session is there");
    let sql = "SELECT usename::text FROM pg_stat_activity WHERE pid = $1";
    let user = superuser
        .query_one(sql, &[&pid])
        .await
        .expect("it is a session");
    assert_eq!(user.get::<_, &str>(0), "bank");
    assert!(holds(&shown, "gid", "ExclusiveLock"), "{shown:?}");

    world.member_mut("bank").process.kill();
    run(superuser, "SELECT pg_advisory_unlock(42)").await;
    client
        .await
        .expect("the client goes on")
        .expect("its COMMIT decides without the peer");
    restart(world, "government").await;
    let shown = show(world, "government", &gid).await;
    assert_eq!(shown.changes, [], "it has no memory");
    let [row] = shown.marked.as_slice() else {
        panic!("{shown:?}");
    };
    assert!(
        row.columns
            .iter()
            .any(|column| column.old.as_deref() == Some("Main St")),
        "{row:?}"
    );
    assert!(
        holds(&shown, "public.government_users", "RowExclusiveLock"),
        "{shown:?}"
    );

    let Answer::Unknown(unknown) =
        resolve(world, "government", &gid, Decision::Commit, false).await
    else {
        panic!("nobody knows");
    };
    let asked: Vec<_> = unknown
        .asked
        .iter()
        .map(|asked| asked.peer.as_str())
        .collect();
    assert_eq!(asked, ["bank", "insurance"]);
    assert_eq!(unknown.asked[1].finding, "does not know the decision");
    assert_eq!(
        persons(world, "government", "Doubt").await,
        ["(Jo,Doubt,555,\"Main St\",)"]
    );
    let done = resolve(world, "government", &gid, Decision::Commit, true).await;
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    assert_eq!(
        persons(world, "government", "Doubt").await,
        ["(Jo,Doubt,555,\"Side St\",)"]
    );
    let found = faults(world, "government").await;
    let open = found
        .iter()
        .find(|finding| finding.check == "resolutions")
        .expect("it is noted");
    assert!(
        open.state() == FindingState::Warning && open.what.contains(&gid),
        "{open:?}"
    );

    restart(world, "bank").await;
    at_rest(world).await;
    faults_until(world, "government", "the note goes", <[_]>::is_empty).await;
}

/// The origin's peer and database die before the client's COMMIT: the insurer's operator chooses the same, the
/// government's does not.
async fn aborted_while_in_doubt(world: &mut World, superuser: &Client) {
    run(superuser, "SELECT pg_advisory_lock(42)").await;
    let update = "UPDATE bank_users SET risk_factor = 9, phone = '556' WHERE last_name = 'Doubt'";
    let client = begin(world, update).await;
    let gid = in_doubt(world, "government").await;
    in_doubt(world, "insurance").await;
    world.member_mut("bank").process.kill();
    world.cluster_mut("bank").kill();
    client
        .await
        .expect("the client goes on")
        .expect_err("its session is gone");

    for (peer, decision) in [
        ("government", Decision::Commit),
        ("insurance", Decision::Abort),
    ] {
        let done = resolve(world, peer, &gid, decision, true).await;
        assert!(matches!(done, Answer::Done(_)), "{done:?}");
    }
    assert_eq!(
        persons(world, "government", "Doubt").await,
        ["(Jo,Doubt,556,\"Side St\",)"]
    );
    world.cluster_mut("bank").start_again().expect("it starts");
    restart(world, "bank").await;
    world.await_quiet().await.expect("peers answer");
    let found = faults_until(world, "government", "the contradiction is found", |found| {
        found
            .iter()
            .any(|finding| finding.state() == FindingState::Critical)
    })
    .await;
    let [wrong] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(
        wrong
            .what
            .starts_with(&format!("{gid} was ended by its operator with commit, but")),
        "{wrong:?}"
    );
    assert!(
        wrong.cure.contains(&format!(
            "DELETE FROM dejima.resolution WHERE gid = '{gid}'"
        )),
        "{wrong:?}"
    );
    faults_until(world, "insurance", "the note goes", <[_]>::is_empty).await;
}

/// Runs a statement of a client of the bank, which will be held.
async fn begin(
    world: &World,
    sql: &'static str,
) -> tokio::task::JoinHandle<Result<(), tokio_postgres::Error>> {
    let client = world.client("bank").await.expect("a connection");
    tokio::spawn(async move { client.batch_execute(sql).await })
}

/// Waits until a peer is in doubt about its only transaction, and returns the gid.
async fn in_doubt(world: &World, peer: &str) -> String {
    let until = Instant::now() + DOUBT_MAX;
    loop {
        let request = TransactionsRequest::default();
        let answer = world.operator(peer).transactions(request).await;
        let transactions = answer.expect("it answers").into_inner().transactions;
        if let [transaction] = transactions.as_slice()
            && transaction.state == "in doubt"
        {
            return transaction.gid.clone();
        }
        assert!(
            Instant::now() < until,
            "{peer} is not in doubt: {transactions:?}"
        );
        tokio::time::sleep(DOUBT_POLL).await;
    }
}

async fn show(world: &World, peer: &str, gid: &str) -> ShowTransactionResponse {
    let request = ShowTransactionRequest {
        gid: gid.to_owned(),
    };
    let answer = world.operator(peer).show_transaction(request).await;
    let shown = answer.expect("it answers").into_inner();
    assert!(
        shown.transaction.is_some() && shown.unseen.is_empty(),
        "{shown:?}"
    );
    shown
}

fn holds(shown: &ShowTransactionResponse, on: &str, mode: &str) -> bool {
    let mut locks = shown.locks.iter();
    locks.any(|lock| lock.on == on && lock.mode == mode && lock.granted)
}

async fn resolve(
    world: &World,
    peer: &str,
    gid: &str,
    decision: Decision,
    is_forced: bool,
) -> Answer {
    let request = ResolveRequest {
        gid: gid.to_owned(),
        decision: decision.into(),
        is_forced,
    };
    let answer = world.operator(peer).resolve(request).await;
    answer
        .expect("it answers")
        .into_inner()
        .answer
        .expect("one of the answers")
}
