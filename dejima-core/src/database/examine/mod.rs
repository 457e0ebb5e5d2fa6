//! The database as `dejima doctor` sees it, through the peer's own sessions: one file a subject, each a few questions
//! and what their answers mean. Changes nothing but the note of when the helper was last found in order.

mod helper;
mod identity;
mod installation;
mod orphans;
mod resolutions;
mod role;
mod settings;

pub use orphans::Trace;

use std::collections::BTreeSet;

use tokio_postgres::Error;

use super::error::describe;
use super::look::read_only;
use super::{Database, DeclaredTable, UsedTable};
use crate::examine::{Finding, or_ok};

/// What the peer knows of itself when its database is examined.
#[derive(Clone, Debug, Default)]
pub struct Examinee {
    /// The Dejima tables as they were declared when it started.
    pub tables: Vec<DeclaredTable>,
    /// Its incarnation.
    pub incarnation: u64,
    /// What [`Database::traces`] found and the machine does not hold.
    pub unclaimed: BTreeSet<Trace>,
}

impl Database {
    /// Everything that stands in the database about transactions that have promised or were decided.
    pub async fn traces(&self) -> Result<BTreeSet<Trace>, String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let traces = orphans::traces(&client, self.peer()).await;
        traces.map_err(|e| describe(&e))
    }

    /// Examines everything that the peer depends on.
    pub async fn examine(&self, examinee: &Examinee) -> Vec<Finding> {
        let mut client = match self.inner.control.get().await {
            Ok(client) => client,
            Err(e) => {
                let what = format!("no session with the database at {}: {e}", self.inner.place);
                let cure =
                    "start the database; see its log, and that pg_hba.conf lets role dejima in";
                return vec![Finding::critical("database", what, cure)];
            }
        };
        let mut findings = vec![];
        let client = &mut client;
        let mut take = |check, found: Result<Vec<Finding>, Error>| {
            findings.extend(found.unwrap_or_else(|e| vec![not_examined(check, &e)]));
        };
        take(
            settings::CHECK,
            settings::examine(client, self.inner.options.pool).await,
        );
        take(role::CHECK, role::examine(client, &examinee.tables).await);
        take(
            installation::CHECK,
            installation::examine(client, &examinee.tables).await,
        );
        take(helper::CHECK, helper::examine(client).await);
        take(
            identity::CHECK,
            identity::examine(client, examinee.incarnation).await,
        );
        take(
            orphans::CHECK,
            orphans::examine(client, self.peer(), &examinee.unclaimed).await,
        );
        take(resolutions::CHECK, resolutions::examine(client).await);
        findings
    }
}

fn not_examined(check: &'static str, error: &Error) -> Finding {
    let what = format!("could not be examined: {}", describe(error));
    Finding::critical(check, what, "mend what the database says, and ask again")
}
