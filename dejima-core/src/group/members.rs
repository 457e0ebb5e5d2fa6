//! Who shares the Dejima tables of this peer, who is at which address, and the trees along which news spread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Fact;
use super::knowledge::Knowledge;
use super::tree::Tree;
use crate::delta::Schema;
use crate::name::{PeerName, TableName};

/// The members of the Dejima tables of a peer, the peer itself among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    groups: BTreeMap<TableName, Group>,
    /// Who is at the addresses that this peer has to do with, by their own words.
    residents: BTreeMap<Arc<str>, BTreeSet<PeerName>>,
    /// Where those are of whom others have told that they share a Dejima table, by table.
    hints: BTreeMap<TableName, BTreeMap<PeerName, Arc<str>>>,
    away: BTreeSet<PeerName>,
    /// For two Dejima tables, in order, the first peer that shares both.
    bridges: BTreeMap<(TableName, TableName), PeerName>,
    /// Counts the changes of bridges.
    version: u64,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// All members.
    tree: Tree,
    /// Those of them that declare the Dejima table otherwise than this peer does.
    differing: BTreeSet<PeerName>,
    /// Counts the changes of both.
    version: u64,
}

const NOBODY: &BTreeSet<PeerName> = &BTreeSet::new();

impl Members {
    /// Takes in what is known now of a peer and a Dejima table, which this peer declares so.
    pub(super) fn set(&mut self, fact: &Fact, own: &Schema) {
        let hints = self.hints.entry(fact.table().clone()).or_default();
        if fact.shape.is_partial() && !fact.shape.has_left {
            hints.insert(fact.peer.clone(), Arc::clone(&fact.address));
            return;
        }
        hints.remove(&fact.peer);
        if fact.shape.is_partial() {
            return;
        }
        let group = self.groups.entry(fact.table().clone()).or_default();
        let is_member = fact.is_membership();
        let has_changed = if is_member {
            group.tree.insert(&fact.peer)
        } else {
            group.tree.remove(&fact.peer)
        };
        let has_turned = if is_member && fact.shape.schema.as_ref() != Some(own) {
            group.differing.insert(fact.peer.clone())
        } else {
            group.differing.remove(&fact.peer)
        };
        group.version += u64::from(has_changed || has_turned);
    }

    /// Takes in all that is known of the peer of a fact: it may carry news from the tree of one Dejima table to that of
    /// another.
    pub(super) fn set_bridges(&mut self, fact: &Fact, knowledge: &Knowledge) {
        if self.bridges.is_empty() && knowledge.others_of(fact).next().is_none() {
            return;
        }
        let peer = &fact.peer;
        let facts = knowledge.of_peer(peer).filter(|fact| !fact.shape.has_left);
        let tables: Vec<_> = facts.map(|fact| fact.table().clone()).collect();
        let is_lost = |(one, other): &(TableName, TableName)| {
            !tables.contains(one) || !tables.contains(other)
        };
        let lost = self
            .bridges
            .iter()
            .filter(|(pair, bridge)| *bridge == peer && is_lost(pair));
        let lost: Vec<_> = lost.map(|(pair, _)| pair.clone()).collect();
        for pair in lost {
            self.version += 1;
            match first_of_both(knowledge, &pair) {
                Some(next) => self.bridges.insert(pair, next),
                None => self.bridges.remove(&pair),
            };
        }
        for (at, one) in tables.iter().enumerate() {
            for other in &tables[at + 1..] {
                let pair = (one.clone(), other.clone());
                if self.bridges.get(&pair).is_none_or(|bridge| peer < bridge) {
                    self.bridges.insert(pair, peer.clone());
                    self.version += 1;
                }
            }
        }
    }

    /// Who carries news from the tree of one Dejima table to that of another.
    pub(super) fn bridge(&self, one: &TableName, other: &TableName) -> Option<&PeerName> {
        let pair = (one.min(other).clone(), one.max(other).clone());
        self.bridges.get(&pair)
    }

    /// Whether the last call of a peer failed.
    pub(super) fn is_known_away(&self, peer: &PeerName) -> bool {
        self.away.contains(peer)
    }

    /// Counts the changes of bridges.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether news that enter the tree of a Dejima table at `entry` pass `me` on their way to its neighbour `to`.
    pub(super) fn leads_away(
        &self,
        table: &TableName,
        entry: &PeerName,
        me: &PeerName,
        to: &PeerName,
    ) -> bool {
        let Some(group) = self.groups.get(table) else {
            return false;
        };
        let tree = &group.tree;
        self.views().into_iter().any(|without| {
            match (tree.parent(to, without), tree.parent(me, without)) {
                (Some(parent), _) if parent == me => !tree.is_below(entry, to, without),
                (_, Some(parent)) if parent == to => tree.is_below(entry, me, without),
                _ => false,
            }
        })
    }

    /// Whom to leave out of a tree: nobody, as if everybody could be reached, or those that did not answer.
    fn views(&self) -> [&BTreeSet<PeerName>; 2] {
        [NOBODY, &self.away]
    }

