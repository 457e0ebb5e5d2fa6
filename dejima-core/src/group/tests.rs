//! Transitions of one machine, and whole boots of several over a network without losses.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::delta::{Column, Schema};
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

const LIMITS: Limits = Limits {
    retry_ms_min: 100,
    retry_ms_max: 1_000,
    news_ms: 20,
};

fn peer(name: &str) -> PeerName {
    PeerName::new(name).expect("a name")
}

fn table(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

fn schema(columns: &[&str]) -> Schema {
    let column = |name: &&str| Column {
        name: (*name).into(),
        type_name: "text".into(),
    };
    Schema {
        columns: columns.iter().map(column).collect(),
        key: vec![0],
    }
}

fn share(name: &str, seeds: &[&str]) -> Share {
    let seeds = seeds.iter().map(|seed| (*seed).to_owned()).collect();
    Share {
        table: table(name),
        schema: schema(&["id", name]),
        seeds,
    }
}

fn identity(name: &str, address: &str, incarnation: u64) -> Identity {
    Identity {
        peer: peer(name),
        address: address.into(),
        incarnation,
    }
}

fn fact(name: &str, incarnation: u64, of: &str) -> Fact {
    Fact {
        peer: peer(name),
        address: format!("http://{name}"),
        incarnation,
        table: table(of),
        schema: schema(&["id", of]),
    }
}

fn start(name: &str, shares: Vec<Share>) -> Machine {
    Machine::new(
        identity(name, &format!("http://{name}"), 1),
        shares,
        Vec::new(),
        LIMITS,
    )
}

fn outputs(machine: &mut Machine) -> Vec<Output> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn handled(machine: &mut Machine, now: Millis, input: Input) -> Vec<Output> {
    machine.handle(now, input);
    outputs(machine)
}

fn members(machine: &Machine, of: &str) -> Result<Vec<String>, Vec<String>> {
    let groups = machine.groups();
    let group = groups
        .iter()
        .find(|group| group.table == table(of))
        .expect("it is shared");
    if !group.is_complete() {
        return Err(group.missing.clone());
    }
    Ok(group.members.iter().map(ToString::to_string).collect())
}

fn names(names: &[&str]) -> Result<Vec<String>, Vec<String>> {
    Ok(names.iter().map(|&name| name.to_owned()).collect())
}

/// Machines, who of them is up, and what they said.
#[derive(Default)]
struct Network {
    now: Millis,
    up: BTreeMap<String, Machine>,
    saved: BTreeMap<String, Facts>,
    complaints: Vec<String>,
    overtaken: Vec<Overtaken>,
    /// The caller of each call.
    calls: Vec<String>,
    under_way: VecDeque<(String, Input)>,
}

impl Network {
    fn boot(&mut self, name: &str, address: &str, incarnation: u64, shares: Vec<Share>) {
        let known = self
            .saved
            .get(name)
            .into_iter()
            .flat_map(|facts| facts.iter().cloned());
        let machine = Machine::new(
            identity(name, address, incarnation),
            shares,
            known.collect(),
            LIMITS,
        );
        self.up
            .retain(|_, other| other.peers()[0].identity.peer != peer(name));
        self.up.insert(address.into(), machine);
    }

    fn stop(&mut self, address: &str) -> Machine {
        self.up.remove(address).expect("it was up")
    }

    fn at(&self, address: &str) -> &Machine {
        &self.up[address]
    }

    /// Lets `ms` milliseconds pass, each message taking none.
    fn pass(&mut self, ms: Millis) {
        for _ in 0..=ms {
            for address in self.up.keys().cloned().collect::<Vec<_>>() {
                self.tick(&address);
            }
            self.now += 1;
        }
    }

    fn tick(&mut self, address: &str) {
        if self
            .at(address)
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.under_way.push_back((address.into(), Input::Tick));
        }
        self.carry_out(address);
        while let Some((to, input)) = self.under_way.pop_front() {
            let now = self.now;
            if let Some(machine) = self.up.get_mut(&to) {
                machine.handle(now, input);
                self.carry_out(&to);
            }
        }
    }

    fn carry_out(&mut self, address: &str) {
        while let Some(output) = self.up.get_mut(address).and_then(Machine::poll_output) {
            let name = self.at(address).peers()[0].identity.peer.clone();
            match output {
                Output::Ask { address: to, facts } => self.ask(address, name, to, facts),
                Output::Answer { call, facts } => {
                    let caller = self.calls[usize::try_from(call).expect("an index")].clone();
                    self.under_way.push_back((
                        caller,
                        Input::Answered {
                            address: address.into(),
                            from: name,
                            facts,
                        },
                    ));
                }
                Output::Save(facts) => {
                    let saved = self.saved.entry(name.to_string()).or_default();
                    *saved = std::mem::take(saved).join(facts.into_iter().collect());
                }
                Output::CountBeyond(overtaken) => self.overtaken.push(overtaken),
                Output::Complain(said) => self.complaints.push(format!("{name}: {said}")),
                Output::Members(_) => {}
            }
        }
    }

    fn ask(&mut self, caller: &str, from: PeerName, to: String, facts: Vec<Fact>) {
        let call = u64::try_from(self.calls.len()).expect("few calls");
        self.calls.push(caller.into());
        let refused = Input::Unanswered {
            address: to.clone(),
            why: "connection refused".into(),
        };
        self.under_way.push_back(match self.up.contains_key(&to) {
            true => (to, Input::Asked { call, from, facts }),
            false => (caller.into(), refused),
        });
    }
}

