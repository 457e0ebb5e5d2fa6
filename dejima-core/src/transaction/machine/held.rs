//! Deltas that change a row which another transaction has changed and promised here.
//!
//! Its client may have had his COMMIT already and change the row again, while the decision is still on its way: the put would
//! not find the row as he saw it. So the delta waits until the decision is durable here. A transaction that has promised has
//! nothing left to put and waits for nobody, so no two of them can wait for each other.

use super::{Machine, Transaction};
use crate::name::Gid;
use crate::refusal::Refusal;
use crate::transaction::interface::{Message, Millis};
use crate::transaction::participant::Incoming;

/// A delta that waits.
#[derive(Debug)]
pub(super) struct Held {
    gid: Gid,
    incoming: Incoming,
    /// The transactions whose decision it waits for.
    behind: Vec<Gid>,
    /// When it is refused at the latest.
    pub(super) until: Millis,
}

impl Machine {
    /// A delta has come.
    pub(super) fn hold_or_propagate(&mut self, now: Millis, gid: Gid, incoming: Incoming) {
        let is_repeated = |held: &Held| held.incoming.asker == incoming.asker;
        if self.held.iter().any(is_repeated) {
            return;
        }
        let behind = self.withholding(&gid, &incoming);
        if behind.is_empty() {
            return self.propagate(now, gid, incoming);
        }
        self.held.push(Held {
            gid,
            incoming,
            behind,
            until: now + self.context.limits.lock_wait_ms_max,
        });
    }

    /// Which transactions withhold a row that the delta changes.
    fn withholding(&self, gid: &Gid, incoming: &Incoming) -> Vec<Gid> {
        let others = self.transactions.iter().filter(|(other, _)| *other != gid);
        let withholding = others.filter(|(_, other)| self.withholds(other, incoming));
        withholding.map(|(other, _)| other.clone()).collect()
    }

    fn withholds(&self, transaction: &Transaction, incoming: &Incoming) -> bool {
        let Incoming { table, delta, .. } = incoming;
        match (transaction, self.context.tables.get(table)) {
            (Transaction::Participant(participant), Some(membership)) => {
                participant.withholds(table, &membership.schema, delta)
            }
            _ => false,
        }
    }

    /// Lets those go on that have waited long enough: for the decision, or in vain.
    pub(super) fn admit_held(&mut self, now: Millis) {
        for mut held in std::mem::take(&mut self.held) {
            let is_withholding = |gid: &Gid| {
                let transaction = self.transactions.get(gid);
                transaction.is_some_and(|other| self.withholds(other, &held.incoming))
            };
            if !held.behind.iter().any(is_withholding) {
                // Another one may have promised in the meantime.
                held.behind = self.withholding(&held.gid, &held.incoming);
            }
            if held.behind.is_empty() {
                self.propagate(now, held.gid, held.incoming);
            } else if now < held.until {
                self.held.push(held);
            } else {
                self.refuse_held(held);
            }
        }
    }

    fn refuse_held(&mut self, held: Held) {
        let Held { gid, incoming, .. } = held;
        let (from, request) = incoming.asker;
        let what = "Another transaction has promised to change the same row, and its decision has not come yet.";
        let refusal = Refusal::conflict(&self.context.me, &incoming.table, what);
        let refused = Message::Propagated {
            gid,
            request,
            result: Err(refusal),
        };
        self.context.reply(&from, refused);
    }
}
