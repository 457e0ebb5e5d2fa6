//! Capture: however a row changes under a client, the change is told to the peer, once and in whole rows.

use dejima_core::delta::Value;
use serde_json::json;

use crate::bed::{bed, row, said, simple};

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, a text, b text, hidden text)";

#[tokio::test]
async fn every_kind_of_statement_is_captured() {
    let bed = bed(
        "kinds",
        &format!(
            "{T}; CREATE TABLE parent (id integer PRIMARY KEY); INSERT INTO parent VALUES (9);
        ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE;
        INSERT INTO parent SELECT generate_series(1, 8)"
        ),
    )
    .await;
    bed.share(simple(&["id", "a"])).await;
    let client = bed.client().await;
    let t = |old, new| ("T".to_owned(), old, new);
    let steps = [
        (
            "INSERT INTO t VALUES (1, 'x', 'y'), (2, NULL, '')",
            vec![t(None, row(&["1", "x"])), t(None, row(&["2", "NULL"]))],
        ),
        (
            "UPDATE t SET a = a || '!' WHERE id = 1",
            vec![t(row(&["1", "x"]), row(&["1", "x!"]))],
        ),
        ("UPDATE t SET a = a", vec![]),
        ("UPDATE t SET b = 'z', hidden = 'h'", vec![]),
        (
            "INSERT INTO t VALUES (2, 'new'), (3, 'c') ON CONFLICT (id) DO UPDATE SET a = excluded.a",
            vec![
                t(None, row(&["3", "c"])),
                t(row(&["2", "NULL"]), row(&["2", "new"])),
            ],
        ),
        (
            "MERGE INTO t USING (VALUES (1), (4)) AS s(id) ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')",
            vec![t(None, row(&["4", "m"])), t(row(&["1", "x!"]), None)],
        ),
        (
            "WITH d AS (DELETE FROM t WHERE id = 4 RETURNING *) INSERT INTO t SELECT 5, a FROM d",
            vec![t(row(&["4", "m"]), None), t(None, row(&["5", "m"]))],
        ),
        (
            "UPDATE parent SET id = 7 WHERE id = 7; UPDATE parent SET id = 77 WHERE id = 5",
            vec![t(row(&["5", "m"]), row(&["77", "m"]))],
        ),
        (
            "DELETE FROM parent WHERE id = 77",
            vec![t(row(&["77", "m"]), None)],
        ),
        (
            "TRUNCATE t",
            vec![t(row(&["2", "new"]), None), t(row(&["3", "c"]), None)],
        ),
    ];
    for (sql, expected) in steps {
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let (mut told, mut expected) = (bed.told(0), expected);
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "{sql}");
    }
    copy(&client, "3\tq\t\\N\t\\N\n").await;
    assert_eq!(bed.told(0), [t(None, row(&["3", "q"]))]);
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.delta"), "0");
}

async fn copy(client: &tokio_postgres::Client, text: &'static str) {
    use futures::SinkExt;
    let sink = client.copy_in("COPY t FROM STDIN").await.expect("copying");
    let mut sink = std::pin::pin!(sink);
    sink.send(std::io::Cursor::new(text))
        .await
        .expect("copying");
    sink.close().await.expect("copied");
}

