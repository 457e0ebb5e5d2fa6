//! A transaction at a participant: between the first delta and the last acknowledgement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::announcement::Announcement;
use super::changes::Changes;
use super::context::Context;
use super::interface::{Decision, Millis, RequestId, Silence, Summary, Trouble};
use super::{Answer, GroupVersion, Resolution, Tally};
use crate::delta::{Delta, Schema};
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;
use doubt::Inquiry;

mod deltas;
mod doubt;
mod ending;
mod vote;

/// A participant's part of a transaction.
#[derive(Debug)]
pub(super) struct Participant {
    gid: Gid,
    /// Who sent the first delta: it will send the vote and the decision, and is asked when they do not come.
    parent: PeerName,
    since: Millis,
    last_heard: Millis,
    changes: Changes,
    /// The highest batch heard of: the rows of earlier ones are settled.
    batch: u32,
    /// Everybody who was sent a delta: they hear of an abort.
    contacted: BTreeSet<PeerName>,
    /// Those whose first delta came from here: they vote, and hear of the decision.
    adopted: BTreeSet<PeerName>,
    /// Deltas received: waiting, being put, spreading, answered.
    served: BTreeMap<Asker, Serving>,
    queue: VecDeque<Incoming>,
    /// Questions of this peer, and which delta caused them.
    questions: BTreeMap<RequestId, (PeerName, Asker)>,
    tally: Tally,
    told_patience_ms: Millis,
    /// Taken up after a restart: its children are known to the participant row alone.
    is_recovered: bool,
    has_promised: bool,
    /// Its operator has ended it, and that is durable.
    is_resolved: bool,
    trouble: Option<Trouble>,
    stage: Stage,
}

/// A question of another peer: who, and its number.
pub(super) type Asker = (PeerName, RequestId);

