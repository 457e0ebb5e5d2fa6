//! A partitioned base table: whichever of its relations a client names, nothing escapes; partitions come and go.

use std::collections::BTreeSet;

use dejima_core::delta::{PutRow, Value};
use serde_json::json;

use crate::bed::{Bed, apply, bed, cells, commit, row, said};

/// Two levels, one partition whose columns stand in another order and after one that was dropped.
const MEASURED: &str = "
    CREATE TABLE measured (region text, at integer, value text, note text, PRIMARY KEY (region, at)) PARTITION BY LIST (region);
    CREATE TABLE north PARTITION OF measured FOR VALUES IN ('north');
    CREATE TABLE south PARTITION OF measured FOR VALUES IN ('south') PARTITION BY RANGE (at);
    CREATE TABLE south_old PARTITION OF south FOR VALUES FROM (0) TO (100);
    CREATE TABLE south_new (gone integer, note text, value text, at integer NOT NULL, region text NOT NULL);
    ALTER TABLE south_new DROP COLUMN gone;
    ALTER TABLE south ATTACH PARTITION south_new FOR VALUES FROM (100) TO (200)";

async fn shared(name: &'static str) -> Bed {
    let bed = bed(name, MEASURED).await;
    bed.share(
        json!([{"name": "M", "base_table": "public.measured", "key": ["region", "at"],
        "columns": ["region", "at", "value"], "where": "note IS DISTINCT FROM 'private'"}]),
    )
    .await;
    bed
}

/// What the Dejima table shows, as it is; and as it is by what was told.
type Rows = BTreeSet<Vec<Value>>;

fn shown(bed: &Bed) -> Rows {
    let rows = bed.admin(r#"SELECT region, at, value FROM dejima_tables."M""#);
    let cell = |cell: &str| (!cell.is_empty()).then(|| cell.into());
    rows.lines()
        .map(|line| line.split('|').map(cell).collect())
        .collect()
}

fn follow(bed: &Bed, rows: &mut Rows, sql: &str) {
    for (_, old, new) in bed.told(0) {
        if let Some(old) = old {
            assert!(rows.remove(&old), "{sql}: {old:?} is not there");
        }
        rows.extend(new);
    }
}

#[tokio::test]
async fn invariant_6_whichever_relation_a_client_names_its_changes_are_captured() {
    let bed = shared("parted").await;
    let client = bed.client().await;
    let mut told = Rows::new();
    for sql in [
        "INSERT INTO measured VALUES ('north', 1, 'a', ''), ('south', 2, 'b', NULL), ('south', 150, 'c', NULL), ('north', 9, 'x', 'private')",
        "INSERT INTO north VALUES ('north', 3, 'd')",
        "INSERT INTO south VALUES ('south', 4, 'e'), ('south', 140, 'f')",
        "INSERT INTO south_new (region, at, value) SELECT 'south', i, 'g' || i FROM generate_series(160, 180) AS i",
        "UPDATE measured SET value = value || '!' WHERE at < 10",
        "UPDATE south_new SET value = 'h' WHERE at = 150",
        "UPDATE south SET at = at + 100 WHERE at = 4",
        // From one partition into another.
        "UPDATE measured SET region = 'north' WHERE at IN (2, 150)",
        "UPDATE measured SET note = 'private' WHERE at = 3",
        "UPDATE north SET note = NULL WHERE at = 3",
        "INSERT INTO measured VALUES ('north', 1, 'again') ON CONFLICT (region, at) DO UPDATE SET value = excluded.value",
        "MERGE INTO measured USING (VALUES ('north', 1), ('south', 5)) AS s(region, at) ON measured.region = s.region AND measured.at = s.at
         WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.region, s.at, 'merged')",
        "WITH moved AS (DELETE FROM south_new WHERE at > 170 RETURNING at) INSERT INTO north SELECT 'north', at, 'w' FROM moved",
        "DELETE FROM measured WHERE at IN (2, 160)",
        "DELETE FROM south_old",
        "TRUNCATE south_new",
        "INSERT INTO measured VALUES ('south', 6, 's'), ('south', 106, 't')",
        "TRUNCATE south",
        "INSERT INTO measured VALUES ('south', 6, 's'), ('south', 106, 't')",
        "TRUNCATE measured",
    ] {
        client.batch_execute(sql).await.expect(sql);
        follow(&bed, &mut told, sql);
        assert_eq!(told, shown(&bed), "{sql}");
    }
    assert!(told.is_empty());
}

#[tokio::test]
async fn rows_are_put_into_the_partition_where_they_belong() {
    let bed = shared("parted_put").await;
    let database = bed.connect().await;
    bed.admin("INSERT INTO dejima_tables.\"M\" VALUES ('south', 1, 'a'), ('south', 101, 'b'), ('north', 7, 'c')");
    let gid = bed.gid(1);
    let key = |region: &str, at: &str| vec![region.into(), at.into()];
    let rows = vec![
        PutRow::Insert {
            new: cells(&[("region", "south"), ("at", "120"), ("value", "new")]),
        },
        PutRow::Update {
            key: key("south", "1"),
            old: cells(&[("region", "south")]),
            new: cells(&[("region", "north")]),
        },
        PutRow::Update {
            key: key("south", "101"),
            old: cells(&[("value", "b")]),
            new: cells(&[("value", "B")]),
        },
        PutRow::Delete {
            key: key("north", "7"),
            old: cells(&[("value", "c")]),
        },
    ];
    let answer = database.execute(apply(&gid, "M", rows)).await;
    assert!(format!("{answer:?}").contains("Applied"), "{answer:?}");
    commit(&database, &gid).await;
    assert_eq!(
        bed.admin("SELECT tableoid::regclass, at, value FROM measured ORDER BY at"),
        "north|1|a\nsouth_new|101|B\nsouth_new|120|new"
    );
}

