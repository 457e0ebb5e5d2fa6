//! The order in which rows lie in a table. SQL leaves open in which order a statement takes its rows, but the numbers that
//! `SET id = DEFAULT` gives them follow it, and so does which of several errors ends it. Both sides shall therefore take them alike.
//!
//! Rows lie as they were written, until PostgreSQL prunes a page: then new rows fill the places of dead ones. When it may is a
//! matter of the oldest snapshot in the database, so of time. A snapshot that is as old as the round keeps it from pruning.

use dejima_testbed::connect;
use tokio_postgres::Client;

use crate::Result;

/// Snapshots that are held: one in the office's database, one in the plain one.
#[derive(Default)]
pub(crate) struct Snapshots {
    held: Vec<Client>,
}

impl Snapshots {
    /// Takes them now, instead of those that were held.
    pub(crate) async fn take(&mut self, urls: [&str; 2]) -> Result<()> {
        self.held.clear();
        for url in urls {
            let client = connect(url).await?;
            client
                .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
                .await?;
            self.held.push(client);
        }
        Ok(())
    }
}
