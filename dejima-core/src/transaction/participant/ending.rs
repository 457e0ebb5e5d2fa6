//! The decision at a participant: carried out in the database, told below, acknowledged above.

use super::{Asker, Participant, Stage, Step};
use crate::name::PeerName;
use crate::refusal::Refusal;
use crate::transaction::announcement::Announcement;
use crate::transaction::context::Context;
use crate::transaction::interface::{Decision, Message, Millis, Trouble};
use crate::transaction::{Request, Resolution};

impl Participant {
    /// The decision, said by `by`: the parent, whoever answered an inquiry, or this peer itself before the vote.
    pub(super) fn end(
        &mut self,
        context: &mut Context,
        now: Millis,
        decision: Decision,
        by: &PeerName,
    ) {
        self.end_because(context, now, decision, by, None);
    }

    /// Ends with an abort that is nobody's decision but this peer's, or that of another which has said why.
    pub(super) fn abort(&mut self, context: &mut Context, now: Millis, cause: Refusal) {
        let me = context.me.clone();
        self.end_because(context, now, Decision::Abort, &me, Some(cause));
    }

    fn end_because(
        &mut self,
        context: &mut Context,
        now: Millis,
        decision: Decision,
        by: &PeerName,
        cause: Option<Refusal>,
    ) {
        let wait = context.limits.retry_ms_min;
        let asked = Step::Asked { wait };
        let (step, is_rolled_back) = match &self.stage {
            Stage::Ending { .. } => return,
            Stage::Open { .. } | Stage::Voting { .. } if decision == Decision::Commit => return,
            // What the operator chose must be durable first; the decision will be said again.
            Stage::InDoubt {
                resolution: Some((_, step)),
                ..
            } if *step != Step::Done => return,
            Stage::Open { putting: Some(_) }
            | Stage::Voting {
                is_prepared: false, ..
            } => (Step::Waiting, false),
            Stage::Open { putting: None } => (asked, true),
            Stage::InDoubt { resolution, .. } => {
                self.is_resolved = resolution.is_some();
                (asked, false)
            }
            Stage::Voting {
                is_prepared: true, ..
            } => (asked, false),
        };
        self.decision_found(context, decision, by);
        self.last_heard = now;
        let is_waiting = step == Step::Waiting;
        self.stage = Stage::Ending {
            step,
            announcement: Announcement::of(decision, cause),
            askers: vec![],
        };
        if is_rolled_back {
            context.database(Request::Rollback {
                gid: self.gid.clone(),
            });
        } else if !is_waiting {
            self.carry_out(context);
        }
        let peers = if decision == Decision::Commit {
            &self.adopted
        } else {
            &self.contacted
        };
        if let Stage::Ending { announcement, .. } = &mut self.stage {
            announcement.tell(context, &self.gid, peers);
        }
    }

    /// Asks the database to do what has been decided, by whomever.
    pub(super) fn carry_out(&self, context: &mut Context) {
        let (gid, parent) = (self.gid.clone(), self.parent.clone());
        let request = match &self.stage {
            Stage::InDoubt {
                resolution: Some((decision, _)),
                ..
            } => Request::Resolve {
                resolution: Resolution {
                    gid,
                    parent,
                    children: self.adopted.iter().cloned().collect(),
                    decision: *decision,
                },
            },
            Stage::Ending { announcement, .. } if self.is_resolved => Request::Settle {
                gid,
                decision: announcement.decision,
            },
            Stage::Ending { announcement, .. } => Request::Finish {
                gid,
                parent,
                decision: announcement.decision,
                asks_children: self.is_recovered && announcement.decision == Decision::Commit,
            },
            Stage::Open { .. } | Stage::Voting { .. } | Stage::InDoubt { .. } => return,
        };
        context.database(request);
    }

