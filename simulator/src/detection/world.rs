//! Machines of detection, the network between them, and the order in which things happen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use dejima_core::group::{CallId, Fact, Identity, Input, Limits, Machine, Output, Said};
use dejima_core::name::PeerName;
use dejima_core::transaction::Millis;

use super::outcome::{Outcome, expected, wrong};
use super::topology::{Plan, Topology};
use crate::random::Random;

/// What a call that is lost costs its caller.
const DEADLINE_MS: Millis = 3_000;

/// How the network and the peers behave.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// One way, in milliseconds: at least, at most.
    pub delay_ms: (Millis, Millis),
    /// Messages lost, in a thousand.
    pub lost: u64,
    /// All peers start within so long.
    pub boot_ms: Millis,
    /// So many in a thousand start later, within the time after.
    pub late: u64,
    /// How late at most.
    pub late_ms: Millis,
    /// So many in a thousand are killed once and start again.
    pub restarting: u64,
    /// Two halves can't reach each other before this time.
    pub halves_until: Millis,
}

impl Conditions {
    /// One machine without losses.
    pub fn local() -> Self {
        Self {
            delay_ms: (1, 4),
            lost: 0,
            boot_ms: 100,
            late: 0,
            late_ms: 0,
            restarting: 0,
            halves_until: 0,
        }
    }

    /// 20 to 200 ms there and back, 5 % loss, 10 % of the peers up to five seconds late.
    pub fn wide_area() -> Self {
        Self {
            delay_ms: (10, 100),
            lost: 50,
            boot_ms: 1_000,
            late: 100,
            late_ms: 5_000,
            restarting: 0,
            halves_until: 0,
        }
    }
}

/// Peers, and what is under way between them.
pub struct World {
    now: Millis,
    random: Random,
    conditions: Conditions,
    peers: Vec<Peer>,
    by_address: BTreeMap<String, usize>,
    heap: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    next: u64,
    calls: BTreeMap<CallId, Call>,
    /// When anybody last started or left.
    last_start: Millis,
    /// When anybody last learnt anything.
    last_update: Millis,
    complaints: Vec<String>,
}

/// Who calls, in which of its lives, and where.
type Call = (usize, u64, String);

struct Peer {
    plan: Plan,
    machine: Option<Machine>,
    /// Counts its starts.
    life: u64,
    /// What it has asked to be kept, the newest of a kind last.
    saved: Vec<Arc<Fact>>,
    ticks: Option<Millis>,
    has_left: bool,
    sent: u64,
}

impl Peer {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            machine: None,
            life: 0,
            saved: Vec::new(),
            ticks: None,
            has_left: false,
            sent: 0,
        }
    }
}

enum Event {
    Start(usize),
    Kill(usize),
    Leave(usize),
    Tick(usize, u64),
    Ask {
        caller: usize,
        life: u64,
        address: String,
        said: Said,
    },
    Answer {
        caller: usize,
        life: u64,
        address: String,
        from: PeerName,
        said: Said,
    },
    Fail {
        caller: usize,
        life: u64,
        address: String,
        why: &'static str,
    },
}

impl World {
    /// A world before anybody has started.
    pub fn new(topology: Topology, conditions: Conditions, seed: u64) -> Self {
        let peers: Vec<_> = topology.plans.into_iter().map(Peer::new).collect();
        let by_address = peers
            .iter()
            .enumerate()
            .map(|(at, peer)| (peer.plan.address.clone(), at));
        let mut world = Self {
            now: 0,
            random: Random::new(seed),
            conditions,
            by_address: by_address.collect(),
            peers,
            heap: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            calls: BTreeMap::new(),
            last_start: 0,
            last_update: 0,
            complaints: Vec::new(),
        };
        for at in 0..world.peers.len() {
            world.plan(at);
        }
        world
    }

    /// Plans the life of a peer.
    fn plan(&mut self, at: usize) {
        let Conditions {
            boot_ms,
            late,
            late_ms,
            restarting,
            ..
        } = self.conditions;
        let is_late = self.random.chance(late);
        let start = if is_late {
            boot_ms + self.random.below(late_ms)
        } else {
            self.random.below(boot_ms)
        };
        self.after(start, Event::Start(at));
        if self.random.chance(restarting) {
            let kill = start + self.random.below(boot_ms + late_ms);
            self.after(kill, Event::Kill(at));
            let pause = 50 + self.random.below(2_000);
            self.after(kill + pause, Event::Start(at));
        }
    }

