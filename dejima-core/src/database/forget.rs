//! Forgetting: the rows of transactions that have ended everywhere are deleted, and stay deleted.
//!
//! The control sessions commit asynchronously. A database that dies may bring back what was deleted in its last moments,
//! while the peer lives on and does not know these transactions any more. So whatever was deleted is deleted
//! once more when the first time must have reached the disk, until nothing was there. The same way a request
//! that failed is carried out later.

use std::time::Duration;

use tracing::warn;

use super::Database;
use super::error::describe;
use crate::name::Gid;
use crate::transaction::Answer;

/// PostgreSQL, "Asynchronous Commit": at most three times `wal_writer_delay`, which is 200 ms by default.
const DURABLE_AFTER: Duration = Duration::from_millis(700);

const FORGET: &str = "WITH decided AS (DELETE FROM dejima.transaction WHERE gid = ANY ($1::text[]) RETURNING 1), \
                           took_part AS (DELETE FROM dejima.participant WHERE gid = ANY ($1::text[]) RETURNING 1) \
                      SELECT (SELECT count(*) FROM decided) + (SELECT count(*) FROM took_part)";

/// Transactions whose rows may come back.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    /// Deleted for the first time since the last look.
    young: Vec<Gid>,
    /// Deleted before the last look.
    old: Vec<Gid>,
    is_looking: bool,
}

impl Database {
    pub(super) async fn forget(&self, gids: Vec<Gid>) -> Option<Answer> {
        self.delete_rows(&gids).await;
        let mut forgotten = self.inner.forgotten.lock().await;
        forgotten.young.extend(gids);
        if !std::mem::replace(&mut forgotten.is_looking, true) {
            let database = self.clone();
            tokio::spawn(async move { database.forget_again().await });
        }
        None
    }

    /// Ends when nothing can come back any more.
    async fn forget_again(&self) {
        loop {
            tokio::time::sleep(DURABLE_AFTER).await;
            let old = std::mem::take(&mut self.inner.forgotten.lock().await.old);
            let is_gone = old.is_empty() || self.delete_rows(&old).await == Some(0);
            let mut forgotten = self.inner.forgotten.lock().await;
            let young = std::mem::take(&mut forgotten.young);
            forgotten.old = if is_gone { Vec::new() } else { old };
            forgotten.old.extend(young);
            if forgotten.old.is_empty() {
                forgotten.is_looking = false;
                return;
            }
        }
    }

    /// How many rows were there; `None` if the database did not do it.
    async fn delete_rows(&self, gids: &[Gid]) -> Option<i64> {
        match self.try_delete_rows(gids).await {
            Ok(count) => Some(count),
            Err(why) => {
                let count = gids.len();
                warn!(why, count, "finished transactions are not forgotten yet");
                None
            }
        }
    }

    async fn try_delete_rows(&self, gids: &[Gid]) -> Result<i64, String> {
        let names: Vec<_> = gids.iter().map(Gid::as_str).collect();
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let forget = client
            .prepare_cached(FORGET)
            .await
            .map_err(|e| describe(&e))?;
        let row = client.query_one(&forget, &[&names]).await;
        row.map(|row| row.get(0)).map_err(|e| describe(&e))
    }
}
