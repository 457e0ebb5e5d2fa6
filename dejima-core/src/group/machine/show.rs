//! What the machine knows, for the transaction machine and for the operator.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Attribute, Counters, GroupState, MemberState, PeerGroup, Reach, Reached, Scope, Share,
    difference, peer_groups,
};
use super::{Identity, Machine};
use crate::name::{PeerName, TableName};
use crate::transaction::Membership;

impl Machine {
    /// Whether all groups are complete.
    pub fn is_complete(&self) -> bool {
        self.told.values().all(Result::is_ok)
    }

    /// Whether all groups are complete, all seeds have answered, and nobody who can be reached has news to get.
    pub fn is_settled(&self) -> bool {
        let is_silent = |address: &String| {
            let mut shares = self
                .shares
                .values()
                .filter(|share| share.seeds.contains(address));
            shares.any(|share| self.silence(share, address).is_some())
        };
        let quiet = self.contacts.iter().all(|(address, contact)| {
            contact.in_flight.is_none()
                && (contact.due.is_none() || contact.attempts > 0 && !is_silent(address))
        });
        quiet && self.is_complete()
    }

    /// Where a peer is reached.
    pub fn address(&self, peer: &PeerName) -> Option<&str> {
        self.knowledge.address(peer)
    }

    /// True if the last call of a peer failed.
    pub fn is_unreachable(&self, peer: &PeerName) -> bool {
        self.reach(peer) == Reach::Unreachable
    }

    /// What detection has done since this peer started.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// This peer, then all that share a Dejima table with it, by name.
    pub fn peers(&self) -> Vec<MemberState> {
        let me = MemberState {
            identity: self.me.clone(),
            reach: Reach::Own,
            last_answer: None,
            error: None,
        };
        let others: BTreeSet<_> = self
            .shares
            .keys()
            .flat_map(|table| self.members.others(table, &self.me.peer))
            .collect();
        std::iter::once(me)
            .chain(others.into_iter().filter_map(|peer| self.peer(peer)))
            .collect()
    }

    /// All Dejima tables of this peer with their members.
    pub fn groups(&self) -> Vec<GroupState> {
        self.shares
            .values()
            .map(|share| self.group(share))
            .collect()
    }

    /// The peer groups that concern this peer: those in which one of its Dejima tables is.
    pub fn peer_groups(&self) -> Vec<PeerGroup> {
        let mut groups = peer_groups(self.knowledge.iter().map(|fact| &**fact));
        groups.retain(|group| {
            group
                .tables
                .iter()
                .any(|table| self.shares.contains_key(table))
        });
        groups
    }

    /// What a change of these columns of this peer's Dejima tables may touch.
    pub fn scope(&self, changed: &BTreeSet<Attribute>) -> Scope {
        let mut scope = Scope::default();
        for group in self.peer_groups() {
            if group.attributes.is_disjoint(changed) {
                continue;
            }
            for (peer, tables) in self.touched(&group, changed) {
                let reached = scope.peers.entry(peer.clone()).or_insert_with(|| Reached {
                    tables: BTreeSet::new(),
                    is_direct: false,
                    reach: self.reach(&peer),
                });
                // What is touched of this peer's own Dejima tables, it tells their members itself.
                reached.is_direct |= tables.iter().any(|table| self.shares.contains_key(table));
                reached.tables.extend(tables);
            }
            scope.attributes.extend(group.attributes);
        }
        scope
    }

