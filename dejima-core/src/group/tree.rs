//! Whom a member of a Dejima table tells its news: a tree over the members that everybody computes alike.
//!
//! The peer whose name comes first is the root. Every peer has a level by a hash of its name: one of sixteen is above the
//! lowest, one of these sixteen above that, and so on. The parent of a peer is the nearest one before it, by name, of a
//! higher level. So news take few steps, nobody has many neighbours, a newcomer changes few edges, and the first
//! sixteen or so are a star.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use crate::name::PeerName;

/// Bits of the hash that make one level: a sixteenth of the peers rises above each.
const LEVEL_BITS: u32 = 4;

/// The members of one Dejima table, as a tree.
///
/// Whoever asks can leave some of them out of it (`without`): then the neighbours of these are each other's neighbours.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// At each level those that rise to it or higher; at the lowest all.
    levels: Vec<BTreeSet<PeerName>>,
}

impl Tree {
    /// Puts a peer in. False if it was in.
    pub(super) fn insert(&mut self, peer: &PeerName) -> bool {
        let height = level(peer) + 1;
        if self.levels.len() < height {
            self.levels.resize_with(height, BTreeSet::new);
        }
        let mut levels = self.levels[..height].iter_mut();
        levels.all(|level| level.insert(peer.clone()))
    }

    /// Takes a peer out. False if it was not in.
    pub(super) fn remove(&mut self, peer: &PeerName) -> bool {
        let mut levels = self.levels.iter_mut().take(level(peer) + 1);
        levels.all(|level| level.remove(peer))
    }

    /// Whether a peer is in.
    pub(super) fn contains(&self, peer: &PeerName) -> bool {
        let all = self.levels.first();
        all.is_some_and(|all| all.contains(peer))
    }

    /// All peers, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PeerName> {
        self.levels.first().into_iter().flatten()
    }

    /// The peer at the top.
    pub(super) fn root(&self, without: &BTreeSet<PeerName>) -> Option<&PeerName> {
        self.iter().find(|peer| !without.contains(*peer))
    }

    /// Whom a peer tells first; nobody if it is the root.
    pub(super) fn parent(
        &self,
        peer: &PeerName,
        without: &BTreeSet<PeerName>,
    ) -> Option<&PeerName> {
        let root = self.root(without).filter(|root| *root != peer)?;
        let higher = self.levels.get(level(peer) + 1).into_iter();
        let mut before = higher.flat_map(|level| level.range(..peer).rev());
        let before = before.find(|before| !without.contains(*before));
        Some(before.unwrap_or(root))
    }

    /// Whether the way from a peer to the root leads over `above`, or begins there.
    pub(super) fn is_below(
        &self,
        peer: &PeerName,
        above: &PeerName,
        without: &BTreeSet<PeerName>,
    ) -> bool {
        let mut at = Some(peer);
        while let Some(peer) = at {
            if peer == above {
                return true;
            }
            at = self.parent(peer, without);
        }
        false
    }

    /// Those whose parent a peer is.
    pub(super) fn children_of<'a>(
        &'a self,
        peer: &'a PeerName,
        without: &'a BTreeSet<PeerName>,
    ) -> impl Iterator<Item = &'a PeerName> {
        let is_root = self.root(without) == Some(peer);
        let below = if is_root {
            self.levels.len()
        } else {
            level(peer)
        };
        let after = move |at: usize| {
            let level = self.levels.get(at).into_iter();
            let after = level.flat_map(move |level| level.range((Excluded(peer), Unbounded)));
            after.filter(move |after| !without.contains(*after))
        };
        (0..below).flat_map(move |at| {
            // Up to the first one that is higher than these, and so their parent in its turn.
            let end = after(at + 1).next();
            after(at).take_while(move |child| end.is_none_or(|end| *child < end))
        })
    }
}

/// By a hash, so that every peer finds the same.
fn level(peer: &PeerName) -> usize {
    (peer.hash64().trailing_zeros() / LEVEL_BITS) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOBODY: &BTreeSet<PeerName> = &BTreeSet::new();

    fn peers(numbers: &BTreeSet<u32>) -> Vec<PeerName> {
        let name = |number| PeerName::new(&format!("p{number}")).expect("a name");
        numbers.iter().map(name).collect()
    }

    fn tree<'a>(peers: impl IntoIterator<Item = &'a PeerName>) -> Tree {
        let mut tree = Tree::default();
        peers
            .into_iter()
            .for_each(|peer| assert!(tree.insert(peer)));
        tree
    }

    proptest! {
        #[test]
        fn children_are_those_whose_parent_it_is(numbers in proptest::collection::btree_set(0u32..100_000, 1..300)) {
            let peers = peers(&numbers);
            let tree = tree(&peers);
            for peer in &peers {
                let children: BTreeSet<_> = tree.children_of(peer, NOBODY).collect();
                let expected: BTreeSet<_> = peers.iter().filter(|other| tree.parent(other, NOBODY) == Some(peer)).collect();
                prop_assert_eq!(children, expected);
            }
        }

        #[test]
        fn everybody_leads_to_the_root(numbers in proptest::collection::btree_set(0u32..100_000, 1..300)) {
            let peers = peers(&numbers);
            let tree = tree(&peers);
            for peer in &peers {
                let mut at = peer;
                while let Some(parent) = tree.parent(at, NOBODY) {
                    prop_assert!(parent < at);
                    at = parent;
                }
                prop_assert_eq!(Some(at), tree.root(NOBODY));
            }
        }

        #[test]
        fn without_some_it_is_the_tree_of_the_others(
            numbers in proptest::collection::btree_set(0u32..100_000, 1..300),
            every in 2usize..20,
        ) {
            let peers = peers(&numbers);
            let without: BTreeSet<_> = peers.iter().step_by(every).cloned().collect();
            let others = tree(peers.iter().filter(|peer| !without.contains(*peer)));
            let mut smaller = tree(&peers);
            without.iter().for_each(|peer| assert!(smaller.remove(peer)));
            let tree = tree(&peers);
            prop_assert!(smaller.iter().eq(others.iter()));
            prop_assert_eq!(tree.root(&without), others.root(NOBODY));
            for peer in &peers {
                prop_assert_eq!(smaller.contains(peer), !without.contains(peer));
                for other in [&others, &smaller] {
                    prop_assert_eq!(tree.parent(peer, &without), other.parent(peer, NOBODY));
                    prop_assert!(tree.children_of(peer, &without).eq(other.children_of(peer, NOBODY)));
                }
            }
        }
    }

    #[test]
    fn a_newcomer_changes_few_edges() {
        let peers = peers(&(0..10_000).collect());
        let tree = tree(&peers);
        let neighbours = peers
            .iter()
            .map(|peer| tree.children_of(peer, NOBODY).count() + 1);
        assert!(
            neighbours.clone().max() < Some(250),
            "{:?}",
            neighbours.max()
        );
        let depth = |mut peer| {
            let mut depth = 0;
            while let Some(parent) = tree.parent(peer, NOBODY) {
                (peer, depth) = (parent, depth + 1);
            }
            depth
        };
        assert!(peers.iter().map(depth).max() < Some(6));
        let without = [peers[4_321].clone()].into();
        let moved = peers
            .iter()
            .filter(|peer| tree.parent(peer, NOBODY) != tree.parent(peer, &without));
        assert!(moved.count() < 250);
    }
}
