//! What was decided: peers that ask, and what the database says of the transactions that began here.

use super::{Machine, Transaction};
use crate::name::{Gid, PeerName};
use crate::transaction::interface::{Decision, Message, Millis, RequestId};
use crate::transaction::{Outcome, Request};

/// A peer that asks for a decision.
#[derive(Clone, Debug)]
pub(super) struct Inquirer {
    pub(super) peer: PeerName,
    pub(super) request: RequestId,
    /// This peer is its parent: until it has acknowledged, the rows here are kept, so their absence means abort.
    pub(super) is_child: bool,
}

impl Machine {
    /// What was decided? A parent that promised remembers until its children have acknowledged, so if it knows
    /// nothing, nothing was promised and the transaction aborted. Ours and unknown: the database knows. Whoever is
    /// not the parent says what it has learnt, and nothing else.
    pub(super) fn inquire(&mut self, inquirer: Inquirer, gid: Gid) {
        let is_child = inquirer.is_child;
        let decision = match (self.transactions.get(&gid), self.ended.get(&gid)) {
            (Some(Transaction::Origin(origin)), _) => origin.decision(),
            (Some(Transaction::Participant(participant)), _) if is_child => participant.decision(),
            (Some(Transaction::Participant(participant)), _) => participant.learnt_decision(),
            (None, _) if gid.origin() == self.context.me => {
                self.inquiries.entry(gid).or_default().push(inquirer);
                return;
            }
            (None, Some(ended)) if is_child || ended.is_learnt => Some(ended.decision),
            (None, _) => is_child.then_some(Decision::Abort),
        };
        self.decided(&inquirer, gid, decision);
    }

    pub(super) fn decided(&mut self, inquirer: &Inquirer, gid: Gid, decision: Option<Decision>) {
        let request = inquirer.request;
        self.context.reply(
            &inquirer.peer,
            Message::Decided {
                gid,
                request,
                decision,
            },
        );
    }

    pub(super) fn failed(&mut self, now: Millis, gids: &[Gid], why: &str) {
        self.is_database_failing = true;
        for gid in gids {
            if let Some(Transaction::Participant(participant)) = self.transactions.get_mut(gid) {
                participant.finish_later(&self.context, now, why);
                continue;
            }
            self.is_asking_outcomes = false;
            self.at_origin(gid, now, |origin, context| {
                origin.outcome_failed(context, now, why)
            });
            self.answer_inquiries(gid, &Outcome::Pending);
        }
    }

    /// The database answers again after a failure: what waits for it is due.
    pub(super) fn hurry_database(&mut self, now: Millis) {
        if std::mem::take(&mut self.is_database_failing) {
            for transaction in self.transactions.values_mut() {
                match transaction {
                    Transaction::Origin(origin) => origin.hurry_database(&self.context, now),
                    Transaction::Participant(participant) => {
                        participant.hurry_database(&self.context, now)
                    }
                }
            }
            self.tick(now);
        }
    }

    pub(super) fn outcomes(&mut self, now: Millis, outcomes: &[(Gid, Outcome)]) {
        self.is_asking_outcomes = false;
        for (gid, outcome) in outcomes {
            // The client committed after a restart of this peer, and his peers ask: from now on they are told.
            if let Outcome::Committed { participants } = outcome
                && !self.transactions.contains_key(gid)
                && !self.ended.contains_key(gid)
            {
                self.take_up_decided(now, gid.clone(), participants.clone());
            }
            self.at_origin(gid, now, |origin, context| {
                origin.outcome(context, now, outcome)
            });
            self.answer_inquiries(gid, outcome);
        }
    }

    pub(super) fn answer_inquiries(&mut self, gid: &Gid, outcome: &Outcome) {
        for inquirer in self.inquiries.remove(gid).unwrap_or_default() {
            let decision = match outcome {
                Outcome::Committed { .. } => Some(Decision::Commit),
                // The row may have gone because all of the origin's own children have acknowledged.
                Outcome::Aborted => inquirer.is_child.then_some(Decision::Abort),
                Outcome::Pending => None,
            };
            self.decided(&inquirer, gid.clone(), decision);
        }
    }

    /// One question at a time; as soon as one transaction wants to know, it is asked for all that wait.
    pub(super) fn ask_outcomes(&mut self, now: Millis) {
        if self.is_asking_outcomes {
            return;
        }
        let wanting = |now| {
            self.transactions
                .iter()
                .filter_map(move |(gid, transaction)| match transaction {
                    Transaction::Origin(origin) if origin.wants_outcome(now) => Some(gid.clone()),
                    _ => None,
                })
        };
        if wanting(now).next().is_none() && self.inquiries.is_empty() {
            return;
        }
        let gids = wanting(Millis::MAX)
            .chain(self.inquiries.keys().cloned())
            .collect();
        self.is_asking_outcomes = true;
        self.context.database(Request::Outcomes { gids });
    }
}
