//! The hook: asks once at COMMIT, obeys, and fails closed.

use crate::bed::{Bed, bed, row, said, simple};

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, a text, hidden text)";

async fn shared(name: &'static str) -> Bed {
    let bed = bed(name, T).await;
    bed.share(simple(&["id", "a"])).await;
    bed
}

#[tokio::test]
async fn the_decision_row_holds_the_participants() {
    let bed = shared("voted").await;
    let client = bed.client().await;
    client
        .batch_execute("SET synchronous_commit = off; BEGIN; INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.transaction"), "0");
    client
        .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
        .await
        .unwrap();
    let setting = client
        .query_one("SHOW synchronous_commit", &[])
        .await
        .unwrap();
    assert_eq!(setting.get::<_, String>(0), "on");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        bed.admin(
            "SELECT gid ~ '^bank:[0-9a-f-]{36}$', voted, participants FROM dejima.transaction"
        ),
        "t|t|{gov,ins}"
    );
    bed.answer(r#"echo '{"answer":"unshared"}'"#);
    client
        .batch_execute("INSERT INTO t VALUES (2)")
        .await
        .unwrap();
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.transaction"), "1");
}

#[tokio::test]
async fn a_refusal_reaches_the_client_in_its_own_words() {
    let bed = shared("refusals").await;
    let client = bed.client().await;
    bed.answer(r#"echo '{"answer":"refused","peer":"ins","sqlstate":"23514","message":"constraint \"c\" of peer \"ins\" refuses the change","detail":"d","hint":"h"}'"#);
    let error = client
        .batch_execute("INSERT INTO t VALUES (1)")
        .await
        .unwrap_err();
    let hint = error.as_db_error().unwrap().hint().map(str::to_owned);
    assert_eq!(
        said(error),
        (
            "23514".into(),
            "constraint \"c\" of peer \"ins\" refuses the change".into(),
            "d".into()
        )
    );
    assert_eq!(hint.as_deref(), Some("h"));
    assert_eq!(bed.admin("SELECT count(*) FROM t"), "0");
}

#[tokio::test]
async fn anything_but_an_answer_refuses_and_the_session_goes_on() {
    let bed = shared("closed").await;
    let client = bed.client().await;
    let cases = [
        ("exit 1", "script exited with status 1"),
        ("echo oops >&2", "oops"),
        ("echo '{\"answer\":'", "It answered: {\"answer\":"),
        ("true", "It answered: nothing"),
        (
            "echo '{\"answer\":\"perhaps\"}'",
            "It answered: {\"answer\": \"perhaps\"}",
        ),
        ("echo '[1]'", "It answered: [1]"),
        (
            "echo '{\"answer\":\"voted\"}'",
            "It answered: {\"answer\": \"voted\"}",
        ),
        ("kill -9 $$", "signal 9"),
        (
            "echo '{\"answer\":\"apply\",\"puts\":[]}'",
            "after 16 rounds",
        ),
    ];
    for (script, why) in cases {
        bed.answer(script);
        let (code, message, detail) = said(
            client
                .batch_execute("INSERT INTO t VALUES (1)")
                .await
                .unwrap_err(),
        );
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("08006", "the local peer \"bank\" gave no usable answer"),
            "{script}"
        );
        assert!(detail.contains(why), "{script}: {detail}");
    }
    // Without its execute bit, or away: found before plsh could fail to start it.
    std::fs::set_permissions(
        bed.folder.join("helper"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let (code, _, detail) = said(
        client
            .batch_execute("INSERT INTO t VALUES (1)")
            .await
            .unwrap_err(),
    );
    assert!(
        code == "08006" && detail.contains("Permission denied"),
        "{detail}"
    );
    std::fs::remove_file(bed.folder.join("helper")).unwrap();
    let (code, _, detail) = said(
        client
            .batch_execute("INSERT INTO t VALUES (1)")
            .await
            .unwrap_err(),
    );
    assert!(code == "08006" && detail.contains("not found"), "{detail}");
    assert_eq!(bed.admin("SELECT count(*) FROM t"), "0");
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.transaction"), "0");
}

#[tokio::test]
async fn constraints_made_immediate_before_the_first_change_leave_the_vote_at_commit() {
    let bed = shared("immediate").await;
    let client = bed.client().await;
    client
        .batch_execute(
            "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO t VALUES (1); UPDATE t SET a = 'x'; COMMIT",
        )
        .await
        .unwrap();
    assert_eq!(bed.told(0).len(), 2);
}

#[tokio::test]
async fn nothing_changes_after_the_vote() {
    let bed = shared("late").await;
    let client = bed.client().await;
    client
        .batch_execute("BEGIN; INSERT INTO t VALUES (1); SET CONSTRAINTS ALL IMMEDIATE")
        .await
        .unwrap();
    let (code, message, _) = said(
        client
            .batch_execute("UPDATE t SET a = 'x'")
            .await
            .unwrap_err(),
    );
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "55000",
            "shared data cannot be changed after the peers have voted on this transaction"
        )
    );
    client.batch_execute("ROLLBACK").await.unwrap();
    bed.admin("CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = 'later' WHERE a IS NULL; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER zz AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later()");
    // Queued before the hook, because rows come before statements: captured.
    client
        .batch_execute("INSERT INTO t VALUES (2)")
        .await
        .unwrap();
    assert_eq!(bed.told(0).len(), 2);
    bed.admin("DROP TRIGGER zz ON t; CREATE TABLE audit (id integer); GRANT ALL ON audit TO client;
        CREATE CONSTRAINT TRIGGER zz AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later()");
    let (code, ..) = said(
        client
            .batch_execute("BEGIN; INSERT INTO t VALUES (3); INSERT INTO audit VALUES (1); COMMIT")
            .await
            .unwrap_err(),
    );
    assert_eq!(code, "55000");
    assert_eq!(bed.admin("SELECT string_agg(id::text, ',') FROM t"), "2");
}

#[tokio::test]
async fn what_other_peers_changed_is_applied_and_told_in_the_next_round() {
    let bed = shared("rounds").await;
    let client = bed.client().await;
    bed.answer(r#"case "$3" in 0) echo '{"answer":"apply","puts":[{"table":"T","rows":[{"op":"update","key":["1"],"old":{"a":"x"},"new":{"a":"X"}}]}]}';; *) echo '{"answer":"voted","participants":[]}';; esac"#);
    client
        .batch_execute("INSERT INTO t VALUES (1, 'x')")
        .await
        .unwrap();
    assert_eq!(bed.told(0), [("T".into(), None, row(&["1", "x"]))]);
    assert_eq!(
        bed.told(1),
        [("T".into(), row(&["1", "x"]), row(&["1", "X"]))]
    );
    assert_eq!(bed.admin("SELECT a FROM t"), "X");
}

#[tokio::test]
async fn a_capture_of_any_size_arrives() {
    let bed = shared("sizes").await;
    let client = bed.client().await;
    for (rows, bytes) in [
        (1, 98_000),
        (1, 99_000),
        (3, 1 << 20),
        (20_000, 100),
        (1, 20 << 20),
    ] {
        let sql = format!(
            "INSERT INTO t SELECT i, repeat('ö\"\\\n', {bytes} / 5) FROM generate_series(1, {rows}) AS i"
        );
        client.batch_execute(&sql).await.unwrap();
        let (told, text) = (bed.told(0), "ö\"\\\n".repeat(bytes / 5));
        assert_eq!(told.len(), rows);
        assert!(
            told.iter()
                .all(|(_, _, new)| new.as_ref().unwrap()[1].as_deref() == Some(&text)),
            "{rows} {bytes}"
        );
        client.batch_execute("DELETE FROM t").await.unwrap();
        bed.told(0);
    }
}

#[tokio::test]
async fn a_client_can_neither_call_nor_read_what_is_internal() {
    let bed = shared("rights").await;
    let client = bed.client().await;
    for sql in [
        "TABLE dejima.delta",
        "TABLE dejima.pending",
        "SELECT dejima.put('[]')",
        "SELECT dejima.close_directly('', '', '', '', '')",
        "TABLE dejima_tables.\"T\"",
    ] {
        assert_eq!(
            said(client.batch_execute(sql).await.unwrap_err()).0,
            "42501",
            "{sql}"
        );
    }
    let open = "SELECT count(*) FROM pg_proc AS p WHERE pronamespace = 'dejima'::regnamespace AND has_function_privilege('client', p.oid, 'EXECUTE')";
    assert_eq!(bed.admin(open), "0");
}
