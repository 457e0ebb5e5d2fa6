//! Values and names in clients' SQL: they arrive as they left.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Canary, assert_plain};
use crate::fixture::{TABLES, at_rest, own_world, refused, run};

const PEERS: [&str; 3] = ["bank", "government", "insurance"];

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_values_are_never_executed() {
    let world = own_world().await;
    let canary = Canary::plant(&world, &PEERS).await;
    let bank = world.client("bank").await.expect("a connection");
    let government = world.client("government").await.expect("a connection");
    let texts = canary.texts();
    // As parameters and as literals; in the key, too.
    let insert = "INSERT INTO bank_users VALUES ($1, 'Value', $1, $1, 1)";
    for text in &texts {
        bank.execute(insert, &[text]).await.expect("it is a value");
    }
    at_rest(&world).await;
    for text in &texts {
        let literal = text.replace('\\', "\\\\").replace('\'', "''");
        let update = format!(
            "UPDATE government_users SET first_name = E'2 {literal}', phone = E'{literal}{literal}' WHERE first_name = E'{literal}'"
        );
        run(&government, &update).await;
    }
    at_rest(&world).await;
    let expected = |row: fn(&str) -> Value| {
        let mut rows: Vec<Value> = texts.iter().map(|text| row(text)).collect();
        rows.sort_by_key(ToString::to_string);
        rows
    };
    let key = |text: &str| json!([format!("2 {text}"), format!("{text}{text}"), text]);
    for peer in ["bank", "government"] {
        let client = world.client(peer).await.expect("a connection");
        let rows = rows(&client, peer, "first_name, phone, address").await;
        assert_eq!(rows, expected(key), "{peer}");
    }
    let insurance = world.client("insurance").await.expect("a connection");
    let rows = rows(&insurance, "insurance", "first_name, address").await;
    assert_eq!(rows, expected(|text| json!([format!("2 {text}"), text])));
    // What no text of PostgreSQL holds, no client can send.
    let nul = bank.execute(insert, &[&"a\0b"]).await;
    assert!(nul.is_err());
    run(&government, "DELETE FROM government_users").await;
    at_rest(&world).await;
    canary.sings(&world, &PEERS).await;
}

/// A constraint, a trigger's words and a role of another organisation reach the client as text that is fit for his terminal.
#[tokio::test(flavor = "multi_thread")]
async fn names_and_words_of_another_database_are_shown_and_not_obeyed() {
    let world = own_world().await;
    let canary = Canary::plant(&world, &PEERS).await;
    let bank = world.client("bank").await.expect("a connection");
    let superuser = world.superuser("government").await.expect("a connection");
    for text in canary.texts() {
        let name: String = text
            .chars()
            .take(30)
            .filter(|c| *c != '\u{10ffff}')
            .collect();
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        run(
            &superuser,
            &format!("ALTER TABLE government_users ADD CONSTRAINT {quoted} CHECK (phone <> 'no')"),
        )
        .await;
        let error = refused(
            &bank,
            "INSERT INTO bank_users VALUES ('a', 'Name', 'no', '', 1)",
        )
        .await;
        assert_eq!(error.code().code(), "23514", "{error:?}");
        assert_plain(error.message());
        assert_plain(error.detail().expect("a DETAIL"));
        if !name.contains(|c: char| c.is_control() || c == '\u{202e}') {
            assert!(error.message().contains(&name), "{error:?}");
        }
        run(
            &superuser,
            &format!("ALTER TABLE government_users DROP CONSTRAINT {quoted}"),
        )
        .await;
        let literal = text.replace('\\', "\\\\").replace('\'', "''");
        let trigger = format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $function$
             BEGIN RAISE EXCEPTION USING MESSAGE = E'{literal}', HINT = E'{literal}'; END $function$;
             CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON government_users FOR EACH ROW EXECUTE FUNCTION refuse()"
        );
        run(&superuser, &trigger).await;
        let error = refused(
            &bank,
            "INSERT INTO bank_users VALUES ('a', 'Word', '', '', 1)",
        )
        .await;
        assert_eq!(error.code().code(), "P0001", "{error:?}");
        assert_plain(error.message());
        run(&superuser, "DROP TRIGGER refuse ON government_users").await;
    }
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('a', 'Name', 'yes', '', 1)",
    )
    .await;
    at_rest(&world).await;
    canary.sings(&world, &PEERS).await;
}

async fn rows(client: &Client, peer: &str, columns: &str) -> Vec<Value> {
    let table = TABLES.iter().find(|(name, _)| *name == peer);
    let (_, table) = table.expect("one of the three");
    let sql = format!("SELECT json_build_array({columns})::text FROM {table}");
    let rows = client.query(&sql, &[]).await.expect("his own table");
    let read = |row: &tokio_postgres::Row| serde_json::from_str(row.get(0)).expect("JSON");
    let mut rows: Vec<Value> = rows.iter().map(read).collect();
    rows.sort_by_key(ToString::to_string);
    rows
}
