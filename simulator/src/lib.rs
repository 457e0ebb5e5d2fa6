//! Drives the machines of many peers under a seed: one thread, one heap of events in virtual time.
//!
//! The machines are the ones that the daemon runs. What the simulator adds is weather, and a model of the
//! database that keeps what PostgreSQL keeps and forgets what PostgreSQL forgets. Simulated are
//!
//! - networks that lose, repeat, delay and reorder messages; cuts between two peers and between halves, one way and
//!   both; swizzle-clogging: some peers are clogged one after the other, what goes to and from them is held, and they
//!   are released in another order;
//! - peers that are killed before and after every kind of step, with some of its outputs carried out, or when their
//!   database has done what they asked for and they have not heard so;
//! - databases that are killed before and after every kind of request: what was not durable is gone, what was asked
//!   for is done or not and nobody is told, what may have been prepared is rolled back later; sessions that break;
//! - clients whose COMMIT is slow, durable or lost when their database dies, clients and helpers that die;
//! - captures that are taken in tiny batches, and whose rest cannot be read;
//! - COMMIT PREPARED that is slow or fails again and again, done or not;
//! - trees, rings, diamonds, stars and overlapping groups of 2 to 12 peers, tables of 2 to 5 members, triggers that
//!   replace values, constraints that refuse them.
//!
//! Each seed throws the dice for which of them it has, and plans some faults for a certain occasion. Then the world
//! is healed, and everything must come to rest: [`invariants`].

mod batch;
pub mod client;
pub mod database;
pub mod detection;
pub mod fault;
mod graph;
pub mod history;
pub mod invariants;
pub mod random;
pub mod scenario;
pub mod step;
pub mod weather;
pub mod world;
pub mod wrong_rule;

use dejima_core::transaction::Decision;

use fault::Faults;
use invariants::Violation;
use random::Random;
use scenario::Scenario;
use world::World;
use wrong_rule::WrongRule;

/// What a seed, or many, have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events carried out.
    pub steps: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Those of them whose hook put what came back, and called again.
    pub several_rounds: u64,
    /// Those of them that were taken in several batches.
    pub several_batches: u64,
    /// Transactions refused or aborted.
    pub refused: u64,
    /// What went wrong in the world.
    pub faults: Faults,
    /// The invariants that did not hold.
    pub violations: Vec<Violation>,
}

/// Runs one seed; `wrong_rule` breaks the protocol on purpose.
pub fn run(seed: u64, wrong_rule: Option<WrongRule>) -> Outcome {
    let mut random = Random::new(seed);
    let scenario = Scenario::random(&mut random);
    let mut world = World::new(scenario, random.bits(), wrong_rule);
    world.run();
    let ended = |decision| {
        let decisions = world.history.decisions.values();
        decisions.filter(|found| **found == decision).count() as u64
    };
    Outcome {
        steps: world.steps,
        committed: ended(Decision::Commit),
        several_rounds: world.history.several_rounds,
        several_batches: world.history.several_batches,
        refused: ended(Decision::Abort),
        violations: invariants::violations(&world),
        faults: world.faults,
    }
}

impl Outcome {
    /// Adds what another seed has come to.
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.committed += other.committed;
        self.several_rounds += other.several_rounds;
        self.several_batches += other.several_batches;
        self.refused += other.refused;
        self.faults.add(&other.faults);
        self.violations.extend(other.violations);
    }
}
