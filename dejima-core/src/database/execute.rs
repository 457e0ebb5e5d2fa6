//! Carries out the machine's requests. Each runs in a task of its own that nobody cancels: a dropped future does
//! not stop its statement, and a PREPARE that nobody waits for prepares all the same.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use tracing::{error, warn};

use super::error::describe;
use super::refuse;
use super::{Database, session::Session};
use crate::crash_point::Passage;
use crate::delta::{Captured, Put};
use crate::name::{Gid, PeerName, TableName, prepared_name};
use crate::refusal::{Refusal, sqlstate};
use crate::transaction::{Answer, Decision, Request};

/// One call of `dejima.put` gets about this many bytes of JSON at most, or one row.
const PUT_BYTES_MAX: usize = 4 << 20;

const PUT: &str = "SELECT dejima.put($1::text::jsonb)";
const TAKE_LOG: &str = "WITH taken AS (DELETE FROM dejima.delta WHERE xid = pg_current_xact_id_if_assigned() \
                        RETURNING statement, section, dejima_table, old, new) \
                        SELECT statement, dejima_table, old, new FROM taken ORDER BY statement, section, dejima_table";
const NOTE_CHILDREN: &str = "INSERT INTO dejima.participant (gid, children) VALUES ($1, $2)";

impl Database {
    /// Carries out one request. Only a `Forget` that succeeds has no answer.
    pub async fn execute(&self, request: Request) -> Option<Answer> {
        let database = self.clone();
        match tokio::spawn(async move { database.carry_out(request).await }).await {
            Ok(answer) => answer,
            // Nobody aborts the task, so it panicked, or the runtime is going down.
            Err(e) => e
                .try_into_panic()
                .map_or(None, |panic| resume_unwind(panic)),
        }
    }

    async fn carry_out(&self, request: Request) -> Option<Answer> {
        let passage = Passage::of(self.peer(), &request);
        passage.begins();
        let answer = self.answer(request).await;
        passage.ends();
        answer
    }

    async fn answer(&self, request: Request) -> Option<Answer> {
        Some(match request {
            Request::Apply { gid, puts } => self.put(gid, puts).await,
            Request::Prepare {
                gid,
                parent,
                children,
            } => self.prepare(gid, parent, children).await,
            Request::Rollback { gid } => self.roll_back(gid).await,
            Request::Finish {
                gid,
                parent,
                decision,
                asks_children,
            } => {
                let finished = self.finish(&gid, &parent, decision, asks_children).await;
                finish_answer(gid, finished)
            }
            Request::Resolve { resolution } => {
                let resolved = self.resolve(&resolution).await;
                finish_answer(resolution.gid, resolved)
            }
            Request::Settle { gid, decision } => {
                let settled = self.settle(&gid, decision).await;
                finish_answer(gid, settled.map(|()| vec![]))
            }
            Request::Outcomes { gids } => self.outcomes(gids).await,
            Request::Forget { gids } => return self.forget(gids).await,
            Request::Recover => self.recover().await,
        })
    }

    async fn put(&self, gid: Gid, puts: Vec<Put>) -> Answer {
        let open = self.inner.open.lock().await.remove(&gid);
        let is_new = open.is_none();
        let session = match open {
            Some(session) => session,
            None => match self.inner.transactions.get().await {
                Ok(client) => Session::new(client),
                Err(e) => {
                    return Answer::Refused {
                        refusal: self.no_session(&e),
                        gid,
                    };
                }
            },
        };
        let begin = if is_new {
            self.begin(&gid)
        } else {
            String::new()
        };
        match put(&session, &begin, &puts)
            .await
            .map_err(|e| self.refusal(&gid, &e))
            .and_then(captured(self.peer()))
        {
            Ok(captured) => {
                self.inner.open.lock().await.insert(gid.clone(), session);
                Answer::Applied { gid, captured }
            }
            Err(refusal) => {
                session.rollback().await;
                Answer::Refused { gid, refusal }
            }
        }
    }

    async fn prepare(&self, gid: Gid, parent: PeerName, children: Vec<PeerName>) -> Answer {
        let Some(session) = self.inner.open.lock().await.remove(&gid) else {
            return Answer::Refused {
                refusal: refuse::not_open(self.peer()),
                gid,
            };
        };
        let name = self.prepared_name(&parent, &gid);
        match prepare(&session, &gid, &children, &name).await {
            Ok(()) => {
                session.release();
                Answer::Prepared { gid }
            }
            Err(e) => {
                let refusal = self.refusal(&gid, &e);
                match e.as_db_error() {
                    Some(_) => session.rollback().await,
                    None => self.undo_prepare(session, name),
                }
                Answer::Refused { gid, refusal }
            }
        }
    }

