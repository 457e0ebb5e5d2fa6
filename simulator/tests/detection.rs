//! Detection of many peers in virtual time: it converges to what follows from the facts, whatever the network does.

use std::collections::BTreeMap;

use dejima_simulator::detection::{Conditions, Outcome, Topology, World};
use dejima_simulator::random::Random;

/// Random worlds that CI tries.
const SEEDS: u64 = 300;
/// Far more than anything takes.
const LONG_MS: u64 = 600_000;

/// The 20 peers of the 2019 prototype's evaluation, each with one seed for each of its Dejima tables.
fn twenty() -> Topology {
    let kinds = [
        ("bank", ["ShareGovBank", "ShareRiskFactor"]),
        ("gov", ["ShareGovBank", "ShareGovInsurance"]),
        ("insurance", ["ShareGovInsurance", "ShareRiskFactor"]),
    ];
    let peers = [
        ("bank", ["gov", "insurance"]),
        ("bank2", ["gov", "bank"]),
        ("bank3", ["bank2", "bank2"]),
        ("bank4", ["gov2", "bank8"]),
        ("bank5", ["bank2", "bank2"]),
        ("bank6", ["bank2", "bank2"]),
        ("bank7", ["gov5", "bank4"]),
        ("bank8", ["gov5", "bank7"]),
        ("gov", ["gov3", "gov3"]),
        ("gov2", ["gov", "gov"]),
        ("gov3", ["gov", "gov"]),
        ("gov4", ["bank7", "insurance6"]),
        ("gov5", ["bank8", "insurance5"]),
        ("insurance", ["gov", "bank4"]),
        ("insurance2", ["gov3", "bank5"]),
        ("insurance3", ["insurance2", "insurance2"]),
        ("insurance4", ["gov2", "insurance5"]),
        ("insurance5", ["gov4", "insurance4"]),
        ("insurance6", ["gov5", "insurance7"]),
        ("insurance7", ["gov5", "insurance6"]),
    ];
    Topology::worked_example(peers.map(|(name, seeds)| {
        let (kind, tables) = kinds
            .into_iter()
            .find(|(kind, _)| name.starts_with(kind))
            .expect("a kind");
        let seeds = tables.iter().zip(seeds);
        let seeds = seeds.map(|(table, seed)| ((*table).to_owned(), vec![seed.to_owned()]));
        (name, kind, seeds.collect::<BTreeMap<_, _>>())
    }))
}

fn is_right(world: &mut World, what: &str) -> Outcome {
    assert!(world.run(LONG_MS), "{what}: it does not come to rest");
    let outcome = world.outcome();
    assert!(outcome.wrong.is_empty(), "{what}: {:#?}", outcome.wrong[0]);
    outcome
}

#[test]
fn twenty_peers_that_boot_at_once_need_few_messages() {
    for seed in 0..40 {
        let mut world = World::new(twenty(), Conditions::local(), seed);
        let outcome = is_right(&mut world, &format!("seed {seed}"));
        let took = outcome.last_update - outcome.last_start;
        assert!(
            outcome.messages <= 150,
            "seed {seed}: {} messages",
            outcome.messages
        );
        assert!(took <= 1_000, "seed {seed}: {took} ms");
        assert_eq!(outcome.complaints, [""; 0], "seed {seed}");
    }
}

#[test]
fn one_peer_that_joins_nineteen_needs_few_messages() {
    // Others know these two peers as their only way to the rest.
    let needed = ["bank2", "insurance2"];
    for at in 0..20 {
        let mut topology = twenty();
        let joiner = topology.plans.remove(at);
        let name = joiner.peer.to_string();
        if needed.contains(&name.as_str()) {
            continue;
        }
        let mut world = World::new(topology, Conditions::local(), 1);
        world.run(LONG_MS);
        let before = world.outcome();
        assert_eq!(before.wrong.len(), 0);
        world.join(joiner);
        let after = is_right(&mut world, &name);
        let messages = after.messages - before.messages;
        assert!(messages <= 38, "{name}: {messages} messages");
        let took = after.last_update - after.last_start;
        assert!(took <= 1_000, "{name}: {took} ms");
    }
}

#[test]
fn any_graph_converges_in_any_weather() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let (peers, tables) = (2 + random.index(30), 1 + random.index(8));
        let topology = Topology::random_graph(&mut random, peers, tables);
        let mut conditions = if random.chance(500) {
            Conditions::wide_area()
        } else {
            Conditions::local()
        };
        if random.chance(300) {
            conditions.restarting = 300;
        }
        if random.chance(300) {
            conditions.halves_until = 20_000;
        }
        if random.chance(300) {
            conditions.lost = 200;
        }
        let mut world = World::new(topology, conditions, seed);
        is_right(&mut world, &format!("seed {seed}"));
        if random.chance(500) {
            world.leave(200, 1_000);
            is_right(&mut world, &format!("seed {seed}, after some have left"));
        }
    }
}

/// Messages in all grow no faster than n·log n; `just detection-scale` shows it up to 10,000 peers.
#[test]
fn many_peers_of_one_table_need_few_messages_each() {
    for peers in [30, 100, 300] {
        let topology = Topology::spanning_tree(&mut Random::new(1), peers);
        let mut world = World::new(topology, Conditions::wide_area(), 1);
        let outcome = is_right(&mut world, &format!("{peers} peers"));
        let bound = 3.0 * peers as f64 * (peers as f64).log2();
        let messages = outcome.messages;
        assert!(
            messages as f64 <= bound,
            "{peers} peers: {messages} messages"
        );
        world.leave(20, 5_000);
        is_right(&mut world, &format!("{peers} peers, after some have left"));
    }
}

/// The same seed is the same world: what was found can be found again.
#[test]
fn a_seed_is_a_world() {
    let run = || {
        let topology = Topology::random_tree(&mut Random::new(7), 60);
        let mut world = World::new(topology, Conditions::wide_area(), 7);
        world.run(LONG_MS);
        (world.now(), world.outcome().messages)
    };
    assert_eq!(run(), run());
}
