//! A transaction at its origin: between the hook's first call and the last acknowledgement.

use std::collections::{BTreeMap, BTreeSet};

use super::announcement::Announcement;
use super::changes::Changes;
use super::context::Context;
use super::interface::{
    CallbackAnswer, Decision, Millis, Portion, RequestId, ResolveAnswer, Silence, Summary, Trouble,
    WaitingFor,
};
use super::participant::Asker;
use super::{Outcome, Tally};
use crate::delta::Delta;
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;

mod rounds;

/// The origin's part of a transaction.
#[derive(Debug)]
pub(super) struct Origin {
    gid: Gid,
    since: Millis,
    deadline: Millis,
    changes: Changes,
    /// Everybody who was sent a delta: they hear of an abort.
    contacted: BTreeSet<PeerName>,
    /// Those whose first delta came from here: they vote, and hear of the decision.
    adopted: BTreeSet<PeerName>,
    /// What other peers' strategies want changed here; the hook puts it.
    pending: BTreeMap<TableName, Delta>,
    /// The batch at hand, if the capture is so large that it comes in several.
    portion: Option<Portion>,
    /// Deltas of other peers that were joined: one that comes again is answered again, and not counted again.
    served: BTreeSet<Asker>,
    tally: Tally,
    trouble: Option<Trouble>,
    /// What the hook will hear when it calls again: a group has changed in between.
    outdated: Option<Refusal>,
    stage: Stage,
}

/// In the order of a life; the README beside this file argues what a crash means in each.
#[derive(Debug)]
enum Stage {
    /// Deltas are on their way; the hook waits. Nobody has promised anything.
    Propagating(BTreeMap<RequestId, PeerName>),
    /// The hook puts what came back and will call again.
    AwaitingRound,
    /// The batch is settled everywhere, and the next one is being read; the hook waits.
    AwaitingBatch,
    /// The promises are being collected; the hook waits.
    Voting(BTreeMap<RequestId, PeerName>),
    /// All have promised and the hook has returned: the client's COMMIT record decides, whenever it comes.
    Deciding { ask_at: Millis, wait: Millis },
    /// The decision is known from the database (or the transaction was refused before the vote was complete).
    Ending(Announcement),
}

impl Origin {
    pub(super) fn new(gid: Gid, now: Millis, context: &Context) -> Self {
        Self {
            gid,
            since: now,
            deadline: now + context.limits.transaction_ms_max,
            changes: Changes::default(),
            contacted: BTreeSet::new(),
            adopted: BTreeSet::new(),
            pending: BTreeMap::new(),
            portion: None,
            served: BTreeSet::new(),
            tally: Tally::default(),
            trouble: None,
            outdated: None,
            stage: Stage::AwaitingRound,
        }
    }

    /// A transaction of before the restart: its decision row was found, so it is committed.
    pub(super) fn recovered(
        context: &mut Context,
        now: Millis,
        gid: Gid,
        participants: Vec<PeerName>,
    ) -> Self {
        let mut origin = Self::new(gid, now, context);
        origin.adopted = participants.into_iter().collect();
        origin.stage = Stage::Ending(Announcement::start(
            context,
            &origin.gid,
            Decision::Commit,
            &origin.adopted,
        ));
        origin
    }

    /// Peers have joined or left these Dejima tables. Until all have promised, the transaction ends with the group that
    /// it began with.
    pub(super) fn regroup(&mut self, context: &mut Context, tables: &BTreeSet<TableName>) {
        let Some(table) = self.changes.first_of(tables) else {
            return;
        };
        let refusal = Refusal::group_changed(&context.me, table);
        match self.stage {
            Stage::Propagating(_) | Stage::AwaitingBatch | Stage::Voting(_) => {
                self.refuse(context, refusal)
            }
            Stage::AwaitingRound => self.outdated = Some(refusal),
            Stage::Deciding { .. } | Stage::Ending(_) => {}
        }
    }

