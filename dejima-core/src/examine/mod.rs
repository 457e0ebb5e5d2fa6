//! What `dejima doctor` finds: judgements on a peer, each with a cure that a database engineer can type.
//!
//! Here are those on what the machines hold; those on the database are in `database/examine`.

mod copies;
mod groups;
mod transactions;

pub use copies::{Comparison, Copy, Digest, compare, copies};
pub use groups::{Health, groups, health, overtaken};
pub use transactions::transactions;

/// How bad it is; the worst one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// Something will fail, or waits for somebody.
    Warning,
    /// Something fails, or copies may differ.
    Critical,
}

/// A judgement on one thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was examined, in a word or two.
    pub check: &'static str,
    /// How bad it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to do; empty if nothing is to be done.
    pub cure: String,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            what: what.into(),
            cure: String::new(),
        }
    }

    /// Something will fail, or waits for somebody.
    pub fn warning(check: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warning,
            what: what.into(),
            cure: cure.into(),
        }
    }

    /// Something fails, or copies may differ.
    pub fn critical(check: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Critical,
            what: what.into(),
            cure: cure.into(),
        }
    }
}

/// The faults found, or one finding that says that there are none.
pub fn or_ok(check: &'static str, faults: Vec<Finding>, what: impl Into<String>) -> Vec<Finding> {
    if faults.is_empty() {
        vec![Finding::ok(check, what)]
    } else {
        faults
    }
}
