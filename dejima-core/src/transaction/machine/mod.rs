//! The machine: one for a peer, all its transactions in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::delta::{Captured, Delta};
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::{Refusal, sqlstate};
use crate::transaction::changes::Tables;
use crate::transaction::context::Context;
use crate::transaction::database::{Answer, Request};
use crate::transaction::interface::{
    CallbackAnswer, Decision, Input, Limits, Millis, Output, Portion, RequestId, ResolveAnswer,
    Silence, Summary,
};
use crate::transaction::origin::Origin;
use crate::transaction::participant::Participant;

mod held;
mod messages;
mod outcomes;
mod recovery;

use held::Held;
use outcomes::Inquirer;
use recovery::Recovery;

/// How long a transaction that has ended is remembered, so that a late message cannot open it again.
const MEMORY_MS: Millis = 60_000;

/// All global transactions of one peer.
#[derive(Debug)]
pub struct Machine {
    context: Context,
    transactions: BTreeMap<Gid, Transaction>,
    ended: BTreeMap<Gid, Ended>,
    ended_order: VecDeque<(Millis, Gid)>,
    /// Deltas that wait for transactions which have promised.
    held: Vec<Held>,
    /// Peers that ask for a decision which only the database knows.
    inquiries: BTreeMap<Gid, Vec<Inquirer>>,
    is_asking_outcomes: bool,
    /// The database did not do what it was last asked.
    is_database_failing: bool,
    /// `None` once the past is known.
    recovery: Option<Recovery>,
    is_stopping: bool,
}

/// How a transaction ended here.
#[derive(Clone, Debug)]
struct Ended {
    decision: Decision,
    /// False if this peer aborted alone, or was told to by whomever.
    is_learnt: bool,
    /// Why it was aborted before the vote, for whoever hears of it here first.
    cause: Option<Box<Refusal>>,
}

#[derive(Debug)]
enum Transaction {
    Origin(Box<Origin>),
    Participant(Box<Participant>),
}

impl Machine {
    /// A machine that knows nothing yet; `first_request` must be higher than any number used before a restart.
    pub fn new(me: PeerName, limits: Limits, first_request: RequestId) -> Self {
        Self {
            context: Context {
                me,
                limits,
                tables: Tables::new(),
                outputs: VecDeque::new(),
                forgettable: Vec::new(),
                forget_at: None,
                next_request: first_request,
                away: BTreeMap::new(),
            },
            transactions: BTreeMap::new(),
            ended: BTreeMap::new(),
            ended_order: VecDeque::new(),
            held: Vec::new(),
            inquiries: BTreeMap::new(),
            is_asking_outcomes: false,
            is_database_failing: false,
            recovery: Some(Recovery {
                again_at: None,
                wait: limits.retry_ms_min,
                early: vec![],
            }),
            is_stopping: false,
        }
    }