/// A delta as it comes from another peer.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) asker: Asker,
    pub(super) table: TableName,
    pub(super) group: GroupVersion,
    pub(super) batch: u32,
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
    /// Prepared here and below, and promised: only the decision ends it, or the operator.
    InDoubt {
        inquiry: Inquiry,
        /// What the operator chose, and how far that is carried out. The true decision is still asked for.
        resolution: Option<(Decision, Step)>,
    },
    /// The decision is known.
    Ending {
        step: Step,
        announcement: Announcement,
        askers: Vec<Asker>,
    },
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
            batch: 0,
            contacted: BTreeSet::new(),
            adopted: BTreeSet::new(),
            served: BTreeMap::new(),
            queue: VecDeque::new(),
            questions: BTreeMap::new(),
            tally: Tally::default(),
            told_patience_ms: 0,
            is_recovered: false,
            has_promised: false,
            is_resolved: false,
            trouble: None,
            stage: Stage::Open { putting: None },
        }
    }

    /// A prepared transaction of before the restart: it promised, so it asks.
    pub(super) fn recovered(context: &Context, now: Millis, gid: Gid, parent: PeerName) -> Self {
        let stage = Stage::InDoubt {
            inquiry: Inquiry::new(&context.limits, now),
            resolution: None,
        };
        Self {
            stage,
            is_recovered: true,
            has_promised: true,
            ..Self::new(gid, parent, now)
        }
    }

    /// A transaction of before the restart that the operator has ended: whether that was right is still asked.
    pub(super) fn recovered_resolved(
        context: &mut Context,
        now: Millis,
        resolution: Resolution,
    ) -> Self {
        let Resolution {
            gid,
            parent,
            children,
            decision,
        } = resolution;
        let step = Step::Asked {
            wait: context.limits.retry_ms_min,
        };
        let mut participant = Self::recovered(context, now, gid, parent);
        participant.adopted = children.into_iter().collect();
        if let Stage::InDoubt { resolution, .. } = &mut participant.stage {
            *resolution = Some((decision, step));
        }
        // It was noted; nobody knows whether it was carried out.
        participant.carry_out(context);
        participant
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

    /// The database has answered.
    pub(super) fn database(&mut self, context: &mut Context, now: Millis, answer: Answer) {
        match answer {
            Answer::Applied { captured, .. } => self.applied(context, now, captured),
            Answer::Refused { refusal, .. } => self.database_refused(context, now, refusal),
            Answer::Prepared { .. } => self.prepared(context, now),
            Answer::RolledBack { .. } => self.finished(context, &[]),
            Answer::Finished { children, .. } => self.finished(context, &children),
            Answer::Failed { why, .. } => self.finish_later(context, now, &why),
            Answer::NotForgotten { .. }
            | Answer::Outcomes { .. }
            | Answer::Recovered { .. }
            | Answer::RecoveryFailed { .. } => {}
        }
    }

    /// The database has refused and rolled back.
    fn database_refused(&mut self, context: &mut Context, now: Millis, refusal: Refusal) {
        self.give_up(context, now, refusal);
        if let Stage::Ending { .. } = &self.stage {
            self.finished(context, &[]);
        }
    }

    /// A question of this peer was lost.
    pub(super) fn undelivered(
        &mut self,
        context: &mut Context,
        now: Millis,
        to: &PeerName,
        request: RequestId,
        silence: &Silence,
    ) {
        let why = &silence.why;
        if self.questions.contains_key(&request) {
            let refusal = context.unreachable(now, to, silence);
            return self.answered(context, now, request, Err(refusal));
        }
        match &mut self.stage {
            Stage::Voting { .. } => {
                let refusal = context.unreachable(now, to, silence);
                self.voted(context, now, request, Err(refusal));
            }
            Stage::InDoubt { .. } => self.decided(context, now, request, Err(why)),
            Stage::Ending { announcement, .. } => {
                announcement.undelivered(context, now, to, request, why)
            }
            Stage::Open { .. } => {}
        }
    }

    /// The decision, if it is known.
    pub(super) fn decision(&self) -> Option<Decision> {
        match &self.stage {
            Stage::Ending { announcement, .. } => Some(announcement.decision),
            _ => None,
        }
    }

    /// True if the row that it changes is promised here: nobody else sees it or may change it until the decision is durable.
    pub(super) fn withholds(&self, table: &TableName, schema: &Schema, delta: &Delta) -> bool {
        let is_durable = match &self.stage {
            Stage::Ending { step, .. }
            | Stage::InDoubt {
                resolution: Some((_, step)),
                ..
            } => *step == Step::Done,
            Stage::Open { .. } | Stage::Voting { .. } | Stage::InDoubt { .. } => false,
        };
        self.has_promised && !is_durable && self.changes.meets(table, schema, delta)
    }

    /// Why the transaction was aborted before it had promised, if it was.
    pub(super) fn cause(&self) -> Option<&Refusal> {
        match &self.stage {
            Stage::Ending { announcement, .. } => announcement.cause.as_ref(),
            _ => None,
        }
    }

    /// The decision as it may be told to anyone: an abort that this peer chose alone says nothing to those who do
    /// not depend on it, for a late delta may have opened the transaction here a second time.
    pub(super) fn learnt_decision(&self) -> Option<Decision> {
        self.decision()
            .filter(|decision| *decision == Decision::Commit || self.has_promised)
    }

    /// Peers have joined or left these Dejima tables: a transaction that has not promised ends with its group.
    pub(super) fn regroup(
        &mut self,
        context: &mut Context,
        now: Millis,
        tables: &BTreeSet<TableName>,
    ) {
        if let Some(table) = self.changes.first_of(tables) {
            let refusal = Refusal::group_changed(&context.me, table);
            self.give_up(context, now, refusal);
        }
    }

    /// A peer answers again: what is to be said to it is due.
    pub(super) fn hurry(&mut self, context: &Context, now: Millis, peer: &PeerName) {
        match &mut self.stage {
            Stage::InDoubt { inquiry, .. } => inquiry.hurry(&context.limits, now),
            Stage::Ending { announcement, .. } => announcement.hurry(context, now, peer),
            Stage::Open { .. } | Stage::Voting { .. } => {}
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
            Stage::Open { .. } | Stage::Voting { .. } if idle => {
                let refusal = Refusal::late(&context.me, now - self.since);
                self.give_up(context, now, refusal);
            }
            Stage::Open { .. } | Stage::Voting { .. } => {}
            Stage::InDoubt { .. } => self.inquire_due(context, now),
            Stage::Ending { announcement, .. } => announcement.tick(context, now, &self.gid),
        }
        self.carry_out_due(context, now);
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
                inquiry,
                resolution,
            } => {
                let again = resolution.as_ref().and_then(|(_, step)| step.again_at());
                again.into_iter().chain(inquiry.timeout()).min()
            }
            Stage::Ending {
                step, announcement, ..
            } => step
                .again_at()
                .into_iter()
                .chain(announcement.timeout())
                .min(),
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
                Stage::InDoubt {
                    resolution: None, ..
                } => "in doubt",
                Stage::InDoubt {
                    resolution: Some((Decision::Commit, _)),
                    ..
                } => "committed by its operator",
                Stage::InDoubt {
                    resolution: Some((Decision::Abort, _)),
                    ..
                } => "aborted by its operator",
                Stage::Ending { announcement, .. } => match announcement.decision {
                    Decision::Commit => "committing",
                    Decision::Abort => "aborting",
                },
            },
            since: self.since,
            touched: self.changes.touched(),
            portion: None,
            waiting_for: match &self.stage {
                Stage::InDoubt { inquiry, .. } => inquiry.waiting_for(&self.parent),
                Stage::Ending { announcement, .. } => announcement.waiting_for(),
                Stage::Open { .. } | Stage::Voting { .. } => vec![],
            },
            trouble: self.trouble.clone(),
        }
    }

    /// What it has changed in each Dejima table.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }
}

impl Step {
    fn again_at(&self) -> Option<Millis> {
        match self {
            Step::AgainAt { at, .. } => Some(*at),
            Step::Waiting | Step::Asked { .. } | Step::Done => None,
        }
    }
}
