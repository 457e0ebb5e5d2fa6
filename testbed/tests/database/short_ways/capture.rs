//! Changes of base tables.

use dejima_core::database::Examinee;
use dejima_core::examine::State;
use serde_json::json;

use super::{FLEET, run, shared, tables, told};
use crate::bed::{bed, declared, programmed};

#[tokio::test]
async fn invariant_6_what_is_captured_as_it_is_shown_is_each_change_of_it() {
    let (bed, _database) = shared("short_capture", &[FLEET], "").await;
    let client = bed.client().await;
    for (sql, expected) in [
        (
            "INSERT INTO bus VALUES (1, 40, NULL), (2, 0, 'out of order')",
            vec![told("Fleet", &[], &["bus", "1", "40", "NULL"])],
        ),
        (
            "BEGIN; INSERT INTO taxi VALUES (1, 4, ''); UPDATE bus SET seats = seats + 1; COMMIT",
            vec![
                told("Fleet", &[], &["taxi", "1", "4", ""]),
                told(
                    "Fleet",
                    &["bus", "1", "40", "NULL"],
                    &["bus", "1", "41", "NULL"],
                ),
                told("Fleet", &[], &["bus", "2", "1", "out of order"]),
            ],
        ),
        // Invariant 8, of the key, too.
        (
            "UPDATE taxi SET id = 7, note = 'x'",
            vec![told(
                "Fleet",
                &["taxi", "1", "4", ""],
                &["taxi", "7", "4", "x"],
            )],
        ),
        ("UPDATE bus SET note = note", vec![]),
        (
            "UPDATE bus SET seats = -1 WHERE id = 2",
            vec![told("Fleet", &["bus", "2", "1", "out of order"], &[])],
        ),
        ("UPDATE bus SET note = 'hidden' WHERE id = 2", vec![]),
        (
            "TRUNCATE bus, taxi",
            vec![
                told("Fleet", &["bus", "1", "41", "NULL"], &[]),
                told("Fleet", &["taxi", "7", "4", "x"], &[]),
            ],
        ),
    ] {
        client.batch_execute(sql).await.expect(sql);
        assert_eq!(bed.told(0), expected, "{sql}");
        assert_eq!(bed.admin("SELECT count(*) FROM dejima.pending"), "0");
    }
    let derived = "SELECT count(*) FROM dejima.generated WHERE part LIKE 'derive %'";
    assert_eq!(bed.admin(derived), "0");
    // A statement's triggers change what it left: the order is put right as for a declaration.
    bed.admin(
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.taxi SET seats = seats + 1; RETURN NULL; END $$;
         CREATE TRIGGER more AFTER INSERT ON taxi FOR EACH STATEMENT EXECUTE FUNCTION more()",
    );
    let sql = "INSERT INTO taxi VALUES (1, 4)";
    client.batch_execute(sql).await.expect(sql);
    assert_eq!(
        bed.told(0),
        [
            told("Fleet", &[], &["taxi", "1", "4", "NULL"]),
            told(
                "Fleet",
                &["taxi", "1", "4", "NULL"],
                &["taxi", "1", "5", "NULL"]
            ),
        ]
    );
}

