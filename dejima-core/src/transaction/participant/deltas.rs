//! Deltas at a participant: put, spread to further peers, answered when their subtree is closed.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Asker, Incoming, Participant, Serving, Stage, Step};
use crate::delta::{Captured, Delta};
use crate::name::{PeerName, TableName};
use crate::refusal::Refusal;
use crate::transaction::Request;
use crate::transaction::context::Context;
use crate::transaction::interface::{Message, Millis, RequestId};

impl Participant {
    /// A delta has come; `adopts` says that it is the first.
    pub(in crate::transaction) fn propagate(
        &mut self,
        context: &mut Context,
        now: Millis,
        incoming: Incoming,
        adopts: bool,
    ) {
        let asker = incoming.asker.clone();
        self.last_heard = now;
        self.told_patience_ms = self.told_patience_ms.max(incoming.patience_ms);
        if let Some(serving) = self.served.get(&asker) {
            if let Some(answer) = serving.answer.clone() {
                self.reply(context, &asker, answer);
            }
            return;
        }
        self.served.insert(
            asker.clone(),
            Serving {
                adopts,
                outstanding: 0,
                answer: None,
            },
        );
        if !matches!(self.stage, Stage::Open { .. }) {
            let ended = || {
                let what = "The transaction has ended here, or has voted.";
                Refusal::conflict(&context.me, &incoming.table, what)
            };
            let refusal = self.cause().cloned().unwrap_or_else(ended);
            return self.answer(context, &asker, Err(refusal));
        }
        if let Err(refusal) = self.turn_to(context, &incoming) {
            return self.fail(context, now, refusal);
        }
        self.queue.push_back(incoming);
        self.put_next(context, now);
    }

    /// A delta of a later batch says that the origin has all answers of the earlier ones, so nothing of them is in flight
    /// here; their rows are settled then. One of an earlier batch, not heard before, comes too late.
    fn turn_to(&mut self, context: &Context, incoming: &Incoming) -> Result<(), Refusal> {
        let is_idle = matches!(self.stage, Stage::Open { putting: None })
            && self.queue.is_empty()
            && self.questions.is_empty();
        match incoming.batch.cmp(&self.batch) {
            Ordering::Equal => Ok(()),
            Ordering::Greater if is_idle => {
                self.changes.settle();
                self.batch = incoming.batch;
                Ok(())
            }
            Ordering::Greater | Ordering::Less => {
                let what = "Deltas of two batches of one transaction are in flight at once.";
                Err(Refusal::conflict(&context.me, &incoming.table, what))
            }
        }
    }

    /// Puts the next delta that says something new; the others are answered at once.
    fn put_next(&mut self, context: &mut Context, now: Millis) {
        while let Stage::Open { putting: None } = self.stage {
            let Some(incoming) = self.queue.pop_front() else {
                return;
            };
            match self.prepare_put(context, &incoming) {
                Ok(Some(todo)) => {
                    self.stage = Stage::Open {
                        putting: Some((incoming.asker, todo)),
                    }
                }
                Ok(None) => self.close(context, &incoming.asker),
                Err(refusal) => self.fail(context, now, refusal),
            }
        }
    }

    fn prepare_put(
        &mut self,
        context: &mut Context,
        incoming: &Incoming,
    ) -> Result<Option<BTreeMap<TableName, Delta>>, Refusal> {
        let Incoming {
            asker: (from, _),
            table,
            group,
            delta,
            ..
        } = incoming;
        context.check_member(from, table, *group)?;
        let schema = &context.tables[table].schema;
        let todo = self.changes.join(&context.me, table, schema, delta)?;
        if todo.is_empty() {
            return Ok(None);
        }
        let put = self.changes.put(&context.me, table, schema, &todo)?;
        context.database(Request::Apply {
            gid: self.gid.clone(),
            puts: vec![put],
        });
        Ok(Some(BTreeMap::from([(table.clone(), todo)])))
    }

    pub(super) fn applied(&mut self, context: &mut Context, now: Millis, captured: Vec<Captured>) {
        match std::mem::replace(&mut self.stage, Stage::Open { putting: None }) {
            Stage::Open {
                putting: Some((asker, todo)),
            } => {
                let news = self
                    .changes
                    .absorb(&context.me, &context.tables, captured, &todo);
                let patience_ms = self.patience_ms(context);
                let batch = self.batch;
                match news
                    .and_then(|news| context.propagate(now, &self.gid, news, batch, patience_ms))
                {
                    Ok(asked) => {
                        self.spread(&asker, asked);
                        self.close(context, &asker);
                        self.put_next(context, now);
                    }
                    Err(refusal) => self.fail(context, now, refusal),
                }
            }
            Stage::Ending {
                step: Step::Waiting,
                announcement,
                askers,
            } => {
                context.database(Request::Rollback {
                    gid: self.gid.clone(),
                });
                let step = Step::Asked {
                    wait: context.limits.retry_ms_min,
                };
                self.stage = Stage::Ending {
                    step,
                    announcement,
                    askers,
                };
            }
            other => self.stage = other,
        }
    }

    fn spread(&mut self, asker: &Asker, asked: Vec<(RequestId, PeerName)>) {
        if let Some(serving) = self.served.get_mut(asker) {
            serving.outstanding += asked.len();
        }
        for (request, to) in asked {
            self.contacted.insert(to.clone());
            self.questions.insert(request, (to, asker.clone()));
        }
    }

    /// Answers a delta when everything that it caused has been answered.
    fn close(&mut self, context: &mut Context, asker: &Asker) {
        if let Some(serving) = self.served.get(asker)
            && serving.outstanding == 0
            && serving.answer.is_none()
        {
            let adopts = serving.adopts;
            self.answer(context, asker, Ok(adopts));
        }
    }

    fn answer(&mut self, context: &mut Context, asker: &Asker, result: Result<bool, Refusal>) {
        if let Some(serving) = self.served.get_mut(asker) {
            serving.answer = Some(result.clone());
        }
        if result.is_ok() {
            self.tally.add_ticket(&asker.0, asker.1);
        }
        self.reply(context, asker, result);
    }

    fn reply(&self, context: &mut Context, (to, request): &Asker, result: Result<bool, Refusal>) {
        context.reply(
            to,
            Message::Propagated {
                gid: self.gid.clone(),
                request: *request,
                result,
            },
        );
    }

    /// A subtree of this participant has closed.
    pub(in crate::transaction) fn answered(
        &mut self,
        context: &mut Context,
        now: Millis,
        request: RequestId,
        result: Result<bool, Refusal>,
    ) {
        let Some((peer, asker)) = self.questions.remove(&request) else {
            return;
        };
        if !matches!(self.stage, Stage::Open { .. }) {
            return;
        }
        match result {
            Ok(adopted) => {
                self.tally.add_ticket(&context.me, request);
                if adopted {
                    self.adopted.insert(peer);
                }
                if let Some(serving) = self.served.get_mut(&asker) {
                    serving.outstanding -= 1;
                }
                self.close(context, &asker);
            }
            Err(refusal) => self.fail(context, now, refusal),
        }
    }

    /// Before the vote anyone may abort alone: tells everybody who waits here why, and ends.
    pub(super) fn fail(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        let open = self
            .served
            .iter()
            .filter(|(_, serving)| serving.answer.is_none());
        let open: Vec<Asker> = open.map(|(asker, _)| asker.clone()).collect();
        for asker in open {
            self.answer(context, &asker, Err(refusal.clone()));
        }
        self.abort(context, now, refusal);
    }
}