/// A statement is one section unless it is large, and a text may have 1 GiB: rows of some MiB come by few.
#[tokio::test]
async fn large_statements_and_wide_rows_come_in_sections() {
    let bed = bed("wide", T).await;
    bed.share(simple(&["id", "a"])).await;
    let client = bed.session("postgres").await;
    let sections = "SELECT count(*), max(s.rows), sum(s.rows)::bigint FROM dejima.delta AS d,
        LATERAL (SELECT count(*) FROM dejima.rows(coalesce(d.new, d.old), d.old)) AS s(rows)";
    let text = |row: &tokio_postgres::Row| {
        format!(
            "{:?}",
            (
                row.get::<_, i64>(0),
                row.get::<_, i64>(1),
                row.get::<_, i64>(2)
            )
        )
    };
    for (sql, expected) in [
        (
            "INSERT INTO t SELECT i, repeat('n', 10) FROM generate_series(1, 10000) AS i",
            "(1, 10000, 10000)",
        ),
        (
            "INSERT INTO t SELECT -i, repeat('n', 10) FROM generate_series(1, 10001) AS i",
            "(157, 64, 10001)",
        ),
        ("UPDATE t SET a = 'm' WHERE id < 0", "(157, 64, 10001)"),
        ("UPDATE t SET a = id WHERE id > 0", "(1, 10000, 10000)"),
        // Incompressible, so that 300,000 bytes are as wide in the table.
        (
            "INSERT INTO t SELECT i, (SELECT string_agg(md5(i || '-' || j), '') FROM generate_series(1, 9375) AS j) FROM generate_series(20001, 20010) AS i",
            "(4, 3, 10)",
        ),
        ("UPDATE t SET a = a || '!' WHERE id > 20000", "(4, 3, 10)"),
        ("DELETE FROM t WHERE id > 20005", "(2, 3, 5)"),
        // The old rows are as wide as they were.
        ("UPDATE t SET a = 'narrow' WHERE id > 20000", "(2, 3, 5)"),
    ] {
        client.batch_execute("BEGIN").await.unwrap();
        client.batch_execute(sql).await.unwrap();
        let row = client.query_one(sections, &[]).await.unwrap();
        assert_eq!(text(&row), expected, "{sql}");
        client.batch_execute("COMMIT").await.unwrap();
    }
}

/// Sections end after 64 rows; a row that a Dejima table does not show leaves its place.
#[tokio::test]
async fn each_of_many_rows_is_told_with_what_it_became() {
    let bed = bed("pairs", T).await;
    bed.share(json!([
        {"name": "Even", "base_table": "public.t", "key": ["id"], "columns": ["id", "b"], "where": "id % 2 = 0"},
        {"name": "T", "base_table": "public.t", "key": ["id"], "columns": ["id", "a"]},
    ]))
    .await;
    let client = bed.client().await;
    let insert = "INSERT INTO t SELECT i, 'a' || i, 'b' || i FROM generate_series(1, 150) AS i";
    client.batch_execute(insert).await.unwrap();
    bed.told(0);
    let update = "UPDATE t SET a = a || '!', b = CASE WHEN id > 70 THEN b || '?' ELSE b END";
    client.batch_execute(update).await.unwrap();
    let mut expected = vec![];
    for i in 1..=150 {
        let id = i.to_string();
        let image = |value: String| row(&[&id, &value]);
        expected.push((
            "T".to_owned(),
            image(format!("a{i}")),
            image(format!("a{i}!")),
        ));
        if i % 2 == 0 && i > 70 {
            expected.push((
                "Even".to_owned(),
                image(format!("b{i}")),
                image(format!("b{i}?")),
            ));
        }
    }
    let mut told = bed.told(0);
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

/// What comes from one base row stands in sections of one number, at one place.
#[tokio::test]
async fn sections_of_several_dejima_tables_begin_at_the_same_base_row() {
    let bed = bed("sections", T).await;
    bed.share(json!([
        {"name": "T", "base_table": "public.t", "key": ["id"], "columns": ["id", "a"]},
        {"name": "Last", "base_table": "public.t", "key": ["id"], "columns": ["id", "b"], "where": "id > 10040"},
    ]))
    .await;
    let session = bed.session("postgres").await;
    let sections = "SELECT string_agg(format('%s %s %s', dejima_table, section, (SELECT count(*) FROM dejima.rows(coalesce(new, old), old))), ', '
        ORDER BY dejima_table, section) FROM dejima.delta WHERE xid = pg_current_xact_id() AND (section = 0 OR section > 155)";
    session.batch_execute("BEGIN").await.unwrap();
    for (sql, expected) in [
        (
            "INSERT INTO t SELECT i, 'a', 'b' FROM generate_series(1, 10050) AS i",
            "Last 156 8, Last 157 2, T 0 64, T 156 64, T 157 2",
        ),
        // Nobody is told of a section that nothing has changed in.
        ("UPDATE t SET a = 'x' WHERE id IN (1, 2)", "T 0 2"),
        // Two base rows stand elsewhere now.
        ("UPDATE t SET b = 'x'", "Last 156 10"),
        ("UPDATE t SET hidden = 'x'", ""),
        ("DELETE FROM t", "Last 156 10, T 0 64, T 156 64, T 157 2"),
    ] {
        session.batch_execute(sql).await.unwrap();
        let found = session.query_one(sections, &[]).await.unwrap();
        let found: Option<String> = found.get(0);
        assert_eq!(found.unwrap_or_default(), expected, "{sql}");
        session
            .batch_execute("DELETE FROM dejima.delta")
            .await
            .unwrap();
    }
}

