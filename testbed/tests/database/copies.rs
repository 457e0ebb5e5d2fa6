//! What a copy of a Dejima table amounts to: the same for equal rows, and for no others.

use dejima_core::examine::Digest;
use serde_json::json;

use crate::bed::{bed, declared, simple};

const T: &str = r"CREATE TABLE t (id integer PRIMARY KEY, f float8, s timestamptz, d date, i interval, y bytea, x xml, hidden text);
    INSERT INTO t VALUES (1, 0.1::float8 + 0.2, '2026-01-02 03:04:05+09', '2026-03-04', '1 day 2 hours', '\x00ff', '<a/>', 'h');
    INSERT INTO t VALUES (2)";

#[tokio::test]
async fn equal_rows_amount_to_the_same_whatever_a_session_is_told_to_say() {
    let bed = bed("copies", T).await;
    let database = bed.connect().await;
    let declarations = declared(simple(&["id", "f", "s", "d", "i", "y", "x"]));
    let tables = database.declare(&declarations).await.expect("it is right");
    let digest = database.digest(&tables[0]).await.expect("it can be read");
    assert_eq!(digest.rows, 2);
    for setting in [
        "DateStyle = 'German, DMY'",
        "TimeZone = 'Asia/Tokyo'",
        "extra_float_digits = -15",
        "IntervalStyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "search_path = ''",
    ] {
        bed.admin(&format!(
            "ALTER ROLE dejima IN DATABASE copies SET {setting}"
        ));
    }
    let told = bed.connect().await;
    assert_eq!(told.digest(&tables[0]).await, Ok(digest));
}

#[tokio::test]
async fn other_rows_amount_to_something_else() {
    let bed = bed("other_copies", T).await;
    let database = bed.connect().await;
    let declarations = declared(json!([
        {"name": "T", "base_table": "public.t", "key": ["id"], "columns": ["id", "f", "y"], "where": "hidden IS DISTINCT FROM 'no'"}
    ]));
    let tables = database.declare(&declarations).await.expect("it is right");
    let digest = async || database.digest(&tables[0]).await.expect("it can be read");
    for (sql, is_same) in [
        ("UPDATE t SET hidden = 'else', d = NULL", true),
        ("UPDATE t SET f = 0.3 WHERE id = 1", false),
        ("UPDATE t SET y = '' WHERE id = 2", false),
        ("UPDATE t SET id = 9 - id", false),
        ("UPDATE t SET hidden = 'no' WHERE id = 8", false),
        ("DELETE FROM t", false),
    ] {
        let before = digest().await;
        bed.admin(&format!(
            "BEGIN; SET session_replication_role = replica; {sql}; COMMIT"
        ));
        assert_eq!(digest().await == before, is_same, "{sql}");
    }
    let nothing = Digest {
        rows: 0,
        sum: "0/0".into(),
    };
    assert_eq!(digest().await, nothing);
}
