//! One UPDATE of what a join only shows, of one row and of many.

use tokio_postgres::Client;

use super::{SALES, run, shared};

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
