//! Messages of other peers, each to the transaction that it is about.

use super::outcomes::Inquirer;
use super::{Ended, Machine, Transaction};
use crate::name::{Gid, PeerName};
use crate::refusal::Refusal;
use crate::transaction::interface::{Decision, Message, Millis, RequestId};
use crate::transaction::participant::{Incoming, Participant};

impl Machine {
    pub(super) fn received(&mut self, now: Millis, from: PeerName, message: Message) {
        self.context.away.remove(&from);
        if let Some(recovery) = &mut self.recovery {
            return recovery.early.push((from, message));
        }
        match message {
            Message::Propagate {
                gid,
                request,
                table,
                group,
                batch,
                patience_ms,
                delta,
            } => {
                let asker = (from, request);
                let incoming = Incoming {
                    asker,
                    table,
                    group,
                    batch,
                    patience_ms,
                    delta,
                };
                self.hold_or_propagate(now, gid, incoming);
            }
            Message::Vote {
                gid,
                request,
                patience_ms,
            } => self.vote(now, (from, request), gid, patience_ms),
            Message::Terminate {
                gid,
                request,
                decision,
                cause,
            } => self.terminate(now, (from, request), gid, decision, cause),
            Message::Inquire {
                gid,
                request,
                parent,
            } => {
                let inquirer = Inquirer {
                    peer: from,
                    request,
                    is_child: parent == self.context.me,
                };
                self.inquire(inquirer, gid);
            }
            Message::Propagated {
                gid,
                request,
                result,
            } => self.at(&gid, now, |transaction, context| match transaction {
                Transaction::Origin(origin) => origin.answered(context, request, result),
                Transaction::Participant(participant) => {
                    participant.answered(context, now, request, result)
                }
            }),
            Message::Voted {
                gid,
                request,
                result,
            } => self.at(&gid, now, |transaction, context| match transaction {
                Transaction::Origin(origin) => origin.voted(context, now, request, result),
                Transaction::Participant(participant) => {
                    participant.voted(context, now, request, result)
                }
            }),
            Message::Terminated { gid, .. } => {
                self.at(&gid, now, |transaction, _| match transaction {
                    Transaction::Origin(origin) => origin.acknowledged(&from),
                    Transaction::Participant(participant) => participant.acknowledged(&from),
                })
            }
            Message::Decided {
                gid,
                request,
                decision,
            } => self.at_participant(&gid, now, |participant, context| {
                participant.decided(context, now, request, Ok(decision));
            }),
        }
    }

    pub(super) fn propagate(&mut self, now: Millis, gid: Gid, incoming: Incoming) {
        let (from, request) = incoming.asker.clone();
        let table = &incoming.table;
        let refused = match self.transactions.get_mut(&gid) {
            Some(Transaction::Origin(origin)) => {
                let result = origin.propagated_to(&self.context, &incoming);
                return self.context.reply(
                    &from,
                    Message::Propagated {
                        gid,
                        request,
                        result,
                    },
                );
            }
            Some(Transaction::Participant(participant)) => {
                participant.propagate(&mut self.context, now, incoming, false);
                return self.forget_if_over(now, &gid);
            }
            None if self.is_stopping => Some(self.not_ready()),
            None if self.ended.contains_key(&gid) || gid.origin() == self.context.me => {
                let what = "The transaction has already ended here.";
                let ended = || Refusal::conflict(&self.context.me, table, what);
                Some(self.cause(&gid).unwrap_or_else(ended))
            }
            None => {
                let checked = self.context.check_member(&from, table, incoming.group);
                let is_empty = incoming.delta.is_empty();
                let empty = || Refusal::forbidden(&self.context.me, "The delta is empty.");
                checked.err().or_else(|| is_empty.then(empty))
            }
        };
        if let Some(refusal) = refused {
            return self.context.reply(
                &from,
                Message::Propagated {
                    gid,
                    request,
                    result: Err(refusal),
                },
            );
        }
        let mut participant = Box::new(Participant::new(gid.clone(), from, now));
        participant.propagate(&mut self.context, now, incoming, true);
        self.transactions
            .insert(gid.clone(), Transaction::Participant(participant));
        self.forget_if_over(now, &gid);
    }

    fn vote(&mut self, now: Millis, asker: (PeerName, RequestId), gid: Gid, patience_ms: Millis) {
        if let Some(Transaction::Participant(participant)) = self.transactions.get_mut(&gid) {
            participant.vote(&mut self.context, now, asker, patience_ms);
        } else {
            let (to, request) = asker;
            let limit = self.context.limits.idle_ms_max;
            let late = || Refusal::late(&self.context.me, limit);
            let refusal = self.cause(&gid).unwrap_or_else(late);
            self.context.reply(
                &to,
                Message::Voted {
                    gid,
                    request,
                    result: Err(refusal),
                },
            );
        }
    }

    fn terminate(
        &mut self,
        now: Millis,
        asker: (PeerName, RequestId),
        gid: Gid,
        decision: Decision,
        cause: Option<Refusal>,
    ) {
        match self.transactions.get_mut(&gid) {
            Some(Transaction::Participant(participant)) => {
                participant.terminate(&mut self.context, now, asker, decision, cause);
                self.forget_if_over(now, &gid);
            }
            // A participant that aborted alone says so to the origin too, which hears it by its answers.
            Some(Transaction::Origin(_)) => self.acknowledge(asker, gid),
            // It was carried out before, or nothing of it ever came here.
            None => {
                if decision == Decision::Abort {
                    let is_learnt = false;
                    let ended = Ended {
                        decision,
                        is_learnt,
                        cause: cause.map(Box::new),
                    };
                    self.remember(now, gid.clone(), ended);
                }
                self.acknowledge(asker, gid);
            }
        }
    }

    fn acknowledge(&mut self, (to, request): (PeerName, RequestId), gid: Gid) {
        self.context
            .reply(&to, Message::Terminated { gid, request });
    }

    /// Why a transaction was aborted here.
    fn cause(&self, gid: &Gid) -> Option<Refusal> {
        self.ended.get(gid)?.cause.as_deref().cloned()
    }
}
