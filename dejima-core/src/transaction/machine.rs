//! The machine: one for a peer, all its transactions in it.

use std::collections::{BTreeMap, VecDeque};

use super::changes::Tables;
use super::context::Context;
use super::database::{Answer, Outcome, Recovered, Request};
use super::interface::{
    CallbackAnswer, Decision, Input, Limits, Message, Millis, Output, RequestId, Summary,
};
use super::origin::Origin;
use super::participant::{Incoming, Participant};
use crate::delta::Captured;
use crate::name::{Gid, PeerName};
use crate::refusal::{Refusal, sqlstate};

/// How long a transaction that has ended is remembered, so that a late message cannot open it again.
const MEMORY_MS: Millis = 60_000;

/// All global transactions of one peer.
#[derive(Debug)]
pub struct Machine {
    context: Context,
    transactions: BTreeMap<Gid, Transaction>,
    ended: BTreeMap<Gid, Decision>,
    ended_order: VecDeque<(Millis, Gid)>,
    /// Peers that ask for a decision which only the database knows.
    inquiries: BTreeMap<Gid, Vec<(PeerName, RequestId)>>,
    is_asking_outcomes: bool,
    /// `None` once the past is known.
    recovery: Option<Recovery>,
    is_stopping: bool,
}

#[derive(Debug)]
enum Transaction {
    Origin(Origin),
    Participant(Box<Participant>),
}

