//! Whom to call, and when.

use std::collections::{BTreeMap, BTreeSet};

use super::super::contact::{Contact, InFlight};
use super::super::{Output, Share};
use super::Machine;
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

/// How many times the wait before a call may begin again because more has become known.
const PATIENCE: u64 = 4;

/// So many of those of whom only others have told are called at once.
const HINTS_AT_ONCE: usize = 16;

/// Why an address is called, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// The so-manieth seed that has not answered and of which nobody else has told either.
    Seed(u64),
    /// A member of a Dejima table that this peer has left.
    Former,
    /// A neighbour above this peer in the tree of a Dejima table.
    Parent,
    /// A neighbour below.
    Child,
    /// Others have told that it shares a Dejima table of this peer; it has not said so itself, nor has a member.
    Hint(Millis),
}

/// Why an address is called, and along the trees of which Dejima tables it is told what is new.
#[derive(Debug, Default)]
struct Reasons {
    roles: BTreeSet<Role>,
    along: BTreeSet<TableName>,
}

impl Machine {
    /// Calls whoever is due, and plans the next calls.
    pub(super) fn call(&mut self, now: Millis) {
        for address in self.plan(now) {
            let Some(contact) = self.contacts.get_mut(&address) else {
                continue;
            };
            let said = contact.speak(
                &self.me.peer,
                self.life,
                &self.knowledge,
                self.limits.facts_max,
            );
            contact.due = None;
            contact.since = None;
            let own = said.facts.iter().filter(|fact| fact.peer == self.me.peer);
            contact.in_flight = Some(InFlight {
                covers: said.covers,
                own: own.cloned().collect(),
            });
            self.counters.messages_sent += 1;
            if said.facts.iter().any(|fact| fact.peer != self.me.peer) {
                self.counters.broadcasts += 1;
                self.counters.last_broadcast = Some(now);
            }
            self.outputs.push_back(Output::Ask { address, said });
        }
    }

    /// Plans when to call whom, and returns who is due.
    pub(super) fn plan(&mut self, now: Millis) -> Vec<String> {
        let roles = self.roles();
        for (address, contact) in &mut self.contacts {
            if !roles.contains_key(address) {
                contact.due = None;
            }
        }
        let has_learnt = self.counters.last_update == Some(now);
        let mut due = Vec::new();
        for (address, reasons) in roles {
            self.concern(&address);
            let wait = self.wait(&address, &reasons);
            let Some(contact) = self.contacts.get_mut(&address) else {
                continue;
            };
            contact.due = wait.map(|wait| {
                let since = *contact.since.get_or_insert(now);
                match contact.due {
                    // More may follow: what comes together travels together.
                    Some(_) if has_learnt && contact.attempts == 0 => {
                        (now + wait).min(since + wait * PATIENCE)
                    }
                    Some(due) => due.min(now + wait),
                    None => now + wait,
                }
            });
            if contact.due.is_none() {
                contact.since = None;
            }
            if contact.due.is_some_and(|due| due <= now) {
                due.push(address);
            }
        }
        due
    }

    /// How long to wait before an address is called; `None` if there is no reason to, or a call is under way.
    fn wait(&mut self, address: &str, reasons: &Reasons) -> Option<Millis> {
        let contact = self.contacts.get_mut(address)?;
        if contact.in_flight.is_some() {
            return None;
        }
        let limits = &self.limits;
        let mut news = None;
        let mut wait: Option<Millis> = None;
        for role in &reasons.roles {
            let of_role = match role {
                Role::Seed(at) => Some(limits.introduction_ms * 3 * at),
                Role::Hint(wait) => Some(*wait),
                Role::Former | Role::Parent | Role::Child => {
                    let is_own = news.get_or_insert_with(|| {
                        contact.news(
                            &self.me.peer,
                            &self.knowledge,
                            &self.members,
                            &reasons.along,
                        )
                    });
                    match (is_own, role) {
                        _ if contact.has_more => Some(0),
                        (Some(_), Role::Child) => Some(limits.downwards_ms),
                        (Some(true), _) => Some(limits.introduction_ms),
                        (Some(false), Role::Parent) => Some(limits.upwards_ms),
                        // An answer that was lost may have told something.
                        _ => (contact.attempts > 0 && *role != Role::Former).then_some(0),
                    }
                }
            };
            wait = [wait, of_role].into_iter().flatten().min();
        }
        if contact.attempts > 0 && contact.due.is_none() {
            let salt = format!("{} {address}", self.me.peer);
            let backoff = contact.backoff(limits, &salt);
            return wait.map(|wait| wait.max(backoff));
        }
        if contact.attempts > 0 {
            return wait.and(Some(Millis::MAX / 2));
        }
        wait
    }

