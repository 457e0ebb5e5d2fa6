//! Detection: who shares which Dejima table, and what hangs together, as a pure state machine over facts that only grow
//! by a join.
//!
//! The way of a fact: a peer says it of itself ([`Fact`]), to the seeds of its Dejima tables and to those above it in the
//! [`tree`] of each table; whoever hears it joins it into its [`knowledge`], in the order of hearing, and tells its own
//! neighbours in the trees what of it concerns them. Two peers that talk tell each other up to where they have heard the
//! other's log, so only what is new travels, and what was lost travels again. From the facts follow the members of each
//! Dejima table, for the transactions, and the [peer groups](peer_groups), for people.
//!
//! A group is complete when all its seeds are known to share it; until then the transaction machine refuses changes of
//! it, because a member that nobody has heard of yet would miss them.

mod components;
mod contact;
mod difference;
mod entry;
mod fact;
mod interface;
mod knowledge;
mod log;
mod machine;
mod members;
mod peer_group;
mod ranges;
#[cfg(test)]
mod tests;
mod tree;
mod way;

pub use difference::difference;
pub use fact::{Attribute, Fact, Links, Shape};
pub use interface::{
    CallId, Counters, Covered, GroupState, Heard, Identity, Input, Limits, MemberState, Output,
    Overtaken, Reach, Reached, Said, Scope, Share,
};
pub use machine::Machine;
pub use peer_group::{PeerGroup, peer_groups};
