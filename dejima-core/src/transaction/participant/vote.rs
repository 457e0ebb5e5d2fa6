//! The vote at a participant: prepare here, collect the promises below, promise.

use super::doubt::Inquiry;
use super::{Asker, Participant, Stage, Step};
use crate::name::{Gid, PeerName};
use crate::refusal::Refusal;
use crate::transaction::context::Context;
use crate::transaction::interface::{Message, Millis, RequestId};
use crate::transaction::{Request, Tally};

impl Participant {
    /// The parent asks for the promise.
    pub(in crate::transaction) fn vote(
        &mut self,
        context: &mut Context,
        now: Millis,
        (from, request): Asker,
        patience_ms: Millis,
    ) {
        self.last_heard = now;
        self.told_patience_ms = self.told_patience_ms.max(patience_ms);
        let refused = |refusal: Refusal| Message::Voted {
            gid: self.gid.clone(),
            request,
            result: Err(refusal),
        };
        let forbidden = |why: &str| refused(Refusal::forbidden(&context.me, why));
        match &mut self.stage {
            _ if from != self.parent => {
                let message = forbidden("Only the parent of a participant may ask for its vote.");
                context.reply(&from, message);
            }
            Stage::Open { putting: None } if self.questions.is_empty() && self.queue.is_empty() => {
                self.prepare(context, request);
            }
            Stage::Voting { vote, .. } => *vote = request,
            Stage::InDoubt { .. } => {
                context.reply(
                    &from,
                    Message::Voted {
                        gid: self.gid.clone(),
                        request,
                        result: Ok(self.tally),
                    },
                );
            }
            Stage::Open { .. } => {
                let message = forbidden("Deltas are still in flight.");
                context.reply(&from, message);
            }
            Stage::Ending { announcement, .. } => {
                let aborted = || Refusal::aborted(&context.me, &context.me);
                let message = refused(announcement.cause.clone().unwrap_or_else(aborted));
                context.reply(&from, message);
            }
        }
    }

    fn prepare(&mut self, context: &mut Context, vote: RequestId) {
        context.database(Request::Prepare {
            gid: self.gid.clone(),
            parent: self.parent.clone(),
            children: self.adopted.iter().cloned().collect(),
        });
        let patience_ms = self.patience_ms(context);
        let question = |gid: Gid| {
            move |request| Message::Vote {
                gid,
                request,
                patience_ms,
            }
        };
        let ask = |peer: &PeerName| (context.ask(peer, question(self.gid.clone())), peer.clone());
        let questions = self.adopted.iter().map(ask).collect();
        self.stage = Stage::Voting {
            vote,
            is_prepared: false,
            questions,
        };
    }

    pub(super) fn prepared(&mut self, context: &mut Context, now: Millis) {
        match &mut self.stage {
            Stage::Voting { is_prepared, .. } => {
                *is_prepared = true;
                self.promise(context, now);
            }
            Stage::Ending { step, .. } if *step == Step::Waiting => {
                *step = Step::Asked {
                    wait: context.limits.retry_ms_min,
                };
                self.carry_out(context);
            }
            _ => {}
        }
    }

    /// A promise of the subtree, or none.
    pub(in crate::transaction) fn voted(
        &mut self,
        context: &mut Context,
        now: Millis,
        request: RequestId,
        result: Result<Tally, Refusal>,
    ) {
        let Stage::Voting { questions, .. } = &mut self.stage else {
            return;
        };
        if questions.remove(&request).is_none() {
            return;
        }
        match result {
            Ok(subtree) => {
                self.tally.add(subtree);
                self.promise(context, now);
            }
            Err(refusal) => self.refuse_vote(context, now, refusal),
        }
    }

    /// Promises when the whole subtree has.
    fn promise(&mut self, context: &mut Context, now: Millis) {
        if let Stage::Voting {
            vote,
            is_prepared: true,
            questions,
        } = &self.stage
            && questions.is_empty()
        {
            let voted = Message::Voted {
                gid: self.gid.clone(),
                request: *vote,
                result: Ok(self.tally),
            };
            context.reply(&self.parent, voted);
            let first_at = now + context.limits.transaction_ms_max;
            self.has_promised = true;
            self.stage = Stage::InDoubt {
                inquiry: Inquiry::new(&context.limits, first_at),
                resolution: None,
            };
        }
    }

    pub(super) fn refuse_vote(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        if let Stage::Voting { vote, .. } = &self.stage {
            let voted = Message::Voted {
                gid: self.gid.clone(),
                request: *vote,
                result: Err(refusal.clone()),
            };
            context.reply(&self.parent, voted);
            self.abort(context, now, refusal);
        }
    }
}
