//! Waiting until another session stands still. Only the server knows, and it tells nobody: it is asked again as soon as it has
//! answered.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::error::{self, Error};

const WAITING: &str = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1";

/// Returns when a session of the client's database waits for a lock, or [`Error::Hung`] if none does in this time. The client is
/// in no transaction, and may see what the others do.
pub async fn until_somebody_waits(client: &Client, patience: Duration) -> Result<(), Error> {
    let found = tokio::time::timeout(patience, until_found(client, WAITING, &[])).await;
    let row = found.map_err(|_| Error::Hung {
        what: "waiting for a lock".into(),
        waited: patience,
    })?;
    row.map(drop)
        .map_err(error::database("asking who waits for a lock"))
}

/// The first row that a query finds, at once or later.
pub(crate) async fn until_found(
    client: &Client,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Row, tokio_postgres::Error> {
    loop {
        if let Some(row) = client.query_opt(sql, values).await? {
            return Ok(row);
        }
    }
}
