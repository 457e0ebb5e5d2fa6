//! Puts of many rows. Their work is counted, not timed: what `auto_explain` says that each node of each plan has gone through.

use std::future::poll_fn;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::bed::{Bed, bed, programmed};

/// Rows of a put.
const ROWS: usize = 1_000;
/// Tables as large as a put, and so large that none may be read from end to end for it.
const SIZES: [(&str, usize); 2] = [("put_small", ROWS), ("put_large", 100_000)];
/// How many rows a node may go through for each row that is put.
const WORK_MAX: u64 = 10;

/// Columns that may be NULL, of all kinds of types, and so many that the least doubt about each adds up.
const COLUMNS: &str = "seats integer, price numeric, tags integer[], since timestamp with time zone, weight real, flags bit(3), note varchar(9), \
    a text, b text, c text, d text, e text, f text";
const SHOWN: &str = "id, seats, price, tags, since, weight, flags, note, a, b, c, d, e, f";

fn fleet() -> String {
    format!(
        "CREATE TABLE bus (id integer PRIMARY KEY, {COLUMNS}); CREATE TABLE taxi (id integer PRIMARY KEY, {COLUMNS});
         CREATE VIEW \"Fleet\" AS SELECT 'bus' AS kind, {SHOWN} FROM bus UNION ALL SELECT 'taxi', {SHOWN} FROM taxi"
    )
}

fn sales(treatment: &str, view: &str, [client, sale]: [&str; 2]) -> String {
    format!(
        "CREATE TABLE {client} (id integer PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP');
         CREATE TABLE {sale} (id integer PRIMARY KEY, client integer NOT NULL REFERENCES {client}, pieces integer NOT NULL);
         -- put: {treatment} {client}
         CREATE VIEW \"{view}\" AS SELECT s.id, s.client, c.name, s.pieces FROM {sale} s JOIN {client} c ON s.client = c.id"
    )
}

/// A database with so many rows in each base table.
async fn with_rows(name: &'static str, rows: usize) -> Bed {
    let strategies = [
        fleet(),
        sales("write", "Sales", ["client", "sale"]),
        sales("read", "Lookup", ["buyer", "purchase"]),
    ];
    let tables = strategies.iter().map(|text| {
        let end = text.find("CREATE VIEW").expect("a view");
        &text[..end]
    });
    let tables: String = tables.collect();
    let series = format!("FROM generate_series(1, {rows}) AS g");
    let content = format!(
        "INSERT INTO bus SELECT g, 1, NULL, NULL, NULL, NULL, NULL, 'n' {series}; INSERT INTO taxi SELECT g, 1 {series};
         INSERT INTO client SELECT g, 'n' || g {series}; INSERT INTO sale SELECT g, g, 0 {series}; CREATE INDEX ON sale (client);
         INSERT INTO buyer SELECT g, 'n' || g {series}; INSERT INTO purchase SELECT g, CASE WHEN g > {ROWS} THEN g ELSE 1 END, 0 {series}; CREATE INDEX ON purchase (client)"
    );
    let bed = bed(name, &format!("{tables}\n;{content}")).await;
    let declared: Vec<_> = strategies.iter().map(|text| programmed(text)).collect();
    let database = bed.connect().await;
    database.declare(&declared).await.expect("they fit");
    bed.admin("VACUUM ANALYZE");
    bed
}

/// A session that acts as the peer, and is told the plan of whatever it runs.
struct Watched {
    client: Client,
    notices: UnboundedReceiver<String>,
}

impl Watched {
    async fn start(bed: &Bed) -> Self {
        let connected = tokio_postgres::connect(&bed.url("postgres"), NoTls).await;
        let (client, mut connection) = connected.expect("the bed is made of what works");
        let (said, notices) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notice(notice) = message {
                    let _ = said.send(notice.message().to_owned());
                }
            }
        });
        let watch = "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off;
             SET auto_explain.log_nested_statements = on; SET auto_explain.log_format = json; SET client_min_messages = log; SET search_path = pg_catalog";
        client.batch_execute(watch).await.expect("PostgreSQL's own");
        Self { client, notices }
    }

    /// The plans of a put, which is undone, and what is asked after it.
    async fn put(&mut self, table: &str, rows: &[Value], asked: &str) -> (Vec<Value>, i64) {
        let puts = json!([{"table": table, "rows": rows}]).to_string();
        let run = async |sql: &str| self.client.batch_execute(sql).await.expect(sql);
        run("BEGIN; SET LOCAL ROLE dejima").await;
        let put = "SELECT dejima.put($1::text::jsonb)";
        let done = self.client.execute(put, &[&puts]).await;
        done.unwrap_or_else(|error| panic!("{table}: {error:?}"));
        let mut plans = vec![];
        while let Ok(notice) = self.notices.try_recv() {
            let plan = notice.find('{').map(|start| &notice[start..]);
            plans.push(serde_json::from_str(plan.expect("a plan")).expect("JSON"));
        }
        let found = self.client.query_one(asked, &[]).await.expect(asked);
        run("ROLLBACK").await;
        while self.notices.try_recv().is_ok() {}
        (plans, found.get(0))
    }
}

/// Calls it with each node of a plan.
fn walk(node: &Value, see: &mut impl FnMut(&Value)) {
    see(node);
    for inner in node["Plans"].as_array().into_iter().flatten() {
        walk(inner, see);
    }
}

/// Rows that a node has gone through.
fn work(node: &Value) -> u64 {
    let of = |what: &str| node[what].as_u64().unwrap_or(0);
    let rows = [
        "Actual Rows",
        "Rows Removed by Filter",
        "Rows Removed by Join Filter",
        "Rows Removed by Index Recheck",
    ];
    of("Actual Loops") * rows.map(of).iter().sum::<u64>()
}

