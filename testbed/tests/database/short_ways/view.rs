//! Plain SQL through the Dejima table.

use std::time::Duration;

use dejima_core::transaction::Answer;
use dejima_testbed::until_somebody_waits;
use tokio_postgres::Client;

use super::{CREWS, FLEET, SALES, forget_the_general_way, run, shared, tables, told, update};
use crate::bed::{Bed, Told, apply, bed, programmed, said};

/// How long a session may take until it waits for another one.
const PATIENCE: Duration = Duration::from_secs(20);

/// One statement changes two rows, whichever first: what it returns, and what is told of it.
async fn both_change(bed: &Bed, client: &Client, sql: &str, rows: [&str; 2], expected: [Told; 2]) {
    let (mut returned, count) = run(client, sql).await;
    returned.sort();
    assert_eq!((returned, count), (rows.map(String::from).to_vec(), 2));
    let mut found = bed.told(0);
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn direct_columns_are_written_through_the_dejima_table_at_once() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h'), (2, 1, 6, 'y', 'i')";
    let (bed, _database) = shared("short_view", &[SALES], rows).await;
    forget_the_general_way(&bed);
    let owner = bed.session("postgres").await;
    let t = "dejima_tables.\"Sales\"";
    let sql = format!("UPDATE {t} SET pieces = pieces + 1 RETURNING id, name, pieces");
    let expected = [
        told(
            "Sales",
            &["1", "1", "Ann", "5", "x"],
            &["1", "1", "Ann", "6", "x"],
        ),
        told(
            "Sales",
            &["2", "1", "Ann", "6", "y"],
            &["2", "1", "Ann", "7", "y"],
        ),
    ];
    both_change(&bed, &owner, &sql, ["1|Ann|6", "2|Ann|7"], expected).await;
    let sql = format!(
        "UPDATE {t} SET pieces = NULL, note = note || '!', name = 'Ann' WHERE id = 1 RETURNING *"
    );
    assert_eq!(run(&owner, &sql).await, (vec!["1|1|Ann|NULL|x!".into()], 1));
    assert_eq!(
        bed.told(0),
        [told(
            "Sales",
            &["1", "1", "Ann", "6", "x"],
            &["1", "1", "Ann", "NULL", "x!"]
        )]
    );
    let sql = format!("UPDATE {t} SET note = note, name = name");
    assert_eq!(
        run(&owner, &sql).await.1,
        2,
        "what stays as it is costs nothing"
    );
    assert_eq!(bed.told(0), []);
}

#[tokio::test]
async fn one_statement_may_have_rows_of_both_kinds() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'), (2, 'Bo'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h'), (2, 1, 6, 'y', 'i')";
    let (bed, _database) = shared("short_mixed", &[SALES, FLEET], rows).await;
    let owner = bed.session("postgres").await;
    let t = "dejima_tables.\"Sales\"";
    let mixed = format!(
        "UPDATE {t} SET pieces = 9, client = id, name = CASE id WHEN 1 THEN 'Ann' ELSE 'Bo' END RETURNING id, client, name, pieces"
    );
    let expected = [
        told(
            "Sales",
            &["1", "1", "Ann", "5", "x"],
            &["1", "1", "Ann", "9", "x"],
        ),
        told(
            "Sales",
            &["2", "1", "Ann", "6", "y"],
            &["2", "2", "Bo", "9", "y"],
        ),
    ];
    both_change(&bed, &owner, &mixed, ["1|1|Ann|9", "2|2|Bo|9"], expected).await;
    assert_eq!(
        bed.admin("SELECT string_agg(s::text, ' ' ORDER BY id) FROM sale AS s"),
        "(1,1,9,x,h) (2,2,9,y,i)"
    );
    // One row that is refused takes the others with it; so does one that is asked for twice.
    for (sql, sqlstate) in [
        (
            format!("UPDATE {t} SET pieces = 1, name = CASE id WHEN 1 THEN 'Ann' ELSE 'Cy' END"),
            "23514",
        ),
        (
            format!("UPDATE {t} AS t SET pieces = n FROM (VALUES (1), (2)) AS v(n) WHERE id = 1"),
            "40001",
        ),
        (
            format!("UPDATE {t} SET note = 'longer than 9' WHERE id = 1"),
            "22001",
        ),
    ] {
        let error = owner.batch_execute(&sql).await.expect_err(&sql);
        assert_eq!(said(error).0, sqlstate, "{sql}");
    }
    assert_eq!(
        bed.admin("SELECT string_agg(pieces::text, ' ') FROM sale"),
        "9 9"
    );
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.pending"), "0");
    // What a constraint asks for goes the general way.
    bed.admin("INSERT INTO bus VALUES (1, 40, 'x')");
    let bad = "UPDATE dejima_tables.\"Fleet\" SET seats = 41, note = 'bad'";
    let (sqlstate, message, _) = said(owner.batch_execute(bad).await.expect_err(bad));
    assert_eq!(sqlstate, "23514");
    assert!(message.starts_with("the strategy of peer"), "{message}");
}

