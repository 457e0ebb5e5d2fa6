//! The machine of detection: asks the seeds until they answer, and everybody it then hears of once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::contact::Contact;
use super::{
    CallId, Fact, Facts, GroupState, Identity, Input, Joined, Limits, MemberState, Output,
    Overtaken, Reach, Share, difference,
};
use crate::name::{PeerName, TableName};
use crate::transaction::{Membership, Millis};

/// Complaints that are remembered so as not to be repeated; beyond that all may be said once more.
const COMPLAINTS_MAX: usize = 1_000;

/// Who shares which Dejima table with this peer, as far as it knows.
#[derive(Debug)]
pub struct Machine {
    me: Identity,
    limits: Limits,
    shares: BTreeMap<TableName, Share>,
    /// All facts about the Dejima tables of this peer, its own among them.
    facts: Facts,
    /// Dejima tables whose members an earlier run has kept: no seed need answer before they are known.
    remembered: BTreeSet<TableName>,
    /// By address: all seeds, and all peers that a fact tells of.
    contacts: BTreeMap<String, Contact>,
    /// What the transaction machine was told last.
    members: BTreeMap<TableName, Membership>,
    complaints: BTreeSet<String>,
    outputs: VecDeque<Output>,
}

/// Why an address is to be called.
enum Need {
    Nothing,
    /// It has not said yet what it must say.
    Answer,
    /// Something is not known there yet.
    News,
}

impl Machine {
    /// A machine at the start of a peer. `known` are the facts that an earlier run has saved.
    pub fn new(me: Identity, shares: Vec<Share>, known: Vec<Fact>, limits: Limits) -> Self {
        let shares: BTreeMap<_, _> = shares
            .into_iter()
            .map(|share| (share.table.clone(), share))
            .collect();
        let known = known
            .into_iter()
            .filter(|fact| fact.peer != me.peer && shares.contains_key(&fact.table));
        let others: Facts = known.collect();
        let remembered = others.iter().map(|fact| fact.table.clone()).collect();
        let facts = shares
            .values()
            .map(|share| own_fact(&me, share))
            .collect::<Facts>()
            .join(others);
        let mut machine = Self {
            me,
            limits,
            shares,
            facts,
            remembered,
            contacts: BTreeMap::new(),
            members: BTreeMap::new(),
            complaints: BTreeSet::new(),
            outputs: VecDeque::new(),
        };
        machine.complain_of_known_differences();
        machine.meet();
        machine
            .contacts
            .values_mut()
            .for_each(|contact| contact.due = Some(0));
        machine.tell_members();
        machine
    }

