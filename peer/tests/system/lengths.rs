//! Values that the column of another member cannot hold as they are.

use dejima_testbed::{Layout, Organisation, Share, World, WorldOptions};

use crate::fixture::{at_rest_of, refused, run, text};

const ENDS: [&str; 2] = ["wide", "narrow"];

/// A type of the same name at both ends, and at the second with room for less.
const COLUMNS: [(&str, &str); 6] = [
    ("character varying(10)", "character varying(3)"),
    ("word", "word"),
    ("word[]", "word[]"),
    ("bits", "bits"),
    ("bit varying(8)", "bit varying(4)"),
    ("mood", "mood"),
];

/// What fits, what does not fit, and the SQLSTATE that says so.
const VALUES: [(&str, &str, &str); 6] = [
    ("abc", "abcd", "22001"),
    ("abc", "abcd", "22001"),
    ("{abc}", "{abc,abcd}", "22001"),
    ("101", "10101", "22001"),
    ("1010", "10101", "22001"),
    ("sad", "ecstatic", "22P02"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_at_another_member_is_refused_and_nothing_is_cut() {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(vec![organisation(0), organisation(1)], options).await;
    let world = world.expect("the world starts");
    let client = world.client(ENDS[0]).await.expect("a connection");
    run(&client, "INSERT INTO wide (id) VALUES (1)").await;
    world.await_quiet().await.expect("peers answer");
    for (at, (fits, too_long, sqlstate)) in VALUES.iter().enumerate() {
        // One row, and several: a put of each has its own way.
        let several =
            format!("INSERT INTO wide (id, c{at}) VALUES (2, '{too_long}'), (3, '{too_long}')");
        let one = format!("UPDATE wide SET c{at} = '{too_long}' WHERE id = 1");
        for statement in [several, one] {
            let error = refused(&client, &statement).await;
            assert_eq!(error.code().code(), *sqlstate, "{statement}: {error:?}");
            let detail = error.detail().unwrap_or_default();
            assert!(detail.contains("narrow"), "{statement}: {error:?}");
        }
        run(
            &client,
            &format!("UPDATE wide SET c{at} = '{fits}' WHERE id = 1"),
        )
        .await;
    }
    world.await_quiet().await.expect("peers answer");
    for end in ENDS {
        let client = world.client(end).await.expect("a connection");
        for (at, (fits, ..)) in VALUES.iter().enumerate() {
            let sql = format!("SELECT string_agg(c{at}::text, '; ') FROM {end}");
            let found = text(&client, &sql).await;
            assert_eq!(found.as_deref(), Some(*fits), "c{at} at {end}");
        }
    }
    at_rest_of(&world, &ENDS).await;
}

/// What a column rounds is stored rounded by all, and padding is each member's own. Two scales of `numeric` never
/// settle, for each writes as many digits as it has.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_member_rounds_is_rounded_for_all_or_refused() {
    let organisation = |end: usize, columns: &str| {
        let name = ENDS[end];
        Organisation {
            base_sql: format!("CREATE TABLE {name} (id integer PRIMARY KEY, {columns})"),
            declarations: declarations(name, 4),
            ..organisation(end)
        }
    };
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let organisations = vec![
        organisation(0, "c0 numeric, c1 timestamp, c2 char(10), c3 numeric(10,3)"),
        organisation(
            1,
            "c0 numeric(10,1), c1 timestamp(0), c2 char(3), c3 numeric(10,1)",
        ),
    ];
    let world = World::start(organisations, options).await;
    let world = world.expect("the world starts");
    let client = world.client(ENDS[0]).await.expect("a connection");
    run(
        &client,
        "INSERT INTO wide VALUES (1, 1.26, '2026-01-02 03:04:05.6', 'ab')",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    let error = refused(&client, "UPDATE wide SET c3 = 1.5").await;
    assert_eq!(error.code().code(), "44000", "{error:?}");
    let detail = error.detail().unwrap_or_default();
    assert!(
        detail.contains("\"c3\"") && detail.contains("do not settle"),
        "{error:?}"
    );
    for (end, padding) in [("wide", 8), ("narrow", 1)] {
        let client = world.client(end).await.expect("a connection");
        let found = text(
            &client,
            &format!("SELECT json_build_array(c0, c1, c2, c3)::text FROM {end}"),
        )
        .await;
        let c2 = format!("ab{}", " ".repeat(padding));
        let expected = format!("[1.3, \"2026-01-02T03:04:06\", \"{c2}\", null]");
        assert_eq!(found, Some(expected), "{end}");
    }
}

fn organisation(end: usize) -> Organisation {
    let name = ENDS[end];
    let (length, labels) = [(10, "'sad', 'ok', 'ecstatic'"), (3, "'sad', 'ok'")][end];
    let columns = COLUMNS.map(|pair| <[&str; 2]>::from(pair)[end]);
    let columns = columns.iter().enumerate();
    let columns: Vec<String> = columns.map(|(at, kind)| format!("c{at} {kind}")).collect();
    Organisation {
        name: name.to_owned(),
        kind: name.to_owned(),
        base_sql: format!(
            "CREATE DOMAIN word AS varchar({length}); CREATE DOMAIN bits AS varbit({length});
             CREATE TYPE mood AS ENUM ({labels}); CREATE TABLE {name} (id integer PRIMARY KEY, {})",
            columns.join(", ")
        ),
        base_tables: vec![name.to_owned()],
        declarations: declarations(name, COLUMNS.len()),
        shares: vec![Share {
            table: "Lengths".to_owned(),
            seeds: ENDS[..end].iter().map(|&seed| seed.to_owned()).collect(),
        }],
        strategies: vec![],
        more_configuration: String::new(),
    }
}

fn declarations(base_table: &str, columns: usize) -> String {
    let columns: String = (0..columns).map(|at| format!(", \"c{at}\"")).collect();
    format!(
        "[[dejima_table]]\nname = \"Lengths\"\nbase_table = \"public.{base_table}\"\nkey = [\"id\"]\ncolumns = [\"id\"{columns}]\n"
    )
}
