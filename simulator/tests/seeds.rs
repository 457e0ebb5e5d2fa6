//! Any seed: whatever the weather, no invariant is broken and everything comes to rest.

/// In CI; `just simulate` runs as many as one likes.
const SEEDS: u64 = 10_000;

#[test]
fn no_seed_breaks_an_invariant() {
    let (mut committed, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = dejima_simulator::run(seed, None);
        committed += outcome.committed;
        refused += outcome.refused;
        if let Some(violation) = outcome.violation {
            panic!(
                "seed {seed}: {}: {}\nrepeat: cargo run --locked -p dejima-simulator --bin simulate -- 1 {seed}",
                violation.invariant, violation.what
            );
        }
    }
    assert!(
        committed > SEEDS && refused > SEEDS,
        "both ends must be reached: {committed} and {refused}"
    );
}

#[test]
fn a_seed_always_goes_the_same_way() {
    for seed in 0..50 {
        let (first, second) = (
            dejima_simulator::run(seed, None),
            dejima_simulator::run(seed, None),
        );
        assert_eq!(
            (first.steps, first.committed, first.refused),
            (second.steps, second.committed, second.refused)
        );
    }
}