/// A unique key that the strategy does not know may be checked at the end of a statement: of one statement, not of one for each row.
#[tokio::test]
async fn unique_values_may_be_exchanged_by_one_statement() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 1), (2, 1, 2)";
    let bed = bed("short_unique", &format!("{} {rows}", tables(SALES))).await;
    bed.admin("ALTER TABLE sale ADD UNIQUE (pieces) DEFERRABLE");
    let database = bed.connect().await;
    database
        .declare(&[programmed(SALES)])
        .await
        .expect("it fits");
    let owner = bed.session("postgres").await;
    let sql = "UPDATE dejima_tables.\"Sales\" SET pieces = 3 - pieces";
    owner.batch_execute(sql).await.expect(sql);
    assert_eq!(bed.told(0).len(), 2);
    assert_eq!(
        bed.admin("SELECT string_agg(pieces::text, ' ' ORDER BY id) FROM sale"),
        "2 1"
    );
}

/// Rows of two tables under one number; a trigger that a column has only if it is written.
#[tokio::test]
async fn the_row_of_the_right_part_gets_what_changes_and_no_more() {
    let rows =
        "INSERT INTO ship VALUES (1, 5, 'x', 'p'); INSERT INTO plane VALUES (1, 5, 'x', 'p')";
    let (bed, database) = shared("short_parts", &[CREWS], rows).await;
    bed.admin(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'port was written'; END $$;
         CREATE TRIGGER no BEFORE UPDATE OF port ON ship FOR EACH ROW EXECUTE FUNCTION no();
         CREATE TRIGGER no BEFORE UPDATE OF port ON plane FOR EACH ROW EXECUTE FUNCTION no()",
    );
    forget_the_general_way(&bed);
    let puts = [
        update(&["plane", "1"], &[("crew", "5")], &[("crew", "6")]),
        update(
            &["plane", "1"],
            &[("crew", "6"), ("flag", "x")],
            &[("crew", "7"), ("flag", "y")],
        ),
    ];
    let gid = bed.gid(1);
    for put in puts {
        let answer = database.execute(apply(&gid, "Crews", vec![put])).await;
        let Some(Answer::Applied { captured, .. }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(captured.len(), 1);
        let new = captured[0].new.clone().expect("an update");
        assert_eq!(new[0], Some("plane".into()));
    }
    let owner = bed.session("postgres").await;
    for (sql, expected) in [
        ("crew = 8", "(1,8,x,p)"),
        ("crew = 9, flag = 'z'", "(1,9,z,p)"),
    ] {
        let sql = format!(
            "UPDATE dejima_tables.\"Crews\" SET {sql}, port = port WHERE kind = 'ship' AND id = 1"
        );
        assert_eq!(run(&owner, &sql).await.1, 1);
        assert_eq!(bed.told(0).len(), 1);
        assert_eq!(bed.admin("SELECT s::text FROM ship AS s"), expected);
    }
}

/// A writer that waits for another looks at the row that the other has left.
#[tokio::test]
async fn who_waited_sees_what_the_other_left() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h')";
    let (bed, _database) = shared("short_wait", &[SALES], rows).await;
    let observer = bed.session("postgres").await;
    for (other, expected, left) in [
        ("hidden = 'k'", Ok(()), "(1,1,6,x,k)"),
        ("note = 'z'", Err("40001"), "(1,1,6,z,k)"),
    ] {
        let (one, two) = (bed.session("postgres").await, bed.session("postgres").await);
        one.batch_execute(&format!("BEGIN; UPDATE sale SET {other}"))
            .await
            .expect("nobody else is there");
        let waiting = tokio::spawn(async move {
            two.batch_execute("UPDATE dejima_tables.\"Sales\" SET pieces = pieces + 1 WHERE id = 1")
                .await
        });
        let waits = until_somebody_waits(&observer, PATIENCE).await;
        waits.expect("the other one is first");
        one.batch_execute("COMMIT").await.expect("it was first");
        let found = waiting.await.expect("it ends").map_err(|e| said(e).0);
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|e| *e),
            "{other}"
        );
        assert_eq!(bed.admin("SELECT s::text FROM sale AS s"), left);
    }
}
