//! SET CONSTRAINTS ALL IMMEDIATE wherever a client can say it: what was changed is propagated whole, or refused and nothing of
//! it stays. Invariant 6.

use crate::bed::{bed, row, said, simple};

/// Functions that say it: alone, after a change of shared data, in a block that fails.
const TABLES: &str = "CREATE TABLE t (id integer PRIMARY KEY, a text, hidden text);
    CREATE TABLE audit (id integer);
    CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SET CONSTRAINTS ALL IMMEDIATE; RETURN coalesce(NEW, OLD); END';
    CREATE FUNCTION change_and_say() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO t VALUES (9); SET CONSTRAINTS ALL IMMEDIATE; UPDATE t SET a = ''9'' WHERE id = 9; RETURN NULL; END';
    CREATE FUNCTION say_and_fail() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN SET CONSTRAINTS ALL IMMEDIATE; RAISE ''no''; EXCEPTION WHEN raise_exception THEN RETURN NULL; END';
    CREATE FUNCTION said() RETURNS text LANGUAGE plpgsql AS 'BEGIN SET CONSTRAINTS ALL IMMEDIATE; RETURN ''said''; END';";

/// The trigger, a transaction, and what it tells the peer: rows before and after; none if it is refused.
type Case = (
    &'static str,
    &'static str,
    Option<&'static [[&'static str; 2]]>,
);

const CASES: &[Case] = &[
    // In no trigger.
    (
        "",
        "DO $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO t VALUES (1); UPDATE t SET a = 'x'; END $$",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
    (
        "",
        "DO $$ BEGIN INSERT INTO t VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; END $$",
        Some(&[["", "1 NULL"]]),
    ),
    (
        "",
        "DO $$ BEGIN INSERT INTO t VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; UPDATE t SET a = 'x'; END $$",
        None,
    ),
    (
        "",
        "INSERT INTO t VALUES (1, said())",
        Some(&[["", "1 said"]]),
    ),
    (
        "",
        "INSERT INTO t VALUES (1); UPDATE t SET a = said()",
        None,
    ),
    // In a trigger of the shared table: before its capture, and after.
    (
        "aa AFTER INSERT OR UPDATE ON t EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); UPDATE t SET a = 'x'",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
    (
        "zz AFTER INSERT OR UPDATE ON t EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); UPDATE t SET a = 'x'",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
    (
        "zz BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); UPDATE t SET a = 'x'",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
    (
        "zz AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1), (2); DELETE FROM t WHERE id = 1",
        Some(&[["", "1 NULL"], ["", "2 NULL"], ["1 NULL", ""]]),
    ),
    // In a trigger of another table: before the first change, between changes, with a change of its own.
    (
        "zz AFTER INSERT ON audit EXECUTE FUNCTION say()",
        "INSERT INTO audit VALUES (1); INSERT INTO t VALUES (1)",
        Some(&[["", "1 NULL"]]),
    ),
    (
        "zz AFTER INSERT ON audit EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); INSERT INTO audit VALUES (1); UPDATE t SET a = 'x'",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
    (
        "zz AFTER INSERT ON audit EXECUTE FUNCTION change_and_say()",
        "INSERT INTO audit VALUES (1); INSERT INTO t VALUES (1)",
        Some(&[["", "9 NULL"], ["9 NULL", "9 9"], ["", "1 NULL"]]),
    ),
    (
        "zz AFTER INSERT ON audit EXECUTE FUNCTION say_and_fail()",
        "INSERT INTO t VALUES (1); INSERT INTO audit VALUES (1); UPDATE t SET a = 'x'",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
    // In one that runs at COMMIT: before the hook, and after it.
    (
        "zz AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION change_and_say()",
        "INSERT INTO audit VALUES (1)",
        Some(&[["", "9 NULL"], ["9 NULL", "9 9"]]),
    ),
    (
        "zz AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION change_and_say()",
        "INSERT INTO audit VALUES (1); INSERT INTO t VALUES (1)",
        Some(&[["", "1 NULL"], ["", "9 NULL"], ["9 NULL", "9 9"]]),
    ),
    (
        "zz AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION change_and_say()",
        "INSERT INTO t VALUES (1); INSERT INTO audit VALUES (1)",
        None,
    ),
    // Twice: the first one is put off, the second one is the client's.
    (
        "zz AFTER INSERT ON t EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); SET CONSTRAINTS ALL IMMEDIATE",
        Some(&[["", "1 NULL"]]),
    ),
    (
        "zz AFTER INSERT ON t EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; UPDATE t SET a = 'x'",
        None,
    ),
    // In a savepoint that is taken back.
    (
        "zz AFTER INSERT ON audit EXECUTE FUNCTION say()",
        "INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO audit VALUES (1); ROLLBACK TO s; UPDATE t SET a = 'x'",
        Some(&[["", "1 NULL"], ["1 NULL", "1 x"]]),
    ),
];

#[tokio::test]
async fn invariant_6_constraints_made_immediate_anywhere_lose_nothing() {
    let bed = bed("immediate_anywhere", TABLES).await;
    bed.share(simple(&["id", "a"])).await;
    let image = |text: &str| match text {
        "" => None,
        text => row(&text.split(' ').collect::<Vec<_>>()),
    };
    for (trigger, sql, expected) in CASES {
        let kind = if trigger.contains("DEFERRED") {
            "CONSTRAINT TRIGGER"
        } else {
            "TRIGGER"
        };
        if !trigger.is_empty() {
            bed.admin(&format!("CREATE {kind} {trigger}"));
        }
        let client = bed.client().await;
        let outcome = client.batch_execute(&format!("BEGIN; {sql}; COMMIT")).await;
        let (told, context) = (bed.told(0), format!("{trigger}: {sql}: {outcome:?}"));
        let voted = "SELECT count(*) FROM dejima.transaction WHERE voted";
        match expected {
            Some(rows) => {
                assert!(outcome.is_ok(), "{context}");
                let rows = rows
                    .iter()
                    .map(|[old, new]| ("T".to_owned(), image(old), image(new)));
                assert_eq!(told, rows.collect::<Vec<_>>(), "{context}");
                assert_eq!(bed.admin(voted), "1", "{context}");
            }
            None => {
                assert!(outcome.is_err(), "{context}");
                client
                    .batch_execute("ROLLBACK")
                    .await
                    .expect("it can always");
                let (code, ..) = said(outcome.expect_err("it is refused"));
                assert_eq!(code, "55000", "{context}");
                assert_eq!(bed.admin("SELECT count(*) FROM t"), "0", "{context}");
                assert_eq!(bed.admin(voted), "0", "{context}");
            }
        }
        assert_eq!(
            bed.admin("SELECT count(*) FROM dejima.delta"),
            "0",
            "{context}"
        );
        bed.admin("DROP TRIGGER IF EXISTS aa ON t; DROP TRIGGER IF EXISTS zz ON t; DROP TRIGGER IF EXISTS zz ON audit");
        bed.admin("DELETE FROM audit; DELETE FROM dejima.transaction; SET session_replication_role = replica; DELETE FROM t");
    }
}
