//! What hangs on one base row: captured as it is shown, and put by one UPDATE where no rule asks for more.

mod capture;
mod in_place;
mod put;
mod shared_row;
mod view;
mod view_many;

use dejima_core::database::Database;
use dejima_core::delta::PutRow;
use dejima_core::strategy::TableDeclaration;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::bed::{Bed, Told, bed, cells, programmed, row};

const FLEET: &str = "CREATE TABLE bus (id integer PRIMARY KEY, seats integer, note text CHECK (note <> 'bad'));
    CREATE TABLE taxi (id integer PRIMARY KEY, seats integer, note text);
    CREATE VIEW \"Fleet\" AS SELECT 'bus' AS kind, id, seats, note FROM bus WHERE seats > 0 UNION ALL SELECT 'taxi', id, seats, note FROM taxi";

const CREWS: &str = "CREATE TABLE ship (id integer PRIMARY KEY, crew integer, flag text, port text);
    CREATE TABLE plane (id integer PRIMARY KEY, crew integer, flag text, port text);
    CREATE VIEW \"Crews\" AS SELECT 'ship' AS kind, id, crew, flag, port FROM ship UNION ALL SELECT 'plane', id, crew, flag, port FROM plane";

const SALES: &str = "CREATE TABLE client (id integer PRIMARY KEY, name text NOT NULL);
    CREATE TABLE sale (id integer PRIMARY KEY, client integer NOT NULL REFERENCES client, pieces integer, note varchar(9), hidden text);
    -- put: read client
    CREATE VIEW \"Sales\" AS SELECT s.id, s.client, c.name, s.pieces, s.note FROM sale s JOIN client c ON s.client = c.id";

/// The tables of a strategy.
fn tables(strategy: &str) -> &str {
    let end = strategy.find("CREATE VIEW").expect("a view");
    &strategy[..end]
}

async fn shared(name: &'static str, strategies: &[&str], rows: &str) -> (Bed, Database) {
    let all: String = strategies.iter().map(|strategy| tables(strategy)).collect();
    let bed = bed(name, &format!("{all}\n;{rows}")).await;
    let database = bed.connect().await;
    let declared: Vec<TableDeclaration> = strategies.iter().map(|text| programmed(text)).collect();
    database.declare(&declared).await.expect("they fit");
    (bed, database)
}

/// Rows returned, and how many rows the last statement says that it changed.
async fn run(client: &Client, sql: &str) -> (Vec<String>, u64) {
    let messages = client.simple_query(sql).await;
    let (mut rows, mut count) = (vec![], 0);
    for message in messages.unwrap_or_else(|e| panic!("{sql}: {e:?}")) {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
            SimpleQueryMessage::CommandComplete(number) => count = number,
            _ => {}
        }
    }
    (rows, count)
}

fn told(table: &str, old: &[&str], new: &[&str]) -> Told {
    let side = |cells: &[&str]| if cells.is_empty() { None } else { row(cells) };
    (table.to_owned(), side(old), side(new))
}

fn update(key: &[&str], old: &[(&str, &str)], new: &[(&str, &str)]) -> PutRow {
    PutRow::Update {
        key: key.iter().map(|&cell| cell.into()).collect(),
        old: cells(old),
        new: cells(new),
    }
}

/// From here on only the short way is there, of Dejima tables that have one.
fn forget_the_general_way(bed: &Bed) {
    bed.admin(
        "DO $$ DECLARE f regprocedure; BEGIN
           FOR f IN SELECT general.oid FROM pg_proc AS short, pg_proc AS general
             WHERE short.pronamespace = 'dejima'::regnamespace AND short.proname ~ '^put_[0-9]+_rows$' AND general.pronamespace = short.pronamespace
               AND general.proname IN (short.proname, replace(short.proname, 'rows', 'few'), replace(short.proname, 'rows', 'many'))
           LOOP EXECUTE format('DROP FUNCTION %s', f); END LOOP;
         END $$",
    );
}
