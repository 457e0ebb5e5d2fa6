//! What a peer needs of its database; a fake of it serves the tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use dejima_core::database::{Database, DeclaredTable, Examinee, Sight, Trace};
use dejima_core::examine::{Digest, Finding};
use dejima_core::group::{Fact, Overtaken};
use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{Answer, Request};
use futures::future::BoxFuture;

/// Carries out the machines' requests, and looks for the operator.
pub trait Store: Send + Sync + 'static {
    /// Carries out a request of the transaction machine. Runs in a task that is never cancelled.
    fn execute(&self, request: Request) -> BoxFuture<'_, Option<Answer>>;

    /// Keeps facts for the next start.
    fn save(&self, facts: Vec<Arc<Fact>>) -> BoxFuture<'_, Result<(), String>>;

    /// Counts on, durably, as at every start; returns what it has come to.
    fn count(&self) -> BoxFuture<'_, Result<u64, String>>;

    /// Counts the starts on from what others have seen, and notes it for the operator.
    fn count_beyond(&self, overtaken: Overtaken) -> BoxFuture<'_, Result<(), String>>;

    /// Looks at what a transaction holds; at its rows too if `rows_max` is not 0.
    fn look<'a>(
        &'a self,
        gid: &'a Gid,
        parent: Option<&'a PeerName>,
        tables: &'a [DeclaredTable],
        rows_max: usize,
    ) -> BoxFuture<'a, Result<Sight, String>>;

    /// Everything that is stored about transactions that have promised or were decided.
    fn traces(&self) -> BoxFuture<'_, Result<BTreeSet<Trace>, String>>;

    /// Examines everything that the peer depends on.
    fn examine(&self, examinee: Examinee) -> BoxFuture<'_, Vec<Finding>>;

    /// What the copy of a Dejima table amounts to.
    fn digest<'a>(&'a self, table: &'a DeclaredTable) -> BoxFuture<'a, Result<Digest, String>>;
}

impl Store for Database {
    fn execute(&self, request: Request) -> BoxFuture<'_, Option<Answer>> {
        Box::pin(Database::execute(self, request))
    }

    fn save(&self, facts: Vec<Arc<Fact>>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.save_facts(&facts)
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move {
            let counted = self.next_incarnation().await;
            counted.map_err(|error| error.to_string())
        })
    }

    fn count_beyond(&self, overtaken: Overtaken) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            Database::count_beyond(self, &overtaken)
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn look<'a>(
        &'a self,
        gid: &'a Gid,
        parent: Option<&'a PeerName>,
        tables: &'a [DeclaredTable],
        rows_max: usize,
    ) -> BoxFuture<'a, Result<Sight, String>> {
        Box::pin(Database::look(self, gid, parent, tables, rows_max))
    }

    fn traces(&self) -> BoxFuture<'_, Result<BTreeSet<Trace>, String>> {
        Box::pin(Database::traces(self))
    }

    fn examine(&self, examinee: Examinee) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(async move { Database::examine(self, &examinee).await })
    }

    fn digest<'a>(&'a self, table: &'a DeclaredTable) -> BoxFuture<'a, Result<Digest, String>> {
        Box::pin(Database::digest(self, table))
    }
}