    /// Lets so many in a thousand leave all their Dejima tables within so long, in good order.
    pub fn leave(&mut self, per_mille: u64, within: Millis) {
        for at in 0..self.peers.len() {
            if self.random.chance(per_mille) {
                let wait = self.random.below(within);
                self.after(wait, Event::Leave(at));
            }
        }
    }

    /// Starts one more peer.
    pub fn join(&mut self, plan: Plan) {
        let at = self.peers.len();
        self.by_address.insert(plan.address.clone(), at);
        self.peers.push(Peer::new(plan));
        self.after(0, Event::Start(at));
    }

    /// Runs until nothing is under way, at most so long. True if it came to rest.
    pub fn run(&mut self, at_most: Millis) -> bool {
        let end = self.now + at_most;
        while let Some(&Reverse((when, id))) = self.heap.peek() {
            if when > end {
                return false;
            }
            self.heap.pop();
            let Some(event) = self.events.remove(&id) else {
                continue;
            };
            self.now = when;
            self.happen(event);
        }
        true
    }

    /// What has come of it. Compares every peer's groups with those that follow from what all share now.
    pub fn outcome(&self) -> Outcome {
        let live: Vec<_> = self
            .peers
            .iter()
            .filter(|peer| peer.machine.is_some() && !peer.has_left)
            .collect();
        let facts = live
            .iter()
            .flat_map(|peer| own_facts(&peer.plan, peer.life));
        let facts: Vec<_> = facts.collect();
        let expected = expected(&facts);
        let live: Vec<_> = live
            .iter()
            .filter_map(|peer| Some((peer.machine.as_ref()?, &peer.plan)))
            .collect();
        Outcome {
            peers: live.len(),
            messages: self.peers.iter().map(|peer| peer.sent).sum(),
            most_messages: self
                .peers
                .iter()
                .map(|peer| peer.sent)
                .max()
                .unwrap_or_default(),
            last_start: self.last_start,
            last_update: self.last_update,
            wrong: wrong(&live, &expected),
            complaints: self.complaints.clone(),
        }
    }

    /// The present time.
    pub fn now(&self) -> Millis {
        self.now
    }

    fn after(&mut self, wait: Millis, event: Event) {
        self.next += 1;
        self.heap.push(Reverse((self.now + wait, self.next)));
        self.events.insert(self.next, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(at) => self.start(at),
            Event::Kill(at) => self.peers[at].machine = None,
            Event::Leave(at) => self.end(at),
            Event::Tick(at, life) => {
                if self.peers[at].life == life {
                    self.peers[at].ticks = None;
                    self.hand(at, Input::Tick);
                }
            }
            Event::Ask {
                caller,
                life,
                address,
                said,
            } => self.deliver(caller, life, address, said),
            Event::Answer {
                caller,
                life,
                address,
                from,
                said,
            } => {
                if self.peers[caller].life == life {
                    self.hand(
                        caller,
                        Input::Answered {
                            address,
                            from,
                            said,
                        },
                    );
                }
            }
            Event::Fail {
                caller,
                life,
                address,
                why,
            } => {
                if self.peers[caller].life == life {
                    self.hand(
                        caller,
                        Input::Unanswered {
                            address,
                            why: why.to_owned(),
                        },
                    );
                }
            }
        }
    }

    fn start(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        if peer.has_left {
            return;
        }
        peer.life += 1;
        self.last_start = self.now;
        let me = Identity {
            peer: peer.plan.peer.clone(),
            address: peer.plan.address.clone(),
            incarnation: peer.life,
        };
        let mut newest = BTreeMap::new();
        for fact in peer.saved.drain(..) {
            newest.insert((fact.table().clone(), fact.peer.clone()), fact);
        }
        let known = newest.values().map(|fact| (**fact).clone()).collect();
        peer.saved = newest.into_values().collect();
        peer.machine = Some(Machine::new(
            me,
            peer.plan.shares.clone(),
            known,
            Limits::default(),
        ));
        peer.ticks = None;
        self.carry_out(at);
    }

