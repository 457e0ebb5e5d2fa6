//! Any seed: whatever the weather, no invariant is broken and everything comes to rest.

use dejima_simulator::Outcome;
use dejima_simulator::fault::Fault;

/// `just simulate` runs as many as one likes, and CI 10,000 of them.
const SEEDS: u64 = 2_000;

fn run(seed: u64) -> Outcome {
    let outcome = dejima_simulator::run(seed, None);
    assert_eq!(
        outcome.violations,
        [],
        "repeat: cargo run --locked -p dejima-simulator --bin simulate -- 1 {seed}"
    );
    outcome
}

#[test]
fn no_seed_breaks_an_invariant() {
    let mut total = Outcome::default();
    for seed in 0..SEEDS {
        total.add(run(seed));
    }
    assert!(
        total.committed > SEEDS
            && total.refused > SEEDS
            && total.several_rounds > 0
            && total.several_batches > 0,
        "all ends must be reached: {} and {}, {} in several rounds, {} in several batches",
        total.committed,
        total.refused,
        total.several_rounds,
        total.several_batches
    );
    let missing: Vec<Fault> = Fault::all()
        .into_iter()
        .filter(|fault| total.faults.of(*fault) == 0)
        .collect();
    assert_eq!(missing, [], "these faults never happened");
}

#[test]
fn a_seed_always_goes_the_same_way() {
    for seed in 0..50 {
        assert_eq!(
            dejima_simulator::run(seed, None),
            dejima_simulator::run(seed, None)
        );
    }
}
