//! Puts of one row.

use dejima_core::delta::PutRow;
use dejima_core::transaction::Answer;

use super::{FLEET, SALES, forget_the_general_way, shared, told, update};
use crate::bed::{apply, cells, commit, images, refused};

#[tokio::test]
async fn a_put_of_direct_columns_is_one_update() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h'), (2, 1, 6, 'y', 'i')";
    let (bed, database) = shared("short_put", &[SALES, FLEET], rows).await;
    bed.admin(
        "INSERT INTO taxi VALUES (1, 4, 'x');
         CREATE TABLE seen (columns text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (TG_ARGV[0]); RETURN NULL; END $$;
         CREATE TRIGGER pieces AFTER UPDATE OF pieces ON sale FOR EACH ROW EXECUTE FUNCTION see('pieces');
         CREATE TRIGGER note AFTER UPDATE OF note ON sale FOR EACH ROW EXECUTE FUNCTION see('note');
         GRANT ALL ON seen TO dejima",
    );
    forget_the_general_way(&bed);
    let gid = bed.gid(1);
    for (table, put, expected) in [
        (
            "Sales",
            update(&["1"], &[("pieces", "5")], &[("pieces", "7")]),
            told(
                "Sales",
                &["1", "1", "Ann", "5", "x"],
                &["1", "1", "Ann", "7", "x"],
            ),
        ),
        (
            "Sales",
            update(
                &["1"],
                &[("name", "Ann"), ("note", "x")],
                &[("note", "NULL")],
            ),
            told(
                "Sales",
                &["1", "1", "Ann", "7", "x"],
                &["1", "1", "Ann", "7", "NULL"],
            ),
        ),
        (
            "Sales",
            update(
                &["2"],
                &[("pieces", "6"), ("note", "y")],
                &[("pieces", "NULL"), ("note", "'")],
            ),
            told(
                "Sales",
                &["2", "1", "Ann", "6", "y"],
                &["2", "1", "Ann", "NULL", "'"],
            ),
        ),
        (
            "Fleet",
            update(&["taxi", "1"], &[("seats", "4")], &[("seats", "5")]),
            told("Fleet", &["taxi", "1", "4", "x"], &["taxi", "1", "5", "x"]),
        ),
    ] {
        let answer = database.execute(apply(&gid, table, vec![put])).await;
        let Some(Answer::Applied { captured, .. }) = answer else {
            panic!("{table}: {answer:?}");
        };
        assert_eq!(images(captured), [expected]);
    }
    commit(&database, &gid).await;
    assert_eq!(
        bed.admin("SELECT string_agg(columns, ' ') FROM seen"),
        "pieces note note pieces",
        "a column that does not change is not written"
    );
    assert_eq!(bed.admin("SELECT string_agg(hidden, '') FROM sale"), "hi");
}

#[tokio::test]
async fn what_a_direct_put_does_not_find_or_lose_is_refused_as_ever() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'), (2, 'Bo'); INSERT INTO sale SELECT i, 1, 5, 'x', 'h' FROM generate_series(1, 3) AS i";
    let (bed, database) = shared("short_refused", &[SALES, FLEET], rows).await;
    bed.admin(
        "INSERT INTO bus VALUES (1, 40, 'x');
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           CASE NEW.note WHEN 'drop' THEN RETURN NULL; WHEN 'move' THEN NEW.id := 9; WHEN 'other' THEN NEW.client := 2; WHEN 'LOUD' THEN NEW.note := 'quiet'; ELSE END CASE;
           RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION f();
         CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.note = 'gone' THEN DELETE FROM public.sale WHERE id = NEW.id; END IF; RETURN NULL; END $$;
         CREATE TRIGGER g AFTER UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION g()",
    );
    let note = |new: &str| update(&["1"], &[("note", "x")], &[("note", new)]);
    let conflict = "conflict in Dejima table \"Sales\" at peer \"bank\"";
    let lost = "peer \"bank\" does not show in Dejima table \"Sales\" what was put into it";
    for (number, table, put, sqlstate, message) in [
        (
            1,
            "Sales",
            update(&["1"], &[("note", "y")], &[("note", "z")]),
            "40001",
            conflict,
        ),
        (
            2,
            "Sales",
            update(&["1"], &[("name", "Bo"), ("note", "x")], &[("note", "z")]),
            "40001",
            conflict,
        ),
        (
            3,
            "Sales",
            update(&["8"], &[("note", "x")], &[("note", "z")]),
            "40001",
            conflict,
        ),
        (
            4,
            "Sales",
            note("drop"),
            "44000",
            "peer \"bank\" did not take a change of Dejima table \"Sales\"",
        ),
        (5, "Sales", note("move"), "44000", lost),
        (6, "Sales", note("gone"), "44000", lost),
        (
            7,
            "Sales",
            note("longer than 9"),
            "22001",
            "cannot take the change",
        ),
        (
            8,
            "Sales",
            update(&["1"], &[("n", "x")], &[("note", "z")]),
            "42703",
            "Dejima table \"Sales\" at peer \"bank\" has no column \"n\"",
        ),
        (
            9,
            "Fleet",
            update(&["bus", "1"], &[("note", "x")], &[("note", "bad")]),
            "23514",
            "the strategy of peer \"bank\" refuses the change of Dejima table \"Fleet\"",
        ),
        // The general way cuts nothing either.
        (
            12,
            "Sales",
            update(
                &["1"],
                &[("client", "1"), ("name", "Ann"), ("note", "x")],
                &[("client", "2"), ("name", "Bo"), ("note", "longer than 9")],
            ),
            "22001",
            "cannot take the change",
        ),
        (
            13,
            "Sales",
            PutRow::Insert {
                new: cells(&[
                    ("id", "7"),
                    ("client", "1"),
                    ("name", "Ann"),
                    ("pieces", "1"),
                    ("note", "longer than 9"),
                ]),
            },
            "22001",
            "cannot take the change",
        ),
    ] {
        let answer = database
            .execute(apply(&bed.gid(number), table, vec![put]))
            .await;
        let (found, said) = refused(answer);
        assert_eq!(found, sqlstate, "{number}: {said}");
        assert!(said.contains(message), "{number}: {said}");
    }
    // What a trigger makes of a row that is still shown is told.
    for (number, id, new, expected) in [
        (10, "2", "LOUD", ["2", "1", "Ann", "5", "quiet"]),
        (11, "3", "other", ["3", "2", "Bo", "5", "other"]),
    ] {
        let put = update(&[id], &[("note", "x")], &[("note", new)]);
        let answer = database
            .execute(apply(&bed.gid(number), "Sales", vec![put]))
            .await;
        let Some(Answer::Applied { captured, .. }) = answer else {
            panic!("{answer:?}");
        };
        let old = [id, "1", "Ann", "5", "x"];
        assert_eq!(images(captured), [told("Sales", &old, &expected)]);
    }
}
