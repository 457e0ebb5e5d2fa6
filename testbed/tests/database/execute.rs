//! The machine's requests on a real database.

use dejima_core::delta::PutRow;
use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{Answer, Decision, Outcome, Recovered, Request};

use crate::bed::{Bed, apply, bed, cells, refused, simple};

const T: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (2, 'x')";

fn gov() -> PeerName {
    PeerName::new("gov").expect("a name")
}

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

fn prepare(gid: &Gid, children: &[PeerName]) -> Request {
    Request::Prepare {
        gid: gid.clone(),
        parent: gov(),
        children: children.to_vec(),
    }
}

fn finish(gid: &Gid, decision: Decision) -> Request {
    Request::Finish {
        gid: gid.clone(),
        parent: gov(),
        decision,
        asks_children: false,
    }
}

async fn shared(name: &'static str) -> (Bed, dejima_core::database::Database) {
    let bed = bed(name, T).await;
    let database = bed.share(simple(&["id", "a"])).await;
    (bed, database)
}

#[tokio::test]
async fn a_participants_life() {
    let (bed, database) = shared("life").await;
    let gid = bed.gid(1);
    let child = PeerName::new("ins").unwrap();
    assert!(matches!(
        database.execute(change(&gid, "1")).await,
        Some(Answer::Applied { .. })
    ));
    assert_eq!(
        database
            .execute(prepare(&gid, std::slice::from_ref(&child)))
            .await,
        Some(Answer::Prepared { gid: gid.clone() })
    );
    assert_eq!(
        bed.admin("SELECT gid FROM pg_prepared_xacts WHERE database = 'life'"),
        format!("dejima:bank:gov:{gid}")
    );
    let found = Recovered {
        prepared: vec![(gid.clone(), gov())],
        ..Recovered::default()
    };
    assert_eq!(
        database.execute(Request::Recover).await,
        Some(Answer::Recovered { found })
    );
    for _ in 0..2 {
        assert_eq!(
            database.execute(finish(&gid, Decision::Commit)).await,
            Some(Answer::Finished {
                gid: gid.clone(),
                children: vec![]
            })
        );
    }
    assert_eq!(bed.admin("SELECT a FROM t WHERE id = 1"), "y");
    let found = Recovered {
        finished: vec![(gid.clone(), vec![child])],
        ..Recovered::default()
    };
    assert_eq!(
        database.execute(Request::Recover).await,
        Some(Answer::Recovered { found })
    );
    assert_eq!(
        database.execute(Request::Forget { gids: vec![gid] }).await,
        None
    );
    assert_eq!(
        database.execute(Request::Recover).await,
        Some(Answer::Recovered {
            found: Recovered::default()
        })
    );
    assert_eq!(
        bed.told(0),
        [],
        "the peer's own writes are not told to it by a hook"
    );
}