    /// A promise, or none.
    pub(super) fn voted(
        &mut self,
        context: &mut Context,
        now: Millis,
        request: RequestId,
        result: Result<Tally, Refusal>,
    ) {
        let Stage::Voting(questions) = &mut self.stage else {
            return;
        };
        if questions.remove(&request).is_none() {
            return;
        }
        let all_promised = questions.is_empty();
        match result {
            Ok(subtree) => {
                self.tally.add(subtree);
                if all_promised {
                    self.close_vote(context, now);
                }
            }
            Err(refusal) => self.refuse(context, refusal),
        }
    }

    fn close_vote(&mut self, context: &mut Context, now: Millis) {
        if !self.tally.is_complete() {
            let refusal = Refusal::incomplete_vote(&context.me);
            return self.refuse(context, refusal);
        }
        let participants = self.adopted.iter().cloned().collect();
        context.callback(&self.gid, CallbackAnswer::Voted { participants });
        let wait = context.limits.outcome_ms_min;
        self.stage = Stage::Deciding {
            ask_at: now + wait,
            wait,
        };
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
        match &mut self.stage {
            Stage::Propagating(questions) | Stage::Voting(questions)
                if questions.contains_key(&request) =>
            {
                let refusal = context.unreachable(now, to, silence);
                self.refuse(context, refusal);
            }
            Stage::Ending(announcement) => {
                announcement.undelivered(context, now, to, request, &silence.why);
            }
            _ => {}
        }
    }

    /// Refuses the client before the vote is complete: nothing is decided, so the origin may abort alone.
    pub(super) fn refuse(&mut self, context: &mut Context, refusal: Refusal) {
        context.callback(&self.gid, CallbackAnswer::Refused { refusal });
        self.abort(context);
    }

    /// The hook hung up. After the vote that says nothing: the client's COMMIT may have happened.
    pub(super) fn callback_lost(&mut self, context: &mut Context) {
        if !self.stage.is_past_vote() {
            self.abort(context);
        }
    }

    fn abort(&mut self, context: &mut Context) {
        self.stage = Stage::Ending(Announcement::start(
            context,
            &self.gid,
            Decision::Abort,
            &self.contacted,
        ));
    }

    /// The database has said how the client's transaction stands (invariant 2).
    pub(super) fn outcome(&mut self, context: &mut Context, now: Millis, outcome: &Outcome) {
        let Stage::Deciding { ask_at, wait } = &mut self.stage else {
            return;
        };
        self.trouble = None;
        let decision = match outcome {
            Outcome::Pending => {
                *wait = (*wait + *wait / 2)
                    .max(*wait + 1)
                    .min(context.limits.outcome_ms_max);
                *ask_at = now + *wait;
                return;
            }
            Outcome::Committed { .. } => Decision::Commit,
            Outcome::Aborted => Decision::Abort,
        };
        let peers = if decision == Decision::Commit {
            &self.adopted
        } else {
            &self.contacted
        };
        self.stage = Stage::Ending(Announcement::start(context, &self.gid, decision, peers));
    }

    /// The database could not say it.
    pub(super) fn outcome_failed(&mut self, context: &mut Context, now: Millis, why: &str) {
        let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        self.outcome(context, now, &Outcome::Pending);
        self.trouble = Some(Trouble {
            attempts: attempts + 1,
            why: why.to_owned(),
        });
    }

    /// True if the database should be asked for the outcome now.
    pub(super) fn wants_outcome(&self, now: Millis) -> bool {
        matches!(self.stage, Stage::Deciding { ask_at, .. } if ask_at <= now)
    }

    /// Whether all have promised, and nothing is decided.
    pub(super) fn has_voted(&self) -> bool {
        matches!(self.stage, Stage::Deciding { .. })
    }

    /// The decision, if it is known.
    pub(super) fn decision(&self) -> Option<Decision> {
        match &self.stage {
            Stage::Ending(announcement) => Some(announcement.decision),
            _ => None,
        }
    }

    pub(super) fn acknowledged(&mut self, from: &PeerName) {
        if let Stage::Ending(announcement) = &mut self.stage {
            announcement.acknowledged(from);
        }
    }

