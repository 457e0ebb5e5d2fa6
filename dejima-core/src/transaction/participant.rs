//! A transaction at a participant: between the first delta and the last acknowledgement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::announcement::Announcement;
use super::changes::Changes;
use super::context::Context;
use super::interface::{Decision, Message, Millis, RequestId, Summary};
use super::{Answer, Request, Tally};
use crate::delta::Delta;
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;

/// A participant's part of a transaction.
#[derive(Debug)]
pub(super) struct Participant {
    gid: Gid,
    /// Who sent the first delta: it will send the vote and the decision, and is asked when they do not come.
    parent: PeerName,
    since: Millis,
    last_heard: Millis,
    changes: Changes,
    /// Everybody who was sent a delta: they hear of an abort.
    contacted: BTreeSet<PeerName>,
    /// Those whose first delta came from here: they vote, and hear of the decision.
    adopted: BTreeSet<PeerName>,
    /// Deltas received: waiting, being put, spreading, answered.
    served: BTreeMap<Asker, Serving>,
    queue: VecDeque<(Asker, TableName, Delta)>,
    /// Questions of this peer, and which delta caused them.
    questions: BTreeMap<RequestId, (PeerName, Asker)>,
    tally: Tally,
    told_patience_ms: Millis,
    stage: Stage,
}

/// A question of another peer: who, and its number.
pub(super) type Asker = (PeerName, RequestId);

/// A delta as it comes from another peer.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) asker: Asker,
    pub(super) table: TableName,
    pub(super) patience_ms: Millis,
    pub(super) delta: Delta,
}

#[derive(Debug)]
struct Serving {
    adopts: bool,
    outstanding: usize,
    /// Kept, so that a repeated question is answered and not put again.
    answer: Option<Result<bool, Refusal>>,
}

/// In the order of a life; the README beside this file argues what a crash means in each.
#[derive(Debug)]
enum Stage {
    /// The transaction is open in the database. Nothing is promised: it may be aborted alone.
    Open {
        putting: Option<(Asker, BTreeMap<TableName, Delta>)>,
    },
    /// The subtree is preparing. The promise is not given yet.
    Voting {
        vote: RequestId,
        is_prepared: bool,
        questions: BTreeMap<RequestId, PeerName>,
    },
    /// Prepared here and below, and promised: only the decision ends it.
    InDoubt { inquiry: Inquiry, wait: Millis },
    /// The decision is known.
    Ending {
        step: Step,
        announcement: Announcement,
        askers: Vec<Asker>,
    },
}

#[derive(Debug)]
enum Inquiry {
    Asked(RequestId),
    At(Millis),
}

/// How far the decision is carried out in the database.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The answer to an earlier request must come first.
    Waiting,
    /// Asked to roll back or to finish; after a failure it waits so long before it asks again.
    Asked { wait: Millis },
    /// Could not finish; asks again then.
    AgainAt { at: Millis, wait: Millis },
    /// Durable.
    Done,
}

impl Participant {
    pub(super) fn new(gid: Gid, parent: PeerName, now: Millis) -> Self {
        Self {
            gid,
            parent,
            since: now,
            last_heard: now,
            changes: Changes::default(),
            contacted: BTreeSet::new(),
            adopted: BTreeSet::new(),
            served: BTreeMap::new(),
            queue: VecDeque::new(),
            questions: BTreeMap::new(),
            tally: Tally::default(),
            told_patience_ms: 0,
            stage: Stage::Open { putting: None },
        }
    }

    /// A prepared transaction of before the restart: it promised, so it asks.
    pub(super) fn recovered(context: &Context, now: Millis, gid: Gid, parent: PeerName) -> Self {
        let stage = Stage::InDoubt {
            inquiry: Inquiry::At(now),
            wait: context.limits.retry_ms_min,
        };
        Self {
            stage,
            ..Self::new(gid, parent, now)
        }
    }

    /// A participant row of before the restart: committed here, perhaps not yet below.
    pub(super) fn recovered_finished(
        context: &mut Context,
        now: Millis,
        gid: Gid,
        children: Vec<PeerName>,
    ) -> Self {
        let mut participant = Self::new(gid, context.me.clone(), now);
        participant.adopted = children.into_iter().collect();
        let announcement = Announcement::start(
            context,
            &participant.gid,
            Decision::Commit,
            &participant.adopted,
        );
        participant.stage = Stage::Ending {
            step: Step::Done,
            announcement,
            askers: vec![],
        };
        participant
    }