/// Beside it over the same base tables, one of them partitioned: a declaration, and a strategy whose changes are derived.
#[tokio::test]
async fn what_is_captured_as_it_is_shown_goes_beside_all_else() {
    let bed = bed(
        "short_beside",
        "CREATE TABLE bus (id integer PRIMARY KEY, seats integer, note text) PARTITION BY RANGE (id);
         CREATE TABLE bus_low PARTITION OF bus FOR VALUES FROM (0) TO (100);
         CREATE TABLE bus_high PARTITION OF bus FOR VALUES FROM (100) TO (200);
         CREATE TABLE taxi (id integer PRIMARY KEY, seats integer, note text)",
    )
    .await;
    let database = bed.connect().await;
    let base = tables(FLEET).replace(" CHECK (note <> 'bad')", "");
    let view = FLEET.replace(tables(FLEET), "");
    let paired = "CREATE VIEW \"Paired\" AS SELECT id, note FROM bus WHERE EXISTS (SELECT FROM taxi WHERE taxi.id = bus.id)";
    let mut all = declared(
        json!([{"name": "Bus", "base_table": "public.bus", "key": ["id"], "columns": ["id", "seats"]}]),
    );
    all.push(programmed(&format!("{base}{view}")));
    all.push(programmed(&format!("{base}{paired}")));
    database.declare(&all).await.expect("they fit");
    let client = bed.client().await;
    for (sql, expected) in [
        (
            "BEGIN; INSERT INTO bus_low VALUES (1, 40, 'a'); INSERT INTO taxi VALUES (1, 4, 'b'), (101, 4, 'c'); COMMIT",
            vec![
                told("Bus", &[], &["1", "40"]),
                told("Fleet", &[], &["bus", "1", "40", "a"]),
                told("Fleet", &[], &["taxi", "1", "4", "b"]),
                told("Fleet", &[], &["taxi", "101", "4", "c"]),
                told("Paired", &[], &["1", "a"]),
            ],
        ),
        // From one partition into another.
        (
            "UPDATE bus SET id = 101",
            vec![
                told("Bus", &["1", "40"], &["101", "40"]),
                told(
                    "Fleet",
                    &["bus", "1", "40", "a"],
                    &["bus", "101", "40", "a"],
                ),
                told("Paired", &["1", "a"], &[]),
                told("Paired", &[], &["101", "a"]),
            ],
        ),
        (
            "TRUNCATE bus_high",
            vec![
                told("Bus", &["101", "40"], &[]),
                told("Fleet", &["bus", "101", "40", "a"], &[]),
                told("Paired", &["101", "a"], &[]),
            ],
        ),
    ] {
        client.batch_execute(sql).await.expect(sql);
        let mut found = bed.told(0);
        found.sort();
        let mut expected = expected;
        expected.sort();
        assert_eq!(found, expected, "{sql}");
    }
}

/// A foreign key makes another table part of the strategy, of which nothing is shown: nothing is logged of it.
#[tokio::test]
async fn of_a_table_that_is_only_referred_to_nothing_is_captured() {
    let tables = "CREATE TABLE depot (id integer PRIMARY KEY, name text);
        CREATE TABLE bus (id integer PRIMARY KEY, depot integer REFERENCES depot);
        CREATE TABLE taxi (id integer PRIMARY KEY, depot integer);";
    let view = "CREATE VIEW \"Fleet\" AS SELECT 'bus' AS kind, id, depot FROM bus UNION ALL SELECT 'taxi', id, depot FROM taxi";
    let bed = bed("short_referred", tables).await;
    let database = bed.connect().await;
    let all = [programmed(&format!("{tables}{view}"))];
    let examinee = Examinee {
        tables: database.declare(&all).await.expect("it fits"),
        ..Examinee::default()
    };
    let owner = bed.session("postgres").await;
    for (sql, expected) in [
        (
            "INSERT INTO depot SELECT i, 'here' FROM generate_series(1, 20) AS i",
            vec![],
        ),
        ("UPDATE depot SET name = 'there'", vec![]),
        ("DELETE FROM depot WHERE id > 1", vec![]),
        (
            "INSERT INTO bus VALUES (1, 1)",
            vec![told("Fleet", &[], &["bus", "1", "1"])],
        ),
        (
            "TRUNCATE depot, bus",
            vec![told("Fleet", &["bus", "1", "1"], &[])],
        ),
    ] {
        run(&owner, sql).await;
        assert_eq!(bed.told(0), expected, "{sql}");
        assert_eq!(bed.admin("SELECT count(*) FROM dejima.pending"), "0");
    }
    let findings = database.examine(&examinee).await.into_iter();
    let faults = findings.filter(|found| found.check == "triggers" && found.state != State::Ok);
    assert_eq!(faults.map(|found| found.what).collect::<Vec<_>>(), [""; 0]);
}
