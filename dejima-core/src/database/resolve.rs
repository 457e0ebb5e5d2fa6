//! What the operator decided himself, noted until the true decision is known.

use deadpool_postgres::Client;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::{error, info, warn};

use super::Database;
use super::error::describe;
use super::outcome::gid_and_peers;
use crate::name::{Gid, PeerName};
use crate::transaction::{Decision, Resolution};

const NOTE: &str = "INSERT INTO dejima.resolution (gid, children, parent, decision) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (gid) DO NOTHING";
const SETTLE: &str = "WITH agreed AS (DELETE FROM dejima.resolution WHERE gid = $1 AND decision = $2), \
     contradicted AS (UPDATE dejima.resolution SET contradicted_by = $2 WHERE gid = $1 AND decision <> $2 RETURNING gid) \
     SELECT EXISTS (SELECT FROM contradicted)";
const UNSETTLED: &str = "SELECT gid, children, parent, decision FROM dejima.resolution \
                         WHERE contradicted_by IS NULL ORDER BY resolved";

impl Database {
    /// The note first: whatever dies after it, the choice is not taken for the decision.
    pub(super) async fn resolve(&self, resolution: &Resolution) -> Result<Vec<PeerName>, String> {
        let Resolution {
            gid,
            parent,
            children,
            decision,
        } = resolution;
        let names: Vec<_> = children.iter().map(PeerName::as_str).collect();
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let values: [&(dyn ToSql + Sync); 4] =
            [&gid.as_str(), &names, &parent.as_str(), &text(*decision)];
        let noted = client.execute(NOTE, &values).await;
        noted.map_err(|e| describe(&e))?;
        drop(client);
        warn!(%gid, %parent, decision = text(*decision), "ended by the operator before its decision was known");
        self.finish(gid, parent, *decision, *decision == Decision::Commit)
            .await
    }

    /// Forgets the note if the operator was right; keeps it, marked, if he was not.
    pub(super) async fn settle(&self, gid: &Gid, decision: Decision) -> Result<(), String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let values: [&(dyn ToSql + Sync); 2] = [&gid.as_str(), &text(decision)];
        let settled = client.query(SETTLE, &values).await;
        let settled = settled.map_err(|e| describe(&e))?;
        let is_contradicted = settled.first().is_some_and(|row| row.get(0));
        if is_contradicted {
            error!(%gid, decision = text(decision), "the decision is not what the operator chose: the copies differ");
        } else {
            info!(%gid, decision = text(decision), "the decision is what the operator chose");
        }
        Ok(())
    }

    /// What was noted and is not settled.
    pub(super) async fn unsettled(&self, client: &Client) -> Result<Vec<Resolution>, String> {
        let rows = client
            .query(UNSETTLED, &[])
            .await
            .map_err(|e| describe(&e))?;
        Ok(rows.iter().filter_map(resolution).collect())
    }
}

fn text(decision: Decision) -> &'static str {
    match decision {
        Decision::Commit => "commit",
        Decision::Abort => "abort",
    }
}

fn resolution(row: &Row) -> Option<Resolution> {
    let (gid, children) = gid_and_peers(row)?;
    let decision = match row.get(3) {
        "commit" => Decision::Commit,
        _ => Decision::Abort,
    };
    Some(Resolution {
        gid,
        parent: PeerName::new(row.get(2)).ok()?,
        children,
        decision,
    })
}