    /// It starts again and shares nothing any more.
    fn end(&mut self, at: usize) {
        self.peers[at].plan.shares.clear();
        self.start(at);
        self.peers[at].has_left = true;
    }

    fn hand(&mut self, at: usize, input: Input) {
        let now = self.now;
        let Some(machine) = self.peers[at].machine.as_mut() else {
            return;
        };
        let before = machine.counters().updates;
        machine.handle(now, input);
        if machine.counters().updates > before {
            self.last_update = now;
        }
        self.carry_out(at);
    }

    fn carry_out(&mut self, at: usize) {
        let life = self.peers[at].life;
        while let Some(output) = self.peers[at]
            .machine
            .as_mut()
            .and_then(Machine::poll_output)
        {
            match output {
                Output::Ask { address, said } => self.ask(at, life, address, said),
                Output::Answer { call, said } => self.answer(at, call, said),
                Output::Save(facts) => self.peers[at].saved.extend(facts),
                Output::Complain(said) => {
                    if !said.contains("calling again") {
                        self.complaints
                            .push(format!("{}: {said}", self.peers[at].plan.peer));
                    }
                }
                Output::CountBeyond(overtaken) => self.complaints.push(format!("{overtaken:?}")),
                Output::Members(_) => {}
            }
        }
        let due = self.peers[at]
            .machine
            .as_ref()
            .and_then(Machine::poll_timeout);
        if let Some(due) = due.filter(|due| self.peers[at].ticks.is_none_or(|ticks| *due < ticks)) {
            self.peers[at].ticks = Some(due);
            self.after(due.saturating_sub(self.now), Event::Tick(at, life));
        }
    }

    fn ask(&mut self, caller: usize, life: u64, address: String, said: Said) {
        let wait = self.delay();
        if self.is_lost() {
            return self.fail(DEADLINE_MS, (caller, life, address), "deadline");
        }
        self.after(
            wait,
            Event::Ask {
                caller,
                life,
                address,
                said,
            },
        );
    }

    fn deliver(&mut self, caller: usize, life: u64, address: String, said: Said) {
        let to = self.by_address.get(&address).copied();
        let is_cut =
            to.is_some_and(|to| self.now < self.conditions.halves_until && to % 2 != caller % 2);
        if is_cut {
            return self.fail(DEADLINE_MS, (caller, life, address), "deadline");
        }
        let Some(to) = to.filter(|&to| self.peers[to].machine.is_some()) else {
            let wait = self.delay();
            return self.fail(wait, (caller, life, address), "connection refused");
        };
        self.next += 1;
        let call = self.next;
        self.calls.insert(call, (caller, life, address));
        let from = self.peers[caller].plan.peer.clone();
        self.peers[caller].sent += 1;
        self.hand(to, Input::Asked { call, from, said });
    }

    fn answer(&mut self, at: usize, call: CallId, said: Said) {
        let Some((caller, life, address)) = self.calls.remove(&call) else {
            return;
        };
        let from = self.peers[at].plan.peer.clone();
        if self.is_lost() {
            return self.fail(DEADLINE_MS, (caller, life, address), "deadline");
        }
        let wait = self.delay();
        self.after(
            wait,
            Event::Answer {
                caller,
                life,
                address,
                from,
                said,
            },
        );
    }

    /// A call brings its caller nothing but this, after so long.
    fn fail(&mut self, wait: Millis, (caller, life, address): Call, why: &'static str) {
        self.after(
            wait,
            Event::Fail {
                caller,
                life,
                address,
                why,
            },
        );
    }

    fn delay(&mut self) -> Millis {
        let (least, most) = self.conditions.delay_ms;
        least + self.random.below(most - least + 1)
    }

    fn is_lost(&mut self) -> bool {
        self.random.chance(self.conditions.lost)
    }
}

/// What a peer says of itself.
fn own_facts(plan: &Plan, incarnation: u64) -> Vec<Fact> {
    let fact = |share: &dejima_core::group::Share| Fact {
        peer: plan.peer.clone(),
        address: plan.address.as_str().into(),
        incarnation,
        shape: Arc::clone(share.shape()),
    };
    plan.shares.iter().map(fact).collect()
}
