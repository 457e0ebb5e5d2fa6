//! Failure: triggers create temporary tables, so that the transaction cannot be prepared.

use dejima_core::delta::PutRow;
use dejima_core::transaction::Answer;

use super::{TABLES, joined, run, served};
use crate::bed::{apply, cells, commit};

/// What a participant puts, and what a client writes through the view or in the base tables, can be prepared; no temporary
/// object is made, nor a schema for one.
#[tokio::test]
async fn transactions_through_a_strategy_can_be_prepared() {
    let content = "INSERT INTO city VALUES (1, 'Kyoto'), (2, 'Osaka'); INSERT INTO client VALUES (1, 'Ann', 1)";
    let (bed, database) = served("temporary", &format!("{TABLES} {content}"), joined()).await;
    let gid = bed.gid(1);
    let puts = vec![
        PutRow::Insert {
            new: cells(&[("id", "2"), ("name", "Bob"), ("town", "Osaka")]),
        },
        PutRow::Update {
            key: vec!["1".into()],
            old: cells(&[("town", "Kyoto")]),
            new: cells(&[("town", "Osaka")]),
        },
    ];
    let answer = database.execute(apply(&gid, "T", puts)).await;
    assert!(matches!(answer, Some(Answer::Applied { .. })), "{answer:?}");
    commit(&database, &gid).await;
    let client = bed.client().await;
    for (name, sql) in [
        (
            "insert",
            "INSERT INTO dejima_tables.\"T\" VALUES (3, 'Cas', 'Kyoto'), (4, 'Dan', 'Osaka')",
        ),
        (
            "update",
            "UPDATE dejima_tables.\"T\" SET town = 'Kyoto', name = name || '!'",
        ),
        ("delete", "DELETE FROM dejima_tables.\"T\" WHERE id = 4"),
        (
            "base",
            "UPDATE city SET name = name || '?'; DELETE FROM client WHERE id = 3",
        ),
    ] {
        let name = format!("temporary {name}");
        run(
            &client,
            &format!("BEGIN; {sql}; PREPARE TRANSACTION '{name}'"),
        )
        .await;
        run(&client, &format!("COMMIT PREPARED '{name}'")).await;
    }
    let stored =
        "SELECT string_agg(format('%s %s %s', id, name, city), ', ' ORDER BY id) FROM client";
    assert_eq!(bed.admin(stored), "1 Ann! 1, 2 Bob! 1");
    let temporary = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_temp%'), (SELECT count(*) FROM pg_class WHERE relpersistence = 't')";
    assert_eq!(bed.admin(temporary), "0|0");
}
