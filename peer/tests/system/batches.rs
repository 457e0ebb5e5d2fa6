//! Transactions of so many rows that they go out in batches: memory, progress, cancel.

use std::time::{Duration, Instant};

use dejima_proto::v1::resolve_response::Answer;
use dejima_proto::v1::{Decision, ResolveRequest, Transaction, TransactionsRequest};
use dejima_testbed::World;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::fixture::{TABLES, at_rest, own_world, run, text};

/// What a peer may need beyond what it needed before, whatever the transaction's size; issue 5 allows 256.
const GROWTH_MIB_MAX: u64 = 200;
/// So many rows are inserted by one statement.
const STATEMENT_ROWS: usize = 500;
/// How long it may take until a batch is settled.
const PROGRESS_MAX: Duration = Duration::from_secs(60);
const PROGRESS_POLL: Duration = Duration::from_millis(20);
/// How long after a cancel everybody may still be at work on the batch at hand.
const CANCEL_MAX: Duration = Duration::from_secs(15);

/// DEJIMA_LARGE_ROWS makes it larger: a million take a few minutes.
fn rows() -> usize {
    let said = std::env::var("DEJIMA_LARGE_ROWS").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(60_000)
}

/// One client's statement that inserts so many rows, by many statements of its own.
fn insert(rows: usize) -> String {
    format!(
        "DO $$BEGIN FOR n IN 0 .. {} BY {STATEMENT_ROWS} LOOP
           INSERT INTO bank_users SELECT 'P' || i, 'Many', '555-' || i, 'Main Street ' || i, i % 10
           FROM generate_series(n, n + {STATEMENT_ROWS} - 1) AS i;
         END LOOP; END$$",
        rows - STATEMENT_ROWS
    )
}

/// The most memory that each peer has ever had, in MiB.
fn peaks(world: &World) -> Vec<u64> {
    TABLES
        .iter()
        .map(|(peer, _)| {
            let pid = world.member(peer).process.pid().expect("it runs");
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kib: u64 = kib.and_then(|kib| kib.parse().ok()).expect("a number");
            kib / 1024
        })
        .collect()
}

async fn counts(world: &World, which: &str) -> Vec<Option<String>> {
    let mut counts = vec![];
    for (peer, table) in TABLES {
        let client = world.client(peer).await.expect("a connection");
        let sql = format!("SELECT count(*)::text FROM {table} WHERE {which}");
        counts.push(text(&client, &sql).await);
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_pass_in_batches_with_bounded_memory() {
    let world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let before = peaks(&world);
    for (what, sql, which) in [
        ("insert", insert(rows()), "last_name = 'Many'"),
        (
            "update",
            "UPDATE bank_users SET address = upper(address), phone = phone || '!'".to_owned(),
            "address LIKE 'MAIN STREET %'",
        ),
    ] {
        let begun = Instant::now();
        run(&bank, &sql).await;
        let took = begun.elapsed();
        println!(
            "{what} of {} rows: {took:?}, peaks {:?} MiB",
            rows(),
            peaks(&world)
        );
        assert_eq!(
            counts(&world, which).await,
            vec![Some(rows().to_string()); 3]
        );
    }
    at_rest(&world).await;
    for (peak, before) in peaks(&world).iter().zip(&before) {
        assert!(
            peak - before <= GROWTH_MIB_MAX,
            "{peak} MiB, {before} MiB before"
        );
    }
}

/// A client whose transaction of many batches is on its way.
struct Sender {
    cancel: tokio_postgres::CancelToken,
    ended: JoinHandle<Result<(), tokio_postgres::Error>>,
    begun: Transaction,
}

/// Sends, and waits until a batch is settled.
async fn send(world: &World) -> Sender {
    let client: Client = world.client("bank").await.expect("a connection");
    let cancel = client.cancel_token();
    let ended = tokio::spawn(async move { client.batch_execute(&insert(30_000)).await });
    let until = Instant::now() + PROGRESS_MAX;
    loop {
        let request = TransactionsRequest { gid: String::new() };
        let answer = world.operator("bank").transactions(request).await;
        let found = answer.expect("it answers").into_inner().transactions;
        if let [begun] = &found[..]
            && begun.progress.is_some_and(|progress| progress.batch > 1)
        {
            let begun = begun.clone();
            return Sender {
                cancel,
                ended,
                begun,
            };
        }
        assert!(Instant::now() < until && !ended.is_finished(), "{found:#?}");
        tokio::time::sleep(PROGRESS_POLL).await;
    }
}

/// The client hears 57014, and nothing is left anywhere.
async fn is_cancelled(world: &World, ended: JoinHandle<Result<(), tokio_postgres::Error>>) {
    let begun = Instant::now();
    let error = ended.await.expect("no panic").expect_err("it was ended");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
    at_rest(world).await;
    assert!(begun.elapsed() < CANCEL_MAX, "{:?}", begun.elapsed());
    assert_eq!(counts(world, "true").await, vec![Some("0".to_owned()); 3]);
    let superuser = world.superuser("bank").await.expect("a connection");
    let left = "SELECT (SELECT count(*) FROM dejima.delta) + (SELECT count(*) FROM dejima.transaction) || ''";
    assert_eq!(text(&superuser, left).await.as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_shows_its_progress_and_can_be_cancelled() {
    let world = own_world().await;

    let Sender {
        cancel,
        ended,
        begun,
    } = send(&world).await;
    let progress = begun.progress.expect("it is large");
    assert_eq!(progress.rows, 60_000, "in two Dejima tables");
    assert!(progress.batch <= progress.batches);
    assert!(
        (1..progress.rows).contains(&progress.rows_settled),
        "{progress:?}"
    );
    assert!(
        (1..progress.bytes).contains(&progress.bytes_settled),
        "{progress:?}"
    );
    cancel.cancel_query(NoTls).await.expect("it is sent");
    is_cancelled(&world, ended).await;

    let Sender { ended, begun, .. } = send(&world).await;
    let request = ResolveRequest {
        gid: begun.gid,
        decision: Decision::Abort.into(),
        is_forced: false,
    };
    let answer = world.operator("bank").resolve(request).await;
    let answer = answer.expect("it answers").into_inner().answer;
    assert!(matches!(answer, Some(Answer::Decided(_))), "{answer:?}");
    is_cancelled(&world, ended).await;
}