/// There is no decision row, so COMMIT asks nobody.
#[tokio::test]
async fn what_no_dejima_table_shows_concerns_nobody() {
    let bed = bed("unshown", T).await;
    bed.share(simple(&["id", "a"])).await;
    bed.admin("SET session_replication_role = replica; INSERT INTO t VALUES (1, 'a', 'b')");
    bed.answer("exit 1");
    let client = bed.client().await;
    for sql in ["UPDATE t SET b = 'x', hidden = 'y'", "UPDATE t SET a = a"] {
        client.batch_execute(sql).await.expect(sql);
    }
    let error = client.batch_execute("UPDATE t SET a = 'x'").await;
    assert_eq!(said(error.unwrap_err()).0, "08006");
}

#[tokio::test]
async fn a_savepoint_rolled_back_is_not_told() {
    let bed = bed("savepoint", T).await;
    bed.share(simple(&["id", "a"])).await;
    let client = bed.client().await;
    // The first capture, and with it the decision row, is rolled back; the second makes its own.
    let sql = "BEGIN; SAVEPOINT s; INSERT INTO t VALUES (1); ROLLBACK TO s; INSERT INTO t VALUES (2); SAVEPOINT s;
        INSERT INTO t VALUES (3); ROLLBACK TO s; INSERT INTO t VALUES (4); RELEASE s; COMMIT";
    client.batch_execute(sql).await.unwrap();
    let told = bed.told(0);
    assert_eq!(
        told,
        [
            ("T".into(), None, row(&["2", "NULL"])),
            ("T".into(), None, row(&["4", "NULL"]))
        ]
    );
    client
        .batch_execute("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (1); ROLLBACK TO s; COMMIT")
        .await
        .unwrap();
    client
        .batch_execute("BEGIN; INSERT INTO t VALUES (1); ROLLBACK")
        .await
        .unwrap();
    assert_eq!(bed.told(0), []);
    assert_eq!(
        bed.admin("SELECT count(*), min(participants::text) FROM dejima.transaction"),
        "1|{gov,ins}"
    );
}

#[tokio::test]
async fn rows_enter_and_leave_by_the_where() {
    let bed = bed("wheres", T).await;
    let declarations = json!([
        {"name": "T", "base_table": "public.t", "key": ["id"], "columns": ["id", "a"], "where": "t.hidden = 'yes' -- comment"},
        {"name": "All", "base_table": "public.t", "key": ["id"], "columns": ["id", {"name": "select", "column": "b"}]},
    ]);
    bed.share(declarations).await;
    let client = bed.client().await;
    let shown = |told: Vec<(String, _, _)>| {
        told.into_iter()
            .filter(|(table, ..)| table == "T")
            .map(|(_, old, new)| (old, new))
            .collect::<Vec<_>>()
    };
    client
        .batch_execute(
            "INSERT INTO t VALUES (1, 'x', 'y', 'no'), (2, 'x', 'y', 'yes'), (3, 'x', 'y', NULL)",
        )
        .await
        .unwrap();
    assert_eq!(shown(bed.told(0)), [(None, row(&["2", "x"]))]);
    client
        .batch_execute(
            "UPDATE t SET hidden = CASE id WHEN 1 THEN 'yes' WHEN 2 THEN 'no' END, a = 'n'",
        )
        .await
        .unwrap();
    assert_eq!(
        shown(bed.told(0)),
        [(None, row(&["1", "n"])), (row(&["2", "x"]), None)]
    );
    client
        .batch_execute("UPDATE t SET b = 'new' WHERE id = 1")
        .await
        .unwrap();
    assert_eq!(
        bed.told(0),
        [("All".into(), row(&["1", "y"]), row(&["1", "new"]))]
    );
    client
        .batch_execute("DELETE FROM t WHERE id < 3")
        .await
        .unwrap();
    assert_eq!(shown(bed.told(0)), [(row(&["1", "n"]), None)]);
}