    /// Everybody whom there may be a reason to call.
    fn roles(&self) -> BTreeMap<String, Reasons> {
        let mut roles: BTreeMap<String, Reasons> = BTreeMap::new();
        let mut add = |address: &str, role, along: &BTreeSet<&TableName>| {
            if address != self.me.address {
                let reasons = roles.entry(address.to_owned()).or_default();
                reasons.roles.insert(role);
                reasons
                    .along
                    .extend(along.iter().map(|&table| table.clone()));
            }
        };
        for (at, address) in (0..).zip(self.silent_seeds()) {
            add(address, Role::Seed(at), &BTreeSet::new());
        }
        let neighbours = self.members.neighbours(&self.me.peer);
        for (neighbours, role) in [
            (&neighbours.parents, Role::Parent),
            (&neighbours.children, Role::Child),
        ] {
            for (peer, along) in neighbours {
                if let Some(address) = self.knowledge.address(peer) {
                    add(address, role, along);
                }
            }
        }
        for (table, members) in &self.former {
            if let Some(address) = self.former_to_tell(members) {
                add(address, Role::Former, &[table].into());
            }
        }
        for table in self.shares.keys() {
            let (hinted, waits) = self.hinted(table);
            for address in hinted {
                add(
                    address,
                    Role::Hint(self.limits.hint_ms * waits),
                    &BTreeSet::new(),
                );
            }
        }
        roles
    }

    /// The seeds that have not answered and of which no member has told, each once.
    fn silent_seeds(&self) -> Vec<&str> {
        let mut silent: Vec<&str> = Vec::new();
        for share in self.shares.values() {
            for seed in share
                .seeds
                .iter()
                .filter(|seed| self.silence(share, seed).is_some())
            {
                if !silent.contains(&seed.as_str()) {
                    silent.push(seed);
                }
            }
        }
        silent
    }

