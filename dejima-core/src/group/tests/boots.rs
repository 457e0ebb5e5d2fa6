//! Several peers that boot, over a network without losses.

use super::*;

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
    // Everybody calls the founder, which is the root of the tree too, and is told of the rest by it.
    assert!(network.calls.len() <= 3 * 20, "{}", network.calls.len());
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
    let columns = schema(&["id", "A", "phone"]);
    shares[0] = Share::new(table("A"), columns, Links::new(), shares[0].seeds.clone());
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