#[tokio::test]
async fn odd_names_and_a_swap_of_keys() {
    let base = r#"CREATE TABLE "Tä""ble; --" ("select" integer NOT NULL, "it's \ ""x""" text, new text, old text, statement text, "dejima_new" text, UNIQUE ("select"))"#;
    let bed = bed("odd", base).await;
    let name = "\"; DROP' $dejima$ \\ ß";
    bed.share(json!([{"name": name, "base_table": r#"public."Tä""ble; --""#, "key": ["select"],
        "columns": [{"name": "it''s", "column": "it's \\ \"x\""}, "select", "new", "old", "statement", "dejima_new"],
        "where": "old IS DISTINCT FROM new"}])).await;
    let client = bed.client().await;
    let t = r#""Tä""ble; --""#;
    client
        .batch_execute(&format!(
            "INSERT INTO {t} VALUES (1, 'ü', 'n', 'o', 's', 'd')"
        ))
        .await
        .unwrap();
    assert_eq!(
        bed.told(0),
        [(name.to_owned(), None, row(&["ü", "1", "n", "o", "s", "d"]))]
    );
    client
        .batch_execute(&format!(
            "INSERT INTO {t} (\"select\", new) VALUES (2, 'n')"
        ))
        .await
        .unwrap();
    bed.told(0);
    let swap = format!(
        "BEGIN; UPDATE {t} SET \"select\" = 3 WHERE \"select\" = 1; UPDATE {t} SET \"select\" = 1 WHERE \"select\" = 2; UPDATE {t} SET \"select\" = 2 WHERE \"select\" = 3; COMMIT"
    );
    client.batch_execute(&swap).await.unwrap();
    let keys: Vec<_> = bed
        .told(0)
        .into_iter()
        .map(|(_, old, new)| [old, new].map(|row| row.unwrap()[1].clone().unwrap().to_string()))
        .collect();
    assert_eq!(keys, [["1", "3"], ["2", "1"], ["3", "2"]]);
}