/// What this peer left unfinished before it was started: not known until the database has said it.
#[derive(Debug)]
struct Recovery {
    /// Set after a failure.
    again_at: Option<Millis>,
    wait: Millis,
    /// Messages that came too early.
    early: Vec<(PeerName, Message)>,
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
            },
            transactions: BTreeMap::new(),
            ended: BTreeMap::new(),
            ended_order: VecDeque::new(),
            inquiries: BTreeMap::new(),
            is_asking_outcomes: false,
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
            Input::Members { tables } => self.context.tables = tables,
            Input::Callback {
                gid,
                round,
                captured,
            } => self.callback(now, gid, round, &captured),
            Input::CallbackLost { gid } => {
                self.at_origin(&gid, now, |origin, context| origin.callback_lost(context))
            }
            Input::Received { from, message } => self.received(now, from, message),
            Input::Undelivered {
                to,
                gid,
                request,
                why,
            } => self.undelivered(now, &to, &gid, request, &why),
            Input::Database(answer) => self.database(now, answer),
            Input::Tick => self.tick(now),
            Input::Stop => self.is_stopping = true,
        }
        self.ask_outcomes(now);
        self.context.forget_due(now);
    }

    fn callback(&mut self, now: Millis, gid: Gid, round: u32, captured: &[Captured]) {
        let known = self.transactions.contains_key(&gid);
        let refusal = if gid.origin() != self.context.me {
            Some(Refusal::forbidden(
                &self.context.me,
                "The gid names another peer as its origin.",
            ))
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
            let origin = Origin::new(gid.clone(), now, &self.context);
            self.transactions
                .insert(gid.clone(), Transaction::Origin(origin));
        }
        self.at_origin(&gid, now, |origin, context| origin.call(context, captured));
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

    fn received(&mut self, now: Millis, from: PeerName, message: Message) {
        if let Some(recovery) = &mut self.recovery {
            return recovery.early.push((from, message));
        }
        match message {
            Message::Propagate {
                gid,
                request,
                table,
                patience_ms,
                delta,
            } => {
                let asker = (from, request);
                self.propagate(
                    now,
                    gid,
                    Incoming {
                        asker,
                        table,
                        patience_ms,
                        delta,
                    },
                );
            }
            Message::Vote { gid, request } => self.vote(now, (from, request), gid),
            Message::Terminate {
                gid,
                request,
                decision,
            } => self.terminate(now, (from, request), gid, decision),
            Message::Inquire { gid, request } => self.inquire(from, gid, request),
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
                participant.decided(context, now, request, decision);
            }),
        }
    }

    fn propagate(&mut self, now: Millis, gid: Gid, incoming: Incoming) {
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
                Some(Refusal::conflict(
                    &self.context.me,
                    table,
                    "The transaction has already ended here.",
                ))
            }
            None if incoming.delta.is_empty() => {
                Some(Refusal::forbidden(&self.context.me, "The delta is empty."))
            }
            None => self.context.check_member(&from, table).err(),
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

    fn vote(&mut self, now: Millis, asker: (PeerName, RequestId), gid: Gid) {
        if let Some(Transaction::Participant(participant)) = self.transactions.get_mut(&gid) {
            participant.vote(&mut self.context, now, asker);
        } else {
            let (to, request) = asker;
            let refusal = Refusal::late(&self.context.me, self.context.limits.idle_ms_max);
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
    ) {
        match self.transactions.get_mut(&gid) {
            Some(Transaction::Participant(participant)) => {
                participant.terminate(&mut self.context, now, asker, decision);
                self.forget_if_over(now, &gid);
            }
            // A participant that aborted alone says so to the origin too, which hears it by its answers.
            Some(Transaction::Origin(_)) => self.acknowledge(asker, gid),
            // It was carried out before, or nothing of it ever came here.
            None => {
                if decision == Decision::Abort {
                    self.remember(now, gid.clone(), decision);
                }
                self.acknowledge(asker, gid);
            }
        }
    }

    fn acknowledge(&mut self, (to, request): (PeerName, RequestId), gid: Gid) {
        self.context
            .reply(&to, Message::Terminated { gid, request });
    }

    /// What was decided? Unknown and not ours: whoever promised here would be known, so nothing was promised
    /// and the transaction aborted. Unknown and ours: the database knows.
    fn inquire(&mut self, from: PeerName, gid: Gid, request: RequestId) {
        let decision = match self.transactions.get(&gid) {
            Some(Transaction::Origin(origin)) => origin.decision(),
            Some(Transaction::Participant(participant)) => participant.decision(),
            None if gid.origin() == self.context.me => {
                self.inquiries.entry(gid).or_default().push((from, request));
                return;
            }
            None => Some(self.ended.get(&gid).copied().unwrap_or(Decision::Abort)),
        };
        self.context.reply(
            &from,
            Message::Decided {
                gid,
                request,
                decision,
            },
        );
    }

    fn undelivered(
        &mut self,
        now: Millis,
        to: &PeerName,
        gid: &Gid,
        request: RequestId,
        why: &str,
    ) {
        self.at(gid, now, |transaction, context| match transaction {
            Transaction::Origin(origin) => origin.undelivered(context, now, to, request, why),
            Transaction::Participant(participant) => {
                participant.undelivered(context, now, to, request, why)
            }
        });
    }

    fn database(&mut self, now: Millis, answer: Answer) {
        let gid = match &answer {
            Answer::Applied { gid, .. }
            | Answer::Refused { gid, .. }
            | Answer::Prepared { gid }
            | Answer::RolledBack { gid }
            | Answer::Finished { gid } => gid.clone(),
            Answer::Failed { gids, .. } => return self.failed(now, &gids.clone(), answer),
            Answer::Outcomes { outcomes } => return self.outcomes(now, outcomes),
            Answer::Recovered { found } => return self.recovered(now, found.clone()),
            Answer::RecoveryFailed { .. } => return self.recover_later(now),
        };
        self.at_participant(&gid, now, |participant, context| {
            participant.database(context, now, answer)
        });
    }

    fn failed(&mut self, now: Millis, gids: &[Gid], answer: Answer) {
        for gid in gids {
            if let Some(Transaction::Participant(participant)) = self.transactions.get_mut(gid) {
                participant.database(&mut self.context, now, answer.clone());
            } else {
                self.is_asking_outcomes = false;
                self.outcome(now, gid, Outcome::Pending);
            }
        }
    }

    fn outcomes(&mut self, now: Millis, outcomes: &[(Gid, Outcome)]) {
        self.is_asking_outcomes = false;
        for (gid, outcome) in outcomes {
            self.outcome(now, gid, *outcome);
        }
    }

    fn outcome(&mut self, now: Millis, gid: &Gid, outcome: Outcome) {
        self.at_origin(gid, now, |origin, context| {
            origin.outcome(context, now, outcome)
        });
        let decision = match outcome {
            Outcome::Committed => Some(Decision::Commit),
            Outcome::Aborted => Some(Decision::Abort),
            Outcome::Pending => None,
        };
        for (to, request) in self.inquiries.remove(gid).unwrap_or_default() {
            self.context.reply(
                &to,
                Message::Decided {
                    gid: gid.clone(),
                    request,
                    decision,
                },
            );
        }
    }

    /// One question at a time; as soon as one transaction wants to know, it is asked for all that wait.
    fn ask_outcomes(&mut self, now: Millis) {
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

    fn recovered(&mut self, now: Millis, found: Recovered) {
        let early = self.recovery.take().map(|recovery| recovery.early);
        for (gid, participants) in found.decided {
            let origin = Origin::recovered(&mut self.context, now, gid.clone(), participants);
            self.transactions
                .insert(gid.clone(), Transaction::Origin(origin));
            self.forget_if_over(now, &gid);
        }
        for (gid, parent) in found.prepared {
            let participant = Participant::recovered(&self.context, now, gid.clone(), parent);
            self.transactions
                .insert(gid, Transaction::Participant(Box::new(participant)));
        }
        for (gid, children) in found.finished {
            let participant =
                Participant::recovered_finished(&mut self.context, now, gid.clone(), children);
            self.transactions
                .insert(gid.clone(), Transaction::Participant(Box::new(participant)));
            self.forget_if_over(now, &gid);
        }
        for (from, message) in early.unwrap_or_default() {
            self.received(now, from, message);
        }
        self.tick(now);
    }

    fn recover_later(&mut self, now: Millis) {
        if let Some(recovery) = &mut self.recovery {
            recovery.again_at = Some(now + recovery.wait);
            recovery.wait = (recovery.wait * 2).min(self.context.limits.retry_ms_max);
        }
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
        let gids: Vec<Gid> = self.transactions.keys().cloned().collect();
        for gid in gids {
            self.at(&gid, now, |transaction, context| match transaction {
                Transaction::Origin(origin) => origin.tick(context, now),
                Transaction::Participant(participant) => participant.tick(context, now),
            });
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
        let (is_over, decision) = match self.transactions.get_mut(gid) {
            Some(Transaction::Origin(origin)) => {
                (origin.is_over(&mut self.context, now), origin.decision())
            }
            Some(Transaction::Participant(participant)) => (
                participant.is_over(&mut self.context, now),
                participant.decision(),
            ),
            None => return,
        };
        if is_over {
            self.transactions.remove(gid);
            self.remember(now, gid.clone(), decision.unwrap_or(Decision::Abort));
        }
    }

    fn remember(&mut self, now: Millis, gid: Gid, decision: Decision) {
        if self.ended.insert(gid.clone(), decision).is_none() {
            self.ended_order.push_back((now + MEMORY_MS, gid));
        }
    }
}