    /// Somebody says the decision and waits until it is durable here.
    pub(in crate::transaction) fn terminate(
        &mut self,
        context: &mut Context,
        now: Millis,
        asker: Asker,
        decision: Decision,
        cause: Option<Refusal>,
    ) {
        let is_parent = asker.0 == self.parent;
        match &self.stage {
            Stage::Ending { .. } => {}
            // Invariant 2: after the promise only the parent's word counts. Whoever else has aborted made sure that
            // the origin hears of it; he need not say it again.
            Stage::InDoubt { .. } if !is_parent && decision == Decision::Abort => {
                return self.acknowledge(context, asker);
            }
            _ if !is_parent && decision == Decision::Commit => return,
            Stage::Open { .. } | Stage::Voting { .. } if decision == Decision::Abort => {
                let refusal = cause.unwrap_or_else(|| Refusal::aborted(&context.me, &asker.0));
                self.give_up(context, now, refusal);
            }
            Stage::Open { .. } | Stage::Voting { .. } | Stage::InDoubt { .. } => {
                self.end(context, now, decision, &asker.0);
            }
        }
        if let Stage::Ending { step, askers, .. } = &mut self.stage {
            if *step == Step::Done {
                self.acknowledge(context, asker);
            } else {
                askers.push(asker);
            }
        }
    }

    /// Aborts alone, before the promise. Whoever still waits for an answer of this peer hears why none will come.
    pub(super) fn give_up(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        match &self.stage {
            Stage::Open { .. } => self.fail(context, now, refusal),
            Stage::Voting { .. } => self.refuse_vote(context, now, refusal),
            Stage::InDoubt { .. } | Stage::Ending { .. } => {}
        }
    }

    fn acknowledge(&self, context: &mut Context, (to, request): Asker) {
        let gid = self.gid.clone();
        context.reply(&to, Message::Terminated { gid, request });
    }

    /// It is durable: whoever waits hears of it. `children` are those of the participant row, if they were not known.
    pub(super) fn finished(&mut self, context: &mut Context, children: &[PeerName]) {
        self.trouble = None;
        self.adopted.extend(children.iter().cloned());
        if let Stage::InDoubt { .. } = &self.stage {
            return self.resolved(context);
        }
        let Stage::Ending {
            step,
            askers,
            announcement,
        } = &mut self.stage
        else {
            return;
        };
        *step = Step::Done;
        announcement.tell(context, &self.gid, children);
        for asker in std::mem::take(askers) {
            self.acknowledge(context, asker);
        }
    }

    pub(in crate::transaction) fn finish_later(
        &mut self,
        context: &Context,
        now: Millis,
        why: &str,
    ) {
        let (Stage::Ending { step, .. }
        | Stage::InDoubt {
            resolution: Some((_, step)),
            ..
        }) = &mut self.stage
        else {
            return;
        };
        if let Step::Asked { wait } = *step {
            *step = Step::AgainAt {
                at: now + wait,
                wait: (wait * 2).min(context.limits.retry_ms_max),
            };
            let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
            self.trouble = Some(Trouble {
                attempts: attempts + 1,
                why: why.to_owned(),
            });
        }
    }

    /// Asks the database again if it is due.
    pub(super) fn carry_out_due(&mut self, context: &mut Context, now: Millis) {
        if let Some(step) = self.step_mut()
            && let Step::AgainAt { at, wait } = *step
            && at <= now
        {
            *step = Step::Asked { wait };
            self.carry_out(context);
        }
    }

    /// The database answers again: what waits for it is due.
    pub(in crate::transaction) fn hurry_database(&mut self, context: &Context, now: Millis) {
        if let Some(step) = self.step_mut()
            && matches!(step, Step::AgainAt { .. })
        {
            let wait = context.limits.retry_ms_min;
            *step = Step::AgainAt { at: now, wait };
        }
    }

    fn step_mut(&mut self) -> Option<&mut Step> {
        match &mut self.stage {
            Stage::Ending { step, .. }
            | Stage::InDoubt {
                resolution: Some((_, step)),
                ..
            } => Some(step),
            _ => None,
        }
    }
}
