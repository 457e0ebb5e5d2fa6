//! How transactions ended, and what the process before left unfinished.

use std::collections::{HashMap, HashSet};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use tracing::warn;

use super::Database;
use super::error::describe;
use crate::name::{Gid, PeerName, read_prepared_name};
use crate::transaction::{Answer, Outcome, Recovered};

const LOCKS: &str = "SELECT gid, pg_try_advisory_xact_lock_shared(hashtextextended(gid, 0)) FROM unnest($1::text[]) AS gid";
const DECISIONS: &str =
    "SELECT gid, participants FROM dejima.transaction WHERE gid = ANY ($1::text[])";
const FORGET: &str = "WITH decided AS (DELETE FROM dejima.transaction WHERE gid = ANY ($1::text[])) \
                      DELETE FROM dejima.participant WHERE gid = ANY ($1::text[])";

/// Sessions of the process before may still be at a PREPARE that it began: they are ended, and waited for, before
/// what is prepared is read.
const END_FORMER_SESSIONS: &str = "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
     WHERE datname = current_database() AND usename = 'dejima' \
     AND starts_with(application_name, $1) AND application_name <> $2";
const DECIDED: &str = "SELECT gid, participants FROM dejima.transaction ORDER BY started";
const PREPARED: &str = "SELECT gid FROM pg_prepared_xacts \
     WHERE database = current_database() AND starts_with(gid, $1) ORDER BY prepared";
const FINISHED: &str = "SELECT gid, children FROM dejima.participant ORDER BY gid";
const CHILDREN: &str = "SELECT gid, children FROM dejima.participant WHERE gid = $1";

impl Database {
    pub(super) async fn outcomes(&self, gids: Vec<Gid>) -> Answer {
        match self.ask_outcomes(&gids).await {
            Ok(outcomes) => Answer::Outcomes { outcomes },
            Err(why) => Answer::Failed { gids, why },
        }
    }

    /// The locks first; then, in a statement with a newer snapshot, the decision rows (invariant 2). One round trip.
    async fn ask_outcomes(&self, gids: &[Gid]) -> Result<Vec<(Gid, Outcome)>, String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let locks = client
            .prepare_cached(LOCKS)
            .await
            .map_err(|e| describe(&e))?;
        let decisions = client
            .prepare_cached(DECISIONS)
            .await
            .map_err(|e| describe(&e))?;
        let names: Vec<_> = gids.iter().map(Gid::as_str).collect();
        let values: [&(dyn ToSql + Sync); 1] = [&names];
        let (locks, decided) =
            tokio::join!(biased; client.query(&locks, &values), client.query(&decisions, &values));
        let (locks, decided) = (
            locks.map_err(|e| describe(&e))?,
            decided.map_err(|e| describe(&e))?,
        );
        let mut decided: HashMap<Gid, Vec<PeerName>> =
            decided.iter().filter_map(gid_and_peers).collect();
        let free: HashSet<&str> = locks
            .iter()
            .filter(|row| row.get(1))
            .map(|row| row.get(0))
            .collect();
        let mut outcome = |gid: &Gid| match (decided.remove(gid), free.contains(gid.as_str())) {
            (Some(participants), _) => Outcome::Committed { participants },
            (None, true) => Outcome::Aborted,
            (None, false) => Outcome::Pending,
        };
        Ok(gids.iter().map(|gid| (gid.clone(), outcome(gid))).collect())
    }

    pub(super) async fn forget(&self, gids: Vec<Gid>) -> Option<Answer> {
        let names: Vec<_> = gids.iter().map(Gid::as_str).collect();
        let deleted = self.delete_rows(&names).await;
        deleted.err().map(|why| Answer::NotForgotten { gids, why })
    }

    async fn delete_rows(&self, names: &[&str]) -> Result<(), String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let forget = client
            .prepare_cached(FORGET)
            .await
            .map_err(|e| describe(&e))?;
        client
            .execute(&forget, &[&names])
            .await
            .map(drop)
            .map_err(|e| describe(&e))
    }

    pub(super) async fn recover(&self) -> Answer {
        match self.find_unfinished().await {
            Ok(found) => Answer::Recovered { found },
            Err(why) => Answer::RecoveryFailed { why },
        }
    }

    async fn find_unfinished(&self) -> Result<Recovered, String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let failed = |e: Error| describe(&e);
        let former = format!("dejima:{}:", self.peer());
        let ended = client
            .query_one(END_FORMER_SESSIONS, &[&former, &self.inner.application])
            .await
            .map_err(failed)?;
        if ended.get::<_, Option<bool>>(0) == Some(false) {
            return Err("a session of the process before does not end".into());
        }
        let prepared = client.query(PREPARED, &[&former]).await.map_err(failed)?;
        // Read after what is prepared: nothing of this peer is prepared or finished in between.
        let decided = client.query(DECIDED, &[]).await.map_err(failed)?;
        let finished = client.query(FINISHED, &[]).await.map_err(failed)?;
        let resolved = self.unsettled(&client).await?;
        Ok(Recovered {
            decided: decided.iter().filter_map(gid_and_peers).collect(),
            prepared: prepared
                .iter()
                .filter_map(|row| gid_and_parent(self.peer(), row.get(0)))
                .collect(),
            finished: finished.iter().filter_map(gid_and_peers).collect(),
            resolved,
        })
    }

    /// Whom the participant row names; nobody if there is none.
    pub(super) async fn children(&self, gid: &Gid) -> Result<Vec<PeerName>, String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let row = client
            .query_opt(CHILDREN, &[&gid.as_str()])
            .await
            .map_err(|e| describe(&e))?;
        let children = row.as_ref().and_then(gid_and_peers);
        Ok(children.map(|(_, children)| children).unwrap_or_default())
    }
}

pub(super) fn gid_and_peers(row: &Row) -> Option<(Gid, Vec<PeerName>)> {
    let (gid, peers): (&str, Vec<&str>) = (row.get(0), row.get(1));
    let peers = peers
        .iter()
        .map(|peer| PeerName::new(peer))
        .collect::<Result<_, _>>();
    let read = Gid::new(gid).ok().zip(peers.ok());
    if read.is_none() {
        warn!(
            gid,
            "a row about a transaction cannot be read and is left alone"
        );
    }
    read
}

/// Reads the name of a prepared transaction of this peer.
pub(super) fn gid_and_parent(me: &PeerName, name: &str) -> Option<(Gid, PeerName)> {
    let read = read_prepared_name(me, name);
    if read.is_none() {
        warn!(
            prepared = name,
            "the name of a prepared transaction cannot be read; it is left alone"
        );
    }
    read
}
