//! The machine's requests on a real database: what the simulator's model has nothing of. The rest is in `contract`.

use dejima_core::delta::PutRow;
use dejima_core::name::Gid;
use dejima_core::transaction::{Answer, Decision, Outcome, Recovered, Request};

use crate::bed::{Bed, apply, bed, cells, finish, gov, prepare, refused, simple};

const T: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (2, 'x')";

fn change(gid: &Gid, id: &str) -> Request {
    apply(
        gid,
        "T",
        vec![PutRow::Update {
            key: vec![id.into()],
            old: cells(&[("a", "x")]),
            new: cells(&[("a", "y")]),
        }],
    )
}

async fn shared(name: &'static str) -> (Bed, dejima_core::database::Database) {
    let bed = bed(name, T).await;
    let database = bed.share(simple(&["id", "a"])).await;
    (bed, database)
}

#[tokio::test]
async fn a_prepared_transaction_is_named_after_its_parent_and_no_hook_runs() {
    let (bed, database) = shared("named").await;
    let gid = bed.gid(1);
    database.execute(change(&gid, "1")).await;
    database.execute(prepare(&gid, &[gov()])).await;
    assert_eq!(
        bed.admin("SELECT gid FROM pg_prepared_xacts WHERE database = 'named'"),
        format!("dejima:bank:gov:{gid}")
    );
    database.execute(finish(&gid, Decision::Commit)).await;
    assert_eq!(
        bed.told(0),
        [],
        "the peer's own writes are not told to it by a hook"
    );
}

#[tokio::test]
async fn waits_are_bounded_and_the_words_name_no_row() {
    let (bed, database) = shared("waits").await;
    database.execute(change(&bed.gid(1), "1")).await;
    let started = std::time::Instant::now();
    let answer = database.execute(change(&bed.gid(2), "1")).await;
    assert_eq!(
        refused(answer),
        ("40001".into(), "conflict at peer \"bank\"".into())
    );
    assert!(started.elapsed().as_millis() >= 100);
    database.execute(prepare(&bed.gid(1), &[])).await;
    database
        .execute(finish(&bed.gid(1), Decision::Commit))
        .await;
    let answer = database.execute(change(&bed.gid(3), "1")).await;
    let message = "conflict in Dejima table \"T\" at peer \"bank\"";
    assert_eq!(refused(answer), ("40001".into(), message.into()));
}

#[tokio::test]
async fn what_others_have_prepared_is_left_alone() {
    let (bed, database) = shared("others").await;
    let name = |peer: &str, number| format!("dejima:{peer}:gov:{}", bed.gid(number));
    // Of a peer with a longer name, of one with another, of a program of somebody else.
    let theirs = [name("bank2", 1), name("ban", 2), "theirs".into()];
    bed.admin("CREATE TABLE note (id integer)");
    let prepared =
        |name: &str| format!("BEGIN; INSERT INTO note VALUES (1); PREPARE TRANSACTION '{name}'");
    for name in &theirs {
        let session = bed.session("postgres").await;
        session.batch_execute(&prepared(name)).await.unwrap();
    }
    database.execute(change(&bed.gid(3), "1")).await;
    database.execute(prepare(&bed.gid(3), &[])).await;
    let found = Recovered {
        prepared: vec![(bed.gid(3), gov())],
        ..Recovered::default()
    };
    assert_eq!(
        database.execute(Request::Recover).await,
        Some(Answer::Recovered { found })
    );
    for number in 1..=3 {
        let answer = database.execute(finish(&bed.gid(number), Decision::Abort));
        assert_eq!(
            answer.await,
            Some(Answer::Finished {
                gid: bed.gid(number),
                children: vec![]
            })
        );
    }
    let mut left = theirs.to_vec();
    left.sort();
    assert_eq!(
        bed.admin(
            "SELECT gid FROM pg_prepared_xacts WHERE database = 'others' ORDER BY gid COLLATE \"C\""
        ),
        left.join("\n")
    );
}

