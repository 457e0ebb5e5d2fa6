//! One task owns both machines. It hands in what has happened and has carried out what they want; it decides
//! nothing, and it never waits for anything but the next event.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dejima_core::crash_point;
use dejima_core::group::{self, CallId, Fact, Said};
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::plain;
use dejima_core::transaction::{
    self, Answer, CallbackAnswer, Membership, Message, Millis, Request, Silence,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::capture::Capture;
use crate::client::Client;
use crate::event::{Event, Events, Undelivered};
use crate::pending::{Pending, identity, is_question};
use crate::spool::Spool;
use crate::store::Store;

/// How often a fact is tried to be saved; after that the next start asks the seeds again.
const SAVE_ATTEMPTS: usize = 8;

/// A complaint may show names that other peers have chosen.
const COMPLAINT_CHARS_MAX: usize = 2_000;

/// The machines, and everything that connects them with the world.
pub struct EventLoop {
    start: Instant,
    transactions: transaction::Machine,
    groups: group::Machine,
    members: BTreeMap<TableName, Membership>,
    client: Client,
    store: Arc<dyn Store>,
    sender: Events,
    events: mpsc::UnboundedReceiver<Event>,
    pending: Pending,
    /// What is left of large captures.
    spools: HashMap<Gid, Arc<Mutex<Spool>>>,
    exchanges: HashMap<CallId, oneshot::Sender<Said>>,
    exchange_last: CallId,
    quiet: Vec<oneshot::Sender<()>>,
    is_stopping: bool,
    ready: watch::Sender<bool>,
}

impl EventLoop {
    /// A loop at the start of a peer. The second value sends it events, the third says when it may serve.
    pub fn new(
        transactions: transaction::Machine,
        groups: group::Machine,
        client: Client,
        store: Arc<dyn Store>,
    ) -> (Self, Events, watch::Receiver<bool>) {
        let (sender, events) = mpsc::unbounded_channel();
        let (ready, is_ready) = watch::channel(false);
        let start = Self {
            start: Instant::now(),
            transactions,
            groups,
            members: BTreeMap::new(),
            client,
            store,
            sender: sender.clone(),
            events,
            pending: Pending::default(),
            spools: HashMap::new(),
            exchanges: HashMap::new(),
            exchange_last: 0,
            quiet: Vec::new(),
            is_stopping: false,
            ready,
        };
        (start, sender, is_ready)
    }

    /// Runs until it was told to stop and nothing is in flight any more.
    pub async fn run(mut self) {
        self.handle(transaction::Input::Started);
        self.carry_out();
        while !(self.is_stopping && self.transactions.is_quiet()) {
            let due = self.due();
            tokio::select! {
                event = self.events.recv() => {
                    let Some(event) = event else { return };
                    self.take(event);
                }
                () = tokio::time::sleep_until(due) => self.tick(),
            }
            self.carry_out();
            self.tell();
        }
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// When the machines want to be called if nothing happens before.
    fn due(&self) -> Instant {
        let due = [self.transactions.poll_timeout(), self.groups.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        // Without a timeout any time will do: an event comes first.
        let ms = due.unwrap_or_else(|| self.now() + 3_600_000);
        self.start + Duration::from_millis(ms)
    }

    fn tick(&mut self) {
        let now = self.now();
        if self
            .transactions
            .poll_timeout()
            .is_some_and(|due| due <= now)
        {
            self.transactions.handle(now, transaction::Input::Tick);
        }
        if self.groups.poll_timeout().is_some_and(|due| due <= now) {
            self.groups.handle(now, group::Input::Tick);
        }
    }

    fn handle(&mut self, input: transaction::Input) {
        self.transactions.handle(self.now(), input);
    }

    fn handle_group(&mut self, input: group::Input) {
        self.groups.handle(self.now(), input);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Question {
                from,
                message,
                answer,
            } => {
                crash_point::arrives(self.client.me(), &message);
                self.pending.ask(&from, &message, answer);
                self.handle(transaction::Input::Received { from, message });
            }
            Event::Reply { from, result } => self.take_reply(from, result),
            Event::Hook {
                gid,
                round,
                capture: Capture { captured, more },
                answer,
            } => {
                debug!(%gid, round, rows = captured.len(), "the hook calls");
                self.pending.call(gid.clone(), answer);
                let portion = more.map(|(portion, spool)| {
                    info!(%gid, rows = portion.rows_total, batches = portion.batches, "a large transaction");
                    self.spools.insert(gid.clone(), Arc::new(Mutex::new(spool)));
                    portion
                });
                self.handle(transaction::Input::Callback {
                    gid,
                    round,
                    captured,
                    portion,
                });
            }
            Event::Exchange { from, said, answer } => {
                // A peer that has just started says so to everybody.
                self.handle(transaction::Input::Reachable { peer: from.clone() });
                self.exchange_last += 1;
                self.exchanges.insert(self.exchange_last, answer);
                self.handle_group(group::Input::Asked {
                    call: self.exchange_last,
                    from,
                    said,
                });
            }
            Event::Resolve {
                gid,
                decision,
                is_forced,
                answer,
            } => {
                info!(%gid, ?decision, is_forced, "the operator ends a transaction");
                self.pending.resolve(gid.clone(), answer);
                self.handle(transaction::Input::Resolve {
                    gid,
                    decision,
                    is_forced,
                });
            }
            Event::Transaction(input) => {
                log_failure(&input);
                if let transaction::Input::CallbackLost { gid } = &input {
                    self.spools.remove(gid);
                }
                self.handle(input);
            }
            Event::Group(input) => self.handle_group(input),
            Event::Look(look) => look(self.now(), &self.groups, &self.transactions),
            Event::AwaitQuiet(answer) => self.quiet.push(answer),
            Event::Stop => {
                info!("stopping: no new transactions, finishing those at hand");
                self.is_stopping = true;
                self.handle(transaction::Input::Stop);
            }
        }
    }

    fn take_reply(&mut self, from: PeerName, result: Result<Message, Undelivered>) {
        if let Ok(message) = &result {
            crash_point::arrives(self.client.me(), message);
        }
        let error = result
            .as_ref()
            .err()
            .map(|undelivered| undelivered.silence.why.clone());
        if error.is_none() && self.groups.is_unreachable(&from) {
            self.handle(transaction::Input::Reachable { peer: from.clone() });
        }
        self.handle_group(group::Input::Contact {
            peer: from.clone(),
            error,
        });
        self.handle(match result {
            Ok(message) => transaction::Input::Received { from, message },
            Err(Undelivered {
                gid,
                request,
                silence,
            }) => {
                info!(%gid, peer = %from, why = silence.why, "no answer");
                transaction::Input::Undelivered {
                    to: from,
                    gid,
                    request,
                    silence,
                }
            }
        });
    }

    /// Carries out what the machines want until they want nothing more. The groups come first: a transaction
    /// that follows on their news must see them.
    fn carry_out(&mut self) {
        loop {
            if let Some(output) = self.groups.poll_output() {
                self.carry_out_group(output);
            } else if let Some(output) = self.transactions.poll_output() {
                self.carry_out_transaction(output);
            } else {
                return;
            }
        }
    }

    fn carry_out_group(&mut self, output: group::Output) {
        match output {
            group::Output::Ask { address, said } => self.exchange(address, said),
            group::Output::Answer { call, said } => {
                if let Some(answer) = self.exchanges.remove(&call) {
                    drop(answer.send(said));
                }
            }
            group::Output::Members(tables) => {
                log_members(&self.members, &tables);
                self.members.clone_from(&tables);
                self.handle(transaction::Input::Members { tables });
            }
            group::Output::Save(facts) => self.save(facts),
            group::Output::CountBeyond(overtaken) => self.count_beyond(overtaken),
            group::Output::Complain(complaint) => {
                warn!("{}", plain::line(&complaint, COMPLAINT_CHARS_MAX));
            }
        }
    }

    fn carry_out_transaction(&mut self, output: transaction::Output) {
        match output {
            transaction::Output::Send { to, message } => {
                crash_point::leaves(self.client.me(), &message);
                if is_question(&message) {
                    self.ask(to, message);
                } else {
                    self.pending.answer(to, message);
                }
            }
            transaction::Output::Callback { gid, answer } => {
                log_answer(&gid, &answer);
                if !matches!(answer, CallbackAnswer::Apply { .. }) {
                    self.spools.remove(&gid);
                }
                self.pending.return_to_hook(&gid, answer);
            }
            transaction::Output::Database(request) => self.execute(request),
            transaction::Output::NextBatch { gid } => self.read_batch(gid),
            transaction::Output::Resolved { gid, answer } => {
                self.pending.return_to_operator(&gid, &answer);
            }
        }
    }

    fn ask(&mut self, to: PeerName, message: Message) {
        let (gid, request) = identity(&message);
        let (gid, events) = (gid.clone(), self.sender.clone());
        debug!(%gid, peer = %to, "asking");
        let call = match self.groups.address(&to) {
            Some(address) => self.client.ask(address, &to, message, &self.members),
            None => Err(Silence {
                why: "its address is not known".to_owned(),
                is_away: false,
            }),
        };
        tokio::spawn(async move {
            let result = match call {
                Ok(call) => call.await,
                Err(silence) => Err(silence),
            };
            let result = result.map_err(|silence| Undelivered {
                gid,
                request,
                silence,
            });
            drop(events.send(Event::Reply { from: to, result }));
        });
    }

    fn exchange(&mut self, address: String, said: Said) {
        let call = self.client.exchange(&address, said);
        let events = self.sender.clone();
        tokio::spawn(async move {
            let input = match call.await {
                Ok((from, said)) => group::Input::Answered {
                    address,
                    from,
                    said,
                },
                Err(Silence { why, .. }) => {
                    debug!(address, why, "no answer to Exchange");
                    group::Input::Unanswered { address, why }
                }
            };
            drop(events.send(Event::Group(input)));
        });
    }

    /// A task of its own that nobody cancels: a statement whose future is dropped goes on in PostgreSQL.
    fn execute(&self, request: Request) {
        let (store, events) = (Arc::clone(&self.store), self.sender.clone());
        tokio::spawn(async move {
            if let Some(answer) = store.execute(request).await {
                drop(events.send(Event::Transaction(transaction::Input::Database(answer))));
            }
        });
    }

    /// Reads apart from this thread, which serves others meanwhile.
    fn read_batch(&self, gid: Gid) {
        let Some(spool) = self.spools.get(&gid).map(Arc::clone) else {
            return;
        };
        let events = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let batch = spool.lock().unwrap_or_else(PoisonError::into_inner).next();
            let batch = batch.map_err(|error| error.to_string());
            drop(events.send(Event::Transaction(transaction::Input::Batch { gid, batch })));
        });
    }

    fn save(&self, facts: Vec<Arc<Fact>>) {
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let retry = backon::ExponentialBuilder::default().with_max_times(SAVE_ATTEMPTS);
            let saved = backon::Retryable::retry(|| store.save(facts.clone()), retry).await;
            if let Err(why) = saved {
                warn!(
                    why,
                    "the members of the groups could not be saved; the next start will ask the seeds again"
                );
            }
        });
    }

    fn count_beyond(&self, overtaken: group::Overtaken) {
        error!(
            peer = %overtaken.by,
            seen = overtaken.seen,
            own = overtaken.own,
            "the database is older than what this peer has seen: it was restored from a backup; see `dejima doctor`"
        );
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let retry = backon::ExponentialBuilder::default().with_max_times(SAVE_ATTEMPTS);
            let count = || store.count_beyond(overtaken.clone());
            if let Err(why) = backon::Retryable::retry(count, retry).await {
                warn!(
                    why,
                    "that the database was restored could not be noted; the next start will find it again"
                );
            }
        });
    }

    /// Tells those who wait for a state of the whole.
    fn tell(&mut self) {
        let is_ready = self.transactions.is_recovered() && self.groups.is_complete();
        self.ready
            .send_if_modified(|before| std::mem::replace(before, is_ready) != is_ready);
        if !self.quiet.is_empty()
            && is_ready
            && self.groups.is_settled()
            && self.transactions.is_quiet()
        {
            self.quiet
                .drain(..)
                .for_each(|answer| answer.send(()).unwrap_or_default());
        }
    }
}

