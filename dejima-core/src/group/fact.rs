//! What a peer can know of another: facts, joined by incarnation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::delta::Schema;
use crate::name::{PeerName, TableName};

/// Peer `peer`, at incarnation `incarnation`, shares Dejima table `table` with this schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The peer.
    pub peer: PeerName,
    /// Where its services are reached.
    pub address: String,
    /// Counts the peer's starts.
    pub incarnation: u64,
    /// The Dejima table.
    pub table: TableName,
    /// Its columns and key.
    pub schema: Schema,
}

/// A set of facts: for each peer and Dejima table the one of the highest incarnation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    by_table: BTreeMap<(TableName, PeerName), Fact>,
}
