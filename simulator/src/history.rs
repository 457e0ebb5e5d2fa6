//! What has happened, as the invariants want to read it.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::Decision;

use crate::client::Effect;
use crate::scenario::Scenario;

/// The record of one seed.
#[derive(Debug, Default)]
pub struct History {
    /// How each client's transaction ended.
    pub decisions: BTreeMap<Gid, Decision>,
    /// The meaning of the committed ones, in the order of their commits, and at which peer they were said.
    pub effects: Vec<(usize, Effect)>,
    /// What participants did with what they had prepared, and what was decided by then.
    pub finishes: Vec<Finish>,
    /// The peers that decision rows and participant rows name: all of them must commit.
    pub named: BTreeSet<(Gid, usize)>,
    /// The participants that have committed, durably.
    pub committed: BTreeSet<(Gid, usize)>,
    /// Rows that were forgotten before everybody named in them had committed.
    pub forgotten_early: Vec<String>,
    /// Messages that told a peer of something that is not for it.
    pub leaks: Vec<String>,
    /// Committed transactions whose hook had to put what came back, and call again.
    pub several_rounds: u64,
    /// Committed transactions that were taken in several batches.
    pub several_batches: u64,
}

/// A participant's COMMIT PREPARED or ROLLBACK PREPARED.
#[derive(Debug)]
pub struct Finish {
    /// The transaction.
    pub gid: Gid,
    /// Where.
    pub peer: usize,
    /// What it did.
    pub decision: Decision,
    /// What the client's transaction had decided by then.
    pub decided: Option<Decision>,
}

impl History {
    /// A client's transaction has ended.
    pub(crate) fn decided(
        &mut self,
        gid: &Gid,
        peer: usize,
        decision: Decision,
        effects: Vec<Effect>,
    ) {
        self.decisions.insert(gid.clone(), decision);
        self.effects
            .extend(effects.into_iter().map(|effect| (peer, effect)));
    }

    /// A participant has finished what it had prepared.
    pub(crate) fn finished(&mut self, gid: &Gid, peer: usize, decision: Decision) {
        let decided = self.decisions.get(gid).copied();
        if decision == Decision::Commit {
            self.committed.insert((gid.clone(), peer));
        }
        self.finishes.push(Finish {
            gid: gid.clone(),
            peer,
            decision,
            decided,
        });
    }

    /// A row that names these peers has become visible.
    pub(crate) fn names(&mut self, scenario: &Scenario, gid: &Gid, peers: &[PeerName]) {
        let positions = peers.iter().filter_map(|peer| scenario.position(peer));
        self.named.extend(positions.map(|at| (gid.clone(), at)));
    }

    /// A row that names these peers is being forgotten at `peer`.
    pub(crate) fn forgets(
        &mut self,
        scenario: &Scenario,
        peer: usize,
        gid: &Gid,
        peers: &[PeerName],
    ) {
        let has_not_committed = |name: &&PeerName| {
            scenario
                .position(name)
                .is_some_and(|at| !self.committed.contains(&(gid.clone(), at)))
        };
        if let Some(waiting) = peers.iter().find(has_not_committed) {
            self.forgotten_early.push(format!(
                "{gid}: {} forgot its row before {waiting} had committed",
                scenario.peers[peer]
            ));
        }
    }
}