#[tokio::test]
async fn values_are_told_in_one_form_whatever_the_session_says() {
    let bed = bed("forms", "CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE TABLE t (id integer PRIMARY KEY, f float8, r real, s timestamptz, d date,
        i interval, y bytea, ns numeric[], ts text[], c char(5), e colour, n name, z text)").await;
    bed.share(simple(&[
        "id", "f", "r", "s", "d", "i", "y", "ns", "ts", "c", "e", "n", "z",
    ]))
    .await;
    let client = bed.client().await;
    client.batch_execute("SET DateStyle = 'German, DMY'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -15; SET IntervalStyle = 'iso_8601';
        SET bytea_output = 'escape'; SET search_path = pg_temp; SET standard_conforming_strings = off; SET enable_hashjoin = off").await.unwrap();
    client.batch_execute(r"INSERT INTO public.t VALUES (1, 'NaN', 0.1, '2026-01-02 03:04:05+09', '2026-03-04', '1 day 2 hours', '\\x00ff', '{1,NaN,NULL}', '{a b,NULL,''NULL'',''''}', 'ab', 'blue', 'n', '')").await.unwrap();
    client
        .batch_execute("UPDATE public.t SET f = '-0', r = '-infinity', s = 'infinity', z = NULL")
        .await
        .unwrap();
    let first = [
        "1",
        "NaN",
        "0.1",
        "2026-01-01 18:04:05+00",
        "2026-03-04",
        "1 day 02:00:00",
        "\\x00ff",
        "{1,NaN,NULL}",
        "{\"a b\",NULL,'NULL',''}",
        "ab",
        "blue",
        "n",
        "",
    ];
    let mut second = first;
    second[1..4].copy_from_slice(&["-0", "-Infinity", "infinity"]);
    second[12] = "NULL";
    assert_eq!(bed.told(0), [("T".into(), row(&first), row(&second))]);
}

/// Each type by itself: a base table of which nothing depends on settings is captured with fewer of them.
#[tokio::test]
async fn values_are_told_in_one_form_whatever_else_is_told() {
    const VALUES: [(&str, &str); 26] = [
        ("smallint", "'-1'"),
        ("integer", "'7'"),
        ("bigint", "'9223372036854775807'"),
        ("numeric", "'1.50'"),
        ("boolean", "'t'"),
        ("text", "'a b'"),
        ("varchar(9)", "'a''b'"),
        ("character(3)", "'a'"),
        ("bpchar", "'a'"),
        ("name", "'n'"),
        ("uuid", "'00000000-0000-0000-0000-00000000000A'"),
        ("real", "'0.1'"),
        ("double precision", "'0.30000000000000004'"),
        ("date", "'2026-03-04'"),
        ("timestamp", "'2026-03-04 05:06'"),
        ("timestamptz", "'2026-03-04 05:06+09'"),
        ("timetz", "'05:06+09'"),
        ("interval", "'1 day 2 hours'"),
        ("bytea", "decode('005cff', 'hex')"),
        ("point", "'(0.1,0.30000000000000004)'"),
        ("date[]", "'{2026-03-04}'"),
        ("double precision[]", "'{0.30000000000000004}'"),
        ("daterange", "'[2026-03-04,2026-04-04)'"),
        ("tstzrange", "'[2026-03-04 05:06+09,)'"),
        ("day", "'2026-03-04'"),
        ("jsonb", "'{\"a\": 1.0}'"),
    ];
    let tables = VALUES.iter().enumerate();
    let tables = tables.map(|(at, (name, _))| {
        format!(
            "CREATE TABLE t{at} (id integer PRIMARY KEY, v {name}); CREATE TABLE w{at} (v {name});"
        )
    });
    // A condition reads its constants under settings, too, whatever it shows, and whatever the server's are.
    let more = "CREATE TABLE shown (id integer PRIMARY KEY, d date, s timestamptz);
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German, DMY''; ALTER DATABASE %1$I SET TimeZone = ''Asia/Tokyo''', current_database()); END $$";
    let tables = format!(
        "CREATE DOMAIN day AS date; {} {more}",
        tables.collect::<String>()
    );
    let bed = bed("forms_alone", &tables).await;
    let declaration = |name: String, base_table: String, columns: &[&str]| json!({"name": name, "base_table": base_table, "key": ["id"], "columns": columns});
    let each = |at: usize| declaration(format!("T{at}"), format!("public.t{at}"), &["id", "v"]);
    let mut all: Vec<_> = (0..VALUES.len()).map(each).collect();
    let mut shown = declaration("Shown".into(), "public.shown".into(), &["id"]);
    shown["where"] = json!("d >= '20-11-12' AND s >= '2020-01-01 12:00'");
    all.push(shown);
    bed.share(json!(all)).await;
    let client = bed.client().await;
    let settings = "SET DateStyle = 'German, DMY'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -15; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'";
    let inserts = VALUES.iter().enumerate();
    let inserts = inserts.map(|(at, (_, value))| {
        format!("INSERT INTO w{at} VALUES ({value}); INSERT INTO t{at} VALUES (1, {value});")
    });
    let inserts = inserts.collect::<String>();
    // In a session that said nothing yet: a plan is kept as it was made.
    let sql = format!(
        "{settings}; BEGIN; INSERT INTO shown VALUES (1, '01.01.2019', '01.01.2021'), (2, '01.01.2021', '01.01.2020 20:00'), (3, '01.01.2021', '01.01.2020 22:00'); {inserts} COMMIT"
    );
    client.batch_execute(&sql).await.expect("it is shared");
    let expected = (0..VALUES.len()).map(|at| {
        let fixed = "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'";
        let text = bed.admin(&format!("{fixed}; SELECT v::text FROM w{at}"));
        (format!("T{at}"), None, row(&["1", &text]))
    });
    let expected: Vec<_> = expected.collect();
    let told = bed.told(0);
    let (of_condition, mut told): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(table, ..)| table == "Shown");
    assert_eq!(of_condition, [("Shown".into(), None, row(&["3"]))]);
    assert_eq!(
        bed.admin("SELECT string_agg(id::text, ' ') FROM dejima_tables.\"Shown\""),
        "3"
    );
    told.sort_by_key(|(table, ..)| table[1..].parse::<usize>().ok());
    assert_eq!(told, expected);
}

#[tokio::test]
async fn truncate_that_would_remove_unseen_rows_is_refused() {
    let bed = bed("truncates", T).await;
    bed.share(simple(&["id", "a"])).await;
    let client = bed.client().await;
    let error = client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; TRUNCATE t")
        .await
        .unwrap_err();
    let (code, message, _) = said(error);
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "0A000",
            "TRUNCATE of public.t cannot be shared in a repeatable read transaction"
        )
    );
}

#[tokio::test]
async fn writes_through_the_dejima_table_are_captured_and_checked() {
    let bed = bed("through", T).await;
    bed.share(json!([{"name": "T", "base_table": "public.t", "key": ["id"], "columns": ["id", "a"], "where": "id < 10"}])).await;
    bed.admin(
        "GRANT USAGE ON SCHEMA dejima_tables TO client; GRANT ALL ON dejima_tables.\"T\" TO client",
    );
    let client = bed.client().await;
    client
        .batch_execute("INSERT INTO dejima_tables.\"T\" VALUES (1, 'a')")
        .await
        .unwrap();
    assert_eq!(bed.told(0), [("T".into(), None, row(&["1", "a"]))]);
    let error = client
        .batch_execute("INSERT INTO dejima_tables.\"T\" VALUES (10, 'a')")
        .await
        .unwrap_err();
    assert_eq!(said(error).0, "44000");
}

/// What a trigger of the table makes of a row comes after what the statement made of it, though PostgreSQL ends the
/// trigger's statement first; and what a BEFORE trigger removed comes before.
#[tokio::test]
async fn changes_made_by_triggers_are_in_order() {
    let bed = bed("nested", T).await;
    bed.share(simple(&["id", "a"])).await;
    bed.admin(
        "CREATE FUNCTION longer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF length(NEW.a) < 3 THEN UPDATE t SET a = a || '!' WHERE id = NEW.id; END IF; RETURN NULL; END $$;
         CREATE TRIGGER longer AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION longer();
         CREATE FUNCTION replace() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t WHERE id = NEW.id; RETURN NEW; END $$;
         CREATE TRIGGER replace BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION replace()",
    );
    let client = bed.client().await;
    // What puts statements in order is parsed under the session's settings.
    let settings = "SET backslash_quote = off; SET standard_conforming_strings = off";
    client.batch_execute(settings).await.unwrap();
    let steps = [
        (
            "INSERT INTO t VALUES (1, 'a')",
            vec!["> a", "a > a!", "a! > a!!"],
        ),
        (
            "UPDATE t SET a = 'b'",
            vec!["a!! > b", "b > b!", "b! > b!!"],
        ),
        ("INSERT INTO t VALUES (1, 'ccc')", vec!["b!! >", "> ccc"]),
        (
            "BEGIN; UPDATE t SET a = 'd'; UPDATE t SET a = 'e'; UPDATE t SET a = 'long'; COMMIT",
            vec![
                "ccc > d",
                "d > d!",
                "d! > d!!",
                "d!! > e",
                "e > e!",
                "e! > e!!",
                "e!! > long",
            ],
        ),
    ];
    for (sql, expected) in steps {
        client.batch_execute(sql).await.unwrap();
        let value = |row: Option<Vec<Value>>| {
            row.map_or(String::new(), |row| {
                row[1].as_deref().unwrap_or_default().into()
            })
        };
        let told = bed.told(0).into_iter();
        let told: Vec<_> = told
            .map(|(_, old, new)| format!("{} > {}", value(old), value(new)).trim().to_owned())
            .collect();
        assert_eq!(told, expected, "{sql}");
    }
    let sql = "DELETE FROM t; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 2000) AS i";
    client.batch_execute(sql).await.unwrap();
    let told = bed.told(0);
    assert!(
        told[1..2001].iter().all(|(_, old, _)| old.is_none()),
        "the INSERT comes before what its triggers did"
    );
}
