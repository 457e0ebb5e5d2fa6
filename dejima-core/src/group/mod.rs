//! Detection: who shares which Dejima table, as a pure state machine over facts that only grow by a join.

mod fact;
mod machine;

pub use fact::{Fact, Facts};
pub use machine::{Input, Limits, Machine, MemberState, Output, Request};
