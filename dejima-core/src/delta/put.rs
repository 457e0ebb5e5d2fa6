//! What is put into the base tables: the changes in the words of `dejima.put` (sql/README.md).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Key, Value};
use crate::name::TableName;

/// Rows to be put through one Dejima table's strategy, in the order in which they must be put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Put {
    /// The Dejima table.
    pub table: TableName,
    /// Deletes first, then updates that keep the key, then updates of the key, then inserts.
    pub rows: Vec<PutRow>,
}

/// One row to be put. Columns are called by name; a column that is not named is unset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PutRow {
    /// The row must not be there.
    Insert {
        /// The values set.
        new: BTreeMap<String, Value>,
    },
    /// The row must be there under `key`, and hold `old` (or already `new`).
    Update {
        /// The row's key in the database at this moment.
        key: Key,
        /// What the changed columns must hold.
        old: BTreeMap<String, Value>,
        /// What they shall hold.
        new: BTreeMap<String, Value>,
    },
    /// The row must be there under `key`, and hold `old`.
    Delete {
        /// The row's key in the database at this moment.
        key: Key,
        /// What the row must hold.
        old: BTreeMap<String, Value>,
    },
}
