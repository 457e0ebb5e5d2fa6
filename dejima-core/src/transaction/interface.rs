//! What goes into the machine and what comes out of it.

use std::collections::BTreeMap;

use super::{Answer, GroupVersion, Request, Tally};
use crate::delta::{Captured, Delta, Put, Schema};
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;

/// Milliseconds on a clock that never goes back; its zero is of no importance.
pub type Millis = u64;

/// Tells the requests of one peer apart, also after a restart of the peer if it starts from the incarnation.
pub type RequestId = u64;

/// How a global transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Visible everywhere.
    Commit,
    /// Visible nowhere.
    Abort,
}

/// The bounds of waiting, all in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the hook's call to the last vote; after it the origin refuses.
    pub transaction_ms_max: Millis,
    /// How long a delta waits for an earlier transaction, which has promised here and changed the same row.
    pub lock_wait_ms_max: Millis,
    /// How long a participant that has not voted waits for its parent before it aborts alone.
    pub idle_ms_max: Millis,
    /// The first wait before a message or request that must arrive is sent again; doubles up to `retry_ms_max`.
    pub retry_ms_min: Millis,
    /// The longest wait between two attempts.
    pub retry_ms_max: Millis,
    /// The first wait before the database is asked for the outcome; doubles slowly up to `outcome_ms_max`.
    pub outcome_ms_min: Millis,
    /// The longest wait between two questions for the outcome.
    pub outcome_ms_max: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transaction_ms_max: 4_000,
            lock_wait_ms_max: 250,
            idle_ms_max: 5_000,
            retry_ms_min: 100,
            retry_ms_max: 10_000,
            outcome_ms_min: 1,
            outcome_ms_max: 1_000,
        }
    }
}

/// A message between two peers. Each question has one answer, which carries its `request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The delta of one Dejima table (rpc Propagate).
    Propagate {
        /// The transaction.
        gid: Gid,
        /// The sender's number for this request.
        request: RequestId,
        /// The Dejima table that both share.
        table: TableName,
        /// Which members of it the sender sees: the receiver must see the same.
        group: GroupVersion,
        /// Counts the batches of the transaction from 0. A higher number than before settles the earlier ones.
        batch: u32,
        /// How long the whole transaction may take, by its size as far as it is known.
        patience_ms: Millis,
        /// The change.
        delta: Delta,
    },
    /// The whole subtree of the request has applied it, or somebody refused.
    Propagated {
        /// The transaction.
        gid: Gid,
        /// The request that is answered.
        request: RequestId,
        /// `Ok(true)`: the sender of the request has become this peer's parent.
        result: Result<bool, Refusal>,
    },
    /// Promise to commit (rpc Vote).
    Vote {
        /// The transaction.
        gid: Gid,
        /// The sender's number for this request.
        request: RequestId,
        /// How long the whole transaction may take, by its size.
        patience_ms: Millis,
    },
    /// The promise, or the refusal to promise.
    Voted {
        /// The transaction.
        gid: Gid,
        /// The request that is answered.
        request: RequestId,
        /// `Ok`: prepared, and so is the subtree; with its [tally](super::Tally).
        result: Result<Tally, Refusal>,
    },
    /// The decision (rpc Terminate).
    Terminate {
        /// The transaction.
        gid: Gid,
        /// The sender's number for this request.
        request: RequestId,
        /// The decision.
        decision: Decision,
        /// Of an abort that was not the origin's: why, for those who wait for an answer of the receiver and may hear it
        /// from there first.
        cause: Option<Refusal>,
    },
    /// The decision is durable here.
    Terminated {
        /// The transaction.
        gid: Gid,
        /// The request that is answered.
        request: RequestId,
    },
    /// What was decided? (rpc Inquire)
    Inquire {
        /// The transaction.
        gid: Gid,
        /// The sender's number for this request.
        request: RequestId,
        /// The sender's parent: its ignorance means abort, that of others means nothing.
        parent: PeerName,
    },
    /// `None`: not decided yet, or not known to this peer.
    Decided {
        /// The transaction.
        gid: Gid,
        /// The request that is answered.
        request: RequestId,
        /// The decision, if there is one.
        decision: Option<Decision>,
    },
}

/// What the hook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackAnswer {
    /// Everybody has promised; the client's COMMIT decides.
    Voted {
        /// The participants adopted by the origin, for the decision row.
        participants: Vec<PeerName>,
    },
    /// Nothing shared has changed.
    Unshared,
    /// Put this into the base tables and call again.
    Apply {
        /// What to put, in this order.
        puts: Vec<Put>,
        /// The batch that it belongs to: the bound of rounds holds for each.
        batch: u32,
    },
    /// Raise this error.
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

