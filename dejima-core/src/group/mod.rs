//! Detection: who shares which Dejima table, as a pure state machine over facts that only grow by a join.
//!
//! A peer calls the seeds of its Dejima tables until they answer, and everybody it then hears of. A call says
//! the facts that may concern the callee, the answer those that may concern the caller. A group is complete
//! when all its seeds have answered; until then the transaction machine refuses changes of it, because a
//! member that nobody has heard of yet would miss them.

mod contact;
mod difference;
mod fact;
mod interface;
mod machine;
#[cfg(test)]
mod tests;

pub use difference::difference;
pub use fact::{Fact, Facts, Joined};
pub use interface::{
    CallId, GroupState, Identity, Input, Limits, MemberState, Output, Overtaken, Reach, Share,
};
pub use machine::Machine;
