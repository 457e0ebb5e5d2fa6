//! Reads every copy of every Dejima table, to be compared with the ledgers.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Name, Row};
use crate::cluster::quote_identifier;
use crate::error::{self, Error};
use crate::organisation::KEY;
use crate::world::World;

/// One member's copy of one Dejima table.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    pub(super) peer: String,
    pub(super) table: String,
    /// Those beside the key.
    pub(super) columns: BTreeSet<String>,
    pub(super) rows: BTreeMap<Name, Row>,
}

/// All copies of all Dejima tables.
pub(super) async fn read_copies(world: &World) -> Result<Vec<Copied>, Error> {
    let mut copies = Vec::new();
    for (table, members) in world.shared_tables() {
        for peer in members {
            copies.push(read_copy(world, &peer, &table).await?);
        }
    }
    Ok(copies)
}

async fn read_copy(world: &World, peer: &str, table: &str) -> Result<Copied, Error> {
    let database = world.superuser(peer).await?;
    let failed = || error::database(format!("reading {table} at {peer}"));
    let view = format!("dejima_tables.{}", quote_identifier(table));
    let shape = format!("SELECT * FROM {view}");
    let shape = database.prepare(&shape).await.map_err(failed())?;
    let columns = shape.columns().iter().map(|column| column.name());
    let columns: BTreeSet<String> = columns
        .filter(|column| !KEY.contains(column))
        .map(str::to_owned)
        .collect();
    let listed: Vec<&str> = KEY
        .into_iter()
        .chain(columns.iter().map(String::as_str))
        .collect();
    let values: Vec<String> = listed
        .iter()
        .map(|column| format!("{column}::text"))
        .collect();
    let all = format!("SELECT {} FROM {view}", values.join(", "));
    let rows = database.query(&all, &[]).await.map_err(failed())?;
    let person = |row: &tokio_postgres::Row| {
        let name = Name {
            first: row.get(0),
            last: row.get(1),
        };
        let values = listed.iter().enumerate().skip(KEY.len());
        let values = values.map(|(at, column)| ((*column).to_owned(), row.get(at)));
        (name, values.collect())
    };
    Ok(Copied {
        peer: peer.to_owned(),
        table: table.to_owned(),
        rows: rows.iter().map(person).collect(),
        columns,
    })
}