fn cells(cells: &[(&str, &str)]) -> Value {
    let cell = |&(name, value): &(&str, &str)| {
        let value = (value != "NULL").then_some(value);
        (name.to_owned(), json!(value))
    };
    Value::Object(cells.iter().map(cell).collect::<Map<_, _>>())
}

fn changed(key: &[&str], old: &[(&str, &str)], new: &[(&str, &str)]) -> Value {
    if new.is_empty() {
        return json!({"op": "delete", "key": key, "old": cells(old)});
    }
    json!({"op": "update", "key": key, "old": cells(old), "new": cells(new)})
}

fn inserted(new: &[(&str, &str)]) -> Value {
    json!({"op": "insert", "new": cells(new)})
}

/// A row of a put, by its number.
type Row = fn(&str) -> Value;

/// A put, by its Dejima table, its rows, and a count that is as many afterwards.
const PUTS: &[(&str, Row, &str)] = &[
    (
        "Fleet",
        |i| changed(&["bus", i], &[("seats", "1")], &[("seats", "2")]),
        "SELECT count(*) FROM public.bus WHERE seats = 2",
    ),
    (
        "Fleet",
        |i| {
            changed(
                &["bus", i],
                &[("price", "NULL"), ("note", "n")],
                &[("price", "1.0"), ("note", "NULL")],
            )
        },
        "SELECT count(*) FROM public.bus WHERE price = 1 AND note IS NULL",
    ),
    (
        "Fleet",
        |i| changed(&["bus", i], &[("tags", "NULL")], &[("tags", "{}")]),
        "SELECT count(*) FROM public.bus WHERE tags = '{}'",
    ),
    (
        "Fleet",
        |i| {
            changed(
                &["bus", i],
                &[("since", "NULL"), ("weight", "NULL"), ("flags", "NULL")],
                &[
                    ("since", "2026-01-01 00:00:00+00"),
                    ("weight", "NaN"),
                    ("flags", "101"),
                ],
            )
        },
        "SELECT count(*) FROM public.bus WHERE since = '2026-01-01Z' AND weight = 'NaN' AND flags = '101'",
    ),
    (
        "Fleet",
        |i| changed(&["taxi", i], &[("seats", "1")], &[]),
        "SELECT (SELECT count(*) FROM public.bus) - count(*) FROM public.taxi",
    ),
    (
        "Fleet",
        |i| inserted(&[("kind", "bus"), ("id", &format!("-{i}")), ("seats", "3")]),
        "SELECT count(*) FROM public.bus WHERE id < 0 AND price IS NULL",
    ),
    (
        "Sales",
        |i| changed(&[i], &[("pieces", "0")], &[("pieces", "2")]),
        "SELECT count(*) FROM public.sale WHERE pieces = 2",
    ),
    (
        "Sales",
        |i| changed(&[i], &[("name", &format!("n{i}"))], &[("name", "x")]),
        "SELECT count(*) FROM public.client WHERE name = 'x'",
    ),
    // Both sides of the join.
    (
        "Sales",
        |i| {
            changed(
                &[i],
                &[("name", &format!("n{i}")), ("pieces", "0")],
                &[("name", "y"), ("pieces", "2")],
            )
        },
        "SELECT count(*) FROM public.client AS c JOIN public.sale AS s ON s.client = c.id WHERE c.name = 'y' AND s.pieces = 2",
    ),
    (
        "Sales",
        |i| changed(&[i], &[("pieces", "0")], &[]),
        "SELECT (SELECT count(*) FROM public.client) - count(*) FROM public.sale",
    ),
    (
        "Sales",
        |i| {
            inserted(&[
                ("id", &format!("-{i}")),
                ("client", &format!("-{i}")),
                ("name", "new"),
                ("pieces", "4"),
            ])
        },
        "SELECT count(*) FROM public.client AS c JOIN public.sale AS s ON s.client = c.id WHERE c.name = 'new'",
    ),
    (
        "Lookup",
        |i| changed(&[i], &[("pieces", "0")], &[("pieces", "2")]),
        "SELECT count(*) FROM public.purchase WHERE pieces = 2",
    ),
    (
        "Lookup",
        |i| {
            inserted(&[
                ("id", &format!("-{i}")),
                ("client", i),
                ("name", &format!("n{i}")),
                ("pieces", "4"),
            ])
        },
        "SELECT count(*) FROM public.purchase WHERE id < 0",
    ),
];

#[tokio::test]
async fn a_put_of_many_rows_goes_through_each_a_few_times() {
    for (name, size) in SIZES {
        let bed = with_rows(name, size).await;
        let mut session = Watched::start(&bed).await;
        for &(table, row, asked) in PUTS {
            let rows: Vec<_> = (1..=ROWS).map(|i| row(&i.to_string())).collect();
            let (plans, found) = session.put(table, &rows, asked).await;
            assert_eq!(found, i64::try_from(ROWS).expect("few"), "{asked}");
            assert!(plans.len() > 10, "{} plans", plans.len());
            let mut most = 0;
            for plan in &plans {
                walk(&plan["Plan"], &mut |node| {
                    most = most.max(work(node));
                    assert!(
                        work(node) <= WORK_MAX * ROWS as u64,
                        "{size} rows, {asked}: {node:#}\nof {}",
                        plan["Query Text"]
                    );
                    let reads_all = node["Node Type"] == "Seq Scan" && work(node) > 2 * ROWS as u64;
                    assert!(!reads_all, "{size} rows, {asked}: {node:#}");
                });
            }
            println!("{size} rows, {most} at most in a node: {asked}");
        }
    }
}
