//! The worked example in every order of delivery: one final state (invariant 3).

use std::collections::BTreeSet;

use dejima_simulator::client::Operation;
use dejima_simulator::invariants;
use dejima_simulator::scenario::Scenario;
use dejima_simulator::world::World;

/// More deltas than any transaction of the triangle sends: every order of them is tried.
const DELTAS: usize = 6;

fn permutations(length: usize) -> Vec<Vec<u64>> {
    if length == 0 {
        return vec![vec![]];
    }
    let last = length as u64;
    let insert = |order: Vec<u64>| {
        (0..length).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    permutations(length - 1)
        .into_iter()
        .flat_map(insert)
        .collect()
}

/// The final states of all peers over all orders of delivery.
fn final_states(peer: usize, operation: &Operation) -> BTreeSet<String> {
    let mut states = BTreeSet::new();
    for order in permutations(DELTAS) {
        let mut world = World::new(Scenario::triangle(), 1, None);
        let delays: Vec<u64> = order.iter().map(|place| place * 50).collect();
        world.run_one(peer, std::slice::from_ref(operation), &delays);
        assert!(
            world.delays_left() > 0,
            "more deltas were sent than were permuted"
        );
        assert!(world.delays_left() < DELTAS, "nothing was sent");
        assert_eq!(invariants::violations(&world), [], "order {order:?}");
        assert!(
            world
                .history
                .decisions
                .values()
                .all(|end| *end == dejima_core::transaction::Decision::Commit)
        );
        states.insert(format!(
            "{:?}",
            [0, 1, 2].map(|peer| world.database(peer).rows().clone())
        ));
    }
    states
}

#[test]
fn invariant_3_an_insert_at_the_bank_ends_in_one_state() {
    let john = Operation::set(1, &[("phone", "1"), ("address", "A"), ("risk_factor", "7")]);
    let states = final_states(0, &john);
    assert_eq!(states.len(), 1, "{states:#?}");
    let state = states.first().expect("one");
    assert_eq!(state.matches("\"address\": \"A\"").count(), 3, "{state}");
    assert_eq!(state.matches("\"phone\": \"1\"").count(), 2, "{state}");
    assert_eq!(
        state.matches("\"risk_factor\": \"7\"").count(),
        2,
        "{state}"
    );
}

#[test]
fn invariant_3_an_insert_at_any_peer_ends_in_one_state() {
    let at_government = Operation::set(1, &[("phone", "1"), ("address", "A"), ("birthdate", "D")]);
    let at_insurance = Operation::set(
        1,
        &[("address", "A"), ("birthdate", "D"), ("risk_factor", "7")],
    );
    assert_eq!(final_states(1, &at_government).len(), 1);
    assert_eq!(final_states(2, &at_insurance).len(), 1);
}