fn log_members(before: &BTreeMap<TableName, Membership>, now: &BTreeMap<TableName, Membership>) {
    for (table, membership) in now
        .iter()
        .filter(|(table, now)| before.get(*table) != Some(now))
    {
        match &membership.members {
            Ok(members) => info!(%table, ?members, "the group is complete"),
            Err(missing) => info!(%table, ?missing, "the group is not complete"),
        }
    }
}

/// What must be done and could not be: it is tried again, and shown with the transaction.
fn log_failure(input: &transaction::Input) {
    if let transaction::Input::Database(answer) = input {
        match answer {
            Answer::Failed { gids, why } => {
                warn!(?gids, why, "the database failed; it is asked again")
            }
            Answer::NotForgotten { gids, why } => {
                warn!(
                    ?gids,
                    why,
                    "finished transactions could not be forgotten; the database is asked again"
                );
            }
            Answer::RecoveryFailed { why } => {
                warn!(
                    why,
                    "what was left unfinished could not be read; the database is asked again"
                );
            }
            _ => {}
        }
    }
}

fn log_answer(gid: &Gid, answer: &CallbackAnswer) {
    match answer {
        CallbackAnswer::Voted { participants } => debug!(%gid, ?participants, "all have promised"),
        CallbackAnswer::Unshared => debug!(%gid, "nothing shared has changed"),
        CallbackAnswer::Apply { .. } => {
            debug!(%gid, "the hook has to apply changes of other peers")
        }
        CallbackAnswer::Refused { refusal } => {
            info!(%gid, peer = %refusal.peer, sqlstate = refusal.sqlstate, what = refusal.message, "refused");
        }
    }
}