    /// Takes in what has happened.
    pub fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Asked { call, from, facts } => self.asked(now, call, &from, facts),
            Input::Answered {
                address,
                from,
                facts,
            } => self.answered(now, &address, &from, facts),
            Input::Unanswered { address, why } => self.unanswered(&address, why),
            Input::Contact { peer, error } => {
                self.contacted(now, &peer, error);
                return;
            }
            Input::Counted { incarnation } => self.counted(incarnation),
            Input::Tick => {}
        }
        self.tell_members();
        self.call(now);
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

    /// Whether all groups are complete.
    pub fn is_complete(&self) -> bool {
        self.members
            .values()
            .all(|membership| membership.members.is_ok())
    }

    /// Whether all groups are complete, all seeds have answered, and nobody who can be reached has news to get.
    pub fn is_settled(&self) -> bool {
        let quiet = |(address, contact): (&String, &Contact)| match self.need(address, contact) {
            Need::Nothing => contact.in_flight.is_none(),
            Need::Answer => !self.is_seed(address) && contact.attempts > 0,
            Need::News => contact.attempts > 0,
        };
        self.is_complete() && self.contacts.iter().all(quiet)
    }

    /// Where a peer is reached.
    pub fn address(&self, peer: &PeerName) -> Option<&str> {
        let newest = self.facts.of_peer(peer).max_by_key(|fact| fact.incarnation);
        newest.map(|fact| fact.address.as_str())
    }

    /// True if the last call of a peer failed.
    pub fn is_unreachable(&self, peer: &PeerName) -> bool {
        let contact = self
            .address(peer)
            .and_then(|address| self.contacts.get(address));
        contact.is_some_and(|contact| contact.error.is_some())
    }

    /// This peer, then all that it knows, by name.
    pub fn peers(&self) -> Vec<MemberState> {
        let me = MemberState {
            identity: self.me.clone(),
            reach: Reach::Own,
            last_answer: None,
            error: None,
        };
        let names: BTreeSet<_> = self
            .facts
            .iter()
            .map(|fact| &fact.peer)
            .filter(|peer| **peer != self.me.peer)
            .collect();
        std::iter::once(me)
            .chain(names.into_iter().filter_map(|peer| self.peer(peer)))
            .collect()
    }

    /// All Dejima tables of this peer with their members.
    pub fn groups(&self) -> Vec<GroupState> {
        self.shares
            .values()
            .map(|share| self.group(share))
            .collect()
    }

    fn peer(&self, peer: &PeerName) -> Option<MemberState> {
        let fact = self
            .facts
            .of_peer(peer)
            .max_by_key(|fact| fact.incarnation)?;
        let contact = self
            .contacts
            .get(&fact.address)
            .cloned()
            .unwrap_or_default();
        let identity = Identity {
            peer: peer.clone(),
            address: fact.address.clone(),
            incarnation: fact.incarnation,
        };
        Some(MemberState {
            identity,
            reach: contact.reach(),
            last_answer: contact.last_answer,
            error: contact.error,
        })
    }

    fn group(&self, share: &Share) -> GroupState {
        let agreeing = self
            .facts
            .of_table(&share.table)
            .filter(|fact| fact.schema == share.schema);
        GroupState {
            table: share.table.clone(),
            members: agreeing.map(|fact| fact.peer.clone()).collect(),
            columns: share
                .schema
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            missing: self.missing(share),
        }
    }

    fn membership(&self, share: &Share) -> Membership {
        let missing = self.missing(share);
        let mut members = self.group(share).members;
        members.retain(|peer| *peer != self.me.peer);
        let members = if missing.is_empty() {
            Ok(members)
        } else {
            Err(missing)
        };
        Membership {
            schema: share.schema.clone(),
            members,
        }
    }

    /// What keeps a group from being complete. Refusing changes until then is what keeps a member from being
    /// left out silently.
    fn missing(&self, share: &Share) -> Vec<String> {
        let silent = share
            .seeds
            .iter()
            .filter(|_| !self.remembered.contains(&share.table));
        let silent = silent.filter_map(|seed| self.silence(share, seed));
        let differing = self.facts.of_table(&share.table).filter_map(|fact| {
            let difference = difference(&share.schema, &fact.schema)?;
            Some(format!(
                "peer \"{}\" at {} declares it otherwise: {difference}",
                fact.peer, fact.address
            ))
        });
        silent.chain(differing).collect()
    }

    /// In which way a seed has not answered yet, if so.
    fn silence(&self, share: &Share, seed: &str) -> Option<String> {
        if seed == self.me.address {
            return None;
        }
        let answered_by = self
            .contacts
            .get(seed)
            .and_then(|contact| contact.answered_by.as_ref());
        match answered_by {
            None => Some(format!("seed {seed} has not answered yet")),
            Some(peer) if *peer == self.me.peer || self.facts.of(&share.table, peer).is_some() => {
                None
            }
            Some(peer) => Some(format!(
                "at seed {seed} peer \"{peer}\" answers, which does not share it"
            )),
        }
    }

    fn asked(&mut self, now: Millis, call: CallId, from: &PeerName, facts: Vec<Fact>) {
        if *from == self.me.peer {
            if let Some(fact) = facts.iter().find(|fact| fact.address != self.me.address) {
                let said = format!(
                    "the peer at {} calls itself \"{from}\", as this one at {} does: give one of them another name",
                    fact.address, self.me.address
                );
                self.complain(said);
            }
            self.outputs.push_back(Output::Answer {
                call,
                facts: Vec::new(),
            });
            return;
        }
        self.learn(from, &facts);
        self.tell_members();
        let answer = self.concerning_peer(from, &facts);
        let address = self.address(from).map(str::to_owned);
        if let Some(contact) = address.and_then(|address| self.contacts.get_mut(&address)) {
            contact.heard(now);
            if contact.attempts > 0 {
                contact.call_soon();
            }
            contact.knows(facts.iter().chain(&answer));
        }
        self.outputs.push_back(Output::Answer {
            call,
            facts: answer,
        });
    }

    fn answered(&mut self, now: Millis, address: &str, from: &PeerName, facts: Vec<Fact>) {
        if *from != self.me.peer {
            self.learn(from, &facts);
        }
        let complaint = self.unsuitable(address, from);
        let Some(contact) = self.contacts.get_mut(address) else {
            return;
        };
        let said = contact.in_flight.take().unwrap_or_default();
        if contact
            .answered_by
            .as_ref()
            .is_some_and(|before| before != from)
        {
            contact.restarted();
        }
        contact.heard(now);
        contact.answered_by = Some(from.clone());
        contact.knows(said.iter().chain(&facts));
        contact.attempts = if complaint.is_some() {
            contact.attempts + 1
        } else {
            0
        };
        contact.error.clone_from(&complaint);
        complaint
            .into_iter()
            .for_each(|complaint| self.complain(complaint));
    }

    fn unanswered(&mut self, address: &str, why: String) {
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
    }

    fn contacted(&mut self, now: Millis, peer: &PeerName, error: Option<String>) {
        let Some(address) = self.address(peer).map(str::to_owned) else {
            return;
        };
        let Some(contact) = self.contacts.get_mut(&address) else {
            return;
        };
        if error.is_some() {
            contact.error = error;
            return;
        }
        contact.heard(now);
        if contact.attempts > 0 && contact.in_flight.is_none() {
            contact.call_soon();
            self.call(now);
        }
    }

    /// What is wrong with this peer's answering at this address, if anything.
    fn unsuitable(&self, address: &str, by: &PeerName) -> Option<String> {
        if *by == self.me.peer {
            return None;
        }
        let residents = self.residents(address);
        if !residents.is_empty() && !residents.contains(by) {
            let residents: Vec<_> = residents.iter().map(|peer| format!("\"{peer}\"")).collect();
            return Some(format!(
                "at {address} peer \"{by}\" answers instead of {}",
                residents.join(" and ")
            ));
        }
        let lacks = |share: &&Share| {
            is_seed_of(share, address) && self.facts.of(&share.table, by).is_none()
        };
        let share = self.shares.values().find(lacks)?;
        Some(format!(
            "peer \"{by}\" at {address} is a seed of Dejima table \"{}\", but does not share it",
            share.table
        ))
    }

    /// Takes in what a peer says, as far as it may say it (invariant 5).
    fn learn(&mut self, from: &PeerName, facts: &[Fact]) {
        // The sender's own facts first: they say of which Dejima tables it may speak.
        let (own, relayed): (Vec<_>, Vec<_>) = facts.iter().partition(|fact| fact.peer == *from);
        let mut news = Vec::new();
        for fact in own.into_iter().chain(relayed) {
            if self.may_say(from, fact) && self.is_news(fact) {
                news.push(fact.clone());
            }
        }
        self.meet();
        for fact in &news {
            if let Some(contact) = self.contacts.get_mut(&fact.address) {
                contact.restarted();
            }
        }
        news.retain(|fact| {
            self.shares
                .get(&fact.table)
                .is_some_and(|share| share.schema == fact.schema)
        });
        if !news.is_empty() {
            self.outputs.push_back(Output::Save(news));
        }
    }

    fn may_say(&mut self, from: &PeerName, fact: &Fact) -> bool {
        let Fact { peer, table, .. } = fact;
        if *peer == self.me.peer {
            self.compare_with_own(from, fact);
            return false;
        }
        if !self.shares.contains_key(table) {
            self.complain(format!(
                "peer \"{from}\" speaks of Dejima table \"{table}\", which this peer does not share"
            ));
            return false;
        }
        if peer != from && self.facts.of(table, from).is_none() {
            self.complain(format!(
                "peer \"{from}\" speaks of Dejima table \"{table}\", which it does not share"
            ));
            return false;
        }
        true
    }

    /// A fact about this peer is known better here, unless its database was put back to an earlier state, or another
    /// peer uses the same name.
    fn compare_with_own(&mut self, from: &PeerName, fact: &Fact) {
        let is_own = self.facts.of(&fact.table, &self.me.peer) == Some(fact);
        if is_own || fact.incarnation < self.me.incarnation {
            return;
        }
        if fact.address == self.me.address {
            return self.count_beyond(from, fact.incarnation);
        }
        let complaint = format!(
            "peer \"{from}\" knows a peer \"{}\" at {}, which is not this one: two peers use one name, or this \
             peer has moved and its database was put back to an earlier state",
            fact.peer, fact.address
        );
        self.complain(complaint);
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
        self.take_incarnation(incarnation);
    }

    /// Takes an incarnation that nobody has seen, so that what this peer says of itself counts again.
    fn count_beyond(&mut self, by: &PeerName, seen: u64) {
        self.outputs.push_back(Output::CountBeyond(Overtaken {
            by: by.clone(),
            seen,
            own: self.me.incarnation,
        }));
        self.take_incarnation(seen + 1);
    }

    fn take_incarnation(&mut self, incarnation: u64) {
        self.me.incarnation = incarnation;
        for share in self.shares.values() {
            self.facts.learn(own_fact(&self.me, share));
        }
    }

    fn is_news(&mut self, fact: &Fact) -> bool {
        match self.facts.learn(fact.clone()) {
            Joined::Known => return false,
            Joined::Ambiguous => {
                self.complain(format!(
                    "two peers use the name \"{}\"; one of them is at {}",
                    fact.peer, fact.address
                ));
            }
            Joined::New | Joined::Newer => self.complain_of_difference(fact),
        }
        true
    }

    fn complain_of_known_differences(&mut self) {
        let facts: Vec<_> = self.facts.iter().cloned().collect();
        facts
            .iter()
            .for_each(|fact| self.complain_of_difference(fact));
    }

    fn complain_of_difference(&mut self, fact: &Fact) {
        let Some(share) = self.shares.get(&fact.table) else {
            return;
        };
        let Some(difference) = difference(&share.schema, &fact.schema) else {
            return;
        };
        let complaint = format!(
            "peer \"{}\" at {} declares Dejima table \"{}\" otherwise than peer \"{}\": {difference}. Changes of it are \
             refused until both declare the same",
            fact.peer, fact.address, fact.table, self.me.peer
        );
        self.complain(complaint);
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() >= COMPLAINTS_MAX {
            self.complaints.clear();
        }
        if self.complaints.insert(complaint.clone()) {
            self.outputs.push_back(Output::Complain(complaint));
        }
    }

    /// Makes the contacts those that the seeds and the facts name.
    fn meet(&mut self) {
        let seeds = self.shares.values().flat_map(|share| &share.seeds);
        let members = self.facts.iter().map(|fact| &fact.address);
        let wanted: BTreeSet<_> = seeds
            .chain(members)
            .filter(|address| **address != self.me.address)
            .cloned()
            .collect();
        self.contacts.retain(|address, _| wanted.contains(address));
        for address in wanted {
            self.contacts.entry(address).or_default();
        }
    }

    fn tell_members(&mut self) {
        let members: BTreeMap<_, _> = self
            .shares
            .values()
            .map(|share| (share.table.clone(), self.membership(share)))
            .collect();
        if members != self.members {
            self.members.clone_from(&members);
            self.outputs.push_back(Output::Members(members));
        }
    }

    /// Calls whoever is due, and plans the next calls.
    fn call(&mut self, now: Millis) {
        let addresses: Vec<_> = self.contacts.keys().cloned().collect();
        for address in addresses {
            let due = self.due(now, &address);
            let facts = due
                .filter(|&due| due <= now)
                .map(|_| self.concerning_address(&address));
            let Some(contact) = self.contacts.get_mut(&address) else {
                continue;
            };
            contact.due = if facts.is_some() { None } else { due };
            if let Some(facts) = facts {
                contact.in_flight = Some(facts.clone());
                self.outputs.push_back(Output::Ask { address, facts });
            }
        }
    }

    fn due(&self, now: Millis, address: &str) -> Option<Millis> {
        let contact = self
            .contacts
            .get(address)
            .filter(|contact| contact.in_flight.is_none())?;
        let fresh = contact.attempts == 0;
        match self.need(address, contact) {
            Need::Nothing => None,
            Need::Answer if fresh => Some(now),
            Need::News if fresh => Some(contact.due.unwrap_or(now + self.limits.news_ms)),
            Need::Answer | Need::News => {
                let salt = format!("{} {address}", self.me.peer);
                Some(
                    contact
                        .due
                        .unwrap_or_else(|| now + contact.backoff(&self.limits, &salt)),
                )
            }
        }
    }

    fn need(&self, address: &str, contact: &Contact) -> Need {
        match &contact.answered_by {
            None => Need::Answer,
            Some(peer) if *peer == self.me.peer => Need::Nothing,
            Some(peer) if self.unsuitable(address, peer).is_some() => Need::Answer,
            Some(_)
                if self
                    .concerning_address(address)
                    .iter()
                    .all(|fact| contact.is_told(fact)) =>
            {
                Need::Nothing
            }
            Some(_) => Need::News,
        }
    }

    fn is_seed(&self, address: &str) -> bool {
        self.shares.values().any(|share| is_seed_of(share, address))
    }

    /// The peers that say of themselves that they are at this address.
    fn residents(&self, address: &str) -> BTreeSet<&PeerName> {
        let facts = self.facts.iter().filter(|fact| fact.address == address);
        facts.map(|fact| &fact.peer).collect()
    }

    /// What may be said at an address: all about the Dejima tables that the peer there shares; about a Dejima
    /// table of which it is only said to be a seed, no more than that this peer shares it (invariant 5).
    fn concerning_address(&self, address: &str) -> Vec<Fact> {
        let residents = self.residents(address);
        let others = |share: &Share| {
            let known = residents
                .iter()
                .any(|peer| self.facts.of(&share.table, peer).is_some());
            let speaks = move |fact: &&Fact| known || fact.peer == self.me.peer;
            let facts = self.facts.of_table(&share.table).filter(speaks);
            let facts: Vec<_> = facts
                .filter(|fact| fact.address != address)
                .cloned()
                .collect();
            if known || is_seed_of(share, address) {
                facts
            } else {
                Vec::new()
            }
        };
        self.shares.values().flat_map(others).collect()
    }

    /// The facts that may concern a peer: those about Dejima tables that it shares, without what it just said. Of
    /// itself it is told what does not lie behind what it said: then its database was put back.
    fn concerning_peer(&self, peer: &PeerName, said: &[Fact]) -> Vec<Fact> {
        let own = said.iter().filter(|fact| fact.peer == *peer);
        let own = own.map(|fact| fact.incarnation).max();
        let is_ahead = |fact: &Fact| own.is_some_and(|own| own <= fact.incarnation);
        let shared = self
            .facts
            .iter()
            .filter(|fact| self.facts.of(&fact.table, peer).is_some());
        shared
            .filter(|fact| (fact.peer != *peer || is_ahead(fact)) && !said.contains(fact))
            .cloned()
            .collect()
    }
}

fn own_fact(me: &Identity, share: &Share) -> Fact {
    Fact {
        peer: me.peer.clone(),
        address: me.address.clone(),
        incarnation: me.incarnation,
        table: share.table.clone(),
        schema: share.schema.clone(),
    }
}

fn is_seed_of(share: &Share, address: &str) -> bool {
    share.seeds.iter().any(|seed| seed == address)
}
