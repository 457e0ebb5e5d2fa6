//! Statements through the Dejima table that change many rows, of which all but the first are updated together.

use std::time::Duration;

use dejima_testbed::until_somebody_waits;

use super::{CREWS, SALES, forget_the_general_way, run, shared};
use crate::bed::{Bed, bed, programmed, said};

const PATIENCE: Duration = Duration::from_secs(20);

const SOLD: &str = "INSERT INTO client VALUES (1, 'Ann'), (2, 'Bo'); INSERT INTO sale SELECT i, 1 + i % 2, i, 'x', 'h' FROM generate_series(1, 300) AS i";

fn count(bed: &Bed, sql: &str) -> String {
    bed.admin(&format!("SELECT count(*) FROM {sql}"))
}

#[tokio::test]
async fn rows_of_all_parts_get_what_changes_in_each_and_no_more() {
    let rows = "INSERT INTO ship SELECT i, i, 'x', 'p' FROM generate_series(1, 100) AS i; INSERT INTO plane SELECT * FROM ship";
    let (bed, _database) = shared("short_many_parts", &[CREWS], rows).await;
    bed.admin(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE '% was written', TG_ARGV[0]; END $$;
         CREATE TRIGGER port BEFORE UPDATE OF port ON ship FOR EACH ROW EXECUTE FUNCTION no('port');
         CREATE TRIGGER port BEFORE UPDATE OF port ON plane FOR EACH ROW EXECUTE FUNCTION no('port');
         CREATE TRIGGER flag BEFORE UPDATE OF flag ON plane FOR EACH ROW EXECUTE FUNCTION no('flag')",
    );
    forget_the_general_way(&bed);
    let owner = bed.session("postgres").await;
    let sql = "UPDATE dejima_tables.\"Crews\" SET crew = crew + 1000, flag = CASE kind WHEN 'ship' THEN 'y' ELSE flag END, port = port WHERE id <= 50 RETURNING crew";
    let (returned, number) = run(&owner, sql).await;
    assert_eq!((returned.len(), number), (100, 100));
    assert_eq!(bed.told(0).len(), 100);
    assert_eq!(
        count(
            &bed,
            "ship WHERE id <= 50 AND crew = id + 1000 AND flag = 'y' AND port = 'p'"
        ),
        "50"
    );
    assert_eq!(
        count(
            &bed,
            "plane WHERE id <= 50 AND crew = id + 1000 AND flag = 'x'"
        ),
        "50"
    );
    assert_eq!(count(&bed, "ship WHERE id > 50 AND crew = id"), "50");
}

#[tokio::test]
async fn one_that_cannot_be_updated_so_takes_all_with_it() {
    let (bed, _database) = shared("short_many_refused", &[SALES], SOLD).await;
    let owner = bed.session("postgres").await;
    let t = "dejima_tables.\"Sales\"";
    for (sql, sqlstate) in [
        // Twice the same row, and not with the first.
        (
            format!(
                "UPDATE {t} AS t SET pieces = n FROM (VALUES (1), (2)) AS v(n) WHERE id IN (7, 8)"
            ),
            "40001",
        ),
        (
            format!("UPDATE {t} SET note = CASE id WHEN 250 THEN 'longer than 9' ELSE 'y' END"),
            "22001",
        ),
        // A value of the part that is only read.
        (
            format!("UPDATE {t} SET pieces = 0, name = CASE id WHEN 250 THEN 'Cy' ELSE name END"),
            "23514",
        ),
    ] {
        let error = owner.batch_execute(&sql).await.expect_err(&sql);
        assert_eq!(said(error).0, sqlstate, "{sql}");
    }
    assert_eq!(count(&bed, "sale WHERE pieces = id AND note = 'x'"), "300");
    // The general way takes what changes more than direct columns, and what nobody has changed in between stays.
    let mixed =
        format!("UPDATE {t} SET pieces = 0, client = 2, name = 'Bo' WHERE id BETWEEN 100 AND 199");
    assert_eq!(run(&owner, &mixed).await.1, 100);
    assert_eq!(bed.told(0).len(), 100);
    assert_eq!(count(&bed, "sale WHERE pieces = 0 AND client = 2"), "100");
}

/// What a trigger of the base table's owner makes of one of many rows. A rule takes part, too.
#[tokio::test]
async fn what_is_not_shown_afterwards_is_refused() {
    let (bed, _database) = shared("short_many_lost", &[SALES], SOLD).await;
    let owner = bed.session("postgres").await;
    let sql = "UPDATE dejima_tables.\"Sales\" SET pieces = 0";
    for (other, end) in [
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 250 THEN NEW.id := 999; END IF; RETURN NEW; END $$;
             CREATE TRIGGER f BEFORE UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION f()",
            "DROP TRIGGER f ON sale",
        ),
        (
            "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF (SELECT count(*) > 1 FROM new) THEN DELETE FROM public.sale WHERE id = 250; END IF; RETURN NULL; END $$;
             CREATE TRIGGER g AFTER UPDATE ON sale REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION g()",
            "DROP TRIGGER g ON sale",
        ),
    ] {
        bed.admin(other);
        let error = owner.batch_execute(sql).await.expect_err(other);
        let (_, message, _) = said(error);
        assert!(
            message.contains("does not show in Dejima table \"Sales\" what was put into it"),
            "{other}: {message}"
        );
        bed.admin(end);
    }
    bed.admin("CREATE TABLE seen (id integer); GRANT ALL ON seen TO PUBLIC; CREATE RULE h AS ON UPDATE TO sale DO ALSO INSERT INTO seen VALUES (OLD.id)");
    assert_eq!(run(&owner, sql).await.1, 300);
    assert_eq!(count(&bed, "sale WHERE pieces = 0"), "300");
    assert_eq!(count(&bed, "(SELECT DISTINCT id FROM seen) AS s"), "300");
}

