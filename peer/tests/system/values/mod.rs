//! Invariant 7: every value arrives as it left, whatever the settings of either end.

mod exchange;
mod keys;
mod kinds;
mod page;

use std::collections::BTreeSet;

use dejima_core::database::{Database, Options};
use dejima_core::name::PeerName;
use dejima_core::strategy::Declaration;
use serde_json::json;

use exchange::Exchange;
use kinds::{GROUPS, LOCAL};

/// Every value takes each of the ways that a value can take: a new row, a change from another value and from NULL, to
/// NULL, at one end and at the other, alone and among many.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_every_value_arrives_as_it_left() {
    let mut exchange = Exchange::open().await;
    let rows = GROUPS.iter().map(exchange::rows).max().unwrap_or(0);
    for row in 0..rows {
        exchange.insert("north", row, 0).await;
    }
    exchange.compare("inserted", "north", |_| Some(0)).await;
    exchange.update_all("north", Some(1)).await;
    exchange.compare("updated", "north", |_| Some(1)).await;
    exchange.update_all("north", None).await;
    exchange.compare("set to NULL", "north", |_| None).await;
    for row in 0..rows {
        exchange.update_row("south", row, 2).await;
    }
    exchange
        .compare("set from NULL, back", "south", |_| Some(2))
        .await;
    exchange.update_columns("south", 0, 3).await;
    let shift = |row| Some(if row == 0 { 3 } else { 2 });
    exchange.compare("one column, back", "south", shift).await;
    exchange.delete_all("south").await;
    page::write_if_asked(&exchange);
    let differences = exchange.differences();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    page::compare(&exchange);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_every_built_in_type_is_tried_or_refused() {
    let exchange = Exchange::open().await;
    let north = exchange.superuser("north").await;
    // Arrays have no types of their own here: each is made by its element's.
    let built_in = "SELECT typname::text FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
        AND typtype IN ('b', 'r', 'm', 'd', 'e') AND (typcategory <> 'A' OR typname IN ('int2vector', 'oidvector'))";
    let tried = "SELECT DISTINCT t.typname::text FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relname LIKE 'north_%' AND a.attnum > 0";
    let names = async |sql: &str| -> BTreeSet<String> {
        let rows = north.query(sql, &[]).await.expect("the catalogue is there");
        rows.iter().map(|row| row.get(0)).collect()
    };
    let (built_in, tried) = (names(built_in).await, names(tried).await);
    let local = LOCAL.iter().map(|&name| name.to_owned());
    let covered: BTreeSet<String> = tried.into_iter().chain(local).collect();
    let missing: Vec<_> = built_in.difference(&covered).collect();
    assert!(missing.is_empty(), "neither tried nor refused: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_mean_nothing_in_another_database_are_refused() {
    let exchange = Exchange::open().await;
    let north = exchange.superuser("north").await;
    let database = Database::connect(Options {
        peer: PeerName::new("north").expect("a name"),
        url: exchange.world.cluster("north").url("dejima", "north"),
        pool: 1,
        lock_wait_ms_max: 250,
    })
    .await
    .expect("a connection");
    let parts = "CREATE DOMAIN public.local_domain AS regclass;
        CREATE TYPE public.local_parts AS (a integer, b public.local_domain[]);";
    let tables = LOCAL.iter().map(|name| format!("pg_catalog.{name}"));
    let more = [
        "public.local_domain",
        "public.local_parts",
        "public.local_parts[]",
        "regrole[]",
    ];
    let tables: Vec<String> = tables.chain(more.map(str::to_owned)).collect();
    north.batch_execute(parts).await.expect("it is made");
    for type_name in tables {
        let make = format!(
            "CREATE TABLE public.local (id integer PRIMARY KEY, \"it's\" {type_name}, b integer);
             GRANT ALL ON public.local TO dejima"
        );
        north.batch_execute(&make).await.expect("it is made");
        let declare = async |columns: &[&str]| {
            let declaration: Declaration = serde_json::from_value(json!({
                "name": "Local", "base_table": "public.local", "key": ["id"], "columns": columns
            }))
            .expect("well formed");
            database.declare(&[declaration.into()]).await
        };
        let error = declare(&["id", "it's"]).await.expect_err("it is refused");
        let error = error.to_string();
        let why = "whose values mean nothing in another database";
        assert!(
            error.contains("column \"it's\"") && error.contains(why),
            "{type_name}: {error}"
        );
        north
            .batch_execute("DROP TABLE public.local")
            .await
            .expect("it is gone");
    }
}
