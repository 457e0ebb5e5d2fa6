//! Sessions that never go back to the pool with a transaction open.

use deadpool_postgres::{Client, Object};
use tokio_postgres::Error;

/// A session with an open transaction. Dropped without a proper end it is disconnected, which rolls back.
pub(super) struct Session {
    client: Option<Object>,
}

impl Session {
    pub(super) fn new(client: Object) -> Self {
        Self {
            client: Some(client),
        }
    }

    pub(super) fn client(&self) -> &Client {
        self.client
            .as_ref()
            .expect("only `release` takes the client, and it takes the session too")
    }

    /// Ends the transaction, whatever its state, and gives the session back.
    pub(super) async fn rollback(self) {
        // A session that cannot even roll back is lost, and PostgreSQL rolls back for it.
        if self.client().batch_execute("ROLLBACK").await.is_ok() {
            self.release();
        }
    }

    /// Gives the session back: its transaction has ended.
    pub(super) fn release(mut self) {
        drop(self.client.take());
    }

    /// Runs statements that return nothing; no statements cost no round trip.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Error> {
        if sql.is_empty() {
            return Ok(());
        }
        self.client().batch_execute(sql).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}