    /// A peer answers again: what is to be said to it is due.
    pub(super) fn hurry(&mut self, context: &Context, now: Millis, peer: &PeerName) {
        if let Stage::Ending(announcement) = &mut self.stage {
            announcement.hurry(context, now, peer);
        }
    }

    /// The database answers again: it is asked for the outcome now.
    pub(super) fn hurry_database(&mut self, context: &Context, now: Millis) {
        if let Stage::Deciding { ask_at, wait } = &mut self.stage
            && self.trouble.is_some()
        {
            (*ask_at, *wait) = (now, context.limits.outcome_ms_min);
        }
    }

    pub(super) fn tick(&mut self, context: &mut Context, now: Millis) {
        if !self.stage.is_past_vote() && self.deadline <= now {
            let refusal = Refusal::late(&context.me, now - self.since);
            self.refuse(context, refusal);
        } else if let Stage::Ending(announcement) = &mut self.stage {
            announcement.tick(context, now, &self.gid);
        }
    }

    pub(super) fn timeout(&self) -> Option<Millis> {
        match &self.stage {
            Stage::Propagating(_)
            | Stage::AwaitingRound
            | Stage::AwaitingBatch
            | Stage::Voting(_) => Some(self.deadline),
            Stage::Deciding { ask_at, .. } => Some(*ask_at),
            Stage::Ending(announcement) => announcement.timeout(),
        }
    }

    /// True when all have acknowledged; then the decision row is forgotten.
    pub(super) fn is_over(&mut self, context: &mut Context, now: Millis) -> bool {
        let Stage::Ending(announcement) = &self.stage else {
            return false;
        };
        if announcement.is_done() && announcement.decision == Decision::Commit {
            context.forget(now, &self.gid);
        }
        announcement.is_done()
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            gid: self.gid.clone(),
            parent: None,
            participants: self.contacted.union(&self.adopted).cloned().collect(),
            state: match &self.stage {
                Stage::Propagating(_) => "propagating",
                Stage::AwaitingRound => "awaiting round",
                Stage::AwaitingBatch => "awaiting batch",
                Stage::Voting(_) => "voting",
                Stage::Deciding { .. } => "deciding",
                Stage::Ending(announcement) => match announcement.decision {
                    Decision::Commit => "committing",
                    Decision::Abort => "aborting",
                },
            },
            since: self.since,
            touched: self.changes.touched(),
            portion: self.portion.filter(|_| !self.stage.is_past_vote()),
            waiting_for: match &self.stage {
                Stage::Propagating(questions) | Stage::Voting(questions) => {
                    questions.values().map(WaitingFor::first).collect()
                }
                Stage::Ending(announcement) => announcement.waiting_for(),
                Stage::AwaitingRound | Stage::AwaitingBatch | Stage::Deciding { .. } => vec![],
            },
            trouble: self.trouble.clone(),
        }
    }

    /// What it has changed in each Dejima table.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The origin's end is the client's COMMIT; before the vote is complete the operator may abort instead.
    pub(super) fn resolve(&mut self, context: &mut Context, decision: Decision) -> ResolveAnswer {
        match &self.stage {
            Stage::Ending(announcement) => ResolveAnswer::Decided {
                decision: announcement.decision,
                by: context.me.clone(),
            },
            Stage::Deciding { .. } => ResolveAnswer::Refused {
                why: "This is its origin, and only the client's COMMIT decides. To abort, end the client's session \
                      (pg_terminate_backend).",
            },
            _ if decision == Decision::Abort => {
                let refusal = Refusal::resolved(&context.me);
                self.refuse(context, refusal);
                let by = context.me.clone();
                ResolveAnswer::Decided { decision, by }
            }
            _ => ResolveAnswer::Refused {
                why: "Not everybody has promised yet: it can be aborted, but not be committed.",
            },
        }
    }
}

impl Stage {
    /// All have promised, or it ends: no abort of this peer alone is possible, or none is needed.
    fn is_past_vote(&self) -> bool {
        matches!(self, Stage::Deciding { .. } | Stage::Ending(_))
    }
}
