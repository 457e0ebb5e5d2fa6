//! One UPDATE of what a join only shows, of one row and of many.

use dejima_core::strategy::language::Format;
use tokio_postgres::Client;

use super::{SALES, run, shared};
use crate::bed::{bed, written_in};

/// What a transaction has logged, as `rows in sections, rows as the view shows them`.
const DERIVED: &str = "SELECT count(*) || ' in ' || count(DISTINCT d.section) || ', ' || count(v.id) || ' right'
    FROM dejima.delta AS d CROSS JOIN LATERAL dejima.rows(d.new, d.old) AS r(image)
    LEFT JOIN dejima_tables.\"Sales\" AS v
      ON r.image = ARRAY[quote_nullable(v.id::text), quote_nullable(v.client::text), quote_nullable(v.name), quote_nullable(v.pieces::text), quote_nullable(v.note)]
    WHERE d.xid = pg_current_xact_id()";

/// What is derived of a statement, which is taken back.
async fn derived(client: &Client, statement: &str) -> String {
    let all = format!("BEGIN; {statement}; SELECT dejima.derive(); {DERIVED}; ROLLBACK");
    let (mut found, _) = run(client, &all).await;
    found.pop().expect("a row for each SELECT")
}

#[tokio::test]
async fn one_update_of_any_size_is_derived_in_sections_of_its_own_rows() {
    // All sales but those of the first client are the second one's.
    let rows = "INSERT INTO client VALUES (1, 'Ann'), (2, 'Bo'), (3, 'Cy');
        INSERT INTO sale SELECT i, CASE WHEN i <= 100 THEN 1 WHEN i <= 10100 THEN 2 ELSE 3 END, 0, NULL, 'h' FROM generate_series(1, 30000) AS i;
        ANALYZE";
    let (bed, _database) = shared("short_in_place", &[SALES], rows).await;
    let client = bed.session("postgres").await;
    for (statement, expected) in [
        ("UPDATE sale SET pieces = 1 WHERE id = 1", "1 in 1, 1 right"),
        (
            "UPDATE sale SET pieces = 1 WHERE id <= 128",
            "128 in 1, 128 right",
        ),
        (
            "UPDATE sale SET pieces = 1, note = '''' WHERE id <= 129",
            "129 in 1, 129 right",
        ),
        // What is as it was is not logged.
        (
            "UPDATE sale SET pieces = id % 2 WHERE id <= 10000",
            "5000 in 1, 5000 right",
        ),
        (
            "UPDATE sale SET pieces = 1 WHERE id <= 10001",
            "10001 in 157, 10001 right",
        ),
        (
            "UPDATE sale SET hidden = 'x' WHERE id <= 200",
            "0 in 0, 0 right",
        ),
        (
            "UPDATE client SET name = 'An' WHERE id = 1",
            "100 in 1, 100 right",
        ),
        (
            "UPDATE client SET name = 'B' WHERE id = 2",
            "10000 in 1, 10000 right",
        ),
        (
            "UPDATE client SET name = 'C' WHERE id = 3",
            "19900 in 311, 19900 right",
        ),
        ("UPDATE client SET name = 'D'", "30000 in 469, 30000 right"),
    ] {
        assert_eq!(derived(&client, statement).await, expected, "{statement}");
    }
    // A table with something in its TOAST table may have rows too wide for one section.
    bed.admin("ALTER TABLE client ALTER name SET STORAGE EXTERNAL; INSERT INTO client VALUES (4, repeat('x', 100000)); INSERT INTO sale SELECT i, 4, 0 FROM generate_series(40001, 40020) AS i");
    for (statement, expected) in [
        (
            "UPDATE sale SET pieces = 1 WHERE id > 40000",
            "20 in 2, 20 right",
        ),
        (
            "UPDATE sale SET pieces = 1 WHERE id = 40001",
            "1 in 1, 1 right",
        ),
        (
            "UPDATE client SET name = repeat('y', 100000) WHERE id = 4",
            "20 in 4, 20 right",
        ),
    ] {
        assert_eq!(derived(&client, statement).await, expected, "{statement}");
    }
}

/// What the Dejima table shows in another type than the base table's is written as a value of that type.
#[tokio::test]
async fn what_is_derived_is_written_as_it_is_shown() {
    const PROBES: &str = "source site('id':int, 'name':text). PK(site, ['id']).
        source probe('id':int, 'site':int, 'value':real, 'unit':bpchar). PK(probe, ['id']). FK(probe, ['site'], site, ['id']).
        view probes('id':int, 'site':int, 'name':text, 'value':double precision, 'unit':text). PK(probes, ['id']).
        probes(I, S, N, V, U) :- probe(I, S, V, U), site(S, N).
        -probe(I, S, V, U) :- probe(I, S, V, U), not probes(I, S, _, V, U).
        +probe(I, S, V, U) :- probes(I, S, _, V, U), not probe(I, S, V, U).
        _|_ :- probes(_, S, N, _, _), not site(S, N).";
    let tables = "CREATE TABLE site (id int PRIMARY KEY, name text NOT NULL);
        CREATE TABLE probe (id int PRIMARY KEY, site int NOT NULL REFERENCES site, value real NOT NULL, unit bpchar NOT NULL);
        INSERT INTO site VALUES (1, 'Ann'); INSERT INTO probe SELECT i, 1, 1, 'm' FROM generate_series(1, 300) AS i";
    let bed = bed("short_shown", tables).await;
    let database = bed.connect().await;
    let probes = [written_in(Format::Datalog, PROBES)];
    database.declare(&probes).await.expect("it fits");
    let client = bed.session("postgres").await;
    let images = "SELECT DISTINCT r.image[4] || ' ' || r.image[5] || ' ' || v.value || ' ' || v.unit
        FROM dejima.delta AS d CROSS JOIN LATERAL dejima.rows(d.new, d.old) AS r(image), dejima_tables.probes AS v
        WHERE d.xid = pg_current_xact_id() AND r.image[1] = quote_literal(v.id)";
    for rows in [1, 2, 200] {
        let update = format!("UPDATE probe SET value = 0.1, unit = 'km  ' WHERE id <= {rows}");
        let all = format!("BEGIN; {update}; SELECT dejima.derive(); {images}; ROLLBACK");
        let (mut found, _) = run(&client, &all).await;
        let shown = "'0.10000000149011612' 'km' 0.10000000149011612 km";
        assert_eq!(found.pop().as_deref(), Some(shown), "{rows}");
    }
}

