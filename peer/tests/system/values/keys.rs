//! Keys of every type that an index can compare: rows are found by them, and they change.

use dejima_testbed::{Layout, Organisation, Share, World, WorldOptions};

use super::kinds::USER_TYPES;
use crate::fixture::{at_rest_of, run, text};

const ENDS: [&str; 2] = ["north", "south"];

/// Types of key columns with three values each; some are equal to their type although they are not the same.
const KEYS: [(&str, [&str; 3]); 26] = [
    ("boolean", ["true", "false", "'f'"]),
    ("bigint", ["1", "-9223372036854775808", "0"]),
    ("numeric", ["'NaN'", "1.0", "1.000"]),
    ("double precision", ["'NaN'", "0", "'-0'"]),
    ("text", ["''", "'é'", r"E'e\u0301'"]),
    ("character varying(10)", ["''", "'a'", "'a '"]),
    ("character(7)", ["''", "'a'", "'b'"]),
    ("bpchar", ["''", "'a'", "'a  '"]),
    ("name", ["'select'", "''", "'\"'"]),
    ("citext", ["''", "'Same'", "'sAME'"]),
    (
        "uuid",
        [
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'{00000000-0000-0000-0000-000000000001}'",
        ],
    ),
    ("bytea", [r"'\x'", r"'\x00'", r"'\x0000'"]),
    ("jsonb", ["'null'", "'1.0'", "'1.00'"]),
    ("date", ["'infinity'", "'0044-03-15 BC'", "'10000-01-01'"]),
    (
        "timestamp with time zone",
        [
            "'-infinity'",
            "'2026-10-25 02:30:00+02'",
            "'2026-10-25 02:30:00+01'",
        ],
    ),
    (
        "time with time zone",
        ["'24:00-15:59:59'", "'12:00+00'", "'13:00+01'"],
    ),
    ("interval", ["'0'", "'1 day'", "'24:00:00'"]),
    ("inet", ["'0.0.0.0/0'", "'::1'", "'192.168.0.1/24'"]),
    ("bit varying", ["B''", "B'0'", "B'00'"]),
    ("integer[]", ["'{}'", "'{1,NULL}'", "'{{1,2}}'"]),
    ("int4range", ["'empty'", "'(,)'", "'[1,2]'"]),
    ("int4multirange", ["'{}'", "'{(,)}'", "'{[1,2]}'"]),
    ("mood", ["'sad'", "''", "'NULL'"]),
    ("shorter", ["'abcde'", "'a'", "'a '"]),
    ("few", ["'{}'", "'{1}'", "'[0:0]={1}'"]),
    (
        "place_key",
        [
            "ROW('', 1)::place_key",
            "ROW('\"', -1)::place_key",
            "ROW('(,)', 0)::place_key",
        ],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_keys_of_every_type_find_their_row_and_change() {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(vec![organisation(0), organisation(1)], options).await;
    let world = world.expect("the world starts");
    let north = world.client(ENDS[0]).await.expect("a connection");
    let south = world.client(ENDS[1]).await.expect("a connection");
    type Step = fn(usize, [&str; 3]) -> String;
    let steps: [(_, Step); 6] = [
        (&north, |at, [a, b, _]| {
            format!("INSERT INTO key_{at} VALUES ({a}, 'a'), ({b}, 'b')")
        }),
        (&north, |at, _| {
            format!("UPDATE key_{at} SET value = 'B' WHERE value = 'b'")
        }),
        (&north, |at, [_, _, c]| {
            format!("UPDATE key_{at} SET key = {c}, value = 'c' WHERE value = 'B'")
        }),
        (&south, |at, _| {
            format!("UPDATE key_{at} SET value = value || '!'")
        }),
        (&south, |at, [_, b, _]| {
            format!("UPDATE key_{at} SET key = {b} WHERE value = 'c!'")
        }),
        (&south, |at, _| {
            format!("DELETE FROM key_{at} WHERE value = 'a!'")
        }),
    ];
    for (client, step) in steps {
        for (at, (_, values)) in KEYS.iter().enumerate() {
            run(client, &step(at, *values)).await;
        }
        // What is on its way to the other end would be stale there.
        world.await_quiet().await.expect("peers answer");
    }
    for (at, (type_name, [_, b, _])) in KEYS.iter().enumerate() {
        let control = format!(
            "CREATE TEMP TABLE control_{at} (key {type_name}); INSERT INTO control_{at} VALUES ({b})"
        );
        for (end, client) in ENDS.iter().zip([&north, &south]) {
            run(client, &control).await;
            let found =
                format!("SELECT string_agg(format('%s %s', key, value), '; ') FROM key_{at}");
            let expected = format!("SELECT format('%s c!', key) FROM control_{at}");
            let (found, expected) = (text(client, &found).await, text(client, &expected).await);
            assert_eq!(found, expected, "{type_name} at {end}");
        }
    }
    at_rest_of(&world, &ENDS).await;
}

fn organisation(end: usize) -> Organisation {
    let tables: Vec<String> = (0..KEYS.len()).map(|at| format!("key_{at}")).collect();
    let create = tables.iter().zip(KEYS).map(|(table, (type_name, _))| {
        format!("CREATE TABLE {table} (key {type_name} PRIMARY KEY, value text);\n")
    });
    let create: String = create.collect();
    let declare = tables.iter().map(|table| {
        format!("[[dejima_table]]\nname = \"{table}\"\nbase_table = \"public.{table}\"\nkey = [\"key\"]\ncolumns = [\"key\", \"value\"]\n\n")
    });
    let share = |table: &String| Share {
        table: table.clone(),
        seeds: ENDS[..end].iter().map(|&seed| seed.to_owned()).collect(),
    };
    Organisation {
        name: ENDS[end].to_owned(),
        kind: ENDS[end].to_owned(),
        base_sql: format!(
            "{USER_TYPES}CREATE TYPE place_key AS (name text, number integer);\n{create}"
        ),
        declarations: declare.collect(),
        shares: tables.iter().map(share).collect(),
        base_tables: tables,
        strategies: vec![],
        more_configuration: String::new(),
    }
}
