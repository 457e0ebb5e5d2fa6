//! The world of one seed: peers, a network between them, clients, and one heap of events in virtual time.

mod clients;
mod databases;
mod network;
mod peers;
mod storm;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{CallbackAnswer, Input, Machine, Message, Millis, RequestId};

use crate::client::{Client, Operation};
use crate::database::Database;
use crate::fault::{Fault, Faults};
use crate::history::History;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::weather::Weather;
use crate::wrong_rule::WrongRule;

use databases::Pending;
use network::Network;

/// When the heal phase must have ended everything.
const HEAL_MS: Millis = 300_000;

/// One peer: its machine while it runs, its database always.
struct Peer {
    machine: Option<Machine>,
    /// Counts the starts; what was on its way to an earlier start is lost.
    epoch: u32,
    database: Database,
    is_database_up: bool,
    /// Questions without an answer yet.
    questions: BTreeMap<RequestId, Question>,
    /// Peers that have not answered the last question.
    unreachable: BTreeSet<usize>,
    next_tick: Option<Millis>,
}

/// A question without an answer yet.
struct Question {
    to: PeerName,
    message: Message,
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
    Greeting {
        from: usize,
        to: usize,
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
        pending: Pending,
    },
    UndoPrepare {
        peer: usize,
        epoch: u32,
        gid: Gid,
        parent: PeerName,
    },
    Tick {
        peer: usize,
        epoch: u32,
    },
    ClientBegins,
    HookCalls {
        gid: Gid,
    },
    HookHears {
        gid: Gid,
        answer: CallbackAnswer,
    },
    ClientEnds {
        gid: Gid,
    },
    HelperDies {
        gid: Gid,
    },
    PeerStarts {
        peer: usize,
    },
    DatabaseStarts {
        peer: usize,
    },
    Trouble,
    CutEnds {
        ways: Vec<(usize, usize)>,
    },
    Clog {
        peer: usize,
    },
    Release {
        peer: usize,
    },
    StormEnds,
}

/// The world of one seed.
pub struct World {
    /// What the seed has decided before the first event.
    pub scenario: Scenario,
    /// What has happened, for the invariants.
    pub history: History,
    /// What has gone wrong.
    pub faults: Faults,
    weather: Weather,
    wrong_rule: Option<WrongRule>,
    random: Random,
    now: Millis,
    events: BTreeMap<(Millis, u64), Event>,
    sequence: u64,
    peers: Vec<Peer>,
    network: Network,
    clients: BTreeMap<Gid, Client>,
    transactions_left: u64,
    is_stormy: bool,
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
            is_database_up: true,
            questions: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            next_tick: None,
        };
        let peers = (0..scenario.peers.len()).map(peer).collect();
        let mut world = Self {
            weather: scenario.weather.clone(),
            transactions_left: scenario.transactions,
            history: History::default(),
            faults: Faults::default(),
            scenario,
            wrong_rule,
            random: Random::new(seed),
            now: 0,
            events: BTreeMap::new(),
            sequence: 0,
            peers,
            network: Network::default(),
            clients: BTreeMap::new(),
            is_stormy: false,
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

    /// Runs the storm, then heals the world and lets it come to rest.
    pub fn run(&mut self) {
        self.is_stormy = true;
        self.at(20, Event::ClientBegins);
        self.at(20, Event::Trouble);
        while self.is_stormy && self.step() {}
        self.heal();
        self.settle();
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
        self.settle();
    }

    /// Lets the world come to rest.
    fn settle(&mut self) {
        let end = self.now + HEAL_MS;
        while self.now < end && !self.is_at_rest() && self.step() {}
    }

    fn is_at_rest(&self) -> bool {
        let has_no_rows = |peer: &Peer| peer.database.remembered().next().is_none();
        self.clients.is_empty()
            && (0..self.peers.len()).all(|peer| self.is_quiet(peer))
            && self.peers.iter().all(has_no_rows)
    }

    fn at(&mut self, delay: Millis, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    /// True if a fault happens on this occasion: by the dice, or because the seed has planned it.
    fn strikes(&mut self, fault: Fault, per_mille: u64) -> bool {
        let mut strikes = self.random.chance(per_mille);
        for (planned, occasions) in &mut self.weather.plans {
            if *planned == fault && *occasions > 0 {
                *occasions -= 1;
                strikes |= *occasions == 0;
            }
        }
        if strikes {
            self.faults.count(fault);
        }
        strikes
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), event)) = self.events.pop_first() else {
            return false;
        };
        self.now = time;
        self.steps += 1;
        if event
            .epoch()
            .is_none_or(|(peer, epoch)| self.peers[peer].epoch == epoch)
        {
            self.carry_out(event);
        }
        true
    }

    /// Takes away the requests that a peer's database has not carried out yet.
    fn take_pending(&mut self, peer: usize) -> Vec<Pending> {
        let epoch = self.peers[peer].epoch;
        let taken = self
            .events
            .extract_if(.., |_, event| event.is_pending_at(peer, epoch));
        taken
            .filter_map(|(_, event)| match event {
                Event::Database { pending, .. } => Some(pending),
                _ => None,
            })
            .collect()
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Input { peer, input, .. } => self.input(peer, input),
            Event::Message { from, to, message } => self.arrive(from, to, message),
            Event::Greeting { from, to } => self.greeted(from, to),
            Event::Deadline {
                asker,
                gid,
                request,
                ..
            } => self.deadline(asker, gid, request),
            Event::Database { peer, pending, .. } => self.request(peer, pending),
            Event::UndoPrepare {
                peer, gid, parent, ..
            } => self.undo_prepare(peer, gid, parent),
            Event::Tick { peer, .. } => {
                self.peers[peer].next_tick = None;
                self.input(peer, Input::Tick);
            }
            Event::ClientBegins => self.client_begins(),
            Event::HookCalls { gid } => self.hook_calls(&gid),
            Event::HookHears { gid, answer } => self.hook_hears(&gid, answer),
            Event::ClientEnds { gid } => self.client_ends(&gid),
            Event::HelperDies { gid } => self.helper_dies(&gid),
            Event::PeerStarts { peer } => self.start(peer),
            Event::DatabaseStarts { peer } => self.peers[peer].is_database_up = true,
            Event::Trouble => self.trouble(),
            Event::CutEnds { ways } => self.network.join(&ways),
            Event::Clog { peer } => self.clog(peer),
            Event::Release { peer } => self.release(peer),
            Event::StormEnds => self.is_stormy = false,
        }
    }
}

impl Event {
    /// The start of a peer for which alone this happens.
    fn epoch(&self) -> Option<(usize, u32)> {
        match *self {
            Event::Input { peer, epoch, .. }
            | Event::Database { peer, epoch, .. }
            | Event::UndoPrepare { peer, epoch, .. }
            | Event::Tick { peer, epoch } => Some((peer, epoch)),
            Event::Deadline { asker, epoch, .. } => Some((asker, epoch)),
            _ => None,
        }
    }

    /// True if it is a request that this peer's database has not carried out yet.
    fn is_pending_at(&self, at: usize, now: u32) -> bool {
        matches!(self, Event::Database { peer, epoch, .. } if (*peer, *epoch) == (at, now))
    }
}
