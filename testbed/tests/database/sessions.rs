//! What a client's session may be like: in a hurry, interrupted, without rights, or not allowed to see every row.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::bed::{Bed, Server, VOTED, apply, bed, bed_on, cells, row, said, simple};
use dejima_core::delta::PutRow;
use dejima_core::transaction::Answer;

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, a text, hidden text)";
/// How long it may take until the helper is asked.
const PATIENCE: Duration = Duration::from_secs(20);

async fn shared(name: &'static str) -> Bed {
    let bed = bed(name, T).await;
    bed.share(simple(&["id", "a"])).await;
    bed
}

/// The transaction has left nothing, and the session works on.
async fn goes_on(bed: &Bed, client: &Client) {
    client.batch_execute("ROLLBACK").await.expect("it can end");
    let left = "SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM dejima.transaction) + (SELECT count(*) FROM dejima.delta)";
    assert_eq!(bed.admin(left), "0");
    bed.answer(VOTED);
    let again = "INSERT INTO t VALUES (1, 'again')";
    client.batch_execute(again).await.expect("it goes on");
    assert_eq!(bed.admin("SELECT voted FROM dejima.transaction"), "t");
}

#[tokio::test]
async fn a_statement_timeout_bounds_the_statement_and_not_the_commit() {
    let bed = shared("hurry").await;
    let client = bed.client().await;
    bed.answer(&format!("sleep 0.5; {VOTED}"));
    let hurry = "SET statement_timeout = '100ms'; BEGIN; INSERT INTO t VALUES (1, 'x')";
    client.batch_execute(hurry).await.expect("it is quick");
    // The hook runs in a statement here; the helper's answer comes too late for it.
    let timed = client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await;
    assert_eq!(said(timed.expect_err("it takes too long")).0, "57014");
    client.batch_execute("ROLLBACK").await.expect("it can end");
    client
        .batch_execute("BEGIN; INSERT INTO t VALUES (1, 'x')")
        .await
        .expect("it is quick");
    client
        .batch_execute("COMMIT")
        .await
        .expect("COMMIT may take longer");
    // Nor does the timeout of a single statement count while it commits.
    client
        .batch_execute("INSERT INTO t VALUES (2, 'x')")
        .await
        .expect("it commits by itself");
    assert_eq!(
        bed.admin("SELECT count(*) FROM dejima.transaction WHERE voted"),
        "2"
    );
    bed.admin(
        "DELETE FROM dejima.transaction; SET session_replication_role = replica; DELETE FROM t",
    );
    goes_on(&bed, &client).await;
}

