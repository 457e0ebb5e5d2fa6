//! What others say is taken in as far as they may say it (invariant 5).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::knowledge::Learnt;
use super::super::{Fact, Output, difference};
use super::Machine;
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

/// No peer has started or run so often or so long. The count goes on behind it, in a bigint.
const INCARNATION_MAX: u64 = 1 << 62;

impl Machine {
    /// Takes in what a peer says.
    pub(super) fn learn(&mut self, now: Millis, from: &PeerName, facts: &[Arc<Fact>]) {
        // The sender's own facts first: they say of which Dejima tables it may speak.
        let (own, relayed): (Vec<_>, Vec<_>) = facts.iter().partition(|fact| fact.peer == *from);
        let mut news = Vec::new();
        for facts in [own, relayed] {
            let shared: BTreeSet<_> = self.members.tables_of(from).cloned().collect();
            for fact in facts {
                let known = self.knowledge.of(fact.table(), &fact.peer);
                if known.is_some_and(|known| Arc::ptr_eq(known, fact))
                    || !self.may_say(from, &shared, fact)
                {
                    continue;
                }
                match self.take_in(fact) {
                    (Learnt::Known, _) => {}
                    (Learnt::News, known) => {
                        self.complain_of_difference(fact);
                        news.push(known);
                    }
                    (Learnt::Ambiguous, _) => self.complain_of_namesakes(fact),
                }
            }
        }
        if news.is_empty() {
            return;
        }
        self.counters.updates += 1;
        self.counters.last_update = Some(now);
        self.outputs.push_back(Output::Save(news));
    }

    /// Whether a peer that shares these Dejima tables may say a fact.
    fn may_say(&mut self, from: &PeerName, shared: &BTreeSet<TableName>, fact: &Fact) -> bool {
        let (peer, table) = (&fact.peer, fact.table());
        if *peer == self.me.peer {
            self.compare_with_own(from, fact);
            return false;
        }
        let is_shared = self.shares.contains_key(table);
        if !is_shared && !fact.shape.is_partial() {
            if let Some(former) = self.former.get_mut(table) {
                // Whoever has left too passes nothing on.
                if fact.shape.has_left {
                    former.remove(peer);
                }
            } else {
                self.complain(format!(
                    "peer \"{from}\" speaks of Dejima table \"{table}\", which this peer does not share"
                ));
            }
            return false;
        }
        if *peer == *from {
            return true;
        }
        if !fact.shape.is_partial() && !shared.contains(table) {
            self.complain(format!(
                "peer \"{from}\" speaks of Dejima table \"{table}\", which it does not share"
            ));
            return false;
        }
        !shared.is_empty()
    }

    /// A fact about this peer is known better here, unless its database was put back to an earlier state, or another
    /// peer uses the same name.
    fn compare_with_own(&mut self, from: &PeerName, fact: &Fact) {
        let own = self.knowledge.of(fact.table(), &self.me.peer);
        let is_own =
            own.is_some_and(|own| own.shape.contains(&fact.shape) && own.address == fact.address);
        if fact.incarnation < self.me.incarnation
            || (is_own && fact.incarnation == self.me.incarnation)
        {
            return;
        }
        if fact.incarnation > INCARNATION_MAX {
            self.counters.conflicts += 1;
            return self.complain(format!(
                "peer \"{from}\" says that it has seen start {} of this peer, which cannot be",
                fact.incarnation
            ));
        }
        if *fact.address == *self.me.address {
            return self.count_beyond(from, fact.incarnation);
        }
        self.counters.conflicts += 1;
        let complaint = format!(
            "peer \"{from}\" knows a peer \"{}\" at {}, which is not this one: two peers use one name, or this \
             peer has moved and its database was put back to an earlier state",
            fact.peer, fact.address
        );
        self.complain(complaint);
    }

    fn complain_of_namesakes(&mut self, fact: &Fact) {
        self.counters.conflicts += 1;
        self.complain(format!(
            "two peers use the name \"{}\"; one of them is at {}",
            fact.peer, fact.address
        ));
    }

    pub(super) fn complain_of_difference(&mut self, fact: &Fact) {
        let (Some(share), Some(schema)) = (self.shares.get(fact.table()), &fact.shape.schema)
        else {
            return;
        };
        let difference = difference(share.schema(), schema).filter(|_| fact.is_membership());
        let Some(difference) = difference else {
            return;
        };
        self.counters.conflicts += 1;
        let complaint = format!(
            "peer \"{}\" at {} declares Dejima table \"{}\" otherwise than peer \"{}\": {difference}. Changes of it are \
             refused until both declare the same",
            fact.peer,
            fact.address,
            fact.table(),
            self.me.peer
        );
        self.complain(complaint);
    }
}
