//! The machine of detection: asks the seeds until they answer, and spreads what is new along the trees of the Dejima
//! tables.

mod call;
mod learn;
mod show;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::contact::{Contact, InFlight};
use super::knowledge::{Knowledge, Learnt, Taken, newest};
use super::members::Members;
use super::{
    CallId, Counters, Fact, Identity, Input, Limits, Output, Overtaken, Said, Shape, Share,
};
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

/// Complaints that are remembered so as not to be repeated; beyond that all may be said once more.
const COMPLAINTS_MAX: usize = 1_000;

/// Who shares which Dejima table with this peer, as far as it knows.
#[derive(Debug)]
pub struct Machine {
    me: Identity,
    limits: Limits,
    shares: BTreeMap<TableName, Share>,
    /// All facts that concern this peer, its own among them.
    knowledge: Knowledge,
    /// Tells this log of facts from those of earlier lives.
    life: u64,
    /// Who shares the Dejima tables of this peer, and where.
    members: Members,
    /// Who shares the Dejima tables that this peer shared before its last start.
    former: BTreeMap<TableName, BTreeMap<PeerName, Arc<str>>>,
    /// Dejima tables whose members an earlier run has kept: no seed need answer before they are known.
    remembered: BTreeSet<TableName>,
    /// Dejima tables of which another member has been known since this peer started, perhaps one that has left.
    met: BTreeSet<TableName>,
    /// By address: everybody who was to be called, or has called.
    contacts: BTreeMap<String, Contact>,
    counters: Counters,
    /// The end of the log when the last input was done with.
    looked: u64,
    /// Dejima tables whose members have changed since the transaction machine was told.
    changed: BTreeSet<TableName>,
    /// What the transaction machine was told last: this version of the members, or what is missing.
    told: BTreeMap<TableName, Result<u64, Vec<String>>>,
    complaints: BTreeSet<String>,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A machine at the start of a peer. `known` are the facts that an earlier run has saved. What this peer shared
    /// then and does not share now it has left, and says so.
    pub fn new(me: Identity, shares: Vec<Share>, known: Vec<Fact>, limits: Limits) -> Self {
        let shares: BTreeMap<_, _> = shares
            .into_iter()
            .map(|share| (share.table().clone(), share))
            .collect();
        let mut machine = Self {
            life: me.incarnation,
            limits,
            knowledge: Knowledge::default(),
            members: Members::default(),
            former: BTreeMap::new(),
            remembered: BTreeSet::new(),
            met: BTreeSet::new(),
            contacts: BTreeMap::new(),
            counters: Counters::default(),
            looked: 0,
            changed: shares.keys().cloned().collect(),
            told: BTreeMap::new(),
            complaints: BTreeSet::new(),
            outputs: VecDeque::new(),
            me,
            shares,
        };
        for address in machine.shares.values().flat_map(|share| &share.seeds) {
            machine.members.look_at(address, &machine.knowledge);
        }
        machine.remember(known);
        machine.tell_members(0);
        machine.plan(0);
        machine
    }

