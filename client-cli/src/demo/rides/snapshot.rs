//! What the base tables of all organisations hold at one moment.

use std::collections::BTreeMap;

use dejima_testbed::{Error, World};
use tokio_postgres::{Client, SimpleQueryMessage};

/// The values of a row as text.
pub(super) type Row = Vec<String>;

/// The rows of all base tables, by organisation, base table and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) tables: BTreeMap<(String, String), BTreeMap<Row, Row>>,
}

/// A row that a step leaves behind, or takes away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) organisation: &'static str,
    pub(super) table: &'static str,
    /// The whole row; of one that is gone the key.
    pub(super) row: &'static [&'static str],
}

impl Snapshot {
    /// Reads every base table as the organisation's own client, when nothing is in flight any more.
    pub(super) async fn read(world: &World, clients: &[Client]) -> Result<Self, Error> {
        world.await_quiet().await?;
        let mut tables = BTreeMap::new();
        for (member, client) in world.members().iter().zip(clients) {
            for table in &member.organisation().base_tables {
                let rows = client.simple_query(&format!("TABLE {table}")).await;
                let rows = rows.map_err(|source| Error::Database {
                    what: format!("reading {table} at {}", member.name()),
                    source,
                })?;
                let rows = rows
                    .iter()
                    .filter_map(row)
                    .map(|row| (key(table, &row), row));
                tables.insert((member.name().to_owned(), table.clone()), rows.collect());
            }
        }
        Ok(Self { tables })
    }

    /// With these changes.
    pub(super) fn after(&self, changes: &[Change]) -> Self {
        let mut after = self.clone();
        for change in changes {
            let at = (change.organisation.to_owned(), change.table.to_owned());
            let rows = after.tables.entry(at).or_default();
            let row: Row = change.row.iter().map(|&value| value.to_owned()).collect();
            let key = key(change.table, &row);
            if row.len() == key.len() {
                rows.remove(&key);
            } else {
                rows.insert(key, row);
            }
        }
        after
    }
}

fn row(message: &SimpleQueryMessage) -> Option<Row> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let value = |at| row.get(at).unwrap_or("NULL").to_owned();
    Some((0..row.len()).map(value).collect())
}

/// The first columns of each base table are its key.
fn key(table: &str, row: &[String]) -> Row {
    let columns = if table == "fleet" { 2 } else { 1 };
    row.iter().take(columns).cloned().collect()
}
