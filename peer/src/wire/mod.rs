//! Core messages in the words of the .proto files, and back.
//!
//! What comes from outside is checked here, once: names, positions of columns, keys. What lies behind needs no
//! doubt about form.

mod delta;
mod fact;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dejima_core::name::{Gid, InvalidName, PeerName, TableName};
use dejima_core::plain;
use dejima_core::refusal::Refusal;
use dejima_core::transaction::Decision;
use dejima_proto::v1;

pub use delta::{Head, IncomingDelta, Parts};
pub(crate) use fact::is_address;
pub use fact::{attribute_to_wire, fact_from_wire, fact_to_wire, said_from_wire, said_to_wire};

/// What is kept of each text of a refusal: no PostgreSQL of ours says more.
const REFUSAL_CHARS_MAX: usize = 2_000;
/// How much of a text an error shows.
const SHOWN_CHARS_MAX: usize = 80;

/// Why a message cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A field that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field that contradicts another one or the Dejima table.
    #[error("{0}")]
    Contradiction(String),
}

impl From<Invalid> for tonic::Status {
    fn from(invalid: Invalid) -> Self {
        Self::invalid_argument(invalid.to_string())
    }
}

/// A gid from its text.
pub fn gid(text: &str) -> Result<Gid, Invalid> {
    Ok(Gid::new(text)?)
}

/// A peer's name from its text.
pub fn peer(text: &str) -> Result<PeerName, Invalid> {
    Ok(PeerName::new(text)?)
}

/// A Dejima table's name from its text.
pub fn table(text: &str) -> Result<TableName, Invalid> {
    Ok(TableName::new(text)?)
}

/// A refusal, to be sent.
pub fn refusal_to_wire(refusal: Refusal) -> v1::Refusal {
    v1::Refusal {
        peer: refusal.peer.into(),
        sqlstate: refusal.sqlstate,
        message: refusal.message,
        detail: refusal.detail,
        hint: refusal.hint,
    }
}

/// A refusal that was received. Its words go to the client's terminal, so they are made fit for one.
pub fn refusal_from_wire(refusal: v1::Refusal) -> Result<Refusal, Invalid> {
    let state = refusal.sqlstate.as_bytes();
    if state.len() != 5
        || !state
            .iter()
            .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    {
        return Err(Invalid::Contradiction(format!(
            "\"{}\" is no SQLSTATE",
            plain::line(&refusal.sqlstate, SHOWN_CHARS_MAX)
        )));
    }
    let words = |text: &str| plain::lines(text, REFUSAL_CHARS_MAX);
    Ok(Refusal {
        peer: peer(&refusal.peer)?,
        sqlstate: refusal.sqlstate,
        message: words(&refusal.message),
        detail: words(&refusal.detail),
        hint: words(&refusal.hint),
    })
}

/// A text that was received and goes into a database.
fn storable(text: String) -> Result<Arc<str>, Invalid> {
    if text.contains('\0') {
        let why = "a text holds the character NUL, which PostgreSQL cannot store";
        return Err(Invalid::Contradiction(why.into()));
    }
    Ok(text.into())
}

/// A decision, to be sent; none: not decided yet.
pub fn decision_to_wire(decision: Option<Decision>) -> v1::Decision {
    match decision {
        None => v1::Decision::Unspecified,
        Some(Decision::Commit) => v1::Decision::Commit,
        Some(Decision::Abort) => v1::Decision::Abort,
    }
}

/// A decision that was received.
pub fn decision_from_wire(decision: i32) -> Result<Option<Decision>, Invalid> {
    match v1::Decision::try_from(decision) {
        Ok(v1::Decision::Unspecified) => Ok(None),
        Ok(v1::Decision::Commit) => Ok(Some(Decision::Commit)),
        Ok(v1::Decision::Abort) => Ok(Some(Decision::Abort)),
        Err(_) => Err(Invalid::Contradiction(format!("{decision} is no decision"))),
    }
}