    /// Takes in where a peer is by this fact; `before` is the newest that was known.
    pub(super) fn move_to(&mut self, before: Option<&Fact>, fact: &Fact) {
        if before.is_some_and(|before| before.incarnation > fact.incarnation) {
            return;
        }
        if let Some(before) = before.filter(|before| before.address != fact.address) {
            if let Some(residents) = self.residents.get_mut(&before.address) {
                residents.remove(&fact.peer);
            }
            self.is_back(&fact.peer);
        }
        if let Some(residents) = self.residents.get_mut(&fact.address) {
            residents.insert(fact.peer.clone());
        }
    }

    /// From now on this peer has to do with an address.
    pub(super) fn look_at(&mut self, address: &str, knowledge: &Knowledge) {
        if !self.residents.contains_key(address) {
            let residents = knowledge.residents(address).cloned().collect();
            self.residents.insert(address.into(), residents);
        }
    }

    /// Whoever is at this address did not answer.
    pub(super) fn is_away(&mut self, address: &str) {
        for peer in self.residents.get(address).into_iter().flatten() {
            self.away.insert(peer.clone());
            self.version += 1;
        }
    }

    /// A peer was heard of.
    pub(super) fn is_back(&mut self, peer: &PeerName) {
        self.version += u64::from(self.away.remove(peer));
    }

    /// The members of a Dejima table without `me`.
    pub(super) fn others<'a>(
        &'a self,
        table: &TableName,
        me: &'a PeerName,
    ) -> impl Iterator<Item = &'a PeerName> {
        let groups = self.groups.get(table).into_iter();
        let members = groups.flat_map(|group| group.tree.iter());
        members.filter(move |peer| *peer != me)
    }

    /// The members of a Dejima table that declare it as this peer does.
    pub(super) fn agreeing(&self, table: &TableName) -> impl Iterator<Item = &PeerName> {
        let groups = self.groups.get(table).into_iter();
        groups.flat_map(|group| {
            let members = group.tree.iter();
            members.filter(|peer| !group.differing.contains(*peer))
        })
    }

    /// Counts the changes of the members of a Dejima table, and of how they declare it.
    pub(super) fn version_of(&self, table: &TableName) -> u64 {
        self.groups.get(table).map_or(0, |group| group.version)
    }

    /// Whether all members of a Dejima table declare it as this peer does.
    pub(super) fn all_agree(&self, table: &TableName) -> bool {
        let group = self.groups.get(table);
        group.is_none_or(|group| group.differing.is_empty())
    }

    /// Whether a peer is a member of a Dejima table.
    pub(super) fn contains(&self, table: &TableName, peer: &PeerName) -> bool {
        self.groups
            .get(table)
            .is_some_and(|group| group.tree.contains(peer))
    }

    /// The Dejima tables of this peer that another one shares.
    pub(super) fn tables_of<'a>(
        &'a self,
        peer: &'a PeerName,
    ) -> impl Iterator<Item = &'a TableName> {
        let groups = self
            .groups
            .iter()
            .filter(|(_, group)| group.tree.contains(peer));
        groups.map(|(table, _)| table)
    }

    /// The peers that are at an address that this peer has to do with, by their own words.
    pub(super) fn residents(&self, address: &str) -> impl Iterator<Item = &PeerName> {
        self.residents.get(address).into_iter().flatten()
    }

    /// Those of whom only others have told that they share a Dejima table, by name, and where they are.
    pub(super) fn hinted(&self, table: &TableName) -> impl Iterator<Item = (&PeerName, &str)> {
        let hints = self.hints.get(table).into_iter().flatten();
        hints.map(|(peer, address)| (peer, &**address))
    }

    /// Whether others have told that somebody at an address shares a Dejima table.
    pub(super) fn is_hinted(&self, table: &TableName, address: &str) -> bool {
        self.hints
            .get(table)
            .is_some_and(|hints| hints.values().any(|at| **at == *address))
    }

    /// Above whom a peer stands in the trees of which Dejima tables, and below whom: both as if everybody could be
    /// reached, and without those that can't.
    pub(super) fn neighbours<'a>(&'a self, me: &'a PeerName) -> Neighbours<'a> {
        let mut neighbours = Neighbours::default();
        for (table, group) in &self.groups {
            for without in self.views() {
                if let Some(parent) = group.tree.parent(me, without) {
                    neighbours.parents.entry(parent).or_default().insert(table);
                }
                for child in group.tree.children_of(me, without) {
                    neighbours.children.entry(child).or_default().insert(table);
                }
            }
        }
        neighbours
    }

    /// Whether a peer stands at the top of the tree of a Dejima table, as far as it can reach the others.
    pub(super) fn is_root(&self, table: &TableName, me: &PeerName) -> bool {
        self.groups
            .get(table)
            .is_some_and(|group| group.tree.root(&self.away) == Some(me))
    }
}

/// Whom a peer tells its news.
#[derive(Debug, Default)]
pub(super) struct Neighbours<'a> {
    pub(super) parents: BTreeMap<&'a PeerName, BTreeSet<&'a TableName>>,
    pub(super) children: BTreeMap<&'a PeerName, BTreeSet<&'a TableName>>,
}

fn first_of_both(knowledge: &Knowledge, (one, other): &(TableName, TableName)) -> Option<PeerName> {
    let peers = knowledge
        .of_table(one)
        .filter(|fact| !fact.shape.has_left)
        .map(|fact| &fact.peer);
    let shares = |peer: &&PeerName| {
        knowledge
            .of(other, peer)
            .is_some_and(|fact| !fact.shape.has_left)
    };
    peers.into_iter().find(shares).cloned()
}
