//! What goes into the machine of detection, what comes out, and what the operator may see of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Attribute, Fact, Links, Shape};
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
    /// Counts its starts and hours.
    pub incarnation: u64,
}

/// A Dejima table of this peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// What others get to know of it.
    shape: Arc<Shape>,
    /// Addresses of peers that share it; none if this peer founds the group.
    pub seeds: Vec<String>,
}

impl Share {
    /// A Dejima table with these columns and this key. `links` are, for each of its columns, the columns of this peer's
    /// other Dejima tables that come from the same base column.
    pub fn new(table: TableName, schema: Schema, links: Links, seeds: Vec<String>) -> Self {
        let shape = Shape {
            table,
            schema: Some(schema),
            links,
            has_left: false,
        };
        Self {
            shape: Arc::new(shape),
            seeds,
        }
    }

    /// How this peer shares it.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Its name.
    pub fn table(&self) -> &TableName {
        &self.shape.table
    }

    /// Its columns and key.
    pub fn schema(&self) -> &Schema {
        let schema = self.shape.schema.as_ref();
        schema.expect("it was made with a schema")
    }
}

/// One half of an Exchange: what one peer says to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Facts that may concern the addressee.
    pub facts: Vec<Arc<Fact>>,
    /// What of the speaker's log they cover.
    pub covers: Covered,
    /// What the speaker has of the addressee's log.
    pub heard: Heard,
}

/// A stretch of a peer's log. Behind `after` and up to `upto` it holds nothing that the addressee may know and is not
/// told here, or has told itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Tells the logs of different lives of the speaker apart.
    pub life: u64,
    /// The position behind which the stretch begins.
    pub after: u64,
    /// Its last position.
    pub upto: u64,
    /// Whether there is more to be asked for at once.
    pub is_partly: bool,
}

/// Up to where one peer has heard another's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The life that the log belongs to.
    pub life: u64,
    /// The last position; 0 if nothing was heard.
    pub upto: u64,
}

/// The bounds of waiting, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The first wait before a silent peer is called again; doubles up to `retry_ms_max`.
    pub retry_ms_min: Millis,
    /// The longest wait between two calls of a silent peer.
    pub retry_ms_max: Millis,
    /// How long a peer holds back what it has to say of itself, so that what it says of several Dejima tables travels
    /// together.
    pub introduction_ms: Millis,
    /// How long it holds back what it has heard, before it tells those below it in the tree of a Dejima table.
    pub downwards_ms: Millis,
    /// The same before it tells those above it; longer, because they often know first.
    pub upwards_ms: Millis,
    /// How long it waits for members of a Dejima table, of whom only others have told, before it calls one of them.
    pub hint_ms: Millis,
    /// Facts in one message.
    pub facts_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retry_ms_min: 100,
            retry_ms_max: 5_000,
            introduction_ms: 30,
            downwards_ms: 100,
            upwards_ms: 250,
            hint_ms: 60,
            facts_max: 10_000,
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
        said: Said,
    },
    /// A peer that was called has answered.
    Answered {
        /// The address that was called.
        address: String,
        /// Who answered there.
        from: PeerName,
        /// What it says.
        said: Said,
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
        said: Said,
    },
    /// Answer a call.
    Answer {
        /// The call.
        call: CallId,
        /// What to say.
        said: Said,
    },
    /// The groups as they are from now on, for the transaction machine.
    Members(BTreeMap<TableName, Membership>),
    /// Keep these facts for the next start; they replace those of the same peer and Dejima table.
    Save(Vec<Arc<Fact>>),
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

impl Reach {
    /// One word for the operator.
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
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

/// What detection has done since this peer started, for the operator. Times are those of the machine's inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Exchanges that this peer began. Their answers are not messages of their own.
    pub messages_sent: u64,
    /// Exchanges that others began.
    pub messages_received: u64,
    /// Exchanges that this peer began and nobody answered.
    pub messages_unanswered: u64,
    /// Messages and answers that brought news.
    pub updates: u64,
    /// News that contradict what this peer declares or knows: other columns, one name used twice.
    pub conflicts: u64,
    /// News of others that this peer passed on.
    pub broadcasts: u64,
    /// When the last news came.
    pub last_update: Option<Millis>,
    /// When this peer last passed news on.
    pub last_broadcast: Option<Millis>,
    /// When all seeds had answered, or were found to be known from others.
    pub complete_since: Option<Millis>,
}

/// What a change of base tables may touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The attributes that may change, at whatever peer.
    pub attributes: BTreeSet<Attribute>,
    /// The peers that may be reached, this one left out.
    pub peers: BTreeMap<PeerName, Reached>,
}

/// A peer in the scope of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The Dejima tables by which.
    pub tables: BTreeSet<TableName>,
    /// Whether it shares one of them with this peer, so that this peer tells it; otherwise others do.
    pub is_direct: bool,
    /// Whether it can be reached, as far as this peer knows.
    pub reach: Reach,
}