#[tokio::test]
async fn partitions_come_and_go_while_they_are_empty() {
    let bed = shared("parted_ddl").await;
    let client = bed.client().await;
    let superuser = bed.session("postgres").await;
    superuser
        .batch_execute("CREATE TABLE west PARTITION OF measured FOR VALUES IN ('west'); GRANT ALL ON west TO client")
        .await
        .expect("it is empty");
    client
        .batch_execute("INSERT INTO west VALUES ('west', 1, 'w')")
        .await
        .expect("it is shared");
    assert_eq!(bed.told(0), [("M".into(), None, row(&["west", "1", "w"]))]);

    superuser
        .batch_execute("CREATE TABLE full_already (LIKE measured); INSERT INTO full_already VALUES ('east', 1, 'e')")
        .await
        .expect("it is not shared");
    for (sql, says) in [
        (
            "ALTER TABLE measured ATTACH PARTITION full_already FOR VALUES IN ('east')",
            "partition public.full_already is refused: base table public.measured is shared, and it has rows already",
        ),
        (
            "ALTER TABLE measured DETACH PARTITION west",
            "a partition cannot be dropped, nor detached with its rows: base table public.measured is shared",
        ),
        (
            "DROP TABLE west",
            "a partition cannot be dropped, nor detached with its rows: base table public.measured is shared",
        ),
        (
            "ALTER TABLE west DISABLE TRIGGER dejima_capture_insert",
            "ALTER TABLE is refused: base table public.measured is shared",
        ),
        (
            "DROP TRIGGER dejima_capture_truncate ON south_old",
            "DROP TRIGGER is refused: base table public.measured is shared",
        ),
        (
            "CREATE UNLOGGED TABLE fast PARTITION OF measured FOR VALUES IN ('fast')",
            "CREATE TABLE is refused: base table public.measured is shared",
        ),
    ] {
        let (state, message, _) = said(superuser.batch_execute(sql).await.expect_err(sql));
        assert_eq!((state.as_str(), message.as_str()), ("55006", says), "{sql}");
    }
    let (_, _, detail) = said(
        superuser
            .batch_execute("DROP TRIGGER dejima_capture_truncate ON south_old")
            .await
            .expect_err("it is needed"),
    );
    assert_eq!(
        detail,
        "Dejima tables rely on: trigger dejima_capture_truncate of partition public.south_old."
    );
    client
        .batch_execute("TRUNCATE west")
        .await
        .expect("captured");
    assert_eq!(bed.told(0), [("M".into(), row(&["west", "1", "w"]), None)]);
    superuser
        .batch_execute("ALTER TABLE measured DETACH PARTITION west")
        .await
        .expect("it is empty");
    let left = "SELECT count(*), bool_or(has_table_privilege('dejima', 'west', 'SELECT')) FROM (VALUES (1)) AS v(i)
        LEFT JOIN pg_trigger ON tgrelid = 'west'::regclass WHERE tgname LIKE 'dejima%' OR tgname IS NULL";
    assert_eq!(bed.admin(left), "1|f", "neither triggers nor rights");
    superuser
        .batch_execute("INSERT INTO west VALUES ('west', 2, 'own'); DROP TABLE west")
        .await
        .expect("it is not shared any more");
    assert_eq!(bed.told(0), []);
    superuser
        .batch_execute("ALTER TABLE north RENAME TO northern; DROP TABLE full_already")
        .await
        .expect("a partition's name means nothing");
    client
        .batch_execute("INSERT INTO northern VALUES ('north', 5, 'n')")
        .await
        .expect("it is shared");
    assert_eq!(bed.told(0).len(), 1);
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dejima_capture_%'";
    // Three on each of the two that are partitioned, four on each of the three others.
    assert_eq!(bed.admin(triggers), "18");
    bed.connect()
        .await
        .declare(&crate::bed::declared(json!([])))
        .await
        .expect("nothing is shared any more");
    assert_eq!(bed.admin(triggers), "0");
    superuser
        .batch_execute("DROP TABLE measured")
        .await
        .expect("it is not shared any more");
}

/// PostgreSQL itself keeps foreign tables out of a table with a unique key, and every shared one has one. Their changes could not
/// be captured.
#[tokio::test]
async fn no_partition_is_a_foreign_table() {
    let bed = shared("parted_far").await;
    let superuser = bed.session("postgres").await;
    superuser
        .batch_execute(
            "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far",
        )
        .await
        .expect("it is not shared");
    superuser
        .batch_execute(
            "CREATE FOREIGN TABLE far (region text NOT NULL, at integer NOT NULL, value text, note text) SERVER far",
        )
        .await
        .expect("it is not shared");
    for sql in [
        "ALTER TABLE measured ATTACH PARTITION far FOR VALUES IN ('far')",
        "ALTER TABLE south ATTACH PARTITION far FOR VALUES FROM (200) TO (300)",
        "CREATE FOREIGN TABLE farther PARTITION OF measured FOR VALUES IN ('farther') SERVER far",
    ] {
        let (state, ..) = said(superuser.batch_execute(sql).await.expect_err(sql));
        assert_eq!(state, "42809", "{sql}");
    }
}
