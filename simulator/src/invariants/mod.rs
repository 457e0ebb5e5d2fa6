//! What must be true of every seed: one invariant a file, named as in ARCHITECTURE.md.

mod agreement;
mod atomic;
mod need_to_know;
mod nobody_in_doubt;
mod one_decision;
mod order;

use crate::world::World;

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

const CHECKS: [(&str, Check); 6] = [
    ("invariant 1: atomic", atomic::check),
    ("invariant 2: one decision", one_decision::check),
    ("nobody in doubt", nobody_in_doubt::check),
    ("invariant 3: order does not matter", order::check),
    ("invariant 4: agreement", agreement::check),
    ("invariant 5: need to know", need_to_know::check),
];

/// The first invariant that does not hold.
pub fn violation(world: &World) -> Option<Violation> {
    CHECKS
        .iter()
        .find_map(|(invariant, check)| check(world).map(|what| Violation { invariant, what }))
}
