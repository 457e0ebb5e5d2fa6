//! A transaction at its origin: between the hook's first call and the last acknowledgement.

use std::collections::{BTreeMap, BTreeSet};

use super::announcement::Announcement;
use super::changes::Changes;
use super::context::Context;
use super::interface::{
    CallbackAnswer, Decision, Message, Millis, RequestId, ResolveAnswer, Silence, Summary, Trouble,
    WaitingFor,
};
use super::participant::Incoming;
use super::{Outcome, Tally};
use crate::delta::{Captured, Delta};
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;

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

    /// The hook calls, for the first time or after it has put what came back.
    pub(super) fn call(&mut self, context: &mut Context, now: Millis, captured: &[Captured]) {
        if !matches!(self.stage, Stage::AwaitingRound) {
            let why = "The transaction has ended, or the hook's last call is not answered yet.";
            let refusal = Refusal::forbidden(&context.me, why);
            return context.callback(&self.gid, CallbackAnswer::Refused { refusal });
        }
        if let Some(refusal) = self.outdated.take() {
            return self.refuse(context, refusal);
        }
        let todo = std::mem::take(&mut self.pending);
        let news = self
            .changes
            .absorb(&context.me, &context.tables, captured, &todo);
        let patience_ms = context.limits.transaction_ms_max + self.changes.weight_ms();
        self.deadline = self.since + patience_ms;
        match news.and_then(|news| context.propagate(now, &self.gid, news, patience_ms)) {
            Ok(asked) => {
                self.contacted
                    .extend(asked.iter().map(|(_, peer)| peer.clone()));
                self.stage = Stage::Propagating(asked.into_iter().collect());
                self.close_round(context);
            }
            Err(refusal) => self.refuse(context, refusal),
        }
    }

    /// Another peer's strategy has changed a Dejima table of this peer.
    pub(super) fn propagated_to(
        &mut self,
        context: &Context,
        incoming: &Incoming,
    ) -> Result<bool, Refusal> {
        let Incoming {
            asker: (from, request),
            table,
            group,
            delta,
            ..
        } = incoming;
        if !matches!(self.stage, Stage::Propagating(_)) {
            return Err(Refusal::conflict(
                &context.me,
                table,
                "The transaction is not propagating any more.",
            ));
        }
        context.check_member(from, table, *group)?;
        let conflict =
            |e: crate::delta::Conflict| Refusal::conflict(&context.me, table, &format!("{e}."));
        let todo = self.changes.join(table, delta).map_err(conflict)?;
        if !todo.is_empty() {
            self.pending
                .entry(table.clone())
                .or_default()
                .join(&todo)
                .map_err(conflict)?;
        }
        self.tally.add_ticket(from, *request);
        Ok(false)
    }

    /// Peers have joined or left these Dejima tables. Until all have promised, the transaction ends with the group that
    /// it began with.
    pub(super) fn regroup(&mut self, context: &mut Context, tables: &BTreeSet<TableName>) {
        let Some(table) = self.changes.first_of(tables) else {
            return;
        };
        let refusal = Refusal::group_changed(&context.me, table);
        match self.stage {
            Stage::Propagating(_) | Stage::Voting(_) => self.refuse(context, refusal),
            Stage::AwaitingRound => self.outdated = Some(refusal),
            Stage::Deciding { .. } | Stage::Ending(_) => {}
        }
    }

    /// A subtree has closed.
    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        request: RequestId,
        result: Result<bool, Refusal>,
    ) {
        let Stage::Propagating(questions) = &mut self.stage else {
            return;
        };
        let Some(peer) = questions.remove(&request) else {
            return;
        };
        match result {
            Ok(adopted) => {
                self.tally.add_ticket(&context.me, request);
                if adopted {
                    self.adopted.insert(peer);
                }
                self.close_round(context);
            }
            Err(refusal) => self.refuse(context, refusal),
        }
    }

    fn close_round(&mut self, context: &mut Context) {
        if !matches!(&self.stage, Stage::Propagating(questions) if questions.is_empty()) {
            return;
        }
        if !self.pending.is_empty() {
            self.stage = Stage::AwaitingRound;
            match self.puts(context) {
                Ok(puts) => context.callback(&self.gid, CallbackAnswer::Apply { puts }),
                Err(refusal) => self.refuse(context, refusal),
            }
        } else if self.adopted.is_empty() {
            context.callback(&self.gid, CallbackAnswer::Unshared);
            self.stage =
                Stage::Ending(Announcement::start(context, &self.gid, Decision::Abort, []));
        } else {
            let vote = |gid: Gid| move |request| Message::Vote { gid, request };
            let ask = |peer: &PeerName| (context.ask(peer, vote(self.gid.clone())), peer.clone());
            self.stage = Stage::Voting(self.adopted.iter().map(ask).collect());
        }
    }

    fn puts(&self, context: &Context) -> Result<Vec<crate::delta::Put>, Refusal> {
        let put = |(table, todo): (&TableName, &Delta)| {
            let membership = context.tables.get(table);
            let membership =
                membership.ok_or_else(|| Refusal::incomplete_group(&context.me, table, &[]))?;
            self.changes
                .put(&context.me, table, &membership.schema, todo)
        };
        self.pending.iter().map(put).collect()
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
        if matches!(
            self.stage,
            Stage::Propagating(_) | Stage::AwaitingRound | Stage::Voting(_)
        ) {
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
        match &mut self.stage {
            Stage::Propagating(_) | Stage::AwaitingRound | Stage::Voting(_)
                if self.deadline <= now =>
            {
                let refusal = Refusal::late(&context.me, now - self.since);
                self.refuse(context, refusal);
            }
            Stage::Ending(announcement) => announcement.tick(context, now, &self.gid),
            _ => {}
        }
    }

    pub(super) fn timeout(&self) -> Option<Millis> {
        match &self.stage {
            Stage::Propagating(_) | Stage::AwaitingRound | Stage::Voting(_) => Some(self.deadline),
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
                Stage::Voting(_) => "voting",
                Stage::Deciding { .. } => "deciding",
                Stage::Ending(announcement) => match announcement.decision {
                    Decision::Commit => "committing",
                    Decision::Abort => "aborting",
                },
            },
            since: self.since,
            touched: self.changes.touched(),
            waiting_for: match &self.stage {
                Stage::Propagating(questions) | Stage::Voting(questions) => {
                    questions.values().map(WaitingFor::first).collect()
                }
                Stage::Ending(announcement) => announcement.waiting_for(),
                Stage::AwaitingRound | Stage::Deciding { .. } => vec![],
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
            Stage::Propagating(_) | Stage::AwaitingRound | Stage::Voting(_)
                if decision == Decision::Abort =>
            {
                let refusal = Refusal::resolved(&context.me);
                self.refuse(context, refusal);
                let by = context.me.clone();
                ResolveAnswer::Decided { decision, by }
            }
            Stage::Propagating(_) | Stage::AwaitingRound | Stage::Voting(_) => {
                ResolveAnswer::Refused {
                    why: "Not everybody has promised yet: it can be aborted, but not be committed.",
                }
            }
        }
    }
}
