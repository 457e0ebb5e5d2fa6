//! Names that need quoting, wherever a name can stand: schema, base table, base column, Dejima table, its columns, key.

use std::fmt::Write as _;

use dejima_testbed::{Layout, Organisation, Share, World, WorldOptions};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::fixture::{at_rest_of, run, text};

/// Each of them is used at every place.
const NAMES: [&str; 12] = [
    "select",
    "user",
    "Mixed Case",
    " ",
    "\"; DROP TABLE x; --",
    "'); DROP TABLE x; --",
    "it's \"quoted\" \\ $1 $$ $dejima$",
    "%s %I %L {0} {{",
    "putting",
    "updated",
    "ünï-コード-😀",
    // 63 bytes, of which none may be lost.
    "é2345678901234567890123456789012345678901234567890123456789012",
];

const ENDS: [&str; 2] = ["north", "south"];

/// Invariants 6 to 8 for tables of such names: inserts, updates of the key and of other columns, and deletes arrive,
/// and nothing is executed that a name says.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_identifiers_that_need_quoting() {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(vec![organisation(0), organisation(1)], options).await;
    let world = world.expect("the world starts");
    let client = world.client(ENDS[0]).await.expect("a connection");
    write(&world, &client, |number| {
        let place = Place::new(0, number);
        let values = NAMES.map(|name| {
            let value = name.replace('\'', "''");
            format!("(E'{}', NULL, 1)", value.replace('\\', "\\\\"))
        });
        let columns = [0, 1, 2].map(|at| place.column(at)).join(", ");
        format!(
            "INSERT INTO {} ({columns}) VALUES {}",
            place.table(),
            values.join(", ")
        )
    })
    .await;
    write(&world, &client, |number| {
        let place = Place::new(0, number);
        let [key, value, count] = [0, 1, 2].map(|at| place.column(at));
        format!(
            "UPDATE {0} SET {value} = {key}, {count} = 2;
             UPDATE {0} SET {key} = 'new ' || {key} WHERE {key} LIKE '%DROP%'",
            place.table()
        )
    })
    .await;
    let client = world.client(ENDS[1]).await.expect("a connection");
    write(&world, &client, |number| {
        let place = Place::new(1, number);
        let [key, value, count] = [0, 1, 2].map(|at| place.column(at));
        format!(
            "DELETE FROM {0} WHERE {key} = 'select'; UPDATE {0} SET {count} = 3 WHERE {value} = 'user'",
            place.table()
        )
    })
    .await;
    for (end, name) in ENDS.iter().enumerate() {
        let client = world.superuser(name).await.expect("a connection");
        for number in 0..NAMES.len() {
            let place = Place::new(end, number);
            let rows = place.rows(&client).await;
            let expected = NAMES.iter().filter(|name| **name != "select").map(|name| {
                let key = if name.contains("DROP") {
                    format!("new {name}")
                } else {
                    (*name).to_owned()
                };
                json!([key, name, if *name == "user" { 3 } else { 2 }])
            });
            let mut expected: Vec<Value> = expected.collect();
            expected.sort_by_key(ToString::to_string);
            assert_eq!(rows, expected, "{} at {name}", place.table());
        }
        let is_there = text(&client, "SELECT to_regclass('public.x')::text").await;
        assert!(is_there.is_some(), "nothing was executed at {name}");
    }
    at_rest_of(&world, &ENDS).await;
}

/// A statement for each table, all in one transaction.
async fn write(world: &World, client: &Client, statement: impl Fn(usize) -> String) {
    let statements: Vec<String> = (0..NAMES.len()).map(statement).collect();
    run(client, &statements.join(";\n")).await;
    world.await_quiet().await.expect("peers answer");
}

/// Where the names of a table stand. It has another name of the list for each thing, the other end has others.
struct Place {
    end: usize,
    number: usize,
}

impl Place {
    fn new(end: usize, number: usize) -> Self {
        Self { end, number }
    }

    fn name(&self, at: usize) -> &'static str {
        NAMES[(self.number + at + 5 * self.end) % NAMES.len()]
    }

    fn schema(&self) -> String {
        quoted(self.name(4))
    }

    fn table(&self) -> String {
        format!("{}.{}", self.schema(), quoted(self.name(0)))
    }

    /// The first has the name of the table.
    fn column(&self, at: usize) -> String {
        quoted(self.name(at))
    }

    /// The Dejima table and its columns have the same names at both ends.
    fn declaration(&self) -> String {
        let shared = |at: usize| json!(NAMES[(self.number + at) % NAMES.len()]);
        let columns = [0, 1, 2].map(|at| {
            format!(
                "{{ name = {}, column = {} }}",
                shared(3 + at),
                json!(self.name(at))
            )
        });
        format!(
            "[[dejima_table]]\nname = {}\nbase_table = {}\nkey = [{}]\ncolumns = [{}]\nwhere = {}\n\n",
            shared(2),
            json!(self.table()),
            shared(3),
            columns.join(", "),
            json!(format!("{} > 0", self.column(2))),
        )
    }

    async fn rows(&self, client: &Client) -> Vec<Value> {
        let columns = [0, 1, 2].map(|at| self.column(at)).join(", ");
        let sql = format!(
            "SELECT json_build_array({columns})::text FROM {}",
            self.table()
        );
        let rows = client.query(&sql, &[]).await.expect("the table is there");
        let read = |row: &tokio_postgres::Row| serde_json::from_str(row.get(0)).expect("JSON");
        let mut rows: Vec<Value> = rows.iter().map(read).collect();
        rows.sort_by_key(ToString::to_string);
        rows
    }
}

fn organisation(end: usize) -> Organisation {
    let places = || (0..NAMES.len()).map(|number| Place::new(end, number));
    let mut base_sql = "CREATE TABLE public.x ();\n".to_owned();
    for place in places() {
        let [key, value, count] = [0, 1, 2].map(|at| place.column(at));
        writeln!(
            base_sql,
            "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
             CREATE TABLE {} ({key} text PRIMARY KEY, {value} text, {count} integer NOT NULL);",
            place.table(),
            schema = place.schema(),
        )
        .expect("a string takes all");
    }
    let share = |name: &&str| Share {
        table: (*name).to_owned(),
        seeds: ENDS[..end].iter().map(|&seed| seed.to_owned()).collect(),
    };
    Organisation {
        name: ENDS[end].to_owned(),
        kind: ENDS[end].to_owned(),
        base_sql,
        base_tables: places().map(|place| place.table()).collect(),
        declarations: places().map(|place| place.declaration()).collect(),
        shares: NAMES.iter().map(share).collect(),
        strategies: vec![],
        more_configuration: String::new(),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
