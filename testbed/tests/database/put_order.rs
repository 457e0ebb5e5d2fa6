//! One put over a table whose rows refer to each other: it finds the order in which foreign keys and unique keys hold.

use serde_json::{Value, json};

use crate::bed::{bed, declared, said};

/// The staff: 1 over 2 over 3, and 4 on its own; `desk` is a key of its own.
const STAFF: &str = "CREATE TABLE staff (id integer PRIMARY KEY, boss integer REFERENCES staff, desk text UNIQUE, hidden text);
    INSERT INTO staff VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, NULL, 'd')";

fn delete(id: &str) -> Value {
    json!({"op": "delete", "key": [id], "old": {}})
}

fn update(id: &str, new: Value) -> Value {
    json!({"op": "update", "key": [id], "old": {}, "new": new})
}

fn insert(id: &str, boss: Option<&str>, desk: &str) -> Value {
    json!({"op": "insert", "new": {"id": id, "boss": boss, "desk": desk}})
}

#[tokio::test]
async fn rows_that_refer_to_each_other_are_written_in_an_order_that_holds() {
    let bed = bed("put_order", STAFF).await;
    let tables = json!([{"name": "T", "base_table": "public.staff", "key": ["id"], "columns": ["id", "boss", "desk"]}]);
    let database = bed.connect().await;
    database.declare(&declared(tables)).await.expect("it fits");
    let dejima = bed.session("dejima").await;
    let to = |boss: &str| json!({"boss": boss});
    for (rows, expected) in [
        // The parent goes, and the child has another one; both go; a subtree goes.
        (vec![delete("2"), update("3", to("1"))], Ok("1-a 31c 4-d")),
        (vec![delete("2"), delete("3")], Ok("1-a 4-d")),
        (
            vec![delete("1"), delete("2"), update("3", to("4"))],
            Ok("34c 4-d"),
        ),
        // A new parent; a new parent in place of the old one; a whole new branch.
        (
            vec![insert("5", None, "e"), update("3", to("5"))],
            Ok("1-a 21b 35c 4-d 5-e"),
        ),
        (
            vec![
                insert("5", Some("1"), "e"),
                update("3", to("5")),
                delete("2"),
            ],
            Ok("1-a 35c 4-d 51e"),
        ),
        (
            vec![
                insert("6", Some("5"), "f"),
                insert("5", None, "e"),
                update("4", to("6")),
            ],
            Ok("1-a 21b 32c 46d 5-e 65f"),
        ),
        // Room under the other key: of what is deleted and of what is updated, with a child that moves.
        (
            vec![delete("4"), insert("5", None, "d"), update("3", to("5"))],
            Ok("1-a 21b 35c 5-d"),
        ),
        (
            vec![
                delete("4"),
                insert("5", None, "e"),
                update("3", json!({"boss": "5", "desk": "d"})),
            ],
            Ok("1-a 21b 35d 5-e"),
        ),
        (
            vec![delete("2"), insert("5", None, "b"), update("3", to("1"))],
            Ok("1-a 31c 4-d 5-b"),
        ),
        (
            vec![
                update("4", json!({"desk": "e"})),
                insert("5", Some("4"), "d"),
            ],
            Ok("1-a 21b 32c 4-e 54d"),
        ),
        (
            vec![
                delete("3"),
                update("2", json!({"desk": "c"})),
                insert("5", Some("2"), "b"),
            ],
            Ok("1-a 21c 4-d 52b"),
        ),
        // No order holds: the new parent needs the desk of the one that its child leaves; one that stays needs what goes.
        (
            vec![insert("5", None, "b"), update("3", to("5")), delete("2")],
            Err("23503"),
        ),
        (vec![delete("2"), update("4", to("1"))], Err("23503")),
        (
            vec![insert("5", None, "a"), update("4", to("1"))],
            Err("23505"),
        ),
        (
            vec![update("1", json!({"id": "7"})), update("2", to("7"))],
            Err("23503"),
        ),
    ] {
        let context = format!("{rows:?}");
        let puts = json!([{"table": "T", "rows": rows}]).to_string();
        dejima.batch_execute("BEGIN").await.expect("a transaction");
        let put = format!("SELECT dejima.put('{puts}')");
        let outcome = dejima.batch_execute(&put).await;
        let found = match outcome {
            Ok(()) => {
                let staff = "SELECT string_agg(id || coalesce(boss::text, '-') || desk, ' ' ORDER BY id) FROM staff";
                Ok(dejima
                    .query_one(staff, &[])
                    .await
                    .expect("it can be read")
                    .get::<_, String>(0))
            }
            Err(error) => Err(said(error).0),
        };
        dejima
            .batch_execute("ROLLBACK")
            .await
            .expect("it can always");
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found, expected, "{context}");
    }
}