/// The example: a triangle of three tables, each shared by two.
fn triangle(name: &str) -> Vec<Share> {
    match name {
        "bank" => vec![share("A", &["http://gov"]), share("C", &["http://ins"])],
        "gov" => vec![share("A", &[]), share("B", &["http://ins"])],
        _ => vec![share("B", &["http://gov"]), share("C", &["http://bank"])],
    }
}

/// One table for all, each new one knowing only the founder.
fn star(name: &str) -> Vec<Share> {
    vec![share(
        "A",
        if name == "bank" {
            &[]
        } else {
            &["http://bank"]
        },
    )]
}

const ORDERS: [[&str; 3]; 6] = [
    ["bank", "gov", "ins"],
    ["bank", "ins", "gov"],
    ["gov", "bank", "ins"],
    ["gov", "ins", "bank"],
    ["ins", "bank", "gov"],
    ["ins", "gov", "bank"],
];

fn booted(order: &[&str], gap_ms: Millis, shares: fn(&str) -> Vec<Share>) -> Network {
    let mut network = Network::default();
    for name in order {
        network.boot(name, &format!("http://{name}"), 1, shares(name));
        network.pass(gap_ms);
    }
    network.pass(2_000);
    network
}

#[test]
fn a_triangle_meets_in_every_order() {
    for (order, gap_ms) in ORDERS
        .iter()
        .flat_map(|order| [0, 150, 5_000].map(|gap| (order, gap)))
    {
        let network = booted(order, gap_ms, triangle);
        assert_eq!(
            members(network.at("http://bank"), "A"),
            names(&["bank", "gov"]),
            "{order:?}"
        );
        assert_eq!(
            members(network.at("http://gov"), "A"),
            names(&["bank", "gov"]),
            "{order:?}"
        );
        assert_eq!(
            members(network.at("http://gov"), "B"),
            names(&["gov", "ins"]),
            "{order:?}"
        );
        assert_eq!(
            members(network.at("http://ins"), "C"),
            names(&["bank", "ins"]),
            "{order:?}"
        );
        assert!(network.up.values().all(Machine::is_settled), "{order:?}");
    }
}

#[test]
fn a_star_meets_in_every_order() {
    for (order, gap_ms) in ORDERS
        .iter()
        .flat_map(|order| [0, 150, 5_000].map(|gap| (order, gap)))
    {
        let network = booted(order, gap_ms, star);
        for machine in network.up.values() {
            assert_eq!(
                members(machine, "A"),
                names(&["bank", "gov", "ins"]),
                "{order:?} {gap_ms}"
            );
            assert!(machine.is_settled(), "{order:?}");
        }
    }
}

#[test]
fn twenty_meet_with_few_calls() {
    let mut network = Network::default();
    let peers: Vec<_> = (0..20).map(|at| format!("p{at}")).collect();
    for name in &peers {
        let seeds: &[&str] = if name == "p0" { &[] } else { &["http://p0"] };
        network.boot(name, &format!("http://{name}"), 1, vec![share("A", seeds)]);
    }
    network.pass(2_000);
    assert!(
        network
            .up
            .values()
            .all(|machine| machine.is_settled() && machine.groups()[0].members.len() == 20)
    );
    // Each calls each once, and the founder's news cost as much again at most.
    assert!(
        network.calls.len() <= 2 * 20 * 19,
        "{}",
        network.calls.len()
    );
    let before = network.calls.len();
    network.pass(60_000);
    assert_eq!(network.calls.len(), before, "a settled group is silent");
}