/// Everything that can happen to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The first input after a start: what to do about the past. Nothing else is handled before it is answered.
    Started,
    /// Which Dejima tables this peer has, and who shares them. `None` as members: not known yet.
    Members {
        /// The Dejima tables of this peer.
        tables: BTreeMap<TableName, Membership>,
    },
    /// The hook of a client's transaction calls.
    Callback {
        /// The transaction.
        gid: Gid,
        /// 0, then one more after each answer `Apply`.
        round: u32,
        /// What was captured since the last call.
        captured: Vec<Captured>,
        /// In round 0, if the capture is so large that this is but its first batch.
        portion: Option<Portion>,
    },
    /// The next batch of a large capture, which [`Output::NextBatch`] has asked for; or why it cannot be read.
    Batch {
        /// The transaction.
        gid: Gid,
        /// The batch, and where it stands among the others.
        batch: Result<(Vec<Captured>, Portion), String>,
    },
    /// The hook hung up before it had its answer.
    CallbackLost {
        /// The transaction.
        gid: Gid,
    },
    /// A message has come.
    Received {
        /// Its sender.
        from: PeerName,
        /// The message.
        message: Message,
    },
    /// A question could not be delivered, or its answer did not come in time.
    Undelivered {
        /// The peer asked.
        to: PeerName,
        /// The question's transaction.
        gid: Gid,
        /// The question's number.
        request: RequestId,
        /// Why.
        silence: Silence,
    },
    /// A peer answers again that did not, or has just started: what waits to be said to it is due.
    Reachable {
        /// The peer.
        peer: PeerName,
    },
    /// The operator ends a prepared transaction.
    Resolve {
        /// The transaction.
        gid: Gid,
        /// What he chooses.
        decision: Decision,
        /// True: also if nobody who can be asked knows the decision.
        is_forced: bool,
    },
    /// The database has answered.
    Database(Answer),
    /// Time has passed.
    Tick,
    /// Take no new transactions, finish those at hand.
    Stop,
}

/// Where a batch stands in the capture that it is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Counts the batches from 0.
    pub batch: u32,
    /// Number of batches.
    pub batches: u32,
    /// Captured rows in earlier batches.
    pub rows_settled: u64,
    /// Captured rows in this batch.
    pub rows: u64,
    /// Captured rows in all.
    pub rows_total: u64,
    /// Bytes of text in earlier batches.
    pub bytes_settled: u64,
    /// Bytes of text in this batch.
    pub bytes: u64,
    /// Bytes of text in all.
    pub bytes_total: u64,
}

impl Portion {
    /// Nothing comes after it.
    pub(super) fn is_last(&self) -> bool {
        self.batch + 1 >= self.batches
    }

    /// How much longer than usual what is still to come may take: as [`super::changes::Changes::weight_ms`].
    pub(super) fn rest_ms(&self) -> Millis {
        let rows = self.rows_total - self.rows_settled - self.rows;
        let bytes = self.bytes_total - self.bytes_settled - self.bytes;
        rows + bytes / 1024
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// For the client and the operator.
    pub why: String,
    /// There is no connection to the peer: what is sent to it now will not arrive either. Otherwise it is there, but slow,
    /// or not understood.
    pub is_away: bool,
}

/// A Dejima table as this peer shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Columns and key.
    pub schema: Schema,
    /// The other members, or the seeds that must answer before they are known.
    pub members: Result<Vec<PeerName>, Vec<String>>,
}

/// Everything that the machine can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message. Questions come back as an answer or as `Undelivered`, sooner or later.
    Send {
        /// To whom.
        to: PeerName,
        /// What.
        message: Message,
    },
    /// Answer the hook.
    Callback {
        /// The transaction.
        gid: Gid,
        /// The answer.
        answer: CallbackAnswer,
    },
    /// Ask the database.
    Database(Request),
    /// Hand in the next batch of the capture. What is left of it when the hook is answered otherwise than by `Apply`, or
    /// has hung up, is of no use any more.
    NextBatch {
        /// The transaction.
        gid: Gid,
    },
    /// Answer the operator.
    Resolved {
        /// The transaction.
        gid: Gid,
        /// What has become of his choice.
        answer: ResolveAnswer,
    },
}

/// What has become of the operator's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveAnswer {
    /// It is carried out, durably; the true decision is still asked for.
    Done,
    /// Somebody knows the decision, so it is carried out whatever the operator chose.
    Decided {
        /// The decision.
        decision: Decision,
        /// Who knows it.
        by: PeerName,
    },
    /// Nothing was done: nobody who could be asked knows the decision.
    Unknown {
        /// Who was asked, and what came of it.
        asked: Vec<(PeerName, String)>,
    },
    /// Nothing was done: this transaction is not the operator's to end.
    Refused {
        /// Why, and what may be done.
        why: &'static str,
    },
}

/// A transaction in flight, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The transaction.
    pub gid: Gid,
    /// Absent at the origin.
    pub parent: Option<PeerName>,
    /// The peers that this one told of it.
    pub participants: Vec<PeerName>,
    /// The state's name.
    pub state: &'static str,
    /// When this peer first heard of it.
    pub since: Millis,
    /// How many rows of which Dejima tables, so far.
    pub touched: BTreeMap<TableName, Touched>,
    /// At the origin of a transaction of several batches, before the vote: the batch at hand.
    pub portion: Option<Portion>,
    /// Who has not answered the last message that must arrive.
    pub waiting_for: Vec<WaitingFor>,
    /// Why the database has not done what it was asked, if it has not.
    pub trouble: Option<Trouble>,
}

/// A peer that owes an answer without which the transaction cannot end here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    /// The peer.
    pub peer: PeerName,
    /// How often it was asked or told.
    pub attempts: u32,
    /// Why the last attempt failed; empty while it is under way.
    pub why: String,
}

impl WaitingFor {
    /// A question that is under way for the first time.
    pub(super) fn first(peer: &PeerName) -> Self {
        Self {
            peer: peer.clone(),
            attempts: 1,
            why: String::new(),
        }
    }
}

/// What keeps the own database from ending a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How often it was asked in vain.
    pub attempts: u32,
    /// What it said last.
    pub why: String,
}

/// Numbers of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

impl Touched {
    /// Adds those of earlier batches.
    pub(super) fn add(&mut self, earlier: Self) {
        self.inserted += earlier.inserted;
        self.updated += earlier.updated;
        self.deleted += earlier.deleted;
    }
}
