//! A fact as it is kept: found by the name in it, so that the name is not kept a second time.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::Fact;
use super::log::Position;
use crate::name::PeerName;

/// A fact. In a set of facts about one Dejima table it is found by its peer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) fact: Arc<Fact>,
    /// Where it stands in the log.
    pub(super) position: Position,
}

impl Borrow<PeerName> for Entry {
    fn borrow(&self) -> &PeerName {
        &self.fact.peer
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.fact.peer.cmp(&other.fact.peer)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.fact.peer == other.fact.peer
    }
}

impl Eq for Entry {}