    /// The member of a Dejima table left by this peer that is to be told so; the others learn it from there.
    fn former_to_tell<'a>(
        &self,
        members: &'a BTreeMap<PeerName, std::sync::Arc<str>>,
    ) -> Option<&'a str> {
        let fails = |address: &str| {
            self.contacts
                .get(address)
                .map_or(0, |contact| contact.attempts)
        };
        let addresses = members.values().map(|address| &**address);
        addresses.min_by_key(|address| fails(address))
    }

    /// Where some are of whom only others have told that they share a Dejima table, and how many times longer than
    /// others this peer waits before it calls them.
    fn hinted(&self, table: &TableName) -> (Vec<&str>, u64) {
        let fails = |address: &str| {
            self.contacts
                .get(address)
                .map_or(0, |contact| contact.attempts)
        };
        let mut hinted: Vec<_> = self.members.hinted(table).collect();
        let is_root = self.members.is_root(table, &self.me.peer);
        let is_above = is_root && hinted.first().is_none_or(|(peer, _)| self.me.peer < **peer);
        hinted.sort_by_key(|(_, address)| fails(address));
        // If they will be below this peer in the tree it calls them all; otherwise one of them tells of the rest.
        let (calls, waits) = match (is_above, is_root) {
            (true, _) => (HINTS_AT_ONCE, 1),
            (false, true) => (1, 3),
            (false, false) => (1, 8),
        };
        hinted.truncate(calls);
        (
            hinted.into_iter().map(|(_, address)| address).collect(),
            waits,
        )
    }

    /// The contact at an address.
    pub(super) fn contact(&mut self, address: &str) -> &mut Contact {
        self.members.look_at(address, &self.knowledge);
        self.contacts.entry(address.to_owned()).or_default()
    }

    /// Takes in who is at an address and what it shares.
    pub(super) fn concern(&mut self, address: &str) {
        let answered_by = self.contact(address).answered_by.clone();
        let resident = self.members.residents(address).next().cloned();
        let former = || {
            let mut peers = self.former.values().flatten();
            peers
                .find(|(_, at)| ***at == *address)
                .map(|(peer, _)| peer.clone())
        };
        let peer = resident.or(answered_by).or_else(former);
        let mut tables: BTreeSet<TableName> = BTreeSet::new();
        if let Some(peer) = &peer {
            tables.extend(self.members.tables_of(peer).cloned());
            let left = self
                .former
                .iter()
                .filter(|(_, members)| members.contains_key(peer));
            tables.extend(left.map(|(table, _)| table.clone()));
        }
        let said_to_share = self
            .said_to_share(address)
            .into_iter()
            .filter(|table| !tables.contains(table))
            .collect();
        let contact = self.contact(address);
        contact.concerns(peer.as_ref(), tables, said_to_share);
    }

    /// The Dejima tables of this peer that somebody at an address shares by the words of the configuration or of others.
    pub(super) fn said_to_share(&self, address: &str) -> BTreeSet<TableName> {
        let seeds = self
            .shares
            .values()
            .filter(|share| is_seed_of(share, address))
            .map(|share| share.table());
        let hinted = self
            .shares
            .keys()
            .filter(|table| self.members.is_hinted(table, address));
        seeds.chain(hinted).cloned().collect()
    }

    /// Where a peer that calls is reached.
    pub(super) fn whereabouts(&self, peer: &PeerName) -> Option<String> {
        let former = || {
            self.former
                .values()
                .find_map(|members| members.get(peer))
                .map(|address| &**address)
        };
        self.knowledge
            .address(peer)
            .or_else(former)
            .map(str::to_owned)
    }

    /// In which way a seed has not answered yet, if so. It need not if a member tells that it is one.
    pub(super) fn silence(&self, share: &Share, seed: &str) -> Option<String> {
        let is_member = |peer: &PeerName| self.members.contains(share.table(), peer);
        if seed == self.me.address || self.members.residents(seed).any(is_member) {
            return None;
        }
        let answered_by = self
            .contacts
            .get(seed)
            .and_then(|contact| contact.answered_by.as_ref());
        match answered_by {
            None => Some(format!("seed {seed} has not answered yet")),
            Some(peer) if *peer == self.me.peer => None,
            // It has left, and tells of those that have not.
            Some(peer) if self.has_said(share, peer) && self.met.contains(share.table()) => None,
            Some(peer) => Some(format!(
                "at seed {seed} peer \"{peer}\" answers, which does not share it"
            )),
        }
    }

    /// What is wrong with this peer's answering at this address, if anything.
    pub(super) fn unsuitable(&self, address: &str, by: &PeerName) -> Option<String> {
        if *by == self.me.peer {
            return None;
        }
        let residents: Vec<_> = self.members.residents(address).collect();
        if !residents.is_empty() && !residents.contains(&by) {
            let residents: Vec<_> = residents.iter().map(|peer| format!("\"{peer}\"")).collect();
            return Some(format!(
                "at {address} peer \"{by}\" answers instead of {}",
                residents.join(" and ")
            ));
        }
        let lacks = |share: &&Share| is_seed_of(share, address) && !self.has_said(share, by);
        let share = self.shares.values().find(lacks)?;
        Some(format!(
            "peer \"{by}\" at {address} is a seed of Dejima table \"{}\", but does not share it",
            share.table()
        ))
    }

    /// Whether a peer shares, or shared, a Dejima table.
    fn has_said(&self, share: &Share, peer: &PeerName) -> bool {
        let fact = self.knowledge.of(share.table(), peer);
        fact.is_some_and(|fact| !fact.shape.is_partial())
    }
}

fn is_seed_of(share: &Share, address: &str) -> bool {
    share.seeds.iter().any(|seed| seed == address)
}