#[test]
fn a_silent_seed_holds_up_nobody_else() {
    let mut network = Network::default();
    network.boot("gov", "http://gov", 1, triangle("gov"));
    network.boot("bank", "http://bank", 1, triangle("bank"));
    network.pass(1_000);
    assert_eq!(
        members(network.at("http://bank"), "A"),
        names(&["bank", "gov"])
    );
    assert_eq!(
        members(network.at("http://bank"), "C"),
        Err(vec!["seed http://ins has not answered yet".into()])
    );
    assert!(!network.at("http://bank").is_complete());
    network.boot("ins", "http://ins", 1, triangle("ins"));
    network.pass(1_000);
    assert_eq!(
        members(network.at("http://bank"), "C"),
        names(&["bank", "ins"])
    );
    assert!(network.up.values().all(Machine::is_settled));
}

#[test]
fn a_restarted_peer_knows_its_groups_at_once() {
    let mut network = booted(&["bank", "gov", "ins"], 0, star);
    network.stop("http://bank");
    network.stop("http://ins");
    network.boot("ins", "http://ins", 2, star("ins"));
    assert_eq!(
        members(network.at("http://ins"), "A"),
        names(&["bank", "gov", "ins"])
    );
    let bank = network.at("http://ins").peers().remove(1);
    assert_eq!(
        (bank.identity.peer, bank.reach),
        (peer("bank"), Reach::Unknown)
    );
    network.pass(1_000);
    let bank = network.at("http://ins").peers().remove(1);
    assert_eq!(
        (bank.reach, bank.error.as_deref()),
        (Reach::Unreachable, Some("connection refused"))
    );
}

#[test]
fn a_peer_that_moves_is_found_again() {
    let mut network = booted(&["bank", "gov", "ins"], 0, star);
    network.stop("http://gov");
    network.boot("gov", "http://elsewhere", 2, star("gov"));
    network.pass(1_000);
    for address in ["http://bank", "http://ins"] {
        let machine = network.at(address);
        assert_eq!(machine.address(&peer("gov")), Some("http://elsewhere"));
        assert_eq!(members(machine, "A"), names(&["bank", "gov", "ins"]));
        assert!(machine.is_settled());
    }
}

#[test]
fn the_founder_may_lose_everything() {
    let mut network = booted(&["bank", "gov", "ins"], 0, star);
    network.stop("http://bank");
    network.saved.remove("bank");
    network.boot("bank", "http://bank", 2, vec![share("A", &["http://gov"])]);
    network.pass(1_000);
    assert_eq!(
        members(network.at("http://bank"), "A"),
        names(&["bank", "gov", "ins"])
    );
}

#[test]
fn other_columns_are_refused_at_both_ends() {
    let mut network = booted(&["bank", "gov"], 0, star);
    let mut shares = star("ins");
    shares[0].schema = schema(&["id", "A", "phone"]);
    shares.push(share("B", &["http://gov"]));
    network.boot("ins", "http://ins", 1, shares);
    network.pass(1_000);
    for (address, here) in [
        ("http://bank", "bank"),
        ("http://gov", "gov"),
        ("http://ins", "ins"),
    ] {
        let missing =
            members(network.at(address), "A").expect_err("nobody may change what one would miss");
        assert!(missing[0].contains("\"phone\" is missing"), "{missing:?}");
        let complaint = network
            .complaints
            .iter()
            .find(|said| said.starts_with(&format!("{here}: ")) && said.contains("\"phone\""));
        assert!(
            complaint.is_some_and(|said| said.contains("\"A\"") && said.contains("\"ins\"")),
            "{complaint:?}"
        );
    }
    // The others stay members of each other, and a corrected declaration heals it.
    assert_eq!(
        network.at("http://bank").groups()[0].members,
        [peer("bank"), peer("gov")]
    );
    network.stop("http://ins");
    network.boot("ins", "http://ins", 2, star("ins"));
    network.pass(1_000);
    assert_eq!(
        members(network.at("http://bank"), "A"),
        names(&["bank", "gov", "ins"])
    );
    assert_eq!(
        members(network.at("http://ins"), "A"),
        names(&["bank", "gov", "ins"])
    );
}

#[test]
fn a_seed_that_does_not_share_is_named() {
    let mut network = Network::default();
    network.boot("bank", "http://bank", 1, vec![share("A", &[])]);
    network.boot("gov", "http://gov", 1, vec![share("B", &["http://bank"])]);
    network.pass(1_000);
    let missing = members(network.at("http://gov"), "B").expect_err("nobody else shares it");
    assert_eq!(
        missing,
        ["at seed http://bank peer \"bank\" answers, which does not share it"]
    );
    assert!(network.complaints.iter().any(|said| {
        said.contains("\"gov\" speaks of Dejima table \"B\", which this peer does not share")
    }));
    // It may come to share it later.
    network.boot(
        "bank",
        "http://bank",
        2,
        vec![share("A", &[]), share("B", &[])],
    );
    network.pass(2_000);
    assert_eq!(
        members(network.at("http://gov"), "B"),
        names(&["bank", "gov"])
    );
}