/// Statements that change rows again are followed one after the other, in their order.
#[tokio::test]
async fn several_updates_are_derived_in_their_order() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale SELECT i, 1, 0, NULL, 'h' FROM generate_series(1, 300) AS i";
    let (bed, _database) = shared("short_in_order", &[SALES], rows).await;
    bed.admin(
        "CREATE FUNCTION within() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           UPDATE public.sale SET pieces = pieces + 100 WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER within AFTER UPDATE OF note ON sale FOR EACH ROW EXECUTE FUNCTION within();
         GRANT ALL ON sale TO PUBLIC",
    );
    let client = bed.session("postgres").await;
    let pieces = |n: u32| format!("UPDATE sale SET pieces = pieces + {n} WHERE id <= 200;");
    let eight: String = (1..=8).map(pieces).collect();
    let nine: String = (1..=9).map(pieces).collect();
    for (statements, expected) in [
        (
            "UPDATE sale SET pieces = 1 WHERE id = 1; UPDATE sale SET pieces = 2 WHERE id = 1; UPDATE sale SET pieces = 3 WHERE id = 2",
            "0 -> 1, 1 -> 2, 0 -> 3",
        ),
        (
            "UPDATE sale SET pieces = 1 WHERE id = 1; SAVEPOINT s; UPDATE sale SET pieces = 2 WHERE id = 1; ROLLBACK TO s; UPDATE sale SET pieces = 0 WHERE id = 1",
            "0 -> 1, 1 -> 0",
        ),
        // What a trigger ran is logged before the statement that fired it: only all together they are right.
        (
            "UPDATE sale SET note = 'n', pieces = 1 WHERE id = 1",
            "0 -> 101",
        ),
    ] {
        let steps = "SELECT string_agg(o.image[4] || ' -> ' || n.image[4], ', ' ORDER BY d.statement)
            FROM dejima.delta AS d, dejima.rows(d.old, NULL) AS o(image), dejima.rows(d.new, d.old) AS n(image)
            WHERE d.xid = pg_current_xact_id() AND o.image[1] = n.image[1]";
        let all = format!("BEGIN; {statements}; SELECT dejima.derive(); {steps}; ROLLBACK");
        let (mut found, _) = run(&client, &all).await;
        let found = found
            .pop()
            .expect("a row for each SELECT")
            .replace('\'', "");
        assert_eq!(found, expected, "{statements}");
    }
    // So are those of a table that many rows show, and no other row beside them.
    let names = |names: &[&str]| {
        let update = |name: &&str| format!("UPDATE client SET name = '{name}' WHERE id = 1;");
        names.iter().map(update).collect::<String>()
    };
    bed.admin("INSERT INTO client VALUES (2, 'Bo'); INSERT INTO sale VALUES (400, 2, 0)");
    let steps = "SELECT string_agg(rows || ' ' || old || ' -> ' || new, ', ' ORDER BY statement) FROM (
          SELECT d.statement, count(*) AS rows, o.image[3] AS old, n.image[3] AS new
          FROM dejima.delta AS d, dejima.rows(d.old, NULL) AS o(image), dejima.rows(d.new, d.old) AS n(image)
          WHERE d.xid = pg_current_xact_id() AND o.image[1] = n.image[1] GROUP BY 1, 3, 4) AS s";
    for (statements, expected) in [
        (names(&["a", "b"]), "300 Ann -> a, 300 a -> b"),
        (names(&["a", "a", "Ann"]), "300 Ann -> a, 300 a -> Ann"),
        (
            names(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
            "300 Ann -> 9",
        ),
        (
            "UPDATE client SET name = 'x' WHERE id = 2; UPDATE client SET name = 'y' WHERE id = 2;"
                .into(),
            "1 Bo -> x, 1 x -> y",
        ),
    ] {
        let all = format!("BEGIN; {statements} SELECT dejima.derive(); {steps}; ROLLBACK");
        let (mut found, _) = run(&client, &all).await;
        let found = found.pop().expect("a row").replace('\'', "");
        assert_eq!(found, expected, "{statements}");
    }
    // The rows of more statements are added up.
    let each = "SELECT count(*) || ' of ' || count(DISTINCT d.statement) FROM dejima.delta AS d, dejima.rows(d.new, d.old)
        WHERE d.xid = pg_current_xact_id()";
    for (statements, expected) in [(eight, "1600 of 8"), (nine, "200 of 1")] {
        let all = format!("BEGIN; {statements} SELECT dejima.derive(); {each}; ROLLBACK");
        let (mut found, _) = run(&client, &all).await;
        assert_eq!(found.pop().as_deref(), Some(expected));
    }
}
