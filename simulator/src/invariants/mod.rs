//! What must be true of every seed: one invariant a file, named as in ARCHITECTURE.md.

mod aborted_rows;
mod agreement;
mod atomic;
mod forgotten_early;
pub(crate) mod need_to_know;
mod nobody_in_doubt;
mod one_decision;
mod order;
mod rows_left;

use crate::world::World;

/// The name of invariant 1.
pub const ATOMIC: &str = "invariant 1: atomic";
/// The name of invariant 2.
pub const ONE_DECISION: &str = "invariant 2: one decision";
/// The name of invariant 3.
pub const ORDER: &str = "invariant 3: order does not matter";
/// The name of invariant 4.
pub const AGREEMENT: &str = "invariant 4: agreement";
/// The name of invariant 5.
pub const NEED_TO_KNOW: &str = "invariant 5: need to know";
/// Everything ends once the world is healed.
pub const NOBODY_IN_DOUBT: &str = "nobody in doubt";
/// Rows stay until all have acknowledged.
pub const FORGOTTEN_EARLY: &str = "no row forgotten early";
/// Rows go when all have acknowledged.
pub const ROWS_LEFT: &str = "no row left";
/// There are no rows of what did not happen.
pub const ABORTED_ROWS: &str = "no row of an aborted transaction";

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// A check after the heal phase: what was seen that must not be, if anything.
type Check = fn(&World) -> Option<String>;

const CHECKS: [(&str, Check); 9] = [
    (ATOMIC, atomic::check),
    (ONE_DECISION, one_decision::check),
    (NOBODY_IN_DOUBT, nobody_in_doubt::check),
    (FORGOTTEN_EARLY, forgotten_early::check),
    (ROWS_LEFT, rows_left::check),
    (ABORTED_ROWS, aborted_rows::check),
    (ORDER, order::check),
    (AGREEMENT, agreement::check),
    (NEED_TO_KNOW, need_to_know::check),
];

/// The invariants that do not hold, each with one thing seen.
pub fn violations(world: &World) -> Vec<Violation> {
    let found = CHECKS.iter().filter_map(|(invariant, check)| {
        let what = check(world)?;
        Some(Violation { invariant, what })
    });
    found.collect()
}
