//! What has happened, as the invariants want to read it.

use std::collections::BTreeMap;

use dejima_core::name::Gid;
use dejima_core::transaction::{Decision, Message};

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
    /// Messages that told a peer of something that it does not share.
    pub leaks: Vec<String>,
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
    pub fn decided(&mut self, gid: &Gid, peer: usize, decision: Decision, effects: Vec<Effect>) {
        self.decisions.insert(gid.clone(), decision);
        self.effects
            .extend(effects.into_iter().map(|effect| (peer, effect)));
    }

    /// A participant has finished what it had prepared.
    pub fn finished(&mut self, gid: &Gid, peer: usize, decision: Decision) {
        let decided = self.decisions.get(gid).copied();
        self.finishes.push(Finish {
            gid: gid.clone(),
            peer,
            decision,
            decided,
        });
    }

    /// A message is on its way.
    pub fn sent(&mut self, scenario: &Scenario, to: usize, message: &Message) {
        if let Message::Propagate { table, gid, .. } = message
            && !scenario.tables_of(to).any(|shared| shared.name == *table)
        {
            self.leaks.push(format!(
                "{gid}: \"{table}\" was told to {}",
                scenario.peers[to]
            ));
        }
    }
}
