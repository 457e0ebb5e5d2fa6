//! Global transactions: propagate, vote, decide, terminate, as one pure state machine a peer.
//!
//! The README beside this file tells the life of a transaction and argues each state. The machine never waits,
//! reads no clock and rolls no dice: everything comes in by [`Machine::handle`], everything goes out by
//! [`Machine::poll_output`], and [`Machine::poll_timeout`] says when it wants to be called again.

mod announcement;
mod changes;
mod context;
mod database;
mod group_version;
mod interface;
mod machine;
mod origin;
mod participant;
mod tally;

pub use database::{Answer, Outcome, Recovered, Request, Resolution};
pub use group_version::GroupVersion;
pub use interface::{
    CallbackAnswer, Decision, Input, Limits, Membership, Message, Millis, Output, Portion,
    RequestId, ResolveAnswer, Silence, Summary, Touched, Trouble, WaitingFor,
};
pub use machine::Machine;
pub use tally::Tally;

#[cfg(test)]
mod tests;