/// Whoever is interrupted while the peers vote has not committed, whatever they have answered.
#[tokio::test]
async fn a_commit_that_is_cancelled_has_not_happened() {
    let bed = shared("cancelled").await;
    let path = bed.folder.join("asked");
    make_pipe(&path);
    for interrupt in ["pg_cancel_backend", "pg_terminate_backend"] {
        let client = bed.client().await;
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let pid: i32 = pid.expect("its number").get(0);
        // Says that it was asked, and would answer in a while: but PostgreSQL signals its whole process group, the helper too.
        bed.answer(&format!(r#"echo > "$folder/asked"; sleep 20; {VOTED}"#));
        // It ends with the one who writes, so each has his own.
        let asked = pipe::OpenOptions::new().open_receiver(&path);
        client
            .batch_execute("BEGIN; INSERT INTO t VALUES (1, 'x')")
            .await
            .expect("it is quick");
        let commit = client.batch_execute("COMMIT");
        let cancel = async {
            heard(asked.expect("a pipe")).await;
            bed.admin(&format!("SELECT {interrupt}({pid})"))
        };
        let (committed, _) = tokio::join!(commit, cancel);
        let error = committed.expect_err("it was interrupted");
        let expected = if interrupt == "pg_cancel_backend" {
            "57014"
        } else {
            "57P01"
        };
        assert_eq!(said(error).0, expected);
        let client = if interrupt == "pg_cancel_backend" {
            client
        } else {
            bed.client().await
        };
        goes_on(&bed, &client).await;
        client
            .batch_execute("DELETE FROM t")
            .await
            .expect("it works");
        bed.admin("DELETE FROM dejima.transaction");
    }
}

/// A pipe that everybody may write into.
fn make_pipe(path: &Path) {
    let mut make = Command::new("mkfifo");
    let made = make.args(["-m", "666"]).arg(path).status();
    assert!(made.expect("every Unix has it").success());
}

/// Returns when the helper has written.
async fn heard(mut pipe: pipe::Receiver) {
    let heard = tokio::time::timeout(PATIENCE, pipe.read_u8()).await;
    heard.expect("the helper is asked").expect("it writes");
}

/// Rights on single columns, or by a function alone, suffice; none on schema dejima is needed.
#[tokio::test]
async fn invariant_6_a_role_needs_no_rights_but_those_on_the_table() {
    let bed = bed("strangers", T).await;
    bed.admin(
        "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         GRANT INSERT (id, a), SELECT (id), UPDATE (a) ON t TO stranger;
         GRANT stranger TO client;
         CREATE FUNCTION remove(gone integer) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public AS 'DELETE FROM t WHERE id = gone';
         REVOKE ALL ON SCHEMA dejima, dejima_tables FROM PUBLIC",
    );
    bed.share(simple(&["id", "a"])).await;
    let direct = bed.session("stranger").await;
    let as_stranger = bed.client().await;
    as_stranger
        .batch_execute("SET ROLE stranger; SET search_path = public")
        .await
        .expect("he may");
    for client in [direct, as_stranger] {
        client
            .batch_execute("INSERT INTO t (id, a) VALUES (1, 'x')")
            .await
            .expect("he may");
        assert_eq!(bed.told(0), [("T".into(), None, row(&["1", "x"]))]);
        client
            .batch_execute("UPDATE t SET a = 'y' WHERE id = 1")
            .await
            .expect("he may");
        assert_eq!(
            bed.told(0),
            [("T".into(), row(&["1", "x"]), row(&["1", "y"]))]
        );
        let denied = client.batch_execute("DELETE FROM t").await;
        assert_eq!(said(denied.expect_err("he may not")).0, "42501");
        client
            .batch_execute("SELECT remove(1)")
            .await
            .expect("the function may");
        assert_eq!(bed.told(0), [("T".into(), row(&["1", "y"]), None)]);
    }
}

/// Role dejima must see all rows; what others see is the policies' business, and what they change is told.
#[tokio::test]
async fn invariant_6_row_level_security_of_a_base_table() {
    static SERVER: Server = Server::new();
    let secured = format!(
        "{T}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON t USING (hidden = current_user) WITH CHECK (hidden = current_user);
         ALTER ROLE dejima BYPASSRLS; INSERT INTO t VALUES (1, 'his', 'client'), (2, 'another''s', 'other')"
    );
    let bed = bed_on(&SERVER, "secured", "secured", &secured).await;
    let database = bed.share(simple(&["id", "a"])).await;
    let client = bed.client().await;
    client
        .batch_execute("UPDATE t SET a = a || '!'")
        .await
        .expect("he may");
    assert_eq!(
        bed.told(0),
        [("T".into(), row(&["1", "his"]), row(&["1", "his!"]))]
    );
    let denied = client
        .batch_execute("INSERT INTO t VALUES (3, 'x', 'other')")
        .await;
    assert_eq!(said(denied.expect_err("he may not")).0, "42501");
    assert_eq!(bed.told(0), []);
    // Instead of hiding rows, PostgreSQL refuses then.
    client
        .batch_execute("SET row_security = off")
        .await
        .expect("he may");
    let refused = client.batch_execute("DELETE FROM t").await;
    assert_eq!(said(refused.expect_err("it would hide rows")).0, "42501");
    client
        .batch_execute("RESET row_security")
        .await
        .expect("he may");
    // A put reaches rows that no client sees, and the hook of a client who sees few of them takes the whole log.
    let gid = bed.gid(1);
    let rows = vec![PutRow::Update {
        key: vec!["2".into()],
        old: cells(&[("a", "another's")]),
        new: cells(&[("a", "put")]),
    }];
    let applied = database.execute(apply(&gid, "T", rows)).await;
    assert!(
        matches!(applied, Some(Answer::Applied { .. })),
        "{applied:?}"
    );
    let undone = database
        .execute(dejima_core::transaction::Request::Rollback { gid })
        .await;
    assert!(
        matches!(undone, Some(Answer::RolledBack { .. })),
        "{undone:?}"
    );
    client.batch_execute("DELETE FROM t").await.expect("he may");
    assert_eq!(bed.told(0), [("T".into(), row(&["1", "his!"]), None)]);
    let left = client.simple_query("TABLE t").await.expect("he may");
    assert!(
        !left
            .iter()
            .any(|message| matches!(message, SimpleQueryMessage::Row(_)))
    );
    assert_eq!(bed.admin("SELECT count(*) FROM t"), "1");
}
