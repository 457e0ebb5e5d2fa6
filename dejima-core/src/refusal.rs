//! Why a transaction is refused, in the words and the SQLSTATE that reach the client's driver.

use serde::{Deserialize, Serialize};

use crate::name::{PeerName, TableName};

/// A refusal on its way to the client: who refused, what, why, and what to do.
///
/// It never carries a value of a row: a constraint's message in PostgreSQL quotes the failing row, which may
/// hold columns that the client's organisation may not see (invariant 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The peer that refused or that could not be reached.
    pub peer: PeerName,
    /// Five characters of SQLSTATE (PostgreSQL, appendix A).
    pub sqlstate: String,
    /// One line: what is refused.
    pub message: String,
    /// Who refused and why.
    pub detail: String,
    /// What the client or the operator can do.
    pub hint: String,
}

/// The SQLSTATEs that we say ourselves; the rest are what PostgreSQL said at the refusing peer.
pub mod sqlstate {
    /// serialization_failure: a conflict or a lost race, try again.
    pub const SERIALIZATION_FAILURE: &str = "40001";
    /// connection_failure: a peer could not be reached.
    pub const CONNECTION_FAILURE: &str = "08006";
    /// query_canceled: a peer did not answer in time.
    pub const QUERY_CANCELED: &str = "57014";
    /// cannot_connect_now: a peer is not ready yet, or is stopping.
    pub const CANNOT_CONNECT_NOW: &str = "57P03";
    /// object_not_in_prerequisite_state: the vote was taken too early.
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: &str = "55000";
    /// with_check_option_violation: a put did not make the row appear in the Dejima table.
    pub const WITH_CHECK_OPTION_VIOLATION: &str = "44000";
    /// protocol_violation: a message that its sender may not send.
    pub const PROTOCOL_VIOLATION: &str = "08P01";
    /// program_limit_exceeded: the transaction is too large for what it does.
    pub const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
    /// io_error: what the peer has stored for itself cannot be read.
    pub const IO_ERROR: &str = "58030";
    /// feature_not_supported.
    pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
}

impl Refusal {
    /// Two values for one attribute, or old values that are not there any more.
    pub fn conflict(peer: &PeerName, table: &TableName, what: &str) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::SERIALIZATION_FAILURE.into(),
            message: format!("conflict in Dejima table \"{table}\" at peer \"{peer}\""),
            detail: what.into(),
            hint: "Another transaction changed the same row. Try the transaction again.".into(),
        }
    }

    /// A peer that could not be reached or did not answer.
    pub fn unreachable(peer: &PeerName, why: &str) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::CONNECTION_FAILURE.into(),
            message: format!("peer \"{peer}\" cannot be reached"),
            detail: why.into(),
            hint: format!(
                "The change concerns data shared with peer \"{peer}\". Try again when it is back; \
                 changes of data that it does not share still work."
            ),
        }
    }

    /// A peer whose answer did not come in time.
    pub fn late(peer: &PeerName, waited_ms: u64) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::QUERY_CANCELED.into(),
            message: format!("the peers did not agree within {waited_ms} ms"),
            detail: format!("Peer \"{peer}\" gave up waiting."),
            hint: "Try again; if it happens again, look at `dejima peers` and `dejima tx list`."
                .into(),
        }
    }

    /// Another peer has aborted the transaction before the vote, and did not say why.
    pub fn aborted(peer: &PeerName, by: &PeerName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::SERIALIZATION_FAILURE.into(),
            message: format!("the transaction was aborted at peer \"{peer}\""),
            detail: format!("Peer \"{by}\" said that it has ended."),
            hint: "Try the transaction again.".into(),
        }
    }

    /// An operator has ended the transaction before the vote.
    pub fn resolved(peer: &PeerName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::QUERY_CANCELED.into(),
            message: "the transaction was aborted by an operator".into(),
            detail: format!("Peer \"{peer}\" was told to abort it."),
            hint: "Ask the operator of that peer.".into(),
        }
    }

    /// Everybody has promised, but not everything that was sent.
    pub fn incomplete_vote(peer: &PeerName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::SERIALIZATION_FAILURE.into(),
            message: "a peer lost its part of the transaction".into(),
            detail: "It was restarted while the transaction was propagating.".into(),
            hint: "Try the transaction again.".into(),
        }
    }

    /// The hook asks for a vote that was taken already: the savepoint in which it was taken has been rolled back.
    pub fn voted_before(peer: &PeerName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE.into(),
            message: "the peers have voted on this transaction before".into(),
            detail: "The vote was taken by SET CONSTRAINTS ALL IMMEDIATE, in a savepoint that was rolled back."
                .into(),
            hint: "Use SET CONSTRAINTS ALL IMMEDIATE outside of savepoints.".into(),
        }
    }

    /// A peer that cannot tell yet with whom it shares: `missing` says what keeps the group from being complete.
    pub fn incomplete_group(peer: &PeerName, table: &TableName, missing: &[String]) -> Self {
        let detail = if missing.is_empty() {
            "Its operator sees in `dejima groups` what is missing.".into()
        } else {
            format!("At peer \"{peer}\": {}.", missing.join("; "))
        };
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::CANNOT_CONNECT_NOW.into(),
            message: format!(
                "the group of Dejima table \"{table}\" is not complete at peer \"{peer}\""
            ),
            detail,
            hint: "Try again when `dejima groups` shows that the group is complete there.".into(),
        }
    }

    /// A transaction of several batches comes back to a row of a batch that was settled.
    pub fn settled(peer: &PeerName, table: &TableName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::PROGRAM_LIMIT_EXCEEDED.into(),
            message: format!(
                "the transaction is too large for what it does to Dejima table \"{table}\" at peer \"{peer}\""
            ),
            detail: "It is taken in batches, and a later one changes a row again that an earlier one had settled."
                .into(),
            hint: "Split the transaction into smaller ones.".into(),
        }
    }

    /// The rest of a large capture is lost.
    pub fn unreadable(peer: &PeerName, why: &str) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::IO_ERROR.into(),
            message: format!(
                "peer \"{peer}\" cannot read the rest of what the transaction has changed"
            ),
            detail: why.into(),
            hint: "Look at the space in its folder for temporary files, then try again.".into(),
        }
    }

    /// Two peers do not see the same members of a Dejima table: one is just joining or leaving, or is no member.
    pub fn other_members(peer: &PeerName, table: &TableName, sender: &PeerName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::SERIALIZATION_FAILURE.into(),
            message: format!(
                "peers \"{peer}\" and \"{sender}\" do not see the same members of Dejima table \"{table}\""
            ),
            detail: "A peer joins or leaves, or one of the two is not a member.".into(),
            hint: "Try the transaction again; if it happens again, compare `dejima groups` at both peers."
                .into(),
        }
    }

    /// A peer has joined or left a group in the middle of a transaction.
    pub fn group_changed(peer: &PeerName, table: &TableName) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::SERIALIZATION_FAILURE.into(),
            message: format!(
                "the group of Dejima table \"{table}\" changed during the transaction"
            ),
            detail: format!("Peer \"{peer}\" has learnt that a peer joins or leaves."),
            hint: "Try the transaction again.".into(),
        }
    }

    /// A message that its sender may not send (invariant 5).
    pub fn forbidden(peer: &PeerName, why: &str) -> Self {
        Self {
            peer: peer.clone(),
            sqlstate: sqlstate::PROTOCOL_VIOLATION.into(),
            message: format!("peer \"{peer}\" does not accept this message"),
            detail: why.into(),
            hint: "Compare `dejima tables` and `dejima groups` at both peers.".into(),
        }
    }
}
