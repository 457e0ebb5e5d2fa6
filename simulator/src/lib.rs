//! Drives the machines of many peers under a seed: one thread, one heap of events in virtual time, networks
//! that lose, delay, repeat and reorder, clients that are slow or die, peers that are killed.
//!
//! The machines are the ones that the daemon runs. What the simulator adds is weather, and a model of the
//! database that keeps what PostgreSQL keeps and forgets what PostgreSQL forgets.

pub mod client;
pub mod database;
pub mod history;
pub mod invariants;
pub mod random;
pub mod scenario;
pub mod world;
pub mod wrong_rule;

use invariants::Violation;
use random::Random;
use scenario::Scenario;
use world::World;
use wrong_rule::WrongRule;

/// What a seed has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Events carried out.
    pub steps: u64,
    /// Transactions committed and refused.
    pub committed: u64,
    /// See `committed`.
    pub refused: u64,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
}

/// Runs one seed; `wrong_rule` breaks the protocol on purpose.
pub fn run(seed: u64, wrong_rule: Option<WrongRule>) -> Outcome {
    let mut random = Random::new(seed);
    let scenario = Scenario::random(&mut random);
    let mut world = World::new(scenario, random.bits(), wrong_rule);
    world.run();
    let ended = |decision| {
        world
            .history
            .decisions
            .values()
            .filter(|found| **found == decision)
            .count() as u64
    };
    Outcome {
        steps: world.steps,
        committed: ended(dejima_core::transaction::Decision::Commit),
        refused: ended(dejima_core::transaction::Decision::Abort),
        violation: invariants::violation(&world),
    }
}
