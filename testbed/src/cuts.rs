//! Who cannot hear whom: one state for all wires of a world.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::world::World;

/// The directions in which nothing passes. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Who sends, and who does not receive it.
    cut: Mutex<BTreeSet<(String, String)>>,
    healed: Condvar,
}

impl Cuts {
    fn cut(&self, from: &str, to: &str) {
        let mut cut = self.0.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.insert((from.to_owned(), to.to_owned()));
    }

    fn heal(&self) {
        let mut cut = self.0.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.clear();
        self.0.healed.notify_all();
    }

    /// Waits until what `from` sends reaches `to`.
    pub(crate) fn wait_until_whole(&self, from: &str, to: &str) {
        let direction = (from.to_owned(), to.to_owned());
        let cut = self.0.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cut = |cut: &mut BTreeSet<(String, String)>| cut.contains(&direction);
        drop(self.0.healed.wait_while(cut, is_cut));
    }
}

/// Partitions, in a world that was made with [`cuttable`](crate::WorldOptions::cuttable).
impl World {
    /// Lets nothing pass any more that one peer sends to the other, as if the packets were dropped: neither side is
    /// told, open connections stay open and silent, and new ones stay silent if either direction is cut.
    pub fn cut(&self, from: &str, to: &str) {
        let cuts = self.cuts();
        cuts.cut(self.member(from).name(), self.member(to).name());
    }

    /// Ends all cuts. What was sent meanwhile arrives now.
    pub fn heal(&self) {
        self.cuts().heal();
    }
}
