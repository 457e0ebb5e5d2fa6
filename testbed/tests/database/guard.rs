//! DDL on a shared base table: carried out with the Dejima table intact, or refused with what to do.

use serde_json::json;

use crate::bed::{bed, declared, programmed, said};

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

/// A column's change is refused exactly when a declaration of what the table is then would be.
#[tokio::test]
async fn a_column_may_become_not_null_where_the_declaration_would_not_be_refused() {
    let bed = bed(
        "guard_nulls",
        "CREATE TABLE people (id integer PRIMARY KEY, name text, phone text, note text, mark text NOT NULL DEFAULT 'm', kind text,
           part text DEFAULT 'p', spare text, \"Odd name\" text DEFAULT 'o',
           flag text NOT NULL DEFAULT 'f')",
    )
    .await;
    let tables = declared(json!([
        {"name": "T", "base_table": "public.people", "columns": ["id", "name", "phone"], "key": ["id"],
          "where": "note IS NULL AND flag = 'f'", "defaults": [{"column": "kind", "value": "k"}]},
        {"name": "S", "base_table": "public.people", "columns": ["id", "name"], "key": ["id"],
          "defaults": [{"column": "kind", "value": "k"}]},
    ]));
    let database = bed.connect().await;
    database.declare(&tables).await.expect("it fits");
    let rely = |what: &str| format!("Dejima tables rely on: {what}.");
    let obstacle = |column: &str| format!("column {column}: it is NOT NULL, has no default");
    for (change, back, detail) in [
        (
            "ALTER phone SET NOT NULL",
            "ALTER phone DROP NOT NULL",
            Some(rely("NULL in column phone")),
        ),
        (
            "ALTER note SET NOT NULL",
            "ALTER note DROP NOT NULL",
            Some(rely("NULL or a default in column note")),
        ),
        (
            "ALTER flag DROP DEFAULT",
            "ALTER flag SET DEFAULT 'f'",
            Some(rely("NULL or a default in column flag")),
        ),
        (
            "ALTER spare SET NOT NULL",
            "ALTER spare DROP NOT NULL",
            Some(obstacle("spare")),
        ),
        (
            "ALTER mark DROP DEFAULT",
            "ALTER mark SET DEFAULT 'm'",
            Some(obstacle("mark")),
        ),
        (
            "ALTER part DROP DEFAULT, ALTER part SET NOT NULL",
            "ALTER part SET DEFAULT 'p', ALTER part DROP NOT NULL",
            Some(obstacle("part")),
        ),
        (
            "ALTER \"Odd name\" DROP DEFAULT, ALTER \"Odd name\" SET NOT NULL",
            "ALTER \"Odd name\" SET DEFAULT 'o', ALTER \"Odd name\" DROP NOT NULL",
            Some(obstacle("Odd name")),
        ),
        (
            "ALTER note SET DEFAULT 'n', ALTER note SET NOT NULL",
            "ALTER note DROP DEFAULT, ALTER note DROP NOT NULL",
            None,
        ),
        ("ALTER part SET NOT NULL", "ALTER part DROP NOT NULL", None),
        (
            "ALTER part DROP DEFAULT",
            "ALTER part SET DEFAULT 'p'",
            None,
        ),
        ("ALTER name SET NOT NULL", "ALTER name DROP NOT NULL", None),
        ("ALTER kind SET NOT NULL", "ALTER kind DROP NOT NULL", None),
        ("RENAME spare TO other", "RENAME other TO spare", None),
        ("DROP spare", "ADD spare text", None),
    ] {
        let [change, back] = [change, back].map(|sql| format!("ALTER TABLE people {sql}"));
        let owner = bed.session("postgres").await;
        let outcome = owner.batch_execute(&change).await;
        assert_eq!(outcome.is_err(), detail.is_some(), "{change}: {outcome:?}");
        if let (Err(error), Some(detail)) = (outcome, &detail) {
            let (state, _, found) = said(error);
            assert_eq!(state, "55006", "{change}");
            assert!(found.contains(detail), "{change}: {found}");
            // The same past the guard, and declared.
            let past = format!("SET session_replication_role = replica; {change}");
            owner.batch_execute(&past).await.expect("a superuser may");
        }
        let again = database.declare(&tables).await.map(drop);
        assert_eq!(again.is_err(), detail.is_some(), "{change}: {again:?}");
        let past = format!("SET session_replication_role = replica; {back}");
        owner.batch_execute(&past).await.expect("a superuser may");
        database.declare(&tables).await.expect("it fits again");
    }
}

/// A strategy says which columns may be NULL, and another table's inserts leave out what one shows.
#[tokio::test]
async fn what_a_strategy_says_of_null_is_kept() {
    let text = "CREATE TABLE area (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE client (id integer PRIMARY KEY, name text, area integer NOT NULL REFERENCES area);";
    let bed = bed(
        "guard_said",
        &format!("{text} ALTER TABLE client ADD left_out text; ALTER TABLE area ADD more text"),
    )
    .await;
    let tables = [programmed(&format!(
        "{text} -- put: read area
         CREATE VIEW \"T\" AS SELECT c.id, c.name, a.name AS town FROM client c JOIN area a ON c.area = a.id"
    ))];
    let database = bed.connect().await;
    database.declare(&tables).await.expect("it fits");
    let owner = bed.session("postgres").await;
    for (change, back, detail) in [
        (
            "client ALTER name SET NOT NULL",
            "client ALTER name DROP NOT NULL",
            Some("NULL in column name"),
        ),
        (
            "client ALTER area DROP NOT NULL",
            "client ALTER area SET NOT NULL",
            Some("NOT NULL of column area"),
        ),
        (
            "area ALTER name DROP NOT NULL",
            "area ALTER name SET NOT NULL",
            Some("NOT NULL of column name"),
        ),
        (
            "client ALTER left_out SET NOT NULL",
            "client ALTER left_out DROP NOT NULL",
            Some("column left_out: "),
        ),
        // Nobody puts rows into what is only looked up.
        (
            "area ALTER more SET NOT NULL",
            "area ALTER more DROP NOT NULL",
            None,
        ),
        ("area ADD new text NOT NULL", "area DROP new", None),
    ] {
        let [change, back] = [change, back].map(|sql| format!("ALTER TABLE {sql}"));
        match (owner.batch_execute(&change).await, detail) {
            (Err(error), Some(detail)) => {
                let (state, _, found) = said(error);
                assert_eq!(state, "55006", "{change}");
                assert!(found.contains(detail), "{change}: {found}");
                let past = format!("SET session_replication_role = replica; {change}");
                owner.batch_execute(&past).await.expect("a superuser may");
            }
            (outcome, _) => assert_eq!(outcome.is_ok(), detail.is_none(), "{change}: {outcome:?}"),
        }
        let again = database.declare(&tables).await.map(drop);
        assert_eq!(again.is_err(), detail.is_some(), "{change}: {again:?}");
        let past = format!(
            "SET session_replication_role = replica; {back}; RESET session_replication_role"
        );
        owner.batch_execute(&past).await.expect("a superuser may");
        database.declare(&tables).await.expect("it fits again");
    }
}
