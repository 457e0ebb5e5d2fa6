//! Failure: changes are lost when one transaction changes both sides of a join.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{Cells, TABLES, joined, rows, run, served};
use crate::bed::{Bed, programmed};

/// What a transaction changed in the Dejima table: rows before and after.
type Changes = Vec<(Option<Cells>, Option<Cells>)>;

/// What the Dejima table shows, by its key.
async fn shown(observer: &Client, columns: &str) -> BTreeMap<Option<String>, Cells> {
    let all = format!("SELECT ARRAY[{columns}] FROM dejima_tables.\"T\"");
    let rows = rows(observer, &all).await;
    rows.into_iter().map(|row| (row[0].clone(), row)).collect()
}

/// What the peer is told of a transaction is the difference between what was shown before and what is shown afterwards, each
/// row once.
async fn told_all(bed: &Bed, columns: &str, sql: &str) -> Changes {
    let (client, observer) = (bed.client().await, bed.session("postgres").await);
    let before = shown(&observer, columns).await;
    run(&client, sql).await;
    let after = shown(&observer, columns).await;
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let sides = keys
        .into_iter()
        .map(|key| (before.get(key), after.get(key)));
    let changed = sides.filter(|(old, new)| old != new);
    let changed: Changes = changed
        .map(|(old, new)| (old.cloned(), new.cloned()))
        .collect();
    let cells = |row: Vec<dejima_core::delta::Value>| -> Cells {
        row.iter()
            .map(|value| value.as_ref().map(ToString::to_string))
            .collect()
    };
    let told = bed.told(0).into_iter();
    let mut told: Changes = told
        .map(|(_, old, new)| (old.map(cells), new.map(cells)))
        .collect();
    let key = |change: &(Option<Cells>, Option<Cells>)| {
        let row = change.1.as_ref().or(change.0.as_ref());
        row.map(|row| row[0].clone())
    };
    told.sort_by_key(key);
    let mut expected = changed.clone();
    expected.sort_by_key(key);
    assert_eq!(told, expected, "{sql}");
    changed
}

/// Both sides of an inner join change: in one statement, in two, with savepoints, there and back.
#[tokio::test]
async fn nothing_is_lost_when_both_sides_of_a_join_change() {
    let content = "INSERT INTO city VALUES (1, 'Kyoto'), (2, 'Osaka'); INSERT INTO client VALUES (1, 'Ann', 1), (2, 'Bob', 2), (5, 'Eve', 1)";
    let (bed, _database) = served("both_sides", &format!("{TABLES} {content}"), joined()).await;
    for (sql, rows) in [
        (
            "WITH t AS (INSERT INTO city VALUES (3, 'Nara') RETURNING id) INSERT INTO client SELECT 3, 'Cas', id FROM t",
            1,
        ),
        (
            "BEGIN; INSERT INTO city VALUES (4, 'Kobe'); INSERT INTO client VALUES (4, 'Dan', 4); COMMIT",
            1,
        ),
        (
            "WITH t AS (UPDATE city SET name = name || '!' RETURNING id) UPDATE client SET name = client.name || '?' FROM t WHERE client.city = t.id",
            5,
        ),
        (
            "BEGIN; UPDATE client SET city = 1 WHERE id = 2; UPDATE city SET name = 'Edo' WHERE id = 1; COMMIT",
            3,
        ),
        (
            "BEGIN; UPDATE city SET name = 'Heian' WHERE id = 1; UPDATE client SET city = 2, name = NULL WHERE id = 2; COMMIT",
            3,
        ),
        // Only one side comes to something.
        (
            "BEGIN; UPDATE city SET name = 'x' WHERE id = 2; UPDATE client SET name = 'Bo' WHERE id = 2; UPDATE city SET name = 'Osaka!' WHERE id = 2; COMMIT",
            1,
        ),
        // A side is undone.
        (
            "BEGIN; INSERT INTO city VALUES (6, 'Uji'); SAVEPOINT a; INSERT INTO client VALUES (6, 'Fay', 6); ROLLBACK TO a;
             INSERT INTO client VALUES (7, 'Gus', 6); SAVEPOINT b; UPDATE city SET name = 'Otsu' WHERE id = 6; RELEASE b;
             SAVEPOINT c; DELETE FROM client WHERE id = 7; ROLLBACK TO c; COMMIT",
            1,
        ),
        (
            "WITH c AS (DELETE FROM client WHERE city = 3 RETURNING city) DELETE FROM city USING c WHERE city.id = c.city",
            1,
        ),
        (
            "BEGIN; DELETE FROM client WHERE city = 4; DELETE FROM city WHERE id = 4; COMMIT",
            1,
        ),
        // All of it goes and comes again, a row with another value.
        (
            "BEGIN; DELETE FROM client WHERE city = 1; DELETE FROM city WHERE id = 1; INSERT INTO city VALUES (8, 'Heian');
             INSERT INTO client VALUES (1, 'Ann??', 8), (5, 'Eve?', 8); COMMIT",
            1,
        ),
        (
            "BEGIN; UPDATE city SET name = 'x'  WHERE id = 8; UPDATE client SET name = 'x'; UPDATE city SET name = 'Heian' WHERE id = 8;
             ROLLBACK",
            0,
        ),
    ] {
        let changed = told_all(&bed, "id::text, name, town", sql).await;
        assert_eq!(changed.len(), rows, "{sql}");
    }
}

/// Both sides of a left join change, where a row stands even if nothing is joined to it.
#[tokio::test]
async fn nothing_is_lost_when_both_sides_of_a_left_join_change() {
    let tables = "CREATE TABLE driver (id integer PRIMARY KEY, name text NOT NULL); CREATE TABLE ride (id integer PRIMARY KEY, name text, driver integer);";
    let view = "-- put: read driver
        CREATE VIEW \"T\" AS SELECT r.id, r.name, r.driver, d.name AS town FROM ride r LEFT JOIN driver d ON r.driver = d.id";
    let content = "INSERT INTO ride VALUES (1, 'a', 1), (2, 'b', NULL)";
    let table = programmed(&format!("{tables}\n{view}"));
    let (bed, _database) = served("both_sides_left", &format!("{tables} {content}"), table).await;
    for (sql, rows) in [
        (
            "WITH d AS (INSERT INTO driver VALUES (1, 'Ann'), (2, 'Bob') RETURNING id) UPDATE ride SET driver = 2 FROM d WHERE ride.id = 2 AND d.id = 2",
            2,
        ),
        (
            "BEGIN; DELETE FROM driver WHERE id = 1; INSERT INTO ride VALUES (3, 'c', 1); COMMIT",
            2,
        ),
        (
            "BEGIN; INSERT INTO ride VALUES (4, 'd', 9); INSERT INTO driver VALUES (9, 'Dan'); COMMIT",
            1,
        ),
        (
            "WITH d AS (DELETE FROM driver) DELETE FROM ride WHERE id = 4",
            2,
        ),
        (
            "BEGIN; INSERT INTO driver VALUES (1, 'Eve'); SAVEPOINT a; DELETE FROM ride; ROLLBACK TO a; DELETE FROM ride WHERE id = 3; COMMIT",
            2,
        ),
    ] {
        let changed = told_all(&bed, "id::text, name, driver::text, town", sql).await;
        assert_eq!(changed.len(), rows, "{sql}");
    }
}
