//! The world of one seed: peers, a network between them, clients, and one heap of events in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dejima_core::delta::Key;
use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{
    CallbackAnswer, Decision, Input, Limits, Machine, Message, Millis, Output, Request, RequestId,
};

use crate::client::{Client, Operation};
use crate::database::{Database, Executed};
use crate::history::History;
use crate::random::Random;
use crate::scenario::{Scenario, Weather};
use crate::wrong_rule::WrongRule;

/// How long a statement waits for a row lock, in virtual ms.
const LOCK_WAIT_MS: Millis = 60;
/// Between two attempts to get it.
const LOCK_POLL_MS: Millis = 3;
/// How long a question waits for its answer.
const DEADLINE_MS: Millis = 2_000;
/// When the heal phase must have ended everything.
const HEAL_MS: Millis = 300_000;

/// One peer: its machine while it runs, its database always.
struct Peer {
    machine: Option<Machine>,
    /// Counts the starts; what was on its way to an earlier start is lost.
    epoch: u32,
    database: Database,
    /// Questions without an answer yet, and to whom.
    questions: BTreeMap<RequestId, PeerName>,
    next_tick: Option<Millis>,
}

/// Something that will happen.
enum Event {
    Input {
        peer: usize,
        epoch: u32,
        input: Input,
    },
    Message {
        from: usize,
        to: usize,
        message: Message,
    },
    Deadline {
        asker: usize,
        epoch: u32,
        gid: Gid,
        request: RequestId,
    },
    Database {
        peer: usize,
        epoch: u32,
        request: Request,
        since: Millis,
    },
    Tick {
        peer: usize,
        epoch: u32,
    },
    ClientBegins,
    ClientEnds {
        gid: Gid,
        commits: bool,
    },
    HelperDies {
        gid: Gid,
    },
    Restart {
        peer: usize,
    },
}

/// The world of one seed.
pub struct World {
    /// What the seed has decided before the first event.
    pub scenario: Scenario,
    /// What has happened, for the invariants.
    pub history: History,
    weather: Weather,
    wrong_rule: Option<WrongRule>,
    random: Random,
    now: Millis,
    events: BTreeMap<(Millis, u64), Event>,
    sequence: u64,
    peers: Vec<Peer>,
    clients: BTreeMap<Gid, Client>,
    transactions_left: u64,
    /// How long the next deltas take, if that is not left to the dice.
    delays: VecDeque<Millis>,
    /// Number of events carried out.
    pub steps: u64,
}

impl World {
    /// A world at its beginning; `wrong_rule` breaks the protocol on purpose.
    pub fn new(scenario: Scenario, seed: u64, wrong_rule: Option<WrongRule>) -> Self {
        let database = |at: usize| {
            let tables = scenario.tables_of(at).cloned().collect();
            Database::new(
                scenario.peers[at].clone(),
                tables,
                scenario.characters[at].clone(),
            )
        };
        let peer = |at| Peer {
            machine: None,
            epoch: 0,
            database: database(at),
            questions: BTreeMap::new(),
            next_tick: None,
        };
        let peers = (0..scenario.peers.len()).map(peer).collect();
        let mut world = Self {
            weather: scenario.weather.clone(),
            transactions_left: scenario.transactions,
            history: History::default(),
            scenario,
            wrong_rule,
            random: Random::new(seed),
            now: 0,
            events: BTreeMap::new(),
            sequence: 0,
            peers,
            clients: BTreeMap::new(),
            delays: VecDeque::new(),
            steps: 0,
        };
        for peer in 0..world.peers.len() {
            world.start(peer);
        }
        world
    }

    /// The database of a peer.
    pub fn database(&self, peer: usize) -> &Database {
        &self.peers[peer].database
    }

    /// Number of deltas that were given a fixed delay but never sent.
    pub fn delays_left(&self) -> usize {
        self.delays.len()
    }

    /// True if nothing is in flight at a peer.
    pub fn is_quiet(&self, peer: usize) -> bool {
        let peer = &self.peers[peer];
        peer.machine.as_ref().is_some_and(Machine::is_quiet) && peer.database.is_quiet()
    }

    /// Runs the stormy phase to the last client's begin, then heals the world and lets it come to rest.
    pub fn run(&mut self) {
        self.at(1, Event::ClientBegins);
        while self.transactions_left > 0 && self.step() {}
        self.heal();
        let end = self.now + HEAL_MS;
        while self.now < end && !self.is_at_rest() && self.step() {}
    }