    /// Takes in what has happened.
    pub fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Asked { call, from, said } => self.asked(now, call, &from, said),
            Input::Answered {
                address,
                from,
                said,
            } => self.answered(now, &address, &from, said),
            Input::Unanswered { address, why } => self.unanswered(&address, why),
            Input::Contact { peer, error } => self.contacted(now, &peer, error),
            Input::Counted { incarnation } => self.counted(incarnation),
            Input::Tick => {}
        }
        self.tell_members(now);
        self.call(now);
        self.looked = self.knowledge.end();
    }

    /// The next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in a [`Input::Tick`] if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.contacts
            .values()
            .filter_map(|contact| contact.due)
            .min()
    }

    /// Takes up what an earlier run has saved.
    fn remember(&mut self, known: Vec<Fact>) {
        let (own, others): (Vec<_>, Vec<_>) = known
            .into_iter()
            .partition(|fact| fact.peer == self.me.peer);
        let left = own
            .into_iter()
            .filter(|fact| !self.shares.contains_key(fact.table()));
        let left: Vec<_> = left.map(|fact| self.ended(&fact)).collect();
        for fact in &left {
            self.former.entry(fact.table().clone()).or_default();
        }
        if !left.is_empty() {
            self.knowledge.observe(&others);
        }
        self.say_of_itself();
        for fact in left {
            self.knowledge.learn(&fact);
        }
        for fact in others {
            if let Some(former) = self.former.get_mut(fact.table()) {
                if fact.is_membership() {
                    former.insert(fact.peer, fact.address);
                }
            } else {
                self.take_in(&Arc::new(fact));
            }
        }
        let is_remembered =
            |table: &&TableName| self.members.others(table, &self.me.peer).next().is_some();
        self.remembered = self.shares.keys().filter(is_remembered).cloned().collect();
        let own: Vec<_> = self.knowledge.of_peer(&self.me.peer).cloned().collect();
        self.outputs.push_back(Output::Save(own));
        let known: Vec<_> = self.knowledge.iter().cloned().collect();
        known
            .iter()
            .for_each(|fact| self.complain_of_difference(fact));
    }

    /// The fact that this peer shares a Dejima table no more.
    fn ended(&self, fact: &Fact) -> Arc<Fact> {
        let shape = Shape {
            has_left: true,
            ..(*fact.shape).clone()
        };
        Arc::new(Fact {
            peer: self.me.peer.clone(),
            address: self.me.address.as_str().into(),
            incarnation: self.me.incarnation,
            shape: Arc::new(shape),
        })
    }

    /// Takes in what this peer shares, at its present incarnation.
    fn say_of_itself(&mut self) {
        let left = self
            .knowledge
            .of_peer(&self.me.peer)
            .filter(|fact| fact.shape.has_left);
        let left: Vec<_> = left.map(|fact| self.ended(fact)).collect();
        let fact = |share: &Share| Fact {
            peer: self.me.peer.clone(),
            address: self.me.address.as_str().into(),
            incarnation: self.me.incarnation,
            shape: Arc::clone(share.shape()),
        };
        let own: Vec<_> = self.shares.values().map(fact).map(Arc::new).collect();
        for fact in own.iter().chain(&left) {
            self.take_in(fact);
        }
    }

    /// Takes a fact into the knowledge, and into what is derived from it. Returns what is known now, too.
    fn take_in(&mut self, fact: &Arc<Fact>) -> (Learnt, Arc<Fact>) {
        let Taken {
            learnt,
            before,
            now,
            moved,
        } = self.knowledge.learn(fact);
        let is_new = before.is_none();
        let touched = if is_new {
            self.knowledge.touch(fact, self.looked)
        } else {
            Vec::new()
        };
        for moved in moved.iter().chain(&touched) {
            let contacts = self.contacts.values_mut();
            contacts.for_each(|contact| contact.moved(&self.knowledge, moved));
        }
        if let Some(share) = self.shares.get(now.table()) {
            self.members.set(&now, share.schema());
            if !now.shape.is_partial() {
                let before = before.iter().chain(self.knowledge.others_of(&now));
                self.members.move_to(newest(before), &now);
            }
            self.changed.insert(now.table().clone());
            if now.is_membership() && now.peer != self.me.peer {
                self.met.insert(now.table().clone());
            }
        }
        if is_new || now.shape.has_left {
            self.members.set_bridges(&now, &self.knowledge);
        }
        (learnt, now)
    }

    fn asked(&mut self, now: Millis, call: CallId, from: &PeerName, said: Said) {
        self.counters.messages_received += 1;
        if *from == self.me.peer {
            let other = said
                .facts
                .iter()
                .find(|fact| fact.peer == *from && *fact.address != *self.me.address);
            if let Some(fact) = other {
                let complaint = format!(
                    "the peer at {} calls itself \"{from}\", as this one at {} does: give one of them another name",
                    fact.address, self.me.address
                );
                self.complain(complaint);
            }
            return self.outputs.push_back(Output::Answer {
                call,
                said: Said::default(),
            });
        }
        self.learn(now, from, &said.facts);
        let Some(address) = self.whereabouts(from) else {
            return self.outputs.push_back(Output::Answer {
                call,
                said: Said::default(),
            });
        };
        let contact = self.contact(&address);
        contact.is_heard_of(now);
        if contact.attempts > 0 {
            contact.call_soon();
        }
        self.members.is_back(from);
        self.concern(&address);
        let (life, facts_max) = (self.life, self.limits.facts_max);
        let contact = self.contacts.entry(address).or_default();
        contact.listen(life, &self.knowledge, &said);
        let answer = contact.speak(&self.me.peer, life, &self.knowledge, facts_max);
        contact.is_told(life, answer.covers);
        self.outputs
            .push_back(Output::Answer { call, said: answer });
    }

    fn answered(&mut self, now: Millis, address: &str, from: &PeerName, said: Said) {
        if *from != self.me.peer {
            self.learn(now, from, &said.facts);
        }
        let complaint = self.unsuitable(address, from);
        let Some(contact) = self.contacts.get_mut(address) else {
            return;
        };
        let in_flight = contact.in_flight.take();
        contact.is_heard_of(now);
        contact.answered_by = Some(from.clone());
        contact.attempts = if complaint.is_some() {
            contact.attempts + 1
        } else {
            0
        };
        contact.error.clone_from(&complaint);
        let seeded = self.said_to_share(address);
        self.changed.extend(seeded);
        self.concern(address);
        if let Some(contact) = self.contacts.get_mut(address) {
            if let Some(InFlight { covers, own }) = in_flight {
                contact.is_told(self.life, covers);
                contact.is_told_of(&self.knowledge, &own);
            }
            contact.listen(self.life, &self.knowledge, &said);
        }
        match complaint {
            Some(complaint) => self.complain(complaint),
            None => self.members.is_back(from),
        }
    }

    fn unanswered(&mut self, address: &str, why: String) {
        self.counters.messages_unanswered += 1;
        let Some(contact) = self.contacts.get_mut(address) else {
            return;
        };
        contact.in_flight = None;
        contact.attempts += 1;
        if contact.attempts == 1 {
            self.outputs.push_back(Output::Complain(format!(
                "no answer from {address}, calling again until it answers: {why}"
            )));
        }
        contact.error = Some(why);
        self.members.is_away(address);
    }

    fn contacted(&mut self, now: Millis, peer: &PeerName, error: Option<String>) {
        let Some(address) = self.knowledge.address(peer).map(str::to_owned) else {
            return;
        };
        let contact = self.contact(&address);
        if error.is_some() {
            contact.error = error;
            return;
        }
        contact.is_heard_of(now);
        if contact.attempts > 0 && contact.in_flight.is_none() {
            contact.call_soon();
            self.members.is_back(peer);
        }
    }

    /// Tells others the new count: a database that is put back to an earlier state counts again what they have seen.
    fn counted(&mut self, incarnation: u64) {
        if incarnation <= self.me.incarnation {
            // It was put back under this very process.
            return self.complain(format!(
                "the database of this peer has counted {incarnation} starts and hours, and this peer {}: it was \
                 replaced by another state",
                self.me.incarnation
            ));
        }
        self.me.incarnation = incarnation;
        self.say_of_itself();
    }

    /// Takes an incarnation that nobody has seen, so that what this peer says of itself counts again.
    fn count_beyond(&mut self, by: &PeerName, seen: u64) {
        self.outputs.push_back(Output::CountBeyond(Overtaken {
            by: by.clone(),
            seen,
            own: self.me.incarnation,
        }));
        self.me.incarnation = seen + 1;
        self.life = self.me.incarnation;
        self.say_of_itself();
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() >= COMPLAINTS_MAX {
            self.complaints.clear();
        }
        if self.complaints.insert(complaint.clone()) {
            self.outputs.push_back(Output::Complain(complaint));
        }
    }

    fn tell_members(&mut self, now: Millis) {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return;
        }
        let mut is_news = false;
        for table in &changed {
            let Some(share) = self.shares.get(table) else {
                continue;
            };
            let missing = self.missing(share);
            let tell = if missing.is_empty() {
                Ok(self.members.version_of(table))
            } else {
                Err(missing)
            };
            is_news |= self.told.insert(table.clone(), tell.clone()) != Some(tell);
        }
        self.counters.complete_since = self
            .counters
            .complete_since
            .or(Some(now))
            .filter(|_| self.is_complete());
        if is_news {
            let shares = self.shares.values();
            let members = shares.map(|share| (share.table().clone(), self.membership(share)));
            self.outputs.push_back(Output::Members(members.collect()));
        }
    }
}