#[tokio::test]
async fn rollback_before_and_after_prepare() {
    let (bed, database) = shared("undo").await;
    database.execute(change(&bed.gid(1), "1")).await;
    for _ in 0..2 {
        assert_eq!(
            database
                .execute(Request::Rollback { gid: bed.gid(1) })
                .await,
            Some(Answer::RolledBack { gid: bed.gid(1) })
        );
    }
    assert_eq!(
        refused(database.execute(prepare(&bed.gid(1), &[])).await).0,
        "40001"
    );
    database.execute(change(&bed.gid(2), "1")).await;
    database.execute(prepare(&bed.gid(2), &[gov()])).await;
    assert_eq!(
        database.execute(finish(&bed.gid(2), Decision::Abort)).await,
        Some(Answer::Finished {
            gid: bed.gid(2),
            children: vec![]
        })
    );
    assert_eq!(bed.admin("SELECT string_agg(a, ''), (SELECT count(*) FROM dejima.participant), (SELECT count(*) FROM pg_prepared_xacts WHERE database = 'undo') FROM t"), "xx|0|0");
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
async fn waits_are_bounded_and_end_in_40001() {
    let (bed, database) = shared("waits").await;
    database.execute(change(&bed.gid(1), "1")).await;
    let started = std::time::Instant::now();
    let answer = database.execute(change(&bed.gid(2), "1")).await;
    assert_eq!(
        refused(answer),
        ("40001".into(), "conflict at peer \"bank\"".into())
    );
    assert!(started.elapsed().as_millis() >= 100);
    // The prepared one is waited for as well; and once it has committed, the second is stale.
    database.execute(prepare(&bed.gid(1), &[])).await;
    assert_eq!(
        refused(database.execute(change(&bed.gid(3), "1")).await).0,
        "40001"
    );
    let (waiter, second) = (database.clone(), bed.gid(4));
    let waiting = tokio::spawn(async move { waiter.execute(change(&second, "2")).await });
    database
        .execute(finish(&bed.gid(1), Decision::Commit))
        .await;
    assert!(matches!(
        waiting.await.unwrap(),
        Some(Answer::Applied { .. })
    ));
    let answer = refused(
        database
            .execute(apply(
                &bed.gid(5),
                "T",
                vec![PutRow::Delete {
                    key: vec!["1".into()],
                    old: cells(&[("a", "x")]),
                }],
            ))
            .await,
    );
    assert_eq!(
        answer,
        (
            "40001".into(),
            "conflict in Dejima table \"T\" at peer \"bank\"".into()
        )
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
async fn outcomes_of_clients_transactions() {
    let (bed, database) = shared("outcome").await;
    let client = bed.client().await;
    client
        .batch_execute("BEGIN; UPDATE t SET a = 'c' WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE")
        .await
        .unwrap();
    // The decision row is not visible yet; the only lock on a gid is this transaction's.
    let of = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = 'outcome')";
    assert_eq!(bed.admin(of), "1");
    client.batch_execute("COMMIT").await.unwrap();
    let committed = Gid::new(&bed.admin("SELECT gid FROM dejima.transaction")).unwrap();
    client
        .batch_execute("BEGIN; UPDATE t SET a = 'd' WHERE id = 1")
        .await
        .unwrap();
    let open = Gid::new("bank:00000000-0000-0000-0000-000000000001").unwrap();
    client
        .batch_execute(&format!(
            "SELECT pg_advisory_xact_lock(hashtextextended('{open}', 0))"
        ))
        .await
        .unwrap();
    let asked = Request::Outcomes {
        gids: vec![open.clone(), committed.clone(), bed.gid(1)],
    };
    let names = ["gov", "ins"].map(|name| PeerName::new(name).unwrap());
    let participants = names.to_vec();
    let expected = [
        Outcome::Pending,
        Outcome::Committed { participants },
        Outcome::Aborted,
    ];
    let outcomes = [open.clone(), committed.clone(), bed.gid(1)]
        .into_iter()
        .zip(expected)
        .collect();
    assert_eq!(
        database.execute(asked).await,
        Some(Answer::Outcomes { outcomes })
    );
    client.batch_execute("ROLLBACK").await.unwrap();
    let outcomes = vec![(open.clone(), Outcome::Aborted)];
    assert_eq!(
        database
            .execute(Request::Outcomes { gids: vec![open] })
            .await,
        Some(Answer::Outcomes { outcomes })
    );
    let found = Recovered {
        decided: vec![(committed, names.to_vec())],
        ..Recovered::default()
    };
    assert_eq!(
        database.execute(Request::Recover).await,
        Some(Answer::Recovered { found })
    );
}

#[tokio::test]
async fn a_new_process_ends_what_the_former_left_open() {
    let (bed, former) = shared("former").await;
    former.execute(change(&bed.gid(1), "1")).await;
    former.execute(change(&bed.gid(2), "2")).await;
    former.execute(prepare(&bed.gid(2), &[])).await;
    let database = bed.connect().await;
    let found = Recovered {
        prepared: vec![(bed.gid(2), gov())],
        ..Recovered::default()
    };
    assert_eq!(
        database.execute(Request::Recover).await,
        Some(Answer::Recovered { found })
    );
    assert!(matches!(
        database.execute(change(&bed.gid(3), "1")).await,
        Some(Answer::Applied { .. })
    ));
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
