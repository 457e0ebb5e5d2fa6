//! What detection has come to, and whether it is right.

use std::thread;

use dejima_core::group::{Fact, Machine, PeerGroup, peer_groups};
use dejima_core::name::PeerName;
use dejima_core::transaction::Millis;

use super::topology::Plan;

/// What a run of detection has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Peers that are up and share something.
    pub peers: usize,
    /// Exchanges begun by all peers.
    pub messages: u64,
    /// Exchanges begun by the one that began most.
    pub most_messages: u64,
    /// When the last peer started, or left.
    pub last_start: Millis,
    /// When anybody last learnt anything.
    pub last_update: Millis,
    /// Peers with other groups than follow from what all share.
    pub wrong: Vec<Wrong>,
    /// What the peers complained of.
    pub complaints: Vec<String>,
}

/// A peer that has the wrong groups.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// The peer.
    pub peer: PeerName,
    /// Groups that it should have and has not.
    pub missing: Vec<PeerGroup>,
    /// Groups that it has and should not.
    pub surplus: Vec<PeerGroup>,
}

/// The groups that follow from what all share: derived from all facts at once, which no peer knows.
pub(super) fn expected(facts: &[Fact]) -> Vec<PeerGroup> {
    peer_groups(facts)
}

/// The peers that have other groups than those in which they share a table; on all processors.
pub(super) fn wrong(live: &[(&Machine, &Plan)], expected: &[PeerGroup]) -> Vec<Wrong> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = live.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = live
            .chunks(part)
            .map(|part| {
                scope.spawn(move || {
                    part.iter()
                        .filter_map(|peer| wrong_at(peer, expected))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|part| part.join().expect("comparing does not panic"))
            .collect()
    })
}

fn wrong_at((machine, plan): &(&Machine, &Plan), expected: &[PeerGroup]) -> Option<Wrong> {
    let concerns = |group: &&PeerGroup| {
        plan.shares
            .iter()
            .any(|share| group.tables.contains(share.table()))
    };
    let should: Vec<_> = expected.iter().filter(concerns).collect();
    let has = machine.peer_groups();
    let missing: Vec<_> = should
        .iter()
        .filter(|group| !has.contains(group))
        .map(|group| (*group).clone())
        .collect();
    let surplus: Vec<_> = has
        .iter()
        .filter(|group| !should.contains(group))
        .cloned()
        .collect();
    if missing.is_empty() && surplus.is_empty() {
        return None;
    }
    Some(Wrong {
        peer: plan.peer.clone(),
        missing,
        surplus,
    })
}
