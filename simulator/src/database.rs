//! A model of one peer's PostgreSQL: a base table under row locks, prepared transactions, decision rows.
//!
//! It keeps what PostgreSQL keeps and forgets what PostgreSQL forgets. The strategy is projection: each Dejima
//! table shows some attributes of the base table.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::delta::{Captured, Key, Put, PutRow, Row, Value};
use dejima_core::name::{Gid, PeerName};
use dejima_core::refusal::{Refusal, sqlstate};
use dejima_core::transaction::{Answer, Decision, Outcome, Recovered, Request, Resolution};

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
    transactions: BTreeMap<Owner, Open>,
    /// Row locks, and unique keys about to be taken.
    locks: BTreeMap<Key, Owner>,
    /// What the peer had open when the server crashed; it finds out when it uses the session next.
    broken: BTreeSet<Gid>,
    /// Decision rows.
    decided: BTreeMap<Gid, Vec<PeerName>>,
    /// Participant rows.
    finished: BTreeMap<Gid, Vec<PeerName>>,
    /// What the operator has resolved and is not settled.
    resolved: BTreeMap<Gid, Resolution>,
    statement: i64,
}

/// Whose a transaction is. One gid can have several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// A client of this database; his session holds the advisory lock of the gid.
    Client(Gid),
    /// The peer, for another peer's client, in a session.
    Participant(Gid),
    /// No session any more: prepared under a name made of the gid and the parent.
    Prepared(Gid, PeerName),
}

