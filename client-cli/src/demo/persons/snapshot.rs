//! What each organisation's own base table holds at one moment.

use std::collections::BTreeMap;

use dejima_testbed::{Error, Member, World};
use tokio_postgres::Client;

/// All columns that any organisation of the example has.
pub(super) const COLUMNS: [&str; 6] = [
    "first_name",
    "last_name",
    "phone",
    "address",
    "birthdate",
    "risk_factor",
];

/// How many of them, from the first, are the person's name.
pub(super) const NAME_COLUMNS: usize = 2;

/// A person's values in the order of [`COLUMNS`].
pub(super) type Row = [Cell; COLUMNS.len()];

/// One value of a base table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// The base table has no such column.
    NoColumn,
    Null,
    Value(String),
}

/// The rows of one base table by first and last name.
pub(super) type Rows = BTreeMap<(String, String), Row>;

/// All base tables, in the order of the world's members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) tables: Vec<(String, Rows)>,
}

impl Snapshot {
    /// Reads every base table as the organisation's own client, when nothing is in flight any more.
    pub(super) async fn read(world: &World, clients: &[Client]) -> Result<Self, Error> {
        world.await_quiet().await?;
        let mut tables = Vec::new();
        for (member, client) in world.members().iter().zip(clients) {
            tables.push((member.name().to_owned(), read_rows(member, client).await?));
        }
        Ok(Self { tables })
    }

    /// The rows of a base table; none if the organisation is not there.
    pub(super) fn rows_of(&self, organisation: &str) -> Rows {
        let found = self.tables.iter().find(|(name, _)| name == organisation);
        found.map(|(_, rows)| rows.clone()).unwrap_or_default()
    }
}

/// True if the organisation's base table has the column.
pub(super) fn has_column(kind: &str, column: &str) -> bool {
    match column {
        "phone" => kind != "insurance",
        "birthdate" => kind != "bank",
        "risk_factor" => kind != "government",
        _ => true,
    }
}

async fn read_rows(member: &Member, client: &Client) -> Result<Rows, Error> {
    let kind = member.organisation().kind.as_str();
    let columns: Vec<&str> = COLUMNS
        .into_iter()
        .filter(|column| has_column(kind, column))
        .collect();
    let texts: Vec<String> = columns
        .iter()
        .map(|column| format!("{column}::text"))
        .collect();
    let sql = format!(
        "SELECT {} FROM {}",
        texts.join(", "),
        member.organisation().base_tables[0]
    );
    let found = client.query(&sql, &[]).await;
    let found = found.map_err(|source| Error::Database {
        what: format!("reading at {}", member.name()),
        source,
    })?;
    let rows = found.iter().map(|row| {
        let cell = |column: &str| match columns.iter().position(|have| *have == column) {
            None => Cell::NoColumn,
            Some(at) => row
                .get::<_, Option<String>>(at)
                .map_or(Cell::Null, Cell::Value),
        };
        ((row.get(0), row.get(1)), COLUMNS.map(cell))
    });
    Ok(rows.collect())
}