/// Of many rows one is changed by another session, in a column that is shown or in one that is not.
#[tokio::test]
async fn who_waited_with_many_rows_sees_what_the_other_left() {
    let (bed, _database) = shared("short_many_wait", &[SALES], SOLD).await;
    let observer = bed.session("postgres").await;
    for (other, expected) in [("hidden = 'k'", None), ("note = 'z'", Some("40001"))] {
        let (one, two) = (bed.session("postgres").await, bed.session("postgres").await);
        let other = format!("BEGIN; UPDATE sale SET {other} WHERE id = 250");
        one.batch_execute(&other)
            .await
            .expect("nobody else is there");
        let waiting = tokio::spawn(async move {
            two.batch_execute("UPDATE dejima_tables.\"Sales\" SET pieces = pieces + 1")
                .await
        });
        let waits = until_somebody_waits(&observer, PATIENCE).await;
        waits.expect("the other one is first");
        one.batch_execute("COMMIT").await.expect("it was first");
        let found = waiting.await.expect("it ends").map_err(|e| said(e).0);
        assert_eq!(found.err().as_deref(), expected, "{other}");
    }
    assert_eq!(count(&bed, "sale WHERE pieces = id + 1"), "300");
}

/// That a statement has updated its first row is known to it alone.
#[tokio::test]
async fn each_statement_has_a_first_row() {
    let (bed, _database) = shared("short_many_first", &[SALES, CREWS], SOLD).await;
    bed.admin(
        "INSERT INTO ship SELECT i, i, 'x', 'p' FROM generate_series(1, 9) AS i;
         CREATE TABLE way (way text, rows integer);
         GRANT ALL ON way TO PUBLIC;
         CREATE FUNCTION way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.way SELECT TG_TABLE_NAME, count(*) FROM new; RETURN NULL; END $$;
         CREATE TRIGGER way AFTER UPDATE ON sale REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION way();
         CREATE TRIGGER way AFTER UPDATE ON ship REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION way();
         -- A statement within: its first row, and the others.
         CREATE FUNCTION within() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           UPDATE dejima_tables.\"Crews\" SET crew = crew + 1 WHERE id <= 3; RETURN NULL; END $$;
         CREATE TRIGGER within AFTER UPDATE ON sale FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION within()",
    );
    let owner = bed.session("postgres").await;
    let ways = "SELECT string_agg(way || ' ' || rows, ', ' ORDER BY ctid) FROM way";
    let sales = "UPDATE dejima_tables.\"Sales\" SET pieces = pieces + 1 WHERE id BETWEEN";
    for (sql, expected) in [
        (format!("{sales} 2 AND 4"), "sale 1, sale 2"),
        (
            format!("BEGIN; {sales} 2 AND 3; {sales} 4 AND 5; COMMIT"),
            "sale 1, sale 1, sale 1, sale 1",
        ),
        (format!("{sales} 1 AND 4"), "ship 1, ship 2, sale 1, sale 3"),
        // Its savepoint took with it that one had a first row.
        (
            format!("BEGIN; SAVEPOINT s; {sales} 2 AND 3; ROLLBACK TO s; {sales} 2 AND 2; COMMIT"),
            "sale 1",
        ),
        // A session may say what it likes: the way is another.
        (
            format!(
                "BEGIN; SET LOCAL dejima.through = '{}'; {sales} 2 AND 3; COMMIT",
                bed.admin("SELECT id FROM dejima.dejima_table WHERE name = 'Sales'")
            ),
            "sale 2",
        ),
    ] {
        bed.admin("TRUNCATE way");
        owner.batch_execute(&sql).await.expect(&sql);
        assert_eq!(bed.admin(ways), expected, "{sql}");
    }
}

/// Rows that come and go by one statement, beside those that are updated.
#[tokio::test]
async fn many_rows_come_and_go() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'), (2, NULL)";
    let tables = super::tables(SALES).replace("name text NOT NULL", "name text");
    let strategy = SALES.replace("name text NOT NULL", "name text");
    let bed = bed("short_many_come", &format!("{tables};{rows}")).await;
    let database = bed.connect().await;
    let declared = database.declare(&[programmed(&strategy)]).await;
    declared.expect("it fits");
    let owner = bed.session("postgres").await;
    let t = "dejima_tables.\"Sales\"";
    let insert = format!(
        "INSERT INTO {t} SELECT i, 1 + i % 2, CASE i % 2 WHEN 0 THEN 'Ann' END, NULL, NULL FROM generate_series(1, 500) AS i"
    );
    assert_eq!(run(&owner, &insert).await.1, 500);
    assert_eq!(bed.told(0).len(), 500);
    assert_eq!(
        count(
            &bed,
            "sale WHERE pieces IS NULL AND note IS NULL AND client = 1 + id % 2"
        ),
        "500"
    );
    assert_eq!(
        run(&owner, &format!("DELETE FROM {t} WHERE id > 100"))
            .await
            .1,
        400
    );
    assert_eq!(bed.told(0).len(), 400);
    assert_eq!(count(&bed, "sale"), "100");
}
