//! Comparing copies: what the own copy amounts to, for the operator and for members who ask.

use std::sync::Arc;

use dejima_core::database::DeclaredTable;
use dejima_core::examine::Copy;
use dejima_core::name::TableName;
use dejima_core::transaction;
use tokio::sync::Semaphore;

use crate::event::{self, Events};
use crate::store::Store;

/// Cheap to clone.
#[derive(Clone)]
pub struct Copies {
    store: Arc<dyn Store>,
    tables: Arc<[DeclaredTable]>,
    events: Events,
    /// A copy is read as a whole: one at a time, whoever asks.
    turn: Arc<Semaphore>,
}

impl Copies {
    /// Of these Dejima tables.
    pub fn new(store: Arc<dyn Store>, tables: &[DeclaredTable], events: Events) -> Self {
        Self {
            store,
            tables: tables.into(),
            events,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reads the copy of a Dejima table; `None` if this peer does not share it.
    pub async fn read(&self, name: &TableName) -> Option<Result<Copy, String>> {
        let table = self.tables.iter().find(|table| table.name == *name)?;
        // Nobody closes it.
        let _turn = self.turn.acquire().await.ok()?;
        let was_at_rest = self.is_at_rest(name).await;
        let digest = self.store.digest(table).await;
        let is_at_rest = was_at_rest && self.is_at_rest(name).await;
        Some(digest.map(|digest| Copy { digest, is_at_rest }))
    }

    /// One that has only just begun shows by another sum.
    async fn is_at_rest(&self, name: &TableName) -> bool {
        let name = name.clone();
        let look = event::look(&self.events, move |_, _, machine: &transaction::Machine| {
            machine.is_at_rest(&name)
        });
        look.await.unwrap_or(false)
    }
}
