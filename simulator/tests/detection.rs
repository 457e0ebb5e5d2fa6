use dejima_simulator::detection::{Conditions, Topology, World};
use dejima_simulator::random::Random;
use std::collections::BTreeMap;

fn twenty() -> Topology {
    let text = std::fs::read_to_string("/work/shared/data/topology-20.json").unwrap();
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let peers: Vec<(String, String, BTreeMap<String, Vec<String>>)> = list
        .iter()
        .map(|p| {
            (
                p["peer"].as_str().unwrap().to_owned(),
                p["type"].as_str().unwrap().to_owned(),
                serde_json::from_value(p["seeds"].clone()).unwrap(),
            )
        })
        .collect();
    Topology::worked_example(
        peers
            .iter()
            .map(|(a, b, c)| (a.as_str(), b.as_str(), c.clone())),
    )
}

#[test]
fn probe() {
    let (mut most, mut sum, mut last, mut wrong) = (0, 0, 0, 0);
    for seed in 0..60 {
        let mut world = World::new(twenty(), Conditions::local(), seed);
        let rest = world.run(60_000);
        let o = world.outcome();
        most = most.max(o.messages);
        sum += o.messages;
        last = last.max(o.last_update);
        wrong += o.wrong.len() + usize::from(!rest);
    }
    println!(
        "20: most {most} average {} last {last} wrong {wrong}",
        sum / 60
    );
    if std::env::var("SHORT").is_ok() {
        return;
    }
    for at in 0..20 {
        let mut t = twenty();
        let plan = t.plans.remove(at);
        let mut world = World::new(t, Conditions::local(), 1);
        world.run(60_000);
        let before = world.outcome();
        let began = world.now();
        let name = plan.peer.clone();
        world.join(plan);
        world.run(60_000);
        let o = world.outcome();
        println!(
            "join {name}: {} messages, {} ms wrong {} before {}",
            o.messages - before.messages,
            o.last_update - began,
            o.wrong.len(),
            before.wrong.len()
        );
    }
    for seed in 0..3 {
        let mut r = Random::new(seed);
        let t = Topology::random_tree(&mut r, 100);
        let mut world = World::new(t, Conditions::wide_area(), seed);
        let rest = world.run(120_000);
        let o = world.outcome();
        println!(
            "100: rest {rest} messages {} last {} wrong {} {:?}",
            o.messages,
            o.last_update,
            o.wrong.len(),
            o.complaints.first()
        );
    }
}
