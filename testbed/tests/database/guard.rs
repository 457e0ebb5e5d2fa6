//! DDL on a shared base table: carried out with the Dejima table intact, or refused with what to do.

use serde_json::json;

use crate::bed::{bed, declared, said};

const PEOPLE: &str =
    "CREATE TABLE people (id integer PRIMARY KEY, name text, phone text, note text);
    CREATE TABLE other (id integer PRIMARY KEY)";

#[tokio::test]
async fn invariant_6_what_would_let_writes_escape_or_stop_puts_is_refused() {
    let bed = bed("guard", PEOPLE).await;
    let shared = json!([{"name": "T", "base_table": "public.people", "columns": ["id", "name", "phone"], "key": ["id"],
        "where": "note IS NULL"}]);
    let database = bed.share(shared).await;
    let superuser = bed.session("postgres").await;
    let view = r#"View "T" is the Dejima table itself."#;
    for (sql, detail) in [
        (
            "ALTER TABLE people RENAME COLUMN phone TO tel",
            "Dejima tables rely on: phone text. It would be: tel text.",
        ),
        (
            "ALTER TABLE people RENAME COLUMN note TO remark",
            "Dejima tables rely on: note text. It would be: remark text.",
        ),
        ("ALTER TABLE people DROP COLUMN phone CASCADE", view),
        (
            "ALTER TABLE people RENAME TO persons",
            "Dejima tables rely on: public.people. It would be: public.persons.",
        ),
        (
            "ALTER TABLE people SET SCHEMA dejima_tables",
            "It would be: dejima_tables.people.",
        ),
        (
            "ALTER SCHEMA public RENAME TO private",
            "It would be: private.people.",
        ),
        ("DROP TABLE people CASCADE", "the table"),
        (
            "ALTER TABLE people DISABLE TRIGGER dejima_capture_update",
            "trigger dejima_capture_update enabled. It would be: disabled.",
        ),
        (
            "ALTER TABLE people DISABLE TRIGGER ALL",
            "dejima_capture_delete enabled. It would be: disabled.",
        ),
        (
            "DROP TRIGGER dejima_capture_insert ON people",
            "Dejima tables rely on: trigger dejima_capture_insert.",
        ),
        (
            "ALTER TRIGGER dejima_capture_truncate ON people RENAME TO mine",
            "trigger dejima_capture_truncate.",
        ),
        (
            "CREATE TABLE child () INHERITS (people)",
            "inheritance: statement triggers do not see writes",
        ),
        (
            "ALTER TABLE other ADD COLUMN name text, ADD COLUMN phone text, ADD COLUMN note text; ALTER TABLE other INHERIT people",
            "inheritance: statement triggers do not see writes",
        ),
        ("ALTER TABLE people SET UNLOGGED", "not logged: "),
        (
            "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
            "row-level security: ",
        ),
        (
            "ALTER TABLE people DROP CONSTRAINT people_pkey",
            "Dejima tables rely on: unique key (id).",
        ),
        (
            "ALTER TABLE people ADD COLUMN needed text NOT NULL",
            "column needed: it is NOT NULL, has no default",
        ),
        (r#"DROP VIEW dejima_tables."T""#, view),
        (
            r#"CREATE OR REPLACE VIEW dejima_tables."T" AS SELECT id, name, phone FROM public.people"#,
            view,
        ),
        ("DROP SCHEMA dejima_tables CASCADE", view),
    ] {
        let error = superuser.batch_execute(sql).await.expect_err(sql);
        let error = error.as_db_error().expect("the database refuses").clone();
        assert_eq!(error.code().code(), "55006", "{sql}: {error:?}");
        let said = error.detail().unwrap_or_default();
        assert!(said.contains(detail), "{sql}: {said}");
        let hint = error.hint().unwrap_or_default();
        let cure = r#"Take Dejima table "T" out of the configuration of peer "bank""#;
        assert!(hint.starts_with(cure), "{sql}: {hint}");
    }

    for sql in [
        "ALTER TABLE people ADD COLUMN extra integer, ADD COLUMN marked boolean NOT NULL DEFAULT false",
        "ALTER TABLE people RENAME COLUMN extra TO more; ALTER TABLE people DROP COLUMN more",
        "CREATE INDEX ON people (phone); ALTER TABLE people ADD CHECK (phone <> ''), ADD UNIQUE (name)",
        "ALTER TABLE people DROP CONSTRAINT people_name_key",
        "CREATE TABLE mine (id integer); ALTER TABLE mine RENAME TO yours; DROP TABLE yours",
        "CREATE TEMPORARY TABLE passing (id integer); DROP TABLE passing",
    ] {
        superuser.batch_execute(sql).await.expect(sql);
    }
    let client = bed.client().await;
    let insert = "INSERT INTO people (id, name, phone) VALUES (1, 'Jo', '5')";
    client.batch_execute(insert).await.expect("it is shared");
    let row = ["1", "Jo", "5"].map(|value| Some(value.into())).to_vec();
    assert_eq!(bed.told(0), [("T".to_owned(), None, Some(row))]);

    // What is not shared any more is free.
    database
        .declare(&declared(json!([])))
        .await
        .expect("it is allowed");
    let free = "ALTER TABLE people RENAME COLUMN phone TO tel; ALTER TABLE people RENAME TO persons; DROP TABLE persons";
    superuser.batch_execute(free).await.expect(free);
}

/// The functions that make triggers are a superuser's: they give role `dejima` nothing that the operator has not granted.
#[tokio::test]
async fn the_peer_gets_no_right_by_making_triggers() {
    let bed = bed("guard_rights", PEOPLE).await;
    bed.share(json!([{"name": "T", "base_table": "public.people", "columns": ["id", "name"], "key": ["id"]}]))
        .await;
    bed.admin(
        "CREATE TABLE private (id integer PRIMARY KEY);
         CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY LIST (id);
         CREATE TABLE part PARTITION OF parts FOR VALUES IN (1)",
    );
    let dejima = bed.session("dejima").await;
    for sql in [
        "SELECT dejima.make_capture_triggers('private'::regclass, 'private'::regclass)",
        "SELECT dejima.follow_partitions('parts'::regclass)",
    ] {
        let (state, ..) = said(dejima.batch_execute(sql).await.expect_err(sql));
        assert_eq!(state, "42501", "{sql}");
    }
    let no_partition =
        "SELECT dejima.make_capture_triggers('people'::regclass, 'private'::regclass)";
    dejima
        .batch_execute(no_partition)
        .await
        .expect("there is nothing to do");
    let may_read = "SELECT has_table_privilege('dejima', 'private', 'SELECT')";
    assert_eq!(bed.admin(may_read), "f");
}