/// Invariant 2: the lock first, then the row. The question takes long, and the client commits in the middle of it.
#[tokio::test]
async fn an_outcome_asked_while_the_client_commits_is_never_aborted() {
    let (bed, database) = shared("race").await;
    bed.admin(
        "GRANT USAGE ON SCHEMA dejima TO client; GRANT SELECT ON dejima.transaction TO client",
    );
    let client = bed.client().await;
    for round in 0..40u64 {
        let sql = format!(
            "BEGIN; UPDATE t SET a = '{round}' WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE"
        );
        client.batch_execute(&sql).await.unwrap();
        let own = "SELECT gid FROM dejima.transaction WHERE xid = pg_current_xact_id_if_assigned()";
        let row = client.query_one(own, &[]).await.unwrap();
        let gid = Gid::new(row.get(0)).unwrap();
        // The gid comes last: its lock is looked at when the others have been.
        let mut gids = vec![bed.gid(1); 20_000];
        gids.push(gid.clone());
        let database = database.clone();
        let asking =
            tokio::spawn(async move { database.execute(Request::Outcomes { gids }).await });
        tokio::time::sleep(std::time::Duration::from_millis(round)).await;
        client.batch_execute("COMMIT").await.unwrap();
        let Some(Answer::Outcomes { outcomes }) = asking.await.unwrap() else {
            panic!("no outcomes");
        };
        let (of, outcome) = outcomes.last().unwrap();
        assert_eq!(*of, gid);
        assert_ne!(*outcome, Outcome::Aborted, "in round {round}");
    }
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_prepare_refuses() {
    let (bed, database) = shared("deferred").await;
    bed.admin("UPDATE t SET a = id::text; ALTER TABLE t ADD CONSTRAINT one_a UNIQUE (a) DEFERRABLE INITIALLY DEFERRED");
    let put = PutRow::Update {
        key: vec!["1".into()],
        old: cells(&[]),
        new: cells(&[("a", "2")]),
    };
    database.execute(apply(&bed.gid(1), "T", vec![put])).await;
    let answer = database.execute(prepare(&bed.gid(1), &[gov()])).await;
    assert_eq!(
        refused(answer),
        (
            "23505".into(),
            "constraint \"one_a\" of peer \"bank\" refuses the change".into()
        )
    );
    assert_eq!(
        bed.admin("SELECT count(*) FROM pg_prepared_xacts WHERE database = 'deferred'"),
        "0"
    );
}

#[tokio::test]
async fn too_many_open_transactions_are_refused_and_finishing_still_works() {
    let (bed, database) = shared("full").await;
    bed.admin("INSERT INTO t SELECT i, 'x' FROM generate_series(3, 9) AS i");
    database.execute(change(&bed.gid(1), "1")).await;
    database.execute(prepare(&bed.gid(1), &[])).await;
    for number in 2..=5 {
        let id = number.to_string();
        assert!(matches!(
            database.execute(change(&bed.gid(number), &id)).await,
            Some(Answer::Applied { .. })
        ));
    }
    assert_eq!(
        refused(database.execute(change(&bed.gid(6), "6")).await),
        (
            "53300".into(),
            "peer \"bank\" has too many open transactions".into()
        )
    );
    assert_eq!(
        database
            .execute(finish(&bed.gid(1), Decision::Commit))
            .await,
        Some(Answer::Finished {
            gid: bed.gid(1),
            children: vec![]
        })
    );
    database
        .execute(Request::Rollback { gid: bed.gid(2) })
        .await;
    assert!(matches!(
        database.execute(change(&bed.gid(6), "6")).await,
        Some(Answer::Applied { .. })
    ));
}

#[tokio::test]
async fn a_former_process_that_still_runs_has_lost_its_sessions() {
    let (bed, former) = shared("former").await;
    former.execute(change(&bed.gid(1), "1")).await;
    bed.connect().await.execute(Request::Recover).await;
    assert_eq!(
        refused(former.execute(prepare(&bed.gid(1), &[])).await).0,
        "08006"
    );
}

#[tokio::test]
async fn starts_are_counted() {
    let (bed, database) = shared("starts").await;
    assert_eq!(database.next_incarnation().await.unwrap(), 1);
    assert_eq!(bed.connect().await.next_incarnation().await.unwrap(), 2);
    assert!(
        database.place().ends_with("port=5432 dbname=starts"),
        "{}",
        database.place()
    );
    assert_eq!(database.load_facts().await.unwrap(), []);
}
