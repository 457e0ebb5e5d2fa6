//! What the event loop needs of a database; a fake of it serves the tests.

use dejima_core::database::Database;
use dejima_core::group::Fact;
use dejima_core::transaction::{Answer, Request};
use futures::future::BoxFuture;

/// Carries out the machines' requests.
pub trait Store: Send + Sync + 'static {
    /// Carries out a request of the transaction machine. Runs in a task that is never cancelled.
    fn execute(&self, request: Request) -> BoxFuture<'_, Option<Answer>>;

    /// Keeps facts for the next start.
    fn save(&self, facts: Vec<Fact>) -> BoxFuture<'_, Result<(), String>>;
}

impl Store for Database {
    fn execute(&self, request: Request) -> BoxFuture<'_, Option<Answer>> {
        Box::pin(Database::execute(self, request))
    }

    fn save(&self, facts: Vec<Fact>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.save_facts(&facts)
                .await
                .map_err(|error| error.to_string())
        })
    }
}