#[test]
fn the_first_outputs_are_the_members_then_the_calls() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    assert!(
        matches!(&outputs(&mut machine)[..], [Output::Members(tables)] if tables[&table("A")].members.is_err())
    );
    assert_eq!(machine.poll_timeout(), Some(0));
    let asked = handled(&mut machine, 5, Input::Tick);
    assert_eq!(
        asked,
        [Output::Ask {
            address: "http://bank".into(),
            facts: vec![fact("gov", 1, "A")]
        }]
    );
    assert_eq!(machine.poll_timeout(), None, "one call at a time");
}

#[test]
fn an_answer_completes_the_group() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    handled(&mut machine, 0, Input::Tick);
    let facts = vec![fact("bank", 3, "A")];
    let done = handled(
        &mut machine,
        1,
        Input::Answered {
            address: "http://bank".into(),
            from: peer("bank"),
            facts: facts.clone(),
        },
    );
    assert!(
        matches!(&done[..], [Output::Save(saved), Output::Members(tables)]
            if *saved == facts && tables[&table("A")].members == Ok(vec![peer("bank")])),
        "{done:?}"
    );
    assert!(machine.is_settled());
}

#[test]
fn a_caller_learns_only_what_it_shares() {
    let mut machine = start("gov", vec![share("A", &[]), share("B", &[])]);
    handled(
        &mut machine,
        0,
        Input::Asked {
            call: 1,
            from: peer("ins"),
            facts: vec![fact("ins", 1, "B")],
        },
    );
    let said = handled(
        &mut machine,
        1,
        Input::Asked {
            call: 2,
            from: peer("bank"),
            facts: vec![fact("bank", 1, "A")],
        },
    );
    assert!(
        said.contains(&Output::Answer {
            call: 2,
            facts: vec![fact("gov", 1, "A")]
        }),
        "{said:?}"
    );
    let nothing = handled(
        &mut machine,
        2,
        Input::Asked {
            call: 3,
            from: peer("eve"),
            facts: vec![fact("eve", 1, "C")],
        },
    );
    assert!(
        nothing.contains(&Output::Answer {
            call: 3,
            facts: Vec::new()
        }),
        "{nothing:?}"
    );
    assert!(
        matches!(&nothing[0], Output::Complain(said) if said.contains("\"eve\"") && said.contains("\"C\""))
    );
}

#[test]
fn nobody_speaks_of_what_he_does_not_share() {
    let mut machine = start("gov", vec![share("A", &[]), share("B", &[])]);
    outputs(&mut machine);
    let facts = vec![fact("bank", 1, "B"), fact("eve", 1, "A")];
    let said = handled(
        &mut machine,
        0,
        Input::Asked {
            call: 1,
            from: peer("eve"),
            facts,
        },
    );
    assert!(
        matches!(&said[0], Output::Complain(said) if said.contains("\"B\", which it does not share")),
        "{said:?}"
    );
    assert_eq!(members(&machine, "B"), names(&["gov"]));
    assert_eq!(members(&machine, "A"), names(&["eve", "gov"]));
}

#[test]
fn a_second_peer_of_this_name_is_complained_of() {
    let mut machine = start("gov", vec![share("A", &[])]);
    outputs(&mut machine);
    let mut other = fact("gov", 1, "A");
    other.address = "http://copy".into();
    let said = handled(
        &mut machine,
        0,
        Input::Asked {
            call: 1,
            from: peer("gov"),
            facts: vec![other],
        },
    );
    assert!(
        matches!(&said[..], [Output::Complain(said), Output::Answer { .. }] if said.contains("http://copy")),
        "{said:?}"
    );
}

#[test]
fn its_own_address_among_the_seeds_is_no_seed() {
    let machine = start("gov", vec![share("A", &["http://gov"])]);
    assert!(machine.is_settled());
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn failures_are_retried_with_growing_waits() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..6 {
        handled(&mut machine, now, Input::Tick);
        handled(
            &mut machine,
            now,
            Input::Unanswered {
                address: "http://bank".into(),
                why: "refused".into(),
            },
        );
        let due = machine.poll_timeout().expect("it calls again");
        waits.push(due - now);
        now = due;
    }
    assert!(
        waits[0] <= 100 && waits[5] >= 500 && waits[5] <= 1_000,
        "{waits:?}"
    );
    handled(
        &mut machine,
        now,
        Input::Asked {
            call: 1,
            from: peer("bank"),
            facts: vec![fact("bank", 1, "A")],
        },
    );
    assert!(
        machine.poll_timeout().is_none_or(|due| due <= now),
        "who calls is alive: it is called at once"
    );
}

