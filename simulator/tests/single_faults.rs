//! One transaction, and every fault at each of its first occasions: through a chain and around a diamond, also when the
//! client's COMMIT is slow. Here a fault stands alone, so what it breaks is easily seen.

use dejima_simulator::client::Operation;
use dejima_simulator::fault::Fault;
use dejima_simulator::invariants;
use dejima_simulator::scenario::Scenario;
use dejima_simulator::world::World;

/// So many occasions of each fault are tried.
const OCCASIONS: u64 = 8;

/// p0 – p1 – p2 – p3.
const CHAIN: &[&[usize]] = &[&[0, 1], &[1, 2], &[2, 3]];

/// Two ways from p0 to p3, and p4 behind it.
const DIAMOND: &[&[usize]] = &[&[0, 1], &[0, 2], &[1, 3], &[2, 3], &[3, 4]];

/// Runs one transaction of so many rows with the faults planned, in batches if there are several; true if they all happened.
fn survives(tables: &[&[usize]], rows: u64, plans: &[(Fault, u64)]) -> bool {
    let mut scenario = Scenario::of_tables(tables);
    scenario.weather.plans = plans.to_vec();
    scenario.batched = 1_000;
    let mut world = World::new(scenario, plans.len() as u64, None);
    let operations: Vec<_> = (1..=rows)
        .map(|key| Operation::set(key, &[("a", "1")]))
        .collect();
    world.run_one(0, &operations, &[]);
    assert_eq!(invariants::violations(&world), [], "{tables:?}, {plans:?}");
    plans.iter().all(|(fault, _)| world.faults.of(*fault) > 0)
}

fn happened(tables: &[&[usize]], rows: u64, before: &[(Fault, u64)]) -> usize {
    let occasions = |fault| (1..=OCCASIONS).map(move |occasion| (fault, occasion));
    let plans = Fault::all().into_iter().flat_map(occasions);
    plans
        .filter(|plan| survives(tables, rows, &[before, &[*plan]].concat()))
        .count()
}

#[test]
fn a_chain_survives_every_single_fault() {
    assert!(happened(CHAIN, 1, &[]) > 200);
}

#[test]
fn a_chain_with_a_slow_commit_survives_every_single_fault() {
    assert!(happened(CHAIN, 1, &[(Fault::CommitSlow, 1)]) > 100);
}

#[test]
fn a_diamond_survives_every_single_fault() {
    assert!(happened(DIAMOND, 1, &[]) > 200);
}

#[test]
fn several_batches_survive_every_single_fault() {
    assert!(happened(CHAIN, 6, &[]) > 200);
    assert!(happened(DIAMOND, 6, &[]) > 200);
}
