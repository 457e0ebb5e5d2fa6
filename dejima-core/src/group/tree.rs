//! Whom a member of a Dejima table tells its news: a tree over the members that everybody computes alike.
//!
//! The peer whose name comes first is the root. Every peer has a level by a hash of its name: one of sixteen is above the
//! lowest, one of these sixteen above that, and so on. The parent of a peer is the nearest one before it, by name, of a
//! higher level. So news take few steps, nobody has many neighbours, a newcomer changes few edges, and the first
//! sixteen or so are a star.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::name::PeerName;

/// Bits of the hash that make one level: a sixteenth of the peers rises above each.
const LEVEL_BITS: u32 = 4;

/// The members of one Dejima table, as a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    levels: BTreeMap<u32, BTreeSet<PeerName>>,
}

impl Tree {
    /// Puts a peer in.
    pub(super) fn insert(&mut self, peer: &PeerName) {
        let level = self.levels.entry(level(peer)).or_default();
        level.insert(peer.clone());
    }

    /// Takes a peer out.
    pub(super) fn remove(&mut self, peer: &PeerName) {
        if let Some(level) = self.levels.get_mut(&level(peer)) {
            level.remove(peer);
        }
    }

    /// The peer at the top.
    pub(super) fn root(&self) -> Option<&PeerName> {
        self.levels.values().filter_map(BTreeSet::first).min()
    }

    /// Whom a peer tells first; nobody if it is the root.
    pub(super) fn parent(&self, peer: &PeerName) -> Option<&PeerName> {
        let root = self.root().filter(|root| *root != peer)?;
        let higher = self.levels.range((Excluded(level(peer)), Unbounded));
        let before = higher.filter_map(|(_, level)| level.range(..peer).next_back());
        Some(before.max().map_or(root, |before| before.max(root)))
    }

    /// Whether the way from a peer to the root leads over `above`, or begins there.
    pub(super) fn is_below(&self, peer: &PeerName, above: &PeerName) -> bool {
        let mut at = Some(peer);
        while let Some(peer) = at {
            if peer == above {
                return true;
            }
            at = self.parent(peer);
        }
        false
    }

    /// Those whose parent a peer is.
    pub(super) fn children_of<'a>(
        &'a self,
        peer: &'a PeerName,
    ) -> impl Iterator<Item = &'a PeerName> {
        let is_root = self.root() == Some(peer);
        let below = if is_root { u32::MAX } else { level(peer) };
        self.levels.range(..below).flat_map(move |(&at, level)| {
            // Up to the first one that is higher than these, and so their parent in its turn.
            let higher = self.levels.range((Excluded(at), Unbounded));
            let ends = higher.filter_map(|(_, level)| after(level, peer).next());
            let end = ends.min();
            after(level, peer).take_while(move |child| end.is_none_or(|end| *child < end))
        })
    }
}

fn after<'a>(
    level: &'a BTreeSet<PeerName>,
    peer: &'a PeerName,
) -> impl Iterator<Item = &'a PeerName> {
    level.range::<PeerName, _>((Excluded(peer), Unbounded))
}

/// By a hash, so that every peer finds the same.
fn level(peer: &PeerName) -> u32 {
    peer.hash64().trailing_zeros() / LEVEL_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(numbers: &BTreeSet<u32>) -> (Tree, Vec<PeerName>) {
        let peers: Vec<_> = numbers
            .iter()
            .map(|number| PeerName::new(&format!("p{number}")).expect("a name"))
            .collect();
        let mut tree = Tree::default();
        peers.iter().for_each(|peer| tree.insert(peer));
        (tree, peers)
    }

    proptest! {
        #[test]
        fn children_are_those_whose_parent_it_is(numbers in proptest::collection::btree_set(0u32..100_000, 1..300)) {
            let (tree, peers) = tree(&numbers);
            for peer in &peers {
                let children: BTreeSet<_> = tree.children_of(peer).collect();
                let expected: BTreeSet<_> = peers.iter().filter(|other| tree.parent(other) == Some(peer)).collect();
                prop_assert_eq!(children, expected);
            }
        }

        #[test]
        fn everybody_leads_to_the_root(numbers in proptest::collection::btree_set(0u32..100_000, 1..300)) {
            let (tree, peers) = tree(&numbers);
            for peer in &peers {
                let mut at = peer;
                while let Some(parent) = tree.parent(at) {
                    prop_assert!(parent < at);
                    at = parent;
                }
                prop_assert_eq!(Some(at), tree.root());
            }
        }
    }

    #[test]
    fn a_newcomer_changes_few_edges() {
        let (tree, peers) = tree(&(0..10_000).collect());
        let neighbours = peers.iter().map(|peer| tree.children_of(peer).count() + 1);
        assert!(
            neighbours.clone().max() < Some(250),
            "{:?}",
            neighbours.max()
        );
        let depth = |mut peer| {
            let mut depth = 0;
            while let Some(parent) = tree.parent(peer) {
                (peer, depth) = (parent, depth + 1);
            }
            depth
        };
        assert!(peers.iter().map(depth).max() < Some(6));
        let mut without = tree.clone();
        without.remove(&peers[4_321]);
        let moved = peers
            .iter()
            .filter(|peer| tree.parent(peer) != without.parent(peer));
        assert!(moved.count() < 250);
    }
}
