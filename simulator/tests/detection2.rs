use dejima_simulator::detection::{Conditions, Topology, World};
use dejima_simulator::random::Random;
#[test]
fn graphs() {
    let seeds: u64 = std::env::var("SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(300);
    let mut bad = 0;
    for seed in 0..seeds {
        let mut r = Random::new(seed);
        let peers = 2 + r.index(30);
        let tables = 1 + r.index(8);
        let t = Topology::random_graph(&mut r, peers, tables);
        let mut c = if r.chance(500) {
            Conditions::wide_area()
        } else {
            Conditions::local()
        };
        if r.chance(300) {
            c.restarting = 300;
        }
        if r.chance(300) {
            c.halves_until = 20_000;
        }
        if r.chance(300) {
            c.leaving = 200;
        }
        if r.chance(300) {
            c.lost = 200;
        }
        let mut world = World::new(t, c, seed);
        let rest = world.run(600_000);
        let o = world.outcome();
        if !rest || !o.wrong.is_empty() {
            bad += 1;
            if bad < 12 {
                println!(
                    "BAD seed {seed} peers {peers} tables {tables} rest {rest} wrong {} lost {} restarting {} halves {} leaving {} wide {}",
                    o.wrong.len(),
                    c.lost,
                    c.restarting,
                    c.halves_until,
                    c.leaving,
                    c.late
                );
                for w in o.wrong.iter().take(2) {
                    println!("   {}", w.peer);
                    for m in w.missing.iter().take(2) {
                        println!(
                            "      missing {:?} {:?} {:?}",
                            m.tables,
                            m.attributes.len(),
                            m.peers
                        );
                    }
                    for m in w.surplus.iter().take(2) {
                        println!(
                            "      surplus {:?} {:?} {:?}",
                            m.tables,
                            m.attributes.len(),
                            m.peers
                        );
                    }
                }
            }
        }
    }
    println!("bad {bad} of {seeds}");
}
#[test]
fn debug() {
    let seed: u64 = std::env::var("S").unwrap().parse().unwrap();
    let mut r = Random::new(seed);
    let peers = 2 + r.index(30);
    let tables = 1 + r.index(8);
    let t = Topology::random_graph(&mut r, peers, tables);
    let mut c = if r.chance(500) {
        Conditions::wide_area()
    } else {
        Conditions::local()
    };
    if r.chance(300) {
        c.restarting = 300;
    }
    if r.chance(300) {
        c.halves_until = 20_000;
    }
    if r.chance(300) {
        c.leaving = 200;
    }
    if r.chance(300) {
        c.lost = 200;
    }
    for p in &t.plans {
        println!(
            "{} {:?}",
            p.peer,
            p.shares
                .iter()
                .map(|s| format!(
                    "{}<{:?}",
                    s.table,
                    s.seeds
                        .iter()
                        .map(|s| s.replace("http://", "").replace(":7000", ""))
                        .collect::<Vec<_>>()
                ))
                .collect::<Vec<_>>()
        );
    }
    let mut world = World::new(t, c, seed);
    let rest = world.run(600_000);
    let o = world.outcome();
    println!("rest {rest} {:?}", o.complaints);
    for w in &o.wrong {
        println!("{}", w.peer);
        for m in w.missing.iter() {
            println!("      missing {:?} {:?}", m.tables, m.peers);
        }
        for m in w.surplus.iter() {
            println!("      surplus {:?} {:?}", m.tables, m.peers);
        }
    }
}
