//! What goes into the machine of detection, what comes out, and what the operator may see of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fact;
use crate::delta::Schema;
use crate::name::{PeerName, TableName};
use crate::transaction::{Membership, Millis};

/// Tells the questions of other peers apart until they are answered; chosen by the caller of the machine.
pub type CallId = u64;

/// Who this peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub peer: PeerName,
    /// Where others reach it.
    pub address: String,
    /// Counts its starts.
    pub incarnation: u64,
}

/// A Dejima table of this peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub table: TableName,
    /// Its columns and key.
    pub schema: Schema,
    /// Addresses of peers that share it; none if this peer founds the group.
    pub seeds: Vec<String>,
}

/// The bounds of waiting, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The first wait before a silent peer is called again; doubles up to `retry_ms_max`.
    pub retry_ms_min: Millis,
    /// The longest wait between two calls of a silent peer.
    pub retry_ms_max: Millis,
    /// How long news are held back, so that several travel together.
    pub news_ms: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retry_ms_min: 100,
            retry_ms_max: 5_000,
            news_ms: 20,
        }
    }
}

/// Everything that can happen to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Another peer calls (rpc Exchange).
    Asked {
        /// The call, for the answer.
        call: CallId,
        /// The caller.
        from: PeerName,
        /// What it says.
        facts: Vec<Fact>,
    },
    /// A peer that was called has answered.
    Answered {
        /// The address that was called.
        address: String,
        /// Who answered there.
        from: PeerName,
        /// What it says.
        facts: Vec<Fact>,
    },
    /// A peer that was called has not answered.
    Unanswered {
        /// The address that was called.
        address: String,
        /// Why, for the operator.
        why: String,
    },
    /// A call of a transaction reached a peer (`error` absent) or did not; for the operator's eyes only.
    Contact {
        /// The peer called.
        peer: PeerName,
        /// Why it was not reached.
        error: Option<String>,
    },
    /// The database has counted on, as it does at every start and every hour.
    Counted {
        /// What it has come to.
        incarnation: u64,
    },
    /// Time has passed.
    Tick,
}

/// Everything that the machine can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Call the peer at an address. Comes back as `Answered` or `Unanswered`, sooner or later.
    Ask {
        /// Where.
        address: String,
        /// What to say.
        facts: Vec<Fact>,
    },
    /// Answer a call.
    Answer {
        /// The call.
        call: CallId,
        /// What to say.
        facts: Vec<Fact>,
    },
    /// The groups as they are from now on, for the transaction machine.
    Members(BTreeMap<TableName, Membership>),
    /// Keep these facts for the next start; they replace those of the same peer and Dejima table.
    Save(Vec<Fact>),
    /// This peer's database was put back to an earlier state: keep it for the operator, and count the starts on from
    /// the incarnation that others have seen, plus one; this peer has taken that one for its own.
    CountBeyond(Overtaken),
    /// Tell the operator, in words.
    Complain(String),
}

/// Another peer has seen a later start of this peer than its database had counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overtaken {
    /// The other peer.
    pub by: PeerName,
    /// The incarnation that it has seen.
    pub seen: u64,
    /// The incarnation that this peer's database had counted.
    pub own: u64,
}

/// Whether a peer can be reached, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is this peer.
    Own,
    /// The last contact succeeded.
    Reachable,
    /// The last contact failed.
    Unreachable,
    /// No contact since this peer started.
    Unknown,
}

/// A peer, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Its name, address and incarnation.
    pub identity: Identity,
    /// Whether it can be reached.
    pub reach: Reach,
    /// When it was last heard of.
    pub last_answer: Option<Millis>,
    /// Why it could not be reached last time.
    pub error: Option<String>,
}

/// A group, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The Dejima table.
    pub table: TableName,
    /// All members, this peer among them, in the order of their names.
    pub members: Vec<PeerName>,
    /// The columns' names.
    pub columns: Vec<String>,
    /// What keeps the group from being complete: seeds that are silent, peers that declare other columns.
    pub missing: Vec<String>,
}

impl GroupState {
    /// Whether changes of the Dejima table are accepted.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}