    async fn roll_back(&self, gid: Gid) -> Answer {
        let open = self.inner.open.lock().await.remove(&gid);
        if let Some(session) = open {
            session.rollback().await;
        }
        Answer::RolledBack { gid }
    }

    /// Returns the children of the participant row, if they are asked for.
    pub(super) async fn finish(
        &self,
        gid: &Gid,
        parent: &PeerName,
        decision: Decision,
        asks_children: bool,
    ) -> Result<Vec<PeerName>, String> {
        let verb = match decision {
            Decision::Commit => "COMMIT",
            Decision::Abort => "ROLLBACK",
        };
        self.finish_prepared(verb, &self.prepared_name(parent, gid))
            .await?;
        if asks_children {
            self.children(gid).await
        } else {
            Ok(vec![])
        }
    }

    async fn finish_prepared(&self, verb: &str, name: &str) -> Result<(), String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        match client
            .batch_execute(&format!("{verb} PREPARED '{name}'"))
            .await
        {
            // No such prepared transaction: it is finished already.
            Err(e) if e.code() != Some(&SqlState::UNDEFINED_OBJECT) => Err(describe(&e)),
            _ => Ok(()),
        }
    }

    /// The session ended while it prepared. Its backend may still be at it, so whatever becomes of it is rolled
    /// back once the backend is done; the machine was told "refused", and nobody would ask for it again.
    fn undo_prepare(&self, session: Session, name: String) {
        drop(session);
        let database = self.clone();
        tokio::spawn(async move {
            while let Err(why) = database.roll_back_when_idle(&name).await {
                warn!(
                    prepared = name,
                    why, "a transaction that may be prepared could not be rolled back yet"
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }

    async fn roll_back_when_idle(&self, name: &str) -> Result<(), String> {
        let client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'dejima' AND state = 'active' \
                   AND starts_with(query, 'PREPARE TRANSACTION ''' || $1))";
        let row = client
            .query_one(sql, &[&name])
            .await
            .map_err(|e| describe(&e))?;
        if row.get(0) {
            return Err("its session is still preparing it".into());
        }
        drop(client);
        self.finish_prepared("ROLLBACK", name).await
    }

    pub(super) fn prepared_name(&self, parent: &PeerName, gid: &Gid) -> String {
        prepared_name(self.peer(), parent, gid)
    }

    /// Two transactions that wait for each other at two peers must not give up at the same moment: each waits
    /// between half and all of the bound.
    fn begin(&self, gid: &Gid) -> String {
        let mut hasher = DefaultHasher::new();
        (self.peer(), gid).hash(&mut hasher);
        let bound = self.inner.options.lock_wait_ms_max.max(2);
        let wait = bound / 2 + hasher.finish() % (bound - bound / 2 + 1);
        format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {wait}")
    }

    fn refusal(&self, gid: &Gid, error: &Error) -> Refusal {
        // PostgreSQL's own text may quote a row; what goes to other peers names no value, so it may be logged.
        let refusal = refuse::refusal(self.peer(), error);
        let Refusal {
            sqlstate,
            message: what,
            detail,
            ..
        } = &refusal;
        warn!(%gid, sqlstate, what, detail, "the database refuses");
        refusal
    }

    fn no_session(&self, error: &PoolError) -> Refusal {
        match error {
            PoolError::Backend(e) if e.as_db_error().is_none() => refuse::refusal(self.peer(), e),
            PoolError::Backend(e) if e.code() != Some(&SqlState::TOO_MANY_CONNECTIONS) => {
                refuse::refusal(self.peer(), e)
            }
            _ => refuse::exhausted(self.peer(), self.inner.options.pool),
        }
    }
}

/// Puts and takes the log, in one round trip if the puts fit into one call.
async fn put(session: &Session, begin: &str, puts: &[Put]) -> Result<Vec<Row>, Error> {
    let client = session.client();
    let (put, take) = (
        client.prepare_cached(PUT).await?,
        client.prepare_cached(TAKE_LOG).await?,
    );
    let mut calls = calls(puts);
    let last = calls.pop().unwrap_or_else(|| "[]".into());
    let mut begin = begin;
    for call in &calls {
        let values: [&(dyn ToSql + Sync); 1] = [call];
        let (begun, done) = tokio::join!(biased; session.run(begin), client.execute(&put, &values));
        begun?;
        done?;
        begin = "";
    }
    // Polled in this order, so sent in this order, before the first answer is there.
    let values: [&(dyn ToSql + Sync); 1] = [&last];
    let (begun, done, taken) = tokio::join!(biased; session.run(begin), client.execute(&put, &values), client.query(&take, &[]));
    begun?;
    done?;
    taken
}

fn finish_answer(gid: Gid, finished: Result<Vec<PeerName>, String>) -> Answer {
    match finished {
        Ok(children) => Answer::Finished { gid, children },
        Err(why) => Answer::Failed {
            gids: vec![gid],
            why,
        },
    }
}

async fn prepare(
    session: &Session,
    gid: &Gid,
    children: &[PeerName],
    name: &str,
) -> Result<(), Error> {
    let client = session.client();
    let sql = format!("PREPARE TRANSACTION '{name}'");
    if children.is_empty() {
        return client.batch_execute(&sql).await;
    }
    let children: Vec<_> = children.iter().map(PeerName::as_str).collect();
    let note = client.prepare_cached(NOTE_CHILDREN).await?;
    let gid = gid.as_str();
    let values: [&(dyn ToSql + Sync); 2] = [&gid, &children];
    // If the first fails, PREPARE rolls back, and says so in its command tag only: the first error counts.
    let (noted, prepared) =
        tokio::join!(biased; client.execute(&note, &values), client.batch_execute(&sql));
    noted?;
    prepared
}

/// The puts as JSON texts of bounded size, in order.
fn calls(puts: &[Put]) -> Vec<String> {
    let mut calls = Vec::new();
    let mut call = String::new();
    for put in puts {
        let table = serde_json::to_string(&put.table).expect("a name is a text");
        let head = format!("{{\"table\":{table},\"rows\":[");
        let mut is_open = false;
        for row in &put.rows {
            let row = serde_json::to_string(row).expect("rows have text keys");
            if !call.is_empty() && call.len() + row.len() > PUT_BYTES_MAX {
                close(&mut call, &mut is_open);
                calls.push(std::mem::take(&mut call) + "]");
            }
            let before = if is_open {
                ","
            } else if call.is_empty() {
                "["
            } else {
                ","
            };
            call += before;
            if !is_open {
                call += &head;
                is_open = true;
            }
            call += &row;
        }
        close(&mut call, &mut is_open);
    }
    if !call.is_empty() {
        calls.push(call + "]");
    }
    calls
}

fn close(call: &mut String, is_open: &mut bool) {
    if std::mem::take(is_open) {
        *call += "]}";
    }
}

/// Reads the log, which comes in its order.
fn captured(peer: &PeerName) -> impl FnOnce(Vec<Row>) -> Result<Vec<Captured>, Refusal> {
    move |rows| {
        let mut captured = vec![];
        for row in &rows {
            let table =
                TableName::new(row.get(1)).map_err(|_| unreadable(peer, "a name that is none"))?;
            let section = Captured::section(row.get(0), &table, row.get(2), row.get(3));
            captured.extend(section.map_err(|why| unreadable(peer, &why.to_string()))?);
        }
        Ok(captured)
    }
}

fn unreadable(peer: &PeerName, what: &str) -> Refusal {
    error!(%peer, "the log cannot be read: it holds {what}");
    Refusal {
        peer: peer.clone(),
        sqlstate: sqlstate::FEATURE_NOT_SUPPORTED.into(),
        message: format!("peer \"{peer}\" cannot read its own log"),
        detail: format!("The log of peer \"{peer}\" holds {what}."),
        hint: "Its operator should declare the Dejima tables again.".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::delta::PutRow;

    #[test]
    fn puts_are_cut_between_rows_and_keep_their_order() {
        let row = |text: &str| PutRow::Insert {
            new: BTreeMap::from([("a".to_owned(), Some(Arc::from(text)))]),
        };
        let put = |table: &str, rows| Put {
            table: TableName::new(table).expect("a name"),
            rows,
        };
        let large = "x".repeat(PUT_BYTES_MAX - 100);
        let texts = calls(&[
            put("A", vec![row("1"), row(&large)]),
            put("B \"", vec![row("2"), row("3")]),
            put("C", vec![]),
        ]);
        let small: Vec<_> = texts.iter().map(|t| t.replace(&large, "L")).collect();
        let insert = |v: &str| format!(r#"{{"op":"insert","new":{{"a":"{v}"}}}}"#);
        let (one, many, two, three) = (insert("1"), insert("L"), insert("2"), insert("3"));
        assert_eq!(
            small,
            [
                format!(r#"[{{"table":"A","rows":[{one},{many}]}}]"#),
                format!(r#"[{{"table":"B \"","rows":[{two},{three}]}}]"#)
            ]
        );
        assert!(calls(&[]).is_empty());
    }
}
