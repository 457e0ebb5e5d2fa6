//! A model of one peer's PostgreSQL: a base table under row locks, prepared transactions, decision rows.
//!
//! It keeps what PostgreSQL keeps and forgets what PostgreSQL forgets. The strategy is projection: each Dejima
//! table shows some attributes of the base table.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::delta::{Captured, Key, Put, PutRow, Row, Value};
use dejima_core::name::{Gid, PeerName};
use dejima_core::refusal::{Refusal, sqlstate};
use dejima_core::transaction::{Answer, Decision, Outcome, Recovered, Request};

use crate::scenario::{Character, SharedTable};

/// A row of the base table: values by attribute; an absent attribute is NULL.
pub type BaseRow = BTreeMap<String, std::sync::Arc<str>>;

/// The database of one peer.
#[derive(Debug)]
pub struct Database {
    me: PeerName,
    tables: Vec<SharedTable>,
    character: Character,
    committed: BTreeMap<Key, BaseRow>,
    open: BTreeMap<Gid, Open>,
    prepared: BTreeMap<Gid, Open>,
    locks: BTreeMap<Key, Gid>,
    /// Decision rows.
    decided: BTreeMap<Gid, Vec<PeerName>>,
    /// Participant rows.
    finished: BTreeMap<Gid, Vec<PeerName>>,
    statement: i64,
}

#[derive(Debug, Default)]
struct Open {
    /// Begun by the peer for another peer's client; else by a client of this database.
    is_participant: bool,
    parent: Option<PeerName>,
    children: Vec<PeerName>,
    rows: BTreeMap<Key, Option<BaseRow>>,
    captured: Vec<Captured>,
}

/// Why a statement did not go through.
#[derive(Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Another transaction holds a row lock.
    Locked,
    /// An error; the transaction has been rolled back.
    Refused(Refusal),
}

/// What became of a request.
#[derive(Debug)]
pub enum Executed {
    /// The answer.
    Answered(Answer),
    /// Done; this request has no answer.
    Silent,
    /// A row lock is in the way: try again.
    Waiting(Request),
}

impl Database {
    /// An empty database.
    pub fn new(me: PeerName, tables: Vec<SharedTable>, character: Character) -> Self {
        Self {
            me,
            tables,
            character,
            committed: BTreeMap::new(),
            open: BTreeMap::new(),
            prepared: BTreeMap::new(),
            locks: BTreeMap::new(),
            decided: BTreeMap::new(),
            finished: BTreeMap::new(),
            statement: 0,
        }
    }

    /// Carries out one request of the machine. While it `may_wait`, a row lock in its way does not refuse it.
    pub fn execute(&mut self, request: Request, may_wait: bool) -> Executed {
        Executed::Answered(match request {
            Request::Apply { gid, puts } => match self.apply(&gid, &puts) {
                Ok(captured) => Answer::Applied { gid, captured },
                Err(Obstacle::Locked) if may_wait => {
                    return Executed::Waiting(Request::Apply { gid, puts });
                }
                Err(obstacle) => {
                    self.roll_back(&gid);
                    let refusal = match obstacle {
                        Obstacle::Refused(refusal) => refusal,
                        Obstacle::Locked => Refusal::conflict(&self.me, &puts[0].table, "locked"),
                    };
                    Answer::Refused { gid, refusal }
                }
            },
            Request::Prepare {
                gid,
                parent,
                children,
            } => match self.prepare(&gid, parent, children) {
                Ok(()) => Answer::Prepared { gid },
                Err(refusal) => Answer::Refused { gid, refusal },
            },
            Request::Rollback { gid } => {
                self.roll_back(&gid);
                Answer::RolledBack { gid }
            }
            Request::Finish { gid, decision, .. } => {
                self.finish(&gid, decision == Decision::Commit);
                Answer::Finished { gid }
            }
            Request::Outcomes { gids } => {
                let outcome = |gid: Gid| {
                    let outcome = self.outcome(&gid);
                    (gid, outcome)
                };
                Answer::Outcomes {
                    outcomes: gids.into_iter().map(outcome).collect(),
                }
            }
            Request::Forget { gids } => {
                self.forget(&gids);
                return Executed::Silent;
            }
            Request::Recover => Answer::Recovered {
                found: self.recovered(),
            },
        })
    }