    /// The other peers of a group, each with the tables by which a change reaches it: this peer tells the members of its
    /// own tables, and whoever hears of the change by one table may tell the members of another.
    fn touched<'a>(
        &'a self,
        group: &'a PeerGroup,
        changed: &BTreeSet<Attribute>,
    ) -> BTreeMap<PeerName, BTreeSet<TableName>> {
        let mut touched: BTreeMap<PeerName, BTreeSet<TableName>> = BTreeMap::new();
        let own: BTreeSet<_> = changed.iter().map(|attribute| &attribute.table).collect();
        let (own, others): (Vec<_>, Vec<_>) =
            group.tables.iter().partition(|table| own.contains(table));
        for table in own {
            for peer in self.concerned(group, table) {
                touched
                    .entry(peer.clone())
                    .or_default()
                    .insert(table.clone());
            }
        }
        // A Dejima table of this peer that does not change here changes nowhere at its members by this peer's word.
        let others = others
            .into_iter()
            .filter(|table| !self.shares.contains_key(*table));
        let others: Vec<_> = others
            .map(|table| (table, self.concerned(group, table)))
            .collect();
        loop {
            let mut told = Vec::new();
            for (table, peers) in &others {
                let hears = |peer: &&&PeerName, by_another: bool| {
                    let by = touched.get(**peer).into_iter().flatten();
                    by.into_iter().any(|by| (by != *table) == by_another)
                };
                // Nobody tells himself: the second one tells the first.
                let tellers: Vec<_> = peers.iter().filter(|p| hears(p, true)).take(2).collect();
                let is_new = |peer: &&&PeerName| {
                    !hears(peer, false) && tellers.iter().any(|teller| teller != peer)
                };
                told.extend(peers.iter().filter(is_new).map(|peer| (*peer, *table)));
            }
            if told.is_empty() {
                return touched;
            }
            for (peer, table) in told {
                touched
                    .entry(peer.clone())
                    .or_default()
                    .insert(table.clone());
            }
        }
    }

    /// The other members of a Dejima table that have attributes of the group there.
    fn concerned(&self, group: &PeerGroup, table: &TableName) -> BTreeSet<&PeerName> {
        let members = self.knowledge.of_table(table).filter(|fact| {
            let mut attributes = fact.shape.attributes();
            !fact.shape.has_left
                && attributes.any(|attribute| group.attributes.contains(&attribute))
        });
        let members = members.map(|fact| &fact.peer);
        members.filter(|peer| **peer != self.me.peer).collect()
    }

    fn reach(&self, peer: &PeerName) -> Reach {
        let contact = self
            .knowledge
            .address(peer)
            .and_then(|address| self.contacts.get(address));
        contact.map_or(Reach::Unknown, |contact| contact.reach())
    }

    fn peer(&self, peer: &PeerName) -> Option<MemberState> {
        let facts = self
            .knowledge
            .of_peer(peer)
            .filter(|fact| fact.is_membership());
        let fact = facts.max_by_key(|fact| fact.incarnation)?;
        let contact = self
            .contacts
            .get(&*fact.address)
            .cloned()
            .unwrap_or_default();
        let identity = Identity {
            peer: peer.clone(),
            address: fact.address.to_string(),
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
        GroupState {
            table: share.table().clone(),
            members: self.members.agreeing(share.table()).cloned().collect(),
            columns: share
                .schema()
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            missing: self.missing(share),
        }
    }

    pub(super) fn membership(&self, share: &Share) -> Membership {
        let missing = self.missing(share);
        let members = if missing.is_empty() {
            let members = self.members.agreeing(share.table());
            Ok(members
                .filter(|peer| **peer != self.me.peer)
                .cloned()
                .collect())
        } else {
            Err(missing)
        };
        Membership {
            schema: share.schema().clone(),
            members,
        }
    }

    /// What keeps a group from being complete. Refusing changes until then is what keeps a member from being
    /// left out silently.
    pub(super) fn missing(&self, share: &Share) -> Vec<String> {
        let silent = share
            .seeds
            .iter()
            .filter(|_| !self.remembered.contains(share.table()));
        let silent = silent.filter_map(|seed| self.silence(share, seed));
        let members = self
            .knowledge
            .of_table(share.table())
            .filter(|fact| fact.is_membership());
        let differing = members.filter_map(|fact| {
            let difference = difference(share.schema(), fact.shape.schema.as_ref()?)?;
            Some(format!(
                "peer \"{}\" at {} declares it otherwise: {difference}",
                fact.peer, fact.address
            ))
        });
        if self.members.all_agree(share.table()) {
            return silent.collect();
        }
        silent.chain(differing).collect()
    }
}