#[test]
fn transactions_show_who_is_reachable() {
    let known = vec![fact("bank", 1, "A")];
    let mut machine = Machine::new(
        identity("gov", "http://gov", 1),
        vec![share("A", &[])],
        known,
        LIMITS,
    );
    outputs(&mut machine);
    machine.handle(
        7,
        Input::Contact {
            peer: peer("bank"),
            error: None,
        },
    );
    assert_eq!(
        (machine.peers()[1].reach, machine.peers()[1].last_answer),
        (Reach::Reachable, Some(7))
    );
    machine.handle(
        8,
        Input::Contact {
            peer: peer("bank"),
            error: Some("connection refused".into()),
        },
    );
    assert_eq!(machine.peers()[1].reach, Reach::Unreachable);
}

#[test]
fn a_peer_whose_database_was_put_back_counts_beyond_what_others_have_seen() {
    let mut network = Network::default();
    for (name, incarnation) in [("bank", 1), ("gov", 1), ("ins", 5)] {
        let address = format!("http://{name}");
        network.boot(name, &address, incarnation, star(name));
    }
    network.pass(500);
    assert_eq!(network.overtaken, []);
    network.boot("ins", "http://ins", 3, star("ins"));
    network.pass(2_000);
    let [
        Overtaken {
            seen: 5, own: 3, ..
        },
    ] = network.overtaken.as_slice()
    else {
        panic!("{:?}", network.overtaken);
    };
    for address in ["http://bank", "http://gov", "http://ins"] {
        let peers = network.at(address).peers();
        let found = peers
            .iter()
            .find(|state| state.identity.peer == peer("ins"));
        assert_eq!(
            found.map(|state| state.identity.incarnation),
            Some(6),
            "at {address}"
        );
    }
    // The next start counts on from there: nothing is wrong any more that detection could see.
    network.boot("ins", "http://ins", 7, star("ins"));
    network.pass(500);
    assert_eq!(network.overtaken.len(), 1);
}

/// Yesterday's backup, restored: the peer was never started in between, but it has counted the hours.
#[test]
fn a_peer_whose_database_was_put_back_without_a_start_in_between_is_noticed_by_the_hours() {
    let mut network = Network::default();
    for name in ["bank", "gov", "ins"] {
        network.boot(name, &format!("http://{name}"), 1, star(name));
    }
    network.pass(500);
    for incarnation in 2..=24 {
        let counted = Input::Counted { incarnation };
        network.under_way.push_back(("http://ins".into(), counted));
        network.pass(2_000);
    }
    let seen = |network: &Network, at: &str| {
        let peers = network.at(at).peers();
        let found = peers.iter().find(|s| s.identity.peer == peer("ins"));
        found.map(|state| state.identity.incarnation)
    };
    assert_eq!(seen(&network, "http://bank"), Some(24));
    assert_eq!(network.overtaken, []);
    network.boot("ins", "http://ins", 2, star("ins"));
    network.pass(2_000);
    assert_eq!(network.overtaken.len(), 1);
    assert_eq!(seen(&network, "http://bank"), Some(25));
}

#[test]
fn only_what_this_life_has_not_said_shows_an_earlier_database() {
    let said_of_me = |incarnation, of| Input::Answered {
        address: "http://bank".into(),
        from: peer("bank"),
        facts: vec![fact("bank", 1, "A"), fact("ins", incarnation, of)],
    };
    let overtaken = |input| {
        let identity = identity("ins", "http://ins", 4);
        let mut machine =
            Machine::new(identity, vec![share("A", &["http://bank"])], vec![], LIMITS);
        machine.handle(0, Input::Tick);
        outputs(&mut machine);
        let outputs = handled(&mut machine, 1, input);
        outputs.into_iter().find_map(|output| match output {
            Output::CountBeyond(Overtaken { by, seen, own }) => Some((by, seen, own)),
            _ => None,
        })
    };
    assert_eq!(overtaken(said_of_me(3, "A")), None, "an earlier life");
    assert_eq!(overtaken(said_of_me(4, "A")), None, "its own words");
    assert_eq!(overtaken(said_of_me(4, "B")), Some((peer("bank"), 4, 4)));
    assert_eq!(overtaken(said_of_me(9, "A")), Some((peer("bank"), 9, 4)));
}