    /// A delta has come; `adopts` says that it is the first.
    pub(super) fn propagate(
        &mut self,
        context: &mut Context,
        now: Millis,
        incoming: Incoming,
        adopts: bool,
    ) {
        let Incoming {
            asker,
            table,
            patience_ms,
            delta,
        } = incoming;
        self.last_heard = now;
        self.told_patience_ms = self.told_patience_ms.max(patience_ms);
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
            let refusal = Refusal::conflict(
                &context.me,
                &table,
                "The transaction has ended here, or has voted.",
            );
            return self.answer(context, &asker, Err(refusal));
        }
        self.queue.push_back((asker, table, delta));
        self.put_next(context, now);
    }

    /// Puts the next delta that says something new; the others are answered at once.
    fn put_next(&mut self, context: &mut Context, now: Millis) {
        while let Stage::Open { putting: None } = self.stage {
            let Some((asker, table, delta)) = self.queue.pop_front() else {
                return;
            };
            match self.prepare_put(context, &asker, &table, &delta) {
                Ok(Some(todo)) => {
                    self.stage = Stage::Open {
                        putting: Some((asker, todo)),
                    }
                }
                Ok(None) => self.close(context, &asker),
                Err(refusal) => self.fail(context, now, refusal),
            }
        }
    }

    fn prepare_put(
        &mut self,
        context: &mut Context,
        asker: &Asker,
        table: &TableName,
        delta: &Delta,
    ) -> Result<Option<BTreeMap<TableName, Delta>>, Refusal> {
        context.check_member(&asker.0, table)?;
        let conflict = |e| Refusal::conflict(&context.me, table, &format!("{e}."));
        let todo = self.changes.join(table, delta).map_err(conflict)?;
        if todo.is_empty() {
            return Ok(None);
        }
        let schema = &context.tables[table].schema;
        let put = self.changes.put(&context.me, table, schema, &todo)?;
        context.database(Request::Apply {
            gid: self.gid.clone(),
            puts: vec![put],
        });
        Ok(Some(BTreeMap::from([(table.clone(), todo)])))
    }

    /// The database has answered.
    pub(super) fn database(&mut self, context: &mut Context, now: Millis, answer: Answer) {
        match answer {
            Answer::Applied { captured, .. } => self.applied(context, now, &captured),
            Answer::Refused { refusal, .. } => self.database_refused(context, now, refusal),
            Answer::Prepared { .. } => self.prepared(context, now),
            Answer::RolledBack { .. } | Answer::Finished { .. } => self.finished(context),
            Answer::Failed { .. } => self.finish_later(context, now),
            Answer::Outcomes { .. } | Answer::Recovered { .. } | Answer::RecoveryFailed { .. } => {}
        }
    }

    fn applied(&mut self, context: &mut Context, now: Millis, captured: &[crate::delta::Captured]) {
        match std::mem::replace(&mut self.stage, Stage::Open { putting: None }) {
            Stage::Open {
                putting: Some((asker, todo)),
            } => {
                let news = self
                    .changes
                    .absorb(&context.me, &context.tables, captured, &todo);
                let patience_ms = self.patience_ms(context);
                match news.and_then(|news| context.propagate(&self.gid, news, patience_ms)) {
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
    pub(super) fn answered(
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
    fn fail(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        let open = self
            .served
            .iter()
            .filter(|(_, serving)| serving.answer.is_none());
        let open: Vec<Asker> = open.map(|(asker, _)| asker.clone()).collect();
        for asker in open {
            self.answer(context, &asker, Err(refusal.clone()));
        }
        self.end(context, now, Decision::Abort);
    }

    /// The parent asks for the promise.
    pub(super) fn vote(&mut self, context: &mut Context, now: Millis, (from, request): Asker) {
        self.last_heard = now;
        let refused = |why: &str| Message::Voted {
            gid: self.gid.clone(),
            request,
            result: Err(Refusal::forbidden(&context.me, why)),
        };
        match &mut self.stage {
            _ if from != self.parent => {
                let message = refused("Only the parent of a participant may ask for its vote.");
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
            Stage::Open { .. } | Stage::Ending { .. } => {
                let message =
                    refused("The transaction has ended here, or deltas are still in flight.");
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
        let question = |gid: Gid| move |request| Message::Vote { gid, request };
        let ask = |peer: &PeerName| (context.ask(peer, question(self.gid.clone())), peer.clone());
        let questions = self.adopted.iter().map(ask).collect();
        self.stage = Stage::Voting {
            vote,
            is_prepared: false,
            questions,
        };
    }

    fn prepared(&mut self, context: &mut Context, now: Millis) {
        match &mut self.stage {
            Stage::Voting { is_prepared, .. } => {
                *is_prepared = true;
                self.promise(context, now);
            }
            Stage::Ending {
                step, announcement, ..
            } if *step == Step::Waiting => {
                *step = Step::Asked {
                    wait: context.limits.retry_ms_min,
                };
                finish(context, &self.gid, &self.parent, announcement.decision);
            }
            _ => {}
        }
    }

    /// A promise of the subtree, or none.
    pub(super) fn voted(
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
            let wait = context.limits.retry_ms_min;
            let inquiry = Inquiry::At(now + context.limits.transaction_ms_max);
            self.stage = Stage::InDoubt { inquiry, wait };
        }
    }

    fn refuse_vote(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        if let Stage::Voting { vote, .. } = &self.stage {
            let voted = Message::Voted {
                gid: self.gid.clone(),
                request: *vote,
                result: Err(refusal),
            };
            context.reply(&self.parent, voted);
            self.end(context, now, Decision::Abort);
        }
    }

    /// The database has refused and rolled back.
    fn database_refused(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        match &self.stage {
            Stage::Open { .. } => self.fail(context, now, refusal),
            Stage::Voting { .. } => self.refuse_vote(context, now, refusal),
            Stage::InDoubt { .. } | Stage::Ending { .. } => {}
        }
        if let Stage::Ending { .. } = &self.stage {
            self.finished(context);
        }
    }

    /// The decision: from the parent, from an inquiry, or our own before the vote.
    pub(super) fn end(&mut self, context: &mut Context, now: Millis, decision: Decision) {
        let asked = Step::Asked {
            wait: context.limits.retry_ms_min,
        };
        let step = match &self.stage {
            Stage::Ending { .. } => return,
            Stage::Open { .. } | Stage::Voting { .. } if decision == Decision::Commit => return,
            Stage::Open { putting: Some(_) }
            | Stage::Voting {
                is_prepared: false, ..
            } => Step::Waiting,
            Stage::Open { putting: None } => {
                context.database(Request::Rollback {
                    gid: self.gid.clone(),
                });
                asked
            }
            Stage::Voting {
                is_prepared: true, ..
            }
            | Stage::InDoubt { .. } => {
                finish(context, &self.gid, &self.parent, decision);
                asked
            }
        };
        self.last_heard = now;
        let peers = if decision == Decision::Commit {
            &self.adopted
        } else {
            &self.contacted
        };
        let announcement = Announcement::start(context, &self.gid, decision, peers);
        self.stage = Stage::Ending {
            step,
            announcement,
            askers: vec![],
        };
    }

    /// Somebody says the decision and waits until it is durable here.
    pub(super) fn terminate(
        &mut self,
        context: &mut Context,
        now: Millis,
        asker: Asker,
        decision: Decision,
    ) {
        if decision == Decision::Commit && asker.0 != self.parent {
            return;
        }
        // Whoever still waits for an answer of this peer hears why none will come.
        let refusal = Refusal::late(&context.me, now - self.since);
        match &self.stage {
            Stage::Open { .. } if decision == Decision::Abort => self.fail(context, now, refusal),
            Stage::Voting { .. } if decision == Decision::Abort => {
                self.refuse_vote(context, now, refusal)
            }
            _ => self.end(context, now, decision),
        }
        if let Stage::Ending { step, askers, .. } = &mut self.stage {
            askers.push(asker);
            if *step == Step::Done {
                self.finished(context);
            }
        }
    }

    /// It is durable: whoever waits hears of it.
    fn finished(&mut self, context: &mut Context) {
        let Stage::Ending { step, askers, .. } = &mut self.stage else {
            return;
        };
        *step = Step::Done;
        for (to, request) in std::mem::take(askers) {
            context.reply(
                &to,
                Message::Terminated {
                    gid: self.gid.clone(),
                    request,
                },
            );
        }
    }

    fn finish_later(&mut self, context: &Context, now: Millis) {
        if let Stage::Ending { step, .. } = &mut self.stage
            && let Step::Asked { wait } = *step
        {
            *step = Step::AgainAt {
                at: now + wait,
                wait: (wait * 2).min(context.limits.retry_ms_max),
            };
        }
    }

    /// A question of this peer was lost.
    pub(super) fn undelivered(
        &mut self,
        context: &mut Context,
        now: Millis,
        to: &PeerName,
        request: RequestId,
        why: &str,
    ) {
        if self.questions.contains_key(&request) {
            return self.answered(context, now, request, Err(Refusal::unreachable(to, why)));
        }
        match &mut self.stage {
            Stage::Voting { .. } => {
                self.voted(context, now, request, Err(Refusal::unreachable(to, why)))
            }
            Stage::InDoubt { inquiry, wait } => {
                if matches!(inquiry, Inquiry::Asked(asked) if *asked == request) {
                    *inquiry = Inquiry::At(now + *wait);
                    *wait = (*wait * 2).min(context.limits.retry_ms_max);
                }
            }
            Stage::Ending { announcement, .. } => {
                announcement.undelivered(context, now, to, request)
            }
            Stage::Open { .. } => {}
        }
    }

    /// The answer to an inquiry.
    pub(super) fn decided(
        &mut self,
        context: &mut Context,
        now: Millis,
        request: RequestId,
        decision: Option<Decision>,
    ) {
        match (&self.stage, decision) {
            (
                Stage::InDoubt {
                    inquiry: Inquiry::Asked(asked),
                    ..
                },
                Some(decision),
            ) if *asked == request => {
                self.end(context, now, decision);
            }
            (Stage::InDoubt { .. }, None) => {
                let parent = self.parent.clone();
                self.undelivered(context, now, &parent, request, "");
            }
            _ => {}
        }
    }

    /// The decision, if it is known.
    pub(super) fn decision(&self) -> Option<Decision> {
        match &self.stage {
            Stage::Ending { announcement, .. } => Some(announcement.decision),
            _ => None,
        }
    }

    pub(super) fn acknowledged(&mut self, from: &PeerName) {
        if let Stage::Ending { announcement, .. } = &mut self.stage {
            announcement.acknowledged(from);
        }
    }

    pub(super) fn tick(&mut self, context: &mut Context, now: Millis) {
        let idle = self.idle_deadline(context) <= now;
        match &mut self.stage {
            Stage::Open { .. } if idle => {
                let refusal = Refusal::late(&context.me, now - self.since);
                self.fail(context, now, refusal);
            }
            Stage::Voting { .. } if idle => {
                let refusal = Refusal::late(&context.me, now - self.since);
                self.refuse_vote(context, now, refusal);
            }
            Stage::InDoubt { inquiry, .. } => {
                if matches!(inquiry, Inquiry::At(at) if *at <= now) {
                    let gid = self.gid.clone();
                    *inquiry = Inquiry::Asked(
                        context.ask(&self.parent, |request| Message::Inquire { gid, request }),
                    );
                }
            }
            Stage::Ending {
                step, announcement, ..
            } => {
                announcement.tick(context, now, &self.gid);
                if let Step::AgainAt { at, wait } = *step
                    && at <= now
                {
                    *step = Step::Asked { wait };
                    finish(context, &self.gid, &self.parent, announcement.decision);
                }
            }
            Stage::Open { .. } | Stage::Voting { .. } => {}
        }
    }

    /// How long the transaction may take, as the origin and this peer's own part of it say.
    fn patience_ms(&self, context: &Context) -> Millis {
        let own = context.limits.transaction_ms_max + self.changes.weight_ms();
        own.max(self.told_patience_ms)
    }

    fn idle_deadline(&self, context: &Context) -> Millis {
        let patience_ms = self.patience_ms(context);
        self.last_heard + patience_ms.max(context.limits.idle_ms_max)
    }

    pub(super) fn timeout(&self, context: &Context) -> Option<Millis> {
        match &self.stage {
            Stage::Open { .. } | Stage::Voting { .. } => Some(self.idle_deadline(context)),
            Stage::InDoubt {
                inquiry: Inquiry::At(at),
                ..
            } => Some(*at),
            Stage::InDoubt { .. } => None,
            Stage::Ending {
                step, announcement, ..
            } => {
                let again = match step {
                    Step::AgainAt { at, .. } => Some(*at),
                    _ => None,
                };
                again.into_iter().chain(announcement.timeout()).min()
            }
        }
    }

    /// True when the decision is durable here and acknowledged below; then the participant row is forgotten.
    pub(super) fn is_over(&self, context: &mut Context, now: Millis) -> bool {
        let Stage::Ending {
            step: Step::Done,
            announcement,
            ..
        } = &self.stage
        else {
            return false;
        };
        if announcement.is_done()
            && announcement.decision == Decision::Commit
            && !self.adopted.is_empty()
        {
            context.forget(now, &self.gid);
        }
        announcement.is_done()
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            gid: self.gid.clone(),
            parent: Some(self.parent.clone()),
            participants: self.contacted.union(&self.adopted).cloned().collect(),
            state: match &self.stage {
                Stage::Open { putting: Some(_) } => "putting",
                Stage::Open { putting: None } => "open",
                Stage::Voting { .. } => "voting",
                Stage::InDoubt { .. } => "in doubt",
                Stage::Ending { announcement, .. } => match announcement.decision {
                    Decision::Commit => "committing",
                    Decision::Abort => "aborting",
                },
            },
            since: self.since,
            touched: self.changes.touched(),
        }
    }
}

fn finish(context: &mut Context, gid: &Gid, parent: &PeerName, decision: Decision) {
    context.database(Request::Finish {
        gid: gid.clone(),
        parent: parent.clone(),
        decision,
    });
}