    /// The next thing to do, if there is any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.context.outputs.pop_front()
    }

    /// When the machine wants a [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let transactions = self
            .transactions
            .values()
            .filter_map(|transaction| match transaction {
                // Who waits for the outcome is asked about with the next answer.
                Transaction::Origin(origin)
                    if origin.wants_outcome(Millis::MAX) && self.is_asking_outcomes =>
                {
                    None
                }
                Transaction::Origin(origin) => origin.timeout(),
                Transaction::Participant(participant) => participant.timeout(&self.context),
            });
        let recovery = self
            .recovery
            .as_ref()
            .and_then(|recovery| recovery.again_at);
        transactions
            .chain(recovery)
            .chain(self.context.forget_at)
            .chain(self.held.iter().map(|held| held.until))
            .min()
    }

    /// The transactions in flight here.
    pub fn summaries(&self) -> Vec<Summary> {
        let summary = |transaction: &Transaction| match transaction {
            Transaction::Origin(origin) => origin.summary(),
            Transaction::Participant(participant) => participant.summary(),
        };
        self.transactions.values().map(summary).collect()
    }

    /// What a transaction in flight has changed in each Dejima table, as far as it is known here: of a large one only the
    /// batch at hand. Empty after a restart of the peer.
    pub fn changes(&self, gid: &Gid) -> BTreeMap<TableName, Delta> {
        match self.transactions.get(gid) {
            Some(Transaction::Origin(origin)) => origin.changes().known(),
            Some(Transaction::Participant(participant)) => participant.changes().known(),
            None => BTreeMap::new(),
        }
    }

    /// True if no transaction in flight concerns a Dejima table. What one has changed is not known here after a restart: then it may.
    pub fn is_at_rest(&self, table: &TableName) -> bool {
        let passes_by =
            |summary: Summary| !summary.touched.is_empty() && !summary.touched.contains_key(table);
        self.summaries().into_iter().all(passes_by)
    }

    /// True if the past is known, no transaction is in flight here, and the database was asked to forget all.
    pub fn is_quiet(&self) -> bool {
        self.is_recovered() && self.transactions.is_empty() && self.context.forgettable.is_empty()
    }

    /// True if the past is known.
    pub fn is_recovered(&self) -> bool {
        self.recovery.is_none()
    }

    /// Takes one input; what follows from it waits in [`Self::poll_output`].
    pub fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Started => self.context.database(Request::Recover),
            Input::Members { tables } => self.regroup(now, tables),
            Input::Callback {
                gid,
                round,
                captured,
                portion,
            } => self.callback(now, gid, round, captured, portion),
            Input::Batch { gid, batch } => self.at_origin(&gid, now, |origin, context| {
                origin.next_batch(context, now, batch);
            }),
            Input::CallbackLost { gid } => {
                self.at_origin(&gid, now, |origin, context| origin.callback_lost(context))
            }
            Input::Received { from, message } => self.received(now, from, message),
            Input::Undelivered {
                to,
                gid,
                request,
                silence,
            } => self.undelivered(now, &to, &gid, request, &silence),
            Input::Reachable { peer } => self.reachable(now, &peer),
            Input::Resolve {
                gid,
                decision,
                is_forced,
            } => self.resolve(now, gid, decision, is_forced),
            Input::Database(answer) => self.database(now, answer),
            Input::Tick => self.tick(now),
            Input::Stop => self.is_stopping = true,
        }
        self.admit_held(now);
        self.ask_outcomes(now);
        self.context.forget_due(now);
    }

    fn callback(
        &mut self,
        now: Millis,
        gid: Gid,
        round: u32,
        captured: Vec<Captured>,
        portion: Option<Portion>,
    ) {
        let known = self.transactions.get(&gid);
        let has_voted = matches!(known, Some(Transaction::Origin(origin)) if origin.has_voted());
        let known = known.is_some();
        let refusal = if gid.origin() != self.context.me {
            Some(Refusal::forbidden(
                &self.context.me,
                "The gid names another peer as its origin.",
            ))
        } else if round == 0 && has_voted {
            Some(Refusal::voted_before(&self.context.me))
        } else if round == 0 && known || round > 0 && !known {
            Some(Refusal::late(
                &self.context.me,
                self.context.limits.transaction_ms_max,
            ))
        } else if round == 0 && (self.is_stopping || !self.is_recovered()) {
            Some(self.not_ready())
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self
                .context
                .callback(&gid, CallbackAnswer::Refused { refusal });
        }
        if round == 0 {
            let origin = Box::new(Origin::new(gid.clone(), now, &self.context));
            self.transactions
                .insert(gid.clone(), Transaction::Origin(origin));
        }
        self.at_origin(&gid, now, |origin, context| {
            origin.call(context, now, captured, portion)
        });
    }

    fn not_ready(&self) -> Refusal {
        let doing = if self.is_stopping {
            "stopping"
        } else {
            "starting"
        };
        Refusal {
            peer: self.context.me.clone(),
            sqlstate: sqlstate::CANNOT_CONNECT_NOW.into(),
            message: format!("peer \"{}\" is {doing}", self.context.me),
            detail: "It takes no new transactions now.".into(),
            hint: "Try again when it is up.".into(),
        }
    }

    /// A transaction uses one version of the groups: those that have not promised and concern a table whose members are
    /// others now, end.
    fn regroup(&mut self, now: Millis, tables: Tables) {
        let before = std::mem::replace(&mut self.context.tables, tables);
        let has_changed =
            |(table, membership): &(_, _)| self.context.tables.get(*table) != Some(*membership);
        let changed: BTreeSet<TableName> = before
            .iter()
            .filter(has_changed)
            .map(|(table, _)| table.clone())
            .collect();
        if !changed.is_empty() {
            self.at_all(now, |transaction, context| match transaction {
                Transaction::Origin(origin) => origin.regroup(context, &changed),
                Transaction::Participant(participant) => {
                    participant.regroup(context, now, &changed)
                }
            });
        }
    }

    fn reachable(&mut self, now: Millis, peer: &PeerName) {
        self.context.away.remove(peer);
        for transaction in self.transactions.values_mut() {
            match transaction {
                Transaction::Origin(origin) => origin.hurry(&self.context, now, peer),
                Transaction::Participant(participant) => {
                    participant.hurry(&self.context, now, peer)
                }
            }
        }
        self.tick(now);
    }

    fn resolve(&mut self, now: Millis, gid: Gid, decision: Decision, is_forced: bool) {
        let answer = match self.transactions.get_mut(&gid) {
            Some(Transaction::Origin(origin)) => origin.resolve(&mut self.context, decision),
            Some(Transaction::Participant(participant)) => {
                participant.resolve(&mut self.context, now, decision, is_forced);
                return self.forget_if_over(now, &gid);
            }
            None => ResolveAnswer::Refused {
                why: "It is not in flight at this peer: it has ended, or never came here.",
            },
        };
        self.forget_if_over(now, &gid);
        self.context
            .outputs
            .push_back(Output::Resolved { gid, answer });
    }

    fn undelivered(
        &mut self,
        now: Millis,
        to: &PeerName,
        gid: &Gid,
        request: RequestId,
        silence: &Silence,
    ) {
        self.at(gid, now, |transaction, context| match transaction {
            Transaction::Origin(origin) => origin.undelivered(context, now, to, request, silence),
            Transaction::Participant(participant) => {
                participant.undelivered(context, now, to, request, silence)
            }
        });
    }

    fn database(&mut self, now: Millis, answer: Answer) {
        if !matches!(
            answer,
            Answer::Failed { .. }
                | Answer::Refused { .. }
                | Answer::NotForgotten { .. }
                | Answer::RecoveryFailed { .. }
        ) {
            self.hurry_database(now);
        }
        let gid = match &answer {
            Answer::Applied { gid, .. }
            | Answer::Refused { gid, .. }
            | Answer::Prepared { gid }
            | Answer::RolledBack { gid }
            | Answer::Finished { gid, .. } => gid.clone(),
            Answer::Failed { gids, why } => return self.failed(now, gids, why),
            Answer::NotForgotten { gids, .. } => return self.context.forget_later(now, gids),
            Answer::Outcomes { outcomes } => return self.outcomes(now, outcomes),
            Answer::Recovered { found } => return self.recovered(now, found.clone()),
            Answer::RecoveryFailed { .. } => return self.recover_later(now),
        };
        self.at_participant(&gid, now, |participant, context| {
            participant.database(context, now, answer)
        });
    }

    fn tick(&mut self, now: Millis) {
        if let Some(recovery) = &mut self.recovery
            && recovery.again_at.is_some_and(|at| at <= now)
        {
            recovery.again_at = None;
            self.context.database(Request::Recover);
        }
        while let Some((_, gid)) = self.ended_order.pop_front_if(|(until, _)| *until <= now) {
            self.ended.remove(&gid);
        }
        self.at_all(now, |transaction, context| match transaction {
            Transaction::Origin(origin) => origin.tick(context, now),
            Transaction::Participant(participant) => participant.tick(context, now),
        });
    }

    fn at_all(&mut self, now: Millis, act: impl Fn(&mut Transaction, &mut Context)) {
        let gids: Vec<Gid> = self.transactions.keys().cloned().collect();
        for gid in gids {
            self.at(&gid, now, &act);
        }
    }

    fn at(&mut self, gid: &Gid, now: Millis, act: impl FnOnce(&mut Transaction, &mut Context)) {
        if let Some(transaction) = self.transactions.get_mut(gid) {
            act(transaction, &mut self.context);
            self.forget_if_over(now, gid);
        }
    }

    fn at_origin(&mut self, gid: &Gid, now: Millis, act: impl FnOnce(&mut Origin, &mut Context)) {
        self.at(gid, now, |transaction, context| {
            if let Transaction::Origin(origin) = transaction {
                act(origin, context);
            }
        });
    }

    fn at_participant(
        &mut self,
        gid: &Gid,
        now: Millis,
        act: impl FnOnce(&mut Participant, &mut Context),
    ) {
        self.at(gid, now, |transaction, context| {
            if let Transaction::Participant(participant) = transaction {
                act(participant, context);
            }
        });
    }

    fn forget_if_over(&mut self, now: Millis, gid: &Gid) {
        let (is_over, decision, learnt, cause) = match self.transactions.get_mut(gid) {
            Some(Transaction::Origin(origin)) => {
                let decision = origin.decision();
                let is_over = origin.is_over(&mut self.context, now);
                (is_over, decision, decision, None)
            }
            Some(Transaction::Participant(participant)) => (
                participant.is_over(&mut self.context, now),
                participant.decision(),
                participant.learnt_decision(),
                participant.cause().cloned(),
            ),
            None => return,
        };
        if is_over {
            self.transactions.remove(gid);
            let ended = Ended {
                decision: decision.unwrap_or(Decision::Abort),
                is_learnt: learnt.is_some(),
                cause: cause.map(Box::new),
            };
            self.remember(now, gid.clone(), ended);
        }
    }

    fn remember(&mut self, now: Millis, gid: Gid, ended: Ended) {
        if self.ended.insert(gid.clone(), ended).is_none() {
            self.ended_order.push_back((now + MEMORY_MS, gid));
        }
    }
}