    /// The committed rows.
    pub fn rows(&self) -> &BTreeMap<Key, BaseRow> {
        &self.committed
    }

    /// The committed rows of one Dejima table.
    pub fn view(&self, table: &SharedTable) -> BTreeSet<Row> {
        self.committed
            .iter()
            .map(|(key, row)| project(table, key, row))
            .collect()
    }

    /// True if a decision row is visible.
    pub fn has_decided(&self, gid: &Gid) -> bool {
        self.decided.contains_key(gid)
    }

    /// True if nothing is open, prepared or locked.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty() && self.prepared.is_empty() && self.locks.is_empty()
    }

    /// True if the transaction is prepared.
    pub fn is_prepared(&self, gid: &Gid) -> bool {
        self.prepared.contains_key(gid)
    }

    /// Prepared transactions.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Gid> {
        self.prepared.keys()
    }

    /// A row as a client's transaction sees it, locked for it; `Err` if another one holds the lock.
    pub fn read_for_update(&mut self, gid: &Gid, key: &Key) -> Result<Option<BaseRow>, Obstacle> {
        if self.locks.get(key).is_some_and(|holder| holder != gid) {
            return Err(Obstacle::Locked);
        }
        self.locks.insert(key.clone(), gid.clone());
        let own = self.open.get(gid).and_then(|open| open.rows.get(key));
        Ok(own
            .cloned()
            .unwrap_or_else(|| self.committed.get(key).cloned()))
    }

    /// Writes a row in an open transaction and captures what that changes in every Dejima table.
    pub fn write(&mut self, gid: &Gid, key: &Key, new: Option<BaseRow>) -> Result<(), Obstacle> {
        let old = self.read_for_update(gid, key)?;
        let new = new.map(|row| self.normalised(row));
        if let Some(attribute) = new.as_ref().and_then(|row| self.violated(row)) {
            let refusal = self.check_violation(&attribute);
            self.roll_back(gid);
            return Err(Obstacle::Refused(refusal));
        }
        self.statement += 1;
        let mut captured = vec![];
        for table in &self.tables {
            let old = old.as_ref().map(|row| project(table, key, row));
            let new = new.as_ref().map(|row| project(table, key, row));
            if old != new {
                captured.push(Captured {
                    statement: self.statement,
                    table: table.name.clone(),
                    old,
                    new,
                });
            }
        }
        let open = self.open.entry(gid.clone()).or_default();
        open.captured.extend(captured);
        open.rows.insert(key.clone(), new);
        Ok(())
    }

    fn normalised(&self, row: BaseRow) -> BaseRow {
        let upper = |(attribute, value): (String, std::sync::Arc<str>)| {
            let value = if self.character.upper_case.contains(&attribute) {
                value.to_uppercase().into()
            } else {
                value
            };
            (attribute, value)
        };
        row.into_iter().map(upper).collect()
    }

    fn violated(&self, row: &BaseRow) -> Option<String> {
        let bad = |attribute: &&String| {
            row.get(*attribute)
                .is_some_and(|value| value.to_lowercase().ends_with("bad"))
        };
        self.character.refuses_bad.iter().find(bad).cloned()
    }

    fn check_violation(&self, attribute: &str) -> Refusal {
        Refusal {
            peer: self.me.clone(),
            sqlstate: "23514".into(),
            message: format!(
                "constraint \"{attribute}_check\" of peer \"{}\" refuses the change",
                self.me
            ),
            detail: String::new(),
            hint: String::new(),
        }
    }

    /// What was captured since the last call.
    pub fn take_captured(&mut self, gid: &Gid) -> Vec<Captured> {
        self.open
            .get_mut(gid)
            .map(|open| std::mem::take(&mut open.captured))
            .unwrap_or_default()
    }

    /// True if something was captured since the last call.
    pub fn has_captured(&self, gid: &Gid) -> bool {
        self.open
            .get(gid)
            .is_some_and(|open| !open.captured.is_empty())
    }

    /// True while a client's transaction holds the advisory lock of its gid.
    pub fn is_open(&self, gid: &Gid) -> bool {
        self.open.contains_key(gid)
    }

    /// Puts rows for another peer's client; all or nothing, locks first.
    pub fn apply(&mut self, gid: &Gid, puts: &[Put]) -> Result<Vec<Captured>, Obstacle> {
        let keys = puts.iter().flat_map(|put| &put.rows).flat_map(keys_of);
        if keys
            .into_iter()
            .any(|key| self.locks.get(&key).is_some_and(|holder| holder != gid))
        {
            return Err(Obstacle::Locked);
        }
        self.open.entry(gid.clone()).or_default().is_participant = true;
        self.put(gid, puts)?;
        Ok(self.take_captured(gid))
    }

    /// Puts rows in an open transaction.
    pub fn put(&mut self, gid: &Gid, puts: &[Put]) -> Result<(), Obstacle> {
        for put in puts {
            for row in &put.rows {
                self.put_row(gid, row)?;
            }
        }
        Ok(())
    }

    fn put_row(&mut self, gid: &Gid, row: &PutRow) -> Result<(), Obstacle> {
        match row {
            PutRow::Insert { new } => {
                let key = vec![
                    new.get("k")
                        .cloned()
                        .flatten()
                        .expect("an insert names its key"),
                ];
                if self.read_for_update(gid, &key)?.is_some() {
                    return Err(self.stale(gid));
                }
                self.write(gid, &key, Some(with(&BaseRow::new(), new)))
            }
            PutRow::Update { key, old, new } => {
                let Some(row) = self
                    .read_for_update(gid, key)?
                    .filter(|row| holds(row, old))
                else {
                    return Err(self.stale(gid));
                };
                self.write(gid, key, Some(with(&row, new)))
            }
            PutRow::Delete { key, old } => {
                if self
                    .read_for_update(gid, key)?
                    .is_none_or(|row| !holds(&row, old))
                {
                    return Err(self.stale(gid));
                }
                self.write(gid, key, None)
            }
        }
    }

    fn stale(&mut self, gid: &Gid) -> Obstacle {
        self.roll_back(gid);
        Obstacle::Refused(Refusal {
            peer: self.me.clone(),
            sqlstate: sqlstate::SERIALIZATION_FAILURE.into(),
            message: "stale".into(),
            detail: String::new(),
            hint: String::new(),
        })
    }

    /// PREPARE TRANSACTION.
    pub fn prepare(
        &mut self,
        gid: &Gid,
        parent: PeerName,
        children: Vec<PeerName>,
    ) -> Result<(), Refusal> {
        let Some(mut open) = self.open.remove(gid) else {
            return Err(Refusal::unreachable(
                &self.me,
                "The session that held the transaction is gone.",
            ));
        };
        (open.parent, open.children) = (Some(parent), children);
        self.prepared.insert(gid.clone(), open);
        Ok(())
    }

    /// COMMIT PREPARED or ROLLBACK PREPARED. Returns false if there is nothing prepared of the gid.
    pub fn finish(&mut self, gid: &Gid, commits: bool) -> bool {
        let Some(open) = self.prepared.remove(gid) else {
            return false;
        };
        if commits {
            if !open.children.is_empty() {
                self.finished.insert(gid.clone(), open.children);
            }
            self.make_visible(open.rows);
        }
        self.release(gid);
        true
    }

    /// The client's COMMIT; with participants the decision row becomes visible with it.
    pub fn commit(&mut self, gid: &Gid, participants: Vec<PeerName>) {
        let Some(open) = self.open.remove(gid) else {
            return;
        };
        if !participants.is_empty() {
            self.decided.insert(gid.clone(), participants);
        }
        self.make_visible(open.rows);
        self.release(gid);
    }

    fn make_visible(&mut self, rows: BTreeMap<Key, Option<BaseRow>>) {
        for (key, row) in rows {
            match row {
                Some(row) => self.committed.insert(key, row),
                None => self.committed.remove(&key),
            };
        }
    }

    /// ROLLBACK of an open transaction.
    pub fn roll_back(&mut self, gid: &Gid) {
        self.open.remove(gid);
        self.release(gid);
    }

    fn release(&mut self, gid: &Gid) {
        self.locks.retain(|_, holder| holder != gid);
    }

    /// The lock first, then the row (invariant 2).
    pub fn outcome(&self, gid: &Gid) -> Outcome {
        let is_locked = self.open.contains_key(gid);
        if self.decided.contains_key(gid) {
            Outcome::Committed
        } else if is_locked {
            Outcome::Pending
        } else {
            Outcome::Aborted
        }
    }

    /// Deletes decision rows and participant rows.
    pub fn forget(&mut self, gids: &[Gid]) {
        for gid in gids {
            self.decided.remove(gid);
            self.finished.remove(gid);
        }
    }

    /// The peer's sessions break: what it had open is rolled back. Clients' transactions stay.
    pub fn disconnect_peer(&mut self) {
        let lost: Vec<Gid> = self
            .open
            .iter()
            .filter(|(_, open)| open.is_participant)
            .map(|(gid, _)| gid.clone())
            .collect();
        for gid in lost {
            self.roll_back(&gid);
        }
    }

    /// The database dies: all sessions break, what was open is gone. Returns the peer's transactions among it.
    pub fn crash(&mut self) -> Vec<Gid> {
        let (of_peer, of_clients): (Vec<_>, Vec<_>) =
            self.open.iter().partition(|(_, open)| open.is_participant);
        let gids = |open: Vec<(&Gid, &Open)>| -> Vec<Gid> {
            open.into_iter().map(|(gid, _)| gid.clone()).collect()
        };
        let (of_peer, of_clients) = (gids(of_peer), gids(of_clients));
        for gid in of_peer.iter().chain(&of_clients) {
            self.roll_back(gid);
        }
        of_peer
    }

    /// The peers named in the decision row or participant row of a transaction, if there is one.
    pub fn named(&self, gid: &Gid) -> Option<&[PeerName]> {
        let row = self.decided.get(gid).or_else(|| self.finished.get(gid));
        row.map(Vec::as_slice)
    }

    /// The transactions with a decision row or a participant row.
    pub fn remembered(&self) -> impl Iterator<Item = &Gid> {
        self.decided.keys().chain(self.finished.keys())
    }

    /// What a real database never does: a row survives its transaction's rollback.
    pub fn leave_row(&mut self, gid: &Gid) {
        self.finished.insert(gid.clone(), vec![]);
    }

    /// What a real database never does: it loses what was prepared.
    pub fn forget_prepared(&mut self) {
        for gid in std::mem::take(&mut self.prepared).into_keys() {
            self.release(&gid);
        }
    }

    /// What a starting peer finds.
    pub fn recovered(&self) -> Recovered {
        let prepared = self
            .prepared
            .iter()
            .filter_map(|(gid, open)| Some((gid.clone(), open.parent.clone()?)));
        Recovered {
            decided: self.decided.clone().into_iter().collect(),
            prepared: prepared.collect(),
            finished: self.finished.clone().into_iter().collect(),
        }
    }
}

fn keys_of(row: &PutRow) -> Option<Key> {
    match row {
        PutRow::Insert { new } => Some(vec![new.get("k").cloned().flatten()?]),
        PutRow::Update { key, .. } | PutRow::Delete { key, .. } => Some(key.clone()),
    }
}

fn project(table: &SharedTable, key: &Key, row: &BaseRow) -> Row {
    let value = |attribute: &String| {
        if attribute == "k" {
            key.first().cloned()
        } else {
            row.get(attribute).cloned()
        }
    };
    table.attributes.iter().map(value).collect()
}

fn with(row: &BaseRow, new: &BTreeMap<String, Value>) -> BaseRow {
    let mut row = row.clone();
    for (attribute, value) in new.iter().filter(|(attribute, _)| *attribute != "k") {
        match value {
            Some(value) => row.insert(attribute.clone(), value.clone()),
            None => row.remove(attribute),
        };
    }
    row
}

fn holds(row: &BaseRow, old: &BTreeMap<String, Value>) -> bool {
    old.iter()
        .all(|(attribute, value)| attribute == "k" || row.get(attribute) == value.as_ref())
}