#[derive(Debug, Default)]
struct Open {
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
            transactions: BTreeMap::new(),
            locks: BTreeMap::new(),
            broken: BTreeSet::new(),
            decided: BTreeMap::new(),
            finished: BTreeMap::new(),
            resolved: BTreeMap::new(),
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
                    self.end(&Owner::Participant(gid.clone()));
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
                self.broken.remove(&gid);
                self.end(&Owner::Participant(gid.clone()));
                Answer::RolledBack { gid }
            }
            Request::Finish {
                gid,
                parent,
                decision,
                asks_children,
            } => {
                self.finish(&gid, parent, decision);
                let children = if asks_children {
                    self.children(&gid)
                } else {
                    vec![]
                };
                Answer::Finished { gid, children }
            }
            Request::Resolve { resolution } => {
                let Resolution {
                    gid,
                    parent,
                    decision,
                    ..
                } = resolution.clone();
                self.resolved.entry(gid.clone()).or_insert(resolution);
                self.finish(&gid, parent, decision);
                let children = self.children(&gid);
                Answer::Finished { gid, children }
            }
            Request::Settle { gid, .. } => {
                self.resolved.remove(&gid);
                let children = vec![];
                Answer::Finished { gid, children }
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
        self.transactions.is_empty() && self.locks.is_empty()
    }

    /// True if the transaction is prepared.
    pub fn is_prepared(&self, gid: &Gid) -> bool {
        self.in_doubt().any(|prepared| prepared == gid)
    }

    /// Prepared transactions.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Gid> {
        self.prepared().map(|(gid, ..)| gid)
    }

    fn prepared(&self) -> impl Iterator<Item = (&Gid, &PeerName, &Open)> {
        self.transactions
            .iter()
            .filter_map(|(owner, open)| match owner {
                Owner::Prepared(gid, parent) => Some((gid, parent, open)),
                _ => None,
            })
    }

    /// A row as a client's transaction sees it, locked for it; `Err` if another one holds the lock.
    pub fn read_for_update(&mut self, gid: &Gid, key: &Key) -> Result<Option<BaseRow>, Obstacle> {
        self.lock(&Owner::Client(gid.clone()), key)
    }

    /// Writes a row in a client's transaction and captures what that changes in every Dejima table.
    pub fn write(&mut self, gid: &Gid, key: &Key, new: Option<BaseRow>) -> Result<(), Obstacle> {
        self.change(&Owner::Client(gid.clone()), key, key, new)
    }

    /// What a client's transaction captured since the last call.
    pub fn take_captured(&mut self, gid: &Gid) -> Vec<Captured> {
        self.take(&Owner::Client(gid.clone()))
    }

    /// True while a client's transaction holds the advisory lock of its gid.
    pub fn is_open(&self, gid: &Gid) -> bool {
        self.transactions.contains_key(&Owner::Client(gid.clone()))
    }

    /// Puts rows for another peer's client, all or nothing. It locks one key after the other and keeps what it
    /// has while it waits for the next.
    pub fn apply(&mut self, gid: &Gid, puts: &[Put]) -> Result<Vec<Captured>, Obstacle> {
        if self.broken.remove(gid) {
            return Err(Obstacle::Refused(self.session_lost()));
        }
        let owner = Owner::Participant(gid.clone());
        self.transactions.entry(owner.clone()).or_default();
        for put in puts {
            let keys: BTreeSet<Key> = put.rows.iter().flat_map(keys_of).collect();
            for key in keys {
                self.lock(&owner, &key)?;
            }
        }
        self.put_for(&owner, puts)?;
        Ok(self.take(&owner))
    }

    /// Puts rows in a client's transaction, as the hook does.
    pub fn put(&mut self, gid: &Gid, puts: &[Put]) -> Result<(), Obstacle> {
        self.put_for(&Owner::Client(gid.clone()), puts)
    }

    /// PREPARE TRANSACTION, after the participant row is written if there are children.
    pub fn prepare(
        &mut self,
        gid: &Gid,
        parent: PeerName,
        children: Vec<PeerName>,
    ) -> Result<(), Refusal> {
        if self.broken.remove(gid) {
            return Err(self.session_lost());
        }
        let session = Owner::Participant(gid.clone());
        let Some(open) = self.transactions.remove(&session) else {
            return Err(self.refusal(sqlstate::SERIALIZATION_FAILURE, "not open"));
        };
        let prepared = Owner::Prepared(gid.clone(), parent);
        if let Some((sqlstate, why)) = self.hindrance(gid, &prepared, &children) {
            self.end(&session);
            return Err(self.refusal(sqlstate, why));
        }
        for holder in self.locks.values_mut().filter(|holder| **holder == session) {
            holder.clone_from(&prepared);
        }
        self.transactions
            .insert(prepared, Open { children, ..open });
        Ok(())
    }

    /// What stands in the way of PREPARE when the gid was prepared here before.
    fn hindrance(
        &self,
        gid: &Gid,
        name: &Owner,
        children: &[PeerName],
    ) -> Option<(&'static str, &'static str)> {
        let mut of_gid = self.prepared().filter(|(other, ..)| *other == gid);
        if !children.is_empty() && self.finished.contains_key(gid) {
            Some(("23505", "the participant row is there"))
        } else if !children.is_empty() && of_gid.any(|(.., open)| !open.children.is_empty()) {
            Some((
                sqlstate::SERIALIZATION_FAILURE,
                "the participant row is locked",
            ))
        } else if self.transactions.contains_key(name) {
            Some(("42710", "the name of the prepared transaction is taken"))
        } else {
            None
        }
    }

    /// COMMIT PREPARED or ROLLBACK PREPARED. Returns false if nothing is prepared under this name.
    pub fn finish(&mut self, gid: &Gid, parent: PeerName, decision: Decision) -> bool {
        let name = Owner::Prepared(gid.clone(), parent);
        let Some(open) = self.end(&name) else {
            return false;
        };
        if decision == Decision::Commit {
            if !open.children.is_empty() {
                self.finished.insert(gid.clone(), open.children);
            }
            self.make_visible(open.rows);
        }
        true
    }

    /// The client's COMMIT; with participants the decision row becomes visible with it.
    pub fn commit(&mut self, gid: &Gid, participants: Vec<PeerName>) {
        let Some(open) = self.end(&Owner::Client(gid.clone())) else {
            return;
        };
        if !participants.is_empty() {
            self.decided.insert(gid.clone(), participants);
        }
        self.make_visible(open.rows);
    }

    /// ROLLBACK of a client's transaction.
    pub fn roll_back(&mut self, gid: &Gid) {
        self.end(&Owner::Client(gid.clone()));
    }

    /// The lock first, then the row (invariant 2).
    pub fn outcome(&self, gid: &Gid) -> Outcome {
        let is_locked = self.is_open(gid);
        if let Some(participants) = self.decided.get(gid).cloned() {
            Outcome::Committed { participants }
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
        self.broken.clear();
        self.keep(|owner| !matches!(owner, Owner::Participant(_)));
    }

    /// The server dies and starts again: what is neither committed nor prepared is gone, and all sessions break.
    pub fn crash(&mut self) {
        let participants = self.transactions.keys().filter_map(|owner| match owner {
            Owner::Participant(gid) => Some(gid.clone()),
            _ => None,
        });
        self.broken.extend(participants);
        self.keep(|owner| matches!(owner, Owner::Prepared(..)));
    }

    /// True if the session of a participant's open transaction has died with the server, and nobody was told yet.
    pub fn has_lost_session(&self, gid: &Gid) -> bool {
        self.broken.contains(gid)
    }

    /// The session of a participant's transaction breaks, and with it goes what was open.
    pub fn lose_session(&mut self, gid: &Gid) {
        self.broken.remove(gid);
        self.end(&Owner::Participant(gid.clone()));
    }

    /// True if a client's transaction has captured something since the last call of `take_captured`.
    pub fn has_captured(&self, gid: &Gid) -> bool {
        self.transactions
            .get(&Owner::Client(gid.clone()))
            .is_some_and(|open| !open.captured.is_empty())
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
        self.keep(|owner| !matches!(owner, Owner::Prepared(..)));
    }

    /// What a starting peer finds.
    pub fn recovered(&self) -> Recovered {
        let prepared = self
            .prepared()
            .map(|(gid, parent, _)| (gid.clone(), parent.clone()));
        Recovered {
            decided: self.decided.clone().into_iter().collect(),
            prepared: prepared.collect(),
            finished: self.finished.clone().into_iter().collect(),
            resolved: self.resolved.values().cloned().collect(),
        }
    }

    fn children(&self, gid: &Gid) -> Vec<PeerName> {
        self.finished.get(gid).cloned().unwrap_or_default()
    }

    fn put_for(&mut self, owner: &Owner, puts: &[Put]) -> Result<(), Obstacle> {
        for put in puts {
            let Some(table) = self.tables.iter().find(|table| table.name == put.table) else {
                return Err(self.refuse(owner, "42P01", "no such Dejima table"));
            };
            let shown: BTreeSet<String> = table.attributes.iter().cloned().collect();
            for row in &put.rows {
                if !named_in(row).all(|attribute| shown.contains(attribute)) {
                    return Err(self.refuse(owner, "42703", "no such column"));
                }
                self.put_row(owner, row)?;
            }
        }
        Ok(())
    }

    fn put_row(&mut self, owner: &Owner, row: &PutRow) -> Result<(), Obstacle> {
        match row {
            PutRow::Insert { new } => {
                let key = key_in(new).expect("an insert names its key");
                if self.lock(owner, &key)?.is_some() {
                    return Err(self.stale(owner));
                }
                self.change(owner, &key, &key, Some(with(&BaseRow::new(), new)))
            }
            PutRow::Update { key, old, new } => {
                let row = self.expect_old(owner, key, old)?;
                let to = key_in(new).unwrap_or_else(|| key.clone());
                if to != *key && self.lock(owner, &to)?.is_some() {
                    return Err(self.refuse(owner, "23505", "the key is taken"));
                }
                self.change(owner, key, &to, Some(with(&row, new)))
            }
            PutRow::Delete { key, old } => {
                self.expect_old(owner, key, old)?;
                self.change(owner, key, key, None)
            }
        }
    }

    fn expect_old(
        &mut self,
        owner: &Owner,
        key: &Key,
        old: &BTreeMap<String, Value>,
    ) -> Result<BaseRow, Obstacle> {
        self.lock(owner, key)?
            .filter(|row| holds(key, row, old))
            .ok_or_else(|| self.stale(owner))
    }

    /// Locks a row, or the key that it would take, and reads it.
    fn lock(&mut self, owner: &Owner, key: &Key) -> Result<Option<BaseRow>, Obstacle> {
        if self.locks.get(key).is_some_and(|holder| holder != owner) {
            return Err(Obstacle::Locked);
        }
        self.locks.insert(key.clone(), owner.clone());
        let own = self
            .transactions
            .get(owner)
            .and_then(|open| open.rows.get(key));
        Ok(own
            .cloned()
            .unwrap_or_else(|| self.committed.get(key).cloned()))
    }

    /// One statement that changes one row, perhaps its key.
    fn change(
        &mut self,
        owner: &Owner,
        from: &Key,
        to: &Key,
        new: Option<BaseRow>,
    ) -> Result<(), Obstacle> {
        let old = self.lock(owner, from)?;
        let new = new.map(|row| self.normalised(row));
        if let Some(attribute) = new.as_ref().and_then(|row| self.violated(row)) {
            let message = format!(
                "constraint \"{attribute}_check\" of peer \"{}\" refuses the change",
                self.me
            );
            return Err(self.refuse(owner, "23514", &message));
        }
        self.statement += 1;
        let mut captured = vec![];
        for table in &self.tables {
            let old = old.as_ref().map(|row| project(table, from, row));
            let new = new.as_ref().map(|row| project(table, to, row));
            if old != new {
                captured.push(Captured {
                    statement: self.statement,
                    table: table.name.clone(),
                    old,
                    new,
                });
            }
        }
        let open = self.transactions.entry(owner.clone()).or_default();
        open.captured.extend(captured);
        open.rows.insert(from.clone(), None);
        open.rows.insert(to.clone(), new);
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

    fn take(&mut self, owner: &Owner) -> Vec<Captured> {
        self.transactions
            .get_mut(owner)
            .map(|open| std::mem::take(&mut open.captured))
            .unwrap_or_default()
    }

    fn stale(&mut self, owner: &Owner) -> Obstacle {
        self.refuse(owner, sqlstate::SERIALIZATION_FAILURE, "stale")
    }

    /// An error rolls the transaction back.
    fn refuse(&mut self, owner: &Owner, sqlstate: &str, message: &str) -> Obstacle {
        self.end(owner);
        Obstacle::Refused(self.refusal(sqlstate, message))
    }

    fn session_lost(&self) -> Refusal {
        self.refusal(sqlstate::CONNECTION_FAILURE, "the session is lost")
    }

    fn refusal(&self, sqlstate: &str, message: &str) -> Refusal {
        Refusal {
            peer: self.me.clone(),
            sqlstate: sqlstate.into(),
            message: message.into(),
            detail: String::new(),
            hint: String::new(),
        }
    }

    fn make_visible(&mut self, rows: BTreeMap<Key, Option<BaseRow>>) {
        for (key, row) in rows {
            match row {
                Some(row) => self.committed.insert(key, row),
                None => self.committed.remove(&key),
            };
        }
    }

    /// Ends a transaction and releases its locks; says what it did.
    fn end(&mut self, owner: &Owner) -> Option<Open> {
        self.locks.retain(|_, holder| holder != owner);
        self.transactions.remove(owner)
    }

    /// Rolls back everything else.
    fn keep(&mut self, stays: impl Fn(&Owner) -> bool) {
        self.transactions.retain(|owner, _| stays(owner));
        self.locks.retain(|_, holder| stays(holder));
    }
}

/// All keys that the row is about.
fn keys_of(row: &PutRow) -> Vec<Key> {
    match row {
        PutRow::Insert { new } => key_in(new).into_iter().collect(),
        PutRow::Update { key, new, .. } => key_in(new).into_iter().chain([key.clone()]).collect(),
        PutRow::Delete { key, .. } => vec![key.clone()],
    }
}

fn key_in(values: &BTreeMap<String, Value>) -> Option<Key> {
    Some(vec![values.get("k").cloned().flatten()?])
}

fn named_in(row: &PutRow) -> impl Iterator<Item = &String> {
    let (old, new) = match row {
        PutRow::Insert { new } => (None, Some(new)),
        PutRow::Update { old, new, .. } => (Some(old), Some(new)),
        PutRow::Delete { old, .. } => (Some(old), None),
    };
    [old, new].into_iter().flatten().flat_map(BTreeMap::keys)
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

fn holds(key: &Key, row: &BaseRow, old: &BTreeMap<String, Value>) -> bool {
    old.iter().all(|(attribute, value)| {
        let held = if attribute == "k" {
            key.first()
        } else {
            row.get(attribute)
        };
        held == value.as_ref()
    })
}