    /// Runs one client transaction; its deltas take so long, one after the other as they are sent.
    pub fn run_one(&mut self, peer: usize, operations: &[Operation], delays: &[Millis]) {
        self.transactions_left = 0;
        self.delays = delays.iter().copied().collect();
        while self
            .peers
            .iter()
            .any(|peer| peer.machine.as_ref().is_some_and(|m| !m.is_recovered()))
            && self.step()
        {}
        self.begin(peer, operations.to_vec());
        while !self.is_at_rest() && self.step() {}
    }

    fn is_at_rest(&self) -> bool {
        self.clients.is_empty() && (0..self.peers.len()).all(|peer| self.is_quiet(peer))
    }

    fn heal(&mut self) {
        self.weather = Weather::calm();
        for peer in 0..self.peers.len() {
            if self.peers[peer].machine.is_none() {
                self.start(peer);
            }
        }
    }

    fn at(&mut self, delay: Millis, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), event)) = self.events.pop_first() else {
            return false;
        };
        self.now = time;
        self.steps += 1;
        match event {
            Event::Input { peer, epoch, input } if self.peers[peer].epoch == epoch => {
                self.input(peer, input)
            }
            Event::Message { from, to, message } => self.deliver(from, to, message),
            Event::Deadline {
                asker,
                epoch,
                gid,
                request,
            } if self.peers[asker].epoch == epoch => {
                self.deadline(asker, gid, request);
            }
            Event::Database {
                peer,
                epoch,
                request,
                since,
            } if self.peers[peer].epoch == epoch => {
                self.database_request(peer, request, since);
            }
            Event::Tick { peer, epoch } if self.peers[peer].epoch == epoch => {
                self.peers[peer].next_tick = None;
                self.input(peer, Input::Tick);
            }
            Event::ClientBegins => self.client_begins(),
            Event::ClientEnds { gid, commits } => self.client_ends(&gid, commits),
            Event::HelperDies { gid } => self.helper_dies(&gid),
            Event::Restart { peer } if self.peers[peer].machine.is_none() => self.start(peer),
            _ => {}
        }
        true
    }

    fn start(&mut self, peer: usize) {
        let epoch = self.peers[peer].epoch + 1;
        let name = self.scenario.peers[peer].clone();
        self.peers[peer].epoch = epoch;
        self.peers[peer].machine = Some(Machine::new(
            name,
            Limits::default(),
            u64::from(epoch) << 32,
        ));
        self.input(
            peer,
            Input::Members {
                tables: self.scenario.memberships(peer),
            },
        );
        self.input(peer, Input::Started);
    }

    /// kill -9: what was in the peer's memory is gone, its sessions break, its clients' hooks hear nothing.
    fn kill(&mut self, peer: usize) {
        self.peers[peer].machine = None;
        self.peers[peer].epoch += 1;
        self.peers[peer].questions.clear();
        self.peers[peer].next_tick = None;
        self.peers[peer].database.disconnect_peer();
        if self.wrong_rule == Some(WrongRule::PreparedIsForgotten) {
            self.peers[peer].database.forget_prepared();
        }
        let waiting = self
            .clients
            .iter()
            .filter(|(_, client)| client.peer == peer && client.is_waiting);
        let waiting: Vec<Gid> = waiting.map(|(gid, _)| gid.clone()).collect();
        for gid in waiting {
            self.client_ends(&gid, false);
        }
        let wait = 10 + self.random.below(1_500);
        self.at(wait, Event::Restart { peer });
    }

    fn input(&mut self, peer: usize, input: Input) {
        let Some(machine) = &mut self.peers[peer].machine else {
            return;
        };
        machine.handle(self.now, input);
        let mut outputs = vec![];
        while let Some(output) = machine.poll_output() {
            outputs.push(output);
        }
        let timeout = machine.poll_timeout();
        for output in outputs {
            self.output(peer, output);
        }
        self.schedule_tick(peer, timeout);
    }

    fn schedule_tick(&mut self, peer: usize, timeout: Option<Millis>) {
        let Some(timeout) = timeout else { return };
        let due = timeout.max(self.now + 1);
        if self.peers[peer].next_tick.is_none_or(|next| due < next) {
            self.peers[peer].next_tick = Some(due);
            let epoch = self.peers[peer].epoch;
            self.at(due - self.now, Event::Tick { peer, epoch });
        }
    }

    fn output(&mut self, peer: usize, output: Output) {
        let epoch = self.peers[peer].epoch;
        match output {
            Output::Send { to, message } => self.send(peer, &to, message),
            Output::Callback { gid, answer } => self.callback(peer, &gid, answer),
            // Operators have no part in the story.
            Output::Resolved { .. } => {}
            Output::Database(request) => {
                let (delay, since) = (self.random.below(4), self.now);
                self.at(
                    delay,
                    Event::Database {
                        peer,
                        epoch,
                        request,
                        since,
                    },
                );
            }
        }
    }

    fn send(&mut self, from: usize, to: &PeerName, message: Message) {
        if self.wrong_rule.is_some_and(|rule| rule.swallows(&message)) {
            return;
        }
        let Some(to) = self.scenario.peers.iter().position(|name| name == to) else {
            return;
        };
        self.history.sent(&self.scenario, to, &message);
        if let Some((gid, request)) = question(&message) {
            self.peers[from]
                .questions
                .insert(request, self.scenario.peers[to].clone());
            let epoch = self.peers[from].epoch;
            self.at(
                DEADLINE_MS,
                Event::Deadline {
                    asker: from,
                    epoch,
                    gid,
                    request,
                },
            );
            if self.random.chance(self.weather.repetition) {
                self.carry(from, to, message.clone());
            }
        }
        self.carry(from, to, message);
    }

    fn carry(&mut self, from: usize, to: usize, message: Message) {
        if self.random.chance(self.weather.loss) {
            return;
        }
        let fixed = if matches!(message, Message::Propagate { .. }) {
            self.delays.pop_front()
        } else {
            None
        };
        let mut delay = fixed.unwrap_or_else(|| self.random.below(self.weather.delay_ms_max + 1));
        if self.random.chance(self.weather.late) {
            delay += self.random.below(3_000);
        }
        self.at(delay, Event::Message { from, to, message });
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        if let Some(request) = answered(&message)
            && self.peers[to].questions.remove(&request).is_none()
        {
            return;
        }
        let message = match self.wrong_rule {
            Some(rule) => rule.forge(message),
            None => message,
        };
        let from = self.scenario.peers[from].clone();
        self.input(to, Input::Received { from, message });
    }

    fn deadline(&mut self, asker: usize, gid: Gid, request: RequestId) {
        if let Some(to) = self.peers[asker].questions.remove(&request) {
            self.input(
                asker,
                Input::Undelivered {
                    to,
                    gid,
                    request,
                    why: "no answer".into(),
                },
            );
        }
    }

    fn database_request(&mut self, peer: usize, request: Request, since: Millis) {
        let epoch = self.peers[peer].epoch;
        let may_wait = self.now < since + LOCK_WAIT_MS;
        let database = &mut self.peers[peer].database;
        let finishing = match &request {
            Request::Finish { gid, decision, .. } if database.is_prepared(gid) => {
                Some((gid.clone(), *decision))
            }
            _ => None,
        };
        let answer = match database.execute(request, may_wait) {
            Executed::Answered(answer) => answer,
            Executed::Silent => return,
            Executed::Waiting(request) => {
                let event = Event::Database {
                    peer,
                    epoch,
                    request,
                    since,
                };
                return self.at(LOCK_POLL_MS, event);
            }
        };
        if let Some((gid, decision)) = finishing {
            self.history.finished(&gid, peer, decision);
        }
        let answer = match self.wrong_rule {
            Some(rule) => rule.misread(answer),
            None => answer,
        };
        let delay = self.random.below(3);
        self.at(
            delay,
            Event::Input {
                peer,
                epoch,
                input: Input::Database(answer),
            },
        );
    }

    fn client_begins(&mut self) {
        if self.transactions_left > 0 {
            self.transactions_left -= 1;
            let pause = self.random.below(60);
            self.at(pause, Event::ClientBegins);
        }
        let peer = self.random.index(self.peers.len());
        let operations = self.random_operations(peer);
        self.begin(peer, operations);
        if self.random.chance(self.weather.peer_deaths) {
            let victim = self.random.index(self.peers.len());
            if self.peers[victim].machine.is_some() {
                self.kill(victim);
            }
        }
    }

    fn random_operations(&mut self, peer: usize) -> Vec<Operation> {
        let attributes: Vec<String> = self.scenario.attributes_of(peer).into_iter().collect();
        let keys = self.scenario.keys;
        let keys: BTreeSet<u64> = (0..1 + self.random.below(3))
            .map(|_| self.random.below(keys))
            .collect();
        keys.into_iter()
            .map(|key| Operation::random(&mut self.random, key, &attributes))
            .collect()
    }

    /// A client's statements, then COMMIT: the hook calls the peer.
    fn begin(&mut self, peer: usize, operations: Vec<Operation>) {
        let name = &self.scenario.peers[peer];
        let gid = format!(
            "{name}:{:08x}-0000-4000-8000-{:012x}",
            self.random.below(1 << 32),
            self.sequence
        );
        let gid = Gid::new(&gid).expect("made like the hook's");
        let database = &mut self.peers[peer].database;
        let mut client = Client {
            peer,
            effects: vec![],
            is_waiting: true,
            participants: vec![],
        };
        for operation in operations {
            let key: Key = operation.key();
            let Ok(row) = database.read_for_update(&gid, &key) else {
                return database.roll_back(&gid);
            };
            let Some((new, effect)) = operation.on(row) else {
                continue;
            };
            if database.write(&gid, &key, new).is_err() {
                return database.roll_back(&gid);
            }
            client.effects.push(effect);
        }
        let captured = database.take_captured(&gid);
        if captured.is_empty() || self.peers[peer].machine.is_none() {
            return self.peers[peer].database.roll_back(&gid);
        }
        self.clients.insert(gid.clone(), client);
        if self.random.chance(self.weather.client_deaths) {
            let wait = self.random.below(50);
            self.at(wait, Event::HelperDies { gid: gid.clone() });
        }
        self.input(
            peer,
            Input::Callback {
                gid,
                round: 0,
                captured,
            },
        );
    }

    fn callback(&mut self, peer: usize, gid: &Gid, answer: CallbackAnswer) {
        if !self
            .clients
            .get(gid)
            .is_some_and(|client| client.is_waiting)
        {
            return;
        }
        match answer {
            CallbackAnswer::Voted { participants } => self.client_may_commit(gid, participants),
            CallbackAnswer::Unshared => self.client_may_commit(gid, vec![]),
            CallbackAnswer::Refused { .. } => self.client_ends(gid, false),
            CallbackAnswer::Apply { puts } => {
                let database = &mut self.peers[peer].database;
                if database.put(gid, &puts).is_err() {
                    return self.helper_dies(gid);
                }
                let captured = database.take_captured(gid);
                let epoch = self.peers[peer].epoch;
                let round = 1;
                self.at(
                    1,
                    Event::Input {
                        peer,
                        epoch,
                        input: Input::Callback {
                            gid: gid.clone(),
                            round,
                            captured,
                        },
                    },
                );
            }
        }
    }

    fn client_may_commit(&mut self, gid: &Gid, participants: Vec<PeerName>) {
        let Some(client) = self.clients.get_mut(gid) else {
            return;
        };
        (client.is_waiting, client.participants) = (false, participants);
        let slow = self.random.chance(self.weather.slow_clients);
        let delay = if slow {
            self.random.below(15_000)
        } else {
            self.random.below(3)
        };
        let commits = !self.random.chance(self.weather.client_deaths);
        self.at(
            delay,
            Event::ClientEnds {
                gid: gid.clone(),
                commits,
            },
        );
    }

    fn client_ends(&mut self, gid: &Gid, commits: bool) {
        let Some(client) = self.clients.remove(gid) else {
            return;
        };
        let database = &mut self.peers[client.peer].database;
        if commits {
            database.commit(gid, client.participants);
            self.history
                .decided(gid, client.peer, Decision::Commit, client.effects);
        } else {
            database.roll_back(gid);
            self.history
                .decided(gid, client.peer, Decision::Abort, vec![]);
        }
    }

    fn helper_dies(&mut self, gid: &Gid) {
        let Some(client) = self.clients.get(gid) else {
            return;
        };
        if client.is_waiting {
            let peer = client.peer;
            self.client_ends(gid, false);
            self.input(peer, Input::CallbackLost { gid: gid.clone() });
        }
    }
}

fn question(message: &Message) -> Option<(Gid, RequestId)> {
    match message {
        Message::Propagate { gid, request, .. }
        | Message::Vote { gid, request }
        | Message::Terminate { gid, request, .. }
        | Message::Inquire { gid, request, .. } => Some((gid.clone(), *request)),
        _ => None,
    }
}

fn answered(message: &Message) -> Option<RequestId> {
    match message {
        Message::Propagated { request, .. }
        | Message::Voted { request, .. }
        | Message::Terminated { request, .. }
        | Message::Decided { request, .. } => Some(*request),
        _ => None,
    }
}
