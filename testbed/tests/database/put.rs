//! Puts: rows into base tables, exactly or not at all.

use dejima_core::delta::{Captured, PutRow};
use dejima_core::transaction::Answer;
use serde_json::json;

use crate::bed::{apply, bed, cells, commit, images, refused, row, simple};

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, a varchar(5) DEFAULT 'dflt', b text, kind text DEFAULT 'base', other text DEFAULT 'o')";

fn insert(new: &[(&str, &str)]) -> PutRow {
    PutRow::Insert { new: cells(new) }
}

fn update(key: &str, old: &[(&str, &str)], new: &[(&str, &str)]) -> PutRow {
    PutRow::Update {
        key: vec![key.into()],
        old: cells(old),
        new: cells(new),
    }
}

fn delete(key: &str, old: &[(&str, &str)]) -> PutRow {
    PutRow::Delete {
        key: vec![key.into()],
        old: cells(old),
    }
}

fn captured(answer: Option<Answer>) -> Vec<Captured> {
    match answer {
        Some(Answer::Applied { captured, .. }) => captured,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_are_put_and_what_that_changed_is_told() {
    let bed = bed("puts", T).await;
    let database = bed
        .share(json!([
            {"name": "A", "base_table": "public.t", "key": ["id"], "columns": ["id", "a"], "where": "kind = 'shared'", "defaults": [{"column": "kind", "value": "shared"}]},
            {"name": "B", "base_table": "public.t", "key": ["id"], "columns": ["id", "b"]},
        ]))
        .await;
    let gid = bed.gid(1);
    let answer = database
        .execute(apply(
            &gid,
            "A",
            vec![insert(&[("id", "1"), ("a", "x")]), insert(&[("id", "2")])],
        ))
        .await;
    let told = images(captured(answer));
    assert_eq!(told.len(), 4);
    assert!(
        told.contains(&("A".into(), None, row(&["2", "NULL"])))
            && told.contains(&("B".into(), None, row(&["1", "NULL"])))
    );
    let rows = vec![
        delete("2", &[("id", "2"), ("a", "NULL")]),
        update("1", &[("a", "x")], &[("a", "y")]),
        update("1", &[("id", "1")], &[("id", "7")]),
        insert(&[("id", "1"), ("a", "")]),
    ];
    let told = images(captured(database.execute(apply(&gid, "A", rows)).await));
    let of_a: Vec<_> = told
        .into_iter()
        .filter(|(table, ..)| table == "A")
        .map(|(_, old, new)| (old, new))
        .collect();
    let expected = [
        (row(&["2", "NULL"]), None),
        (row(&["1", "x"]), row(&["1", "y"])),
        (row(&["1", "y"]), row(&["7", "y"])),
        (None, row(&["1", ""])),
    ];
    assert_eq!(of_a, expected);
    commit(&database, &gid).await;
    // `b` is shown by another Dejima table: NULL. `other` by none: the base table's own default.
    assert_eq!(
        bed.admin("SELECT * FROM t ORDER BY id"),
        "1|||shared|o\n7|y||shared|o"
    );
}

#[tokio::test]
async fn refusals_of_puts() {
    let bed = bed("putno", &format!("{T}; ALTER TABLE t ADD CHECK (b <> 'bad'), ADD UNIQUE (b);
        INSERT INTO t VALUES (1, 'x', NULL, 'shared'), (2, 'x', 'two', 'hidden'), (4, 'x', NULL, 'shared');
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.b = 'drop' THEN RETURN NULL; ELSIF NEW.b = 'raise' THEN RAISE 'we do not do that'; ELSIF NEW.b = 'hide' THEN NEW.kind := 'hidden'; END IF;
          RETURN NEW; END $$;
        CREATE TRIGGER f BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()")).await;
    let database = bed
        .share(json!([{"name": "T", "base_table": "public.t", "key": ["id"], "columns": ["id", "a", "b"], "where": "kind = 'shared'",
            "defaults": [{"column": "kind", "value": "shared"}]}]))
        .await;
    let conflict = "conflict in Dejima table \"T\" at peer \"bank\"";
    let cases = [
        (
            update("1", &[("a", "old")], &[("a", "new")]),
            "40001",
            conflict,
        ),
        (
            update("9", &[("a", "x")], &[("a", "new")]),
            "40001",
            conflict,
        ),
        (
            update("9", &[("id", "9")], &[("id", "10")]),
            "40001",
            conflict,
        ),
        (
            update("2", &[("a", "x")], &[("a", "new")]),
            "40001",
            conflict,
        ),
        (delete("1", &[("a", "y")]), "40001", conflict),
        (insert(&[("id", "1"), ("a", "n")]), "40001", conflict),
        (
            insert(&[("id", "2"), ("a", "n")]),
            "23505",
            "the key is taken at peer \"bank\" by a row that Dejima table \"T\" does not show",
        ),
        (
            insert(&[("id", "3"), ("b", "two")]),
            "23505",
            "constraint \"t_b_key\" of peer \"bank\" refuses the change",
        ),
        (
            insert(&[("id", "3"), ("b", "bad")]),
            "23514",
            "constraint \"t_b_check\" of peer \"bank\" refuses the change",
        ),
        (
            insert(&[("a", "x")]),
            "23502",
            "NOT NULL of column \"id\" of peer \"bank\" refuses the change",
        ),
        (
            insert(&[("id", "3"), ("b", "drop")]),
            "44000",
            "peer \"bank\" did not take a change of Dejima table \"T\"",
        ),
        (
            update("1", &[], &[("b", "drop")]),
            "44000",
            "peer \"bank\" did not take a change of Dejima table \"T\"",
        ),
        (
            update("1", &[], &[("b", "hide")]),
            "44000",
            "peer \"bank\" cannot show the changed row in Dejima table \"T\"",
        ),
        (
            insert(&[("id", "3"), ("b", "hide")]),
            "44000",
            "peer \"bank\" cannot show the changed row in Dejima table \"T\"",
        ),
        (
            update("1", &[], &[("b", "raise")]),
            "P0001",
            "we do not do that",
        ),
        (
            update("1", &[], &[("a", "too long")]),
            "22001",
            "peer \"bank\" cannot take the change",
        ),
        (
            update("1", &[], &[("id", "one")]),
            "22P02",
            "peer \"bank\" cannot take the change",
        ),
        (
            update("1", &[], &[("c", "x")]),
            "42703",
            "Dejima table \"T\" at peer \"bank\" has no column \"c\"",
        ),
    ];
    // Alone a row is put in one way, among others in another: both must mean the same.
    let no_change = update("4", &[("a", "x")], &[("a", "x")]);
    let cases = cases.into_iter().flat_map(|(put, code, message)| {
        [vec![put.clone()], vec![no_change.clone(), put]].map(|rows| (rows, code, message))
    });
    for (number, (rows, code, message)) in (200..).zip(cases) {
        let why = format!("{rows:?}");
        let answer = database.execute(apply(&bed.gid(number), "T", rows)).await;
        assert!(
            !format!("{answer:?}").contains("too long")
                && !format!("{answer:?}").contains("\"one\""),
            "no value may travel: {answer:?}"
        );
        assert_eq!(
            refused(answer),
            (code.to_owned(), message.to_owned()),
            "{why}"
        );
    }
    let answer = database
        .execute(apply(&bed.gid(99), "Unknown", vec![delete("1", &[])]))
        .await;
    assert_eq!(
        refused(answer),
        (
            "42P01".into(),
            "peer \"bank\" has no Dejima table \"Unknown\"".into()
        )
    );
    // Somebody else set the same new value: stale as well. But to set what is there changes nothing.
    let answer = database
        .execute(apply(
            &bed.gid(100),
            "T",
            vec![update("1", &[("a", "old")], &[("a", "x")])],
        ))
        .await;
    assert_eq!(refused(answer), ("40001".into(), conflict.into()));
    assert_eq!(
        captured(
            database
                .execute(apply(
                    &bed.gid(101),
                    "T",
                    vec![update("1", &[("a", "x")], &[("a", "x")])]
                ))
                .await
        ),
        []
    );
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.delta"), "0");
}

#[tokio::test]
async fn ten_thousand_rows_and_calls_of_bounded_size() {
    let bed = bed(
        "many",
        "CREATE TABLE t (id integer PRIMARY KEY, a text, b text)",
    )
    .await;
    let database = bed.share(simple(&["id", "a"])).await;
    let large = "x".repeat(1000);
    let ids: Vec<String> = (1..=10_000).map(|id| id.to_string()).collect();
    let inserts = ids
        .iter()
        .map(|id| insert(&[("id", id), ("a", &large)]))
        .collect();
    let updates = ids
        .iter()
        .map(|id| update(id, &[("a", &large)], &[("a", id)]))
        .collect();
    let deletes = ids
        .iter()
        .map(|id| delete(id, &[("id", id), ("a", id)]))
        .collect();
    for rows in [inserts, updates, deletes] {
        let started = std::time::Instant::now();
        assert_eq!(
            captured(database.execute(apply(&bed.gid(1), "T", rows)).await).len(),
            10_000
        );
        assert!(
            started.elapsed().as_secs() < 20,
            "grows worse than linearly: {:?}",
            started.elapsed()
        );
    }
}
