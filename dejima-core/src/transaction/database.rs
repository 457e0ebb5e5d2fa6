//! The few things that the machine asks of its database, and what comes back.
//!
//! The machine names them, `crate::database` carries them out on PostgreSQL, the simulator on a model.
//! For one gid the machine waits for each answer before it asks the next.

use crate::delta::{Captured, Put};
use crate::name::{Gid, PeerName};
use crate::refusal::Refusal;

use super::Decision;

/// A request to the peer's own database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put the rows into the base tables in the gid's open transaction (begun if there is none), with bounded
    /// waits for locks, and say what that changed in all Dejima tables. Answer: `Applied` or `Refused`.
    Apply {
        /// The transaction.
        gid: Gid,
        /// What to put, in this order.
        puts: Vec<Put>,
    },
    /// Write the participant row (if there are children) and PREPARE TRANSACTION, durably. Answer: `Prepared`
    /// or `Refused` (then the transaction is rolled back).
    Prepare {
        /// The transaction.
        gid: Gid,
        /// Whom to ask for the decision; part of the prepared transaction's name.
        parent: PeerName,
        /// Whom to tell the decision.
        children: Vec<PeerName>,
    },
    /// ROLLBACK the gid's open, unprepared transaction. Answer: `RolledBack`, always.
    Rollback {
        /// The transaction.
        gid: Gid,
    },
    /// COMMIT PREPARED or ROLLBACK PREPARED, durably. Answer: `Finished` or `Failed`; finishing what is already
    /// finished succeeds.
    Finish {
        /// The transaction.
        gid: Gid,
        /// The parent in the prepared transaction's name.
        parent: PeerName,
        /// What to do.
        decision: Decision,
        /// True if the children are not known here: then the answer names those in the participant row, which
        /// nobody could read before.
        asks_children: bool,
    },
    /// The operator has decided for a prepared transaction: note that durably, then do as [`Request::Finish`].
    /// Answer: `Finished` or `Failed`.
    Resolve {
        /// What is noted.
        resolution: Resolution,
    },
    /// The true decision of a transaction that the operator has resolved: the note goes if he was right, and is
    /// marked as contradicted if not. Answer: `Finished` or `Failed`.
    Settle {
        /// The transaction.
        gid: Gid,
        /// The true decision.
        decision: Decision,
    },
    /// How did these transactions end that began here? For each: the advisory lock first, then the decision row
    /// (invariant 2). Answer: `Outcomes`, or `Failed` for all of them.
    Outcomes {
        /// The transactions.
        gids: Vec<Gid>,
    },
    /// Delete the decision rows or participant rows: all have acknowledged. Answer: none, or `NotForgotten`; a row
    /// that stays is found again at the next start.
    Forget {
        /// The transactions.
        gids: Vec<Gid>,
    },
    /// What did this peer leave unfinished? Answer: `Recovered` or `RecoveryFailed`.
    Recover,
}

/// An answer of the peer's own database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The rows are put; this is what it changed in all Dejima tables of the peer, in order.
    Applied {
        /// The transaction.
        gid: Gid,
        /// The capture.
        captured: Vec<Captured>,
    },
    /// Refused and rolled back: nothing of the gid is left open.
    Refused {
        /// The transaction.
        gid: Gid,
        /// Why.
        refusal: Refusal,
    },
    /// Prepared, durably.
    Prepared {
        /// The transaction.
        gid: Gid,
    },
    /// Nothing of the gid is open any more.
    RolledBack {
        /// The transaction.
        gid: Gid,
    },
    /// Committed or rolled back, durably.
    Finished {
        /// The transaction.
        gid: Gid,
        /// Whom the participant row names, if that was asked for.
        children: Vec<PeerName>,
    },
    /// The database did not do it; ask again later.
    Failed {
        /// The transactions.
        gids: Vec<Gid>,
        /// Why, for the operator.
        why: String,
    },
    /// Some rows may still be there; ask again later.
    NotForgotten {
        /// The transactions.
        gids: Vec<Gid>,
        /// Why, for the operator.
        why: String,
    },
    /// How transactions that began here ended.
    Outcomes {
        /// One outcome for each gid asked for.
        outcomes: Vec<(Gid, Outcome)>,
    },
    /// What was left unfinished by the process before.
    Recovered {
        /// What was found.
        found: Recovered,
    },
    /// The database could not be asked; ask again later.
    RecoveryFailed {
        /// Why, for the operator.
        why: String,
    },
}

/// How a transaction that began here stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The decision row is visible.
    Committed {
        /// Those whom it names.
        participants: Vec<PeerName>,
    },
    /// The lock was free, and then the row was absent.
    Aborted,
    /// The lock is held: wait.
    Pending,
}

/// A prepared transaction that the operator has ended before its decision was known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The transaction.
    pub gid: Gid,
    /// Who knows or will know the true decision.
    pub parent: PeerName,
    /// Who is to be told the true decision, as far as it was known.
    pub children: Vec<PeerName>,
    /// What the operator chose.
    pub decision: Decision,
}

/// What a peer finds in its database when it starts; only its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Decision rows: committed here, with the participants that may not know it yet.
    pub decided: Vec<(Gid, Vec<PeerName>)>,
    /// Prepared transactions, with the parent that knows or will know the decision.
    pub prepared: Vec<(Gid, PeerName)>,
    /// Participant rows: committed here as a participant, with the children that may not know it yet.
    pub finished: Vec<(Gid, Vec<PeerName>)>,
    /// What the operator has resolved and whose true decision is not known yet; perhaps still prepared.
    pub resolved: Vec<Resolution>,
}
