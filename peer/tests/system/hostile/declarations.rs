//! The operator's TOML, every key of it. A declaration's `where` is SQL by intention; but it is one condition and nothing else.

use std::collections::BTreeMap;

use dejima_core::database::{Database, Options};
use dejima_core::name::PeerName;
use dejima_peer::config::{Arguments, Config, read};
use dejima_testbed::World;
use serde_json::json;

use super::{Canary, assert_plain};
use crate::fixture::{own_world, text};

const PEER: &str = "government";

/// A configuration in which each key is named once.
const RIGHT: [(&str, &str); 19] = [
    ("name", "government"),
    ("type", "government"),
    ("listen", "127.0.0.1:7001"),
    ("advertise", "http://127.0.0.1:7001"),
    ("local", "unix:/run/dejima/x.sock"),
    ("metrics", "127.0.0.1:7002"),
    ("database.url", "DATABASE"),
    ("log.filter", "info"),
    ("log.format", "text"),
    ("seed.table", "H"),
    ("seed.peer", "http://127.0.0.1:7003"),
    ("table.name", "H"),
    ("table.base_table", "public.hen"),
    ("table.key", "id"),
    ("table.column", "id"),
    ("table.base_column", "a"),
    ("table.where", "b IS NOT NULL"),
    ("table.default_column", "c"),
    ("table.default", "x"),
];

fn toml(values: &BTreeMap<&str, String>) -> String {
    let value = |key: &str| json!(values[key]);
    format!(
        "name = {}\ntype = {}\nlisten = {}\nadvertise = {}\nlocal = {}\nmetrics = {}\n[database]\nurl = {}\n[log]\nfilter = {}\nformat = {}\n\
         [[seed]]\ntable = {}\npeers = [{}]\n[[dejima_table]]\nname = {}\nbase_table = {}\nkey = [{}]\ncolumns = [{}, {{ name = \"a\", column = {} }}]\n\
         where = {}\ndefaults = [{{ column = {}, value = {} }}]\n",
        value("name"),
        value("type"),
        value("listen"),
        value("advertise"),
        value("local"),
        value("metrics"),
        value("database.url"),
        value("log.filter"),
        value("log.format"),
        value("seed.table"),
        value("seed.peer"),
        value("table.name"),
        value("table.base_table"),
        value("table.key"),
        value("table.column"),
        value("table.base_column"),
        value("table.where"),
        value("table.default_column"),
        value("table.default"),
    )
}

fn configured(world: &World, toml: &str) -> Result<Config, String> {
    let file = world.scratch().folder().join("hostile.toml");
    std::fs::write(&file, toml).expect("the scratch folder is ours");
    let arguments = Arguments {
        config: Some(file),
        ..Arguments::default()
    };
    read(&arguments, &BTreeMap::new()).map_err(|error| error.to_string())
}

/// As a starting peer does: reads the configuration, connects and declares.
async fn declared(world: &World, toml: &str) -> Result<(), String> {
    let config = configured(world, toml)?;
    let options = Options {
        peer: PeerName::new(PEER).expect("a name"),
        url: config.database.url,
        pool: 2,
        lock_wait_ms_max: 250,
    };
    let database = Database::connect(options).await;
    let database = database.map_err(|error| error.to_string())?;
    let declared = database.declare(&config.tables).await;
    declared.map(drop).map_err(|error| error.to_string())
}

async fn hen_house() -> (World, Canary, BTreeMap<&'static str, String>) {
    let mut world = own_world().await;
    let process = &mut world.member_mut(PEER).process;
    assert!(process.stop().await, "it stops in peace");
    let canary = Canary::plant(&world, &[PEER]).await;
    let superuser = world.superuser(PEER).await.expect("a connection");
    let hen = "CREATE TABLE hen (id text PRIMARY KEY, a text, b text, c text); GRANT ALL ON hen TO dejima;
               INSERT INTO hen VALUES ('shown', '', '', ''), ('hidden', '', NULL, '')";
    crate::fixture::run(&superuser, hen).await;
    let url = world.cluster(PEER).url("dejima", PEER);
    let right = RIGHT.map(|(key, value)| (key, value.replace("DATABASE", &url)));
    (world, canary, right.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_never_executed() {
    let (world, canary, right) = hen_house().await;
    declared(&world, &toml(&right)).await.expect("it is right");
    let mut texts = canary.texts();
    texts.extend(["\0", "a\0; DROP TABLE canary", ""].map(str::to_owned));
    texts.push("é".repeat(32));
    texts.push("x".repeat(100_000));
    let mut carried = 0;
    for (key, _) in RIGHT {
        for text in &texts {
            let mut hostile = right.clone();
            hostile.insert(key, text.clone());
            // The key is one of the columns, the seed's table is declared.
            match key {
                "table.column" => hostile.insert("table.key", text.clone()),
                "table.name" => hostile.insert("seed.table", text.clone()),
                _ => None,
            };
            match declared(&world, &toml(&hostile)).await {
                Ok(()) => carried += 1,
                Err(why) => assert!(!why.is_empty(), "{key}"),
            }
        }
        canary.sings(&world, &[PEER]).await;
    }
    // Kinds, filters, names of Dejima tables and columns, and defaults can be nearly anything.
    assert!(carried > 40, "{carried} were carried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_where_stays_inside_of_its_parentheses() {
    let (world, canary, mut right) = hen_house().await;
    let superuser = world.superuser(PEER).await.expect("a connection");
    let refused = [
        "true) OR (true",
        "false) OR (id = 'hidden') OR (true",
        "true); DROP TABLE canary; --",
        "true); DROP TABLE canary; COMMIT; --",
        "true;",
        "true; DROP TABLE canary",
        "true) UNION SELECT ('x'",
        "true ORDER BY 1",
        "SELECT true",
        "true, true",
        "true /*",
        "true) -- (",
        "'a",
        "$x$",
        "$1",
        "",
        "true\0",
        "canary.song = 'sings'",
        "(SELECT song FROM canary) = 'sings'",
        "pg_terminate_backend(1)",
    ];
    for condition in refused {
        right.insert("table.where", condition.to_owned());
        let why = declared(&world, &toml(&right)).await;
        let why = why.expect_err(condition);
        assert_plain(&why);
        assert!(why.contains("`where` is refused"), "{condition}: {why}");
        canary.sings(&world, &[PEER]).await;
    }
    for condition in [
        "b IS NOT NULL -- the rest; is (a comment",
        "(b IS NOT NULL) OR (a = ';)')",
        "/* ( */ b IS NOT NULL",
        "b IS NOT NULL OR a = $x$);$x$",
        "hen.b IS NOT NULL",
    ] {
        right.insert("table.where", condition.to_owned());
        let declared = declared(&world, &toml(&right)).await;
        assert_eq!(declared, Ok(()), "{condition}");
        let shown = text(
            &superuser,
            "SELECT string_agg(id, ',') FROM dejima_tables.\"H\"",
        )
        .await;
        assert_eq!(shown.as_deref(), Some("shown"), "{condition}");
    }
    canary.sings(&world, &[PEER]).await;
}
