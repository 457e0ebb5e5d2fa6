//! Detection alone, from a handful of peers to ten thousand: the machines that the daemon runs, over a wide-area network
//! in virtual time.

mod outcome;
mod plot;
mod topology;
mod world;

pub use outcome::{Outcome, Wrong};
pub use plot::plot;
pub use topology::{Plan, Topology};
pub use world::{Conditions, World};
