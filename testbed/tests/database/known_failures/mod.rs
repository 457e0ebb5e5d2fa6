//! What the known tool for put rules fails at, a case for each: no NULLs, dates and numerics; changes lost when one transaction
//! changes both sides of a join; strategies taken for valid that break a key at the second insert; temporary tables, so that
//! nothing can be prepared; memory lost with every statement; tables read from end to end; inserts into large tables that take
//! minutes; errors that say only "not validated".

mod both_sides;
mod cost;
mod findings;
mod memory;
mod second_insert;
mod temporary;
mod values;

use dejima_core::database::Database;
use dejima_core::strategy::TableDeclaration;
use tokio_postgres::Client;

use crate::bed::{Bed, bed, programmed};

/// A row of a table or of the Dejima table, as texts.
type Cells = Vec<Option<String>>;

/// Two base tables that are joined by key, one of them only looked up.
const TABLES: &str = "CREATE TABLE city (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE client (id integer PRIMARY KEY, name text, city integer NOT NULL REFERENCES city);";

fn joined() -> TableDeclaration {
    programmed(&format!(
        "{TABLES}
         -- put: read city
         CREATE VIEW \"T\" AS SELECT c.id, c.name, t.name AS town FROM client c JOIN city t ON c.city = t.id"
    ))
}

/// A database that serves one Dejima table `T`, which clients may write.
async fn served(name: &'static str, base_tables: &str, table: TableDeclaration) -> (Bed, Database) {
    let bed = bed(name, base_tables).await;
    let database = bed.connect().await;
    let declared = database.declare(&[table]).await;
    declared.expect("the strategy fits the database");
    bed.admin(
        "GRANT USAGE ON SCHEMA dejima_tables TO client; GRANT ALL ON dejima_tables.\"T\" TO client",
    );
    (bed, database)
}

async fn run(client: &Client, sql: &str) {
    let done = client.batch_execute(sql).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The rows of a query for arrays of texts.
async fn rows(client: &Client, sql: &str) -> Vec<Cells> {
    let rows = client.query(sql, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// A number that a query gives.
async fn number(client: &Client, sql: &str) -> i64 {
    let row = client.query_one(sql, &[]).await;
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}
