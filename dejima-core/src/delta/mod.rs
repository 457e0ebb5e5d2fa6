//! Deltas: changes of one Dejima table that say which columns they speak about, and their join.
//!
//! Two operations, never to be confused. [`Net::absorb`] *composes* changes one after the other, as one
//! database saw them. [`Delta::join`] *unites* what different paths say of the same transaction (invariant 3):
//! unset joins with any value, set joins with the same value, two values set for one attribute conflict.

mod batch;
mod capture;
mod join;
mod net;
mod put;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::TableName;

pub(crate) use batch::row_hash;
pub use batch::{Batch, BatchLimits, Planner};
pub use capture::{InvalidCapture, InvalidSection, Section};
pub use join::Conflict;
pub use net::{InvalidRow, Net};
pub use put::{KeyCycle, Put, PutRow};

/// A value in its text form under the pinned settings (sql/README.md); `None` is SQL NULL.
pub type Value = Option<Arc<str>>;

/// The values of a row's key columns in key order; a key column is never NULL.
pub type Key = Vec<Arc<str>>;

/// The values of a whole row of a Dejima table, in column order.
pub type Row = Vec<Value>;

/// The position of a column in its Dejima table, from 0.
pub type ColumnIndex = u16;

/// A column of a Dejima table, the same at every member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Column {
    /// The column's name in the Dejima table.
    pub name: String,
    /// PostgreSQL's own spelling of the type, as `format_type` gives it.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// What every member of a Dejima group agrees on: the columns, in order, and which of them are the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Schema {
    /// All columns, in order.
    pub columns: Vec<Column>,
    /// Positions of the key columns, in key order; at least one.
    pub key: Vec<ColumnIndex>,
}

impl Schema {
    /// The key of a whole row, or `None` if one of its key columns is NULL.
    pub fn key_of(&self, row: &[Value]) -> Option<Key> {
        self.key
            .iter()
            .map(|&column| row.get(usize::from(column)).cloned().flatten())
            .collect()
    }

    /// The name of a column by its position.
    pub fn column_name(&self, column: ColumnIndex) -> &str {
        self.columns
            .get(usize::from(column))
            .map_or("?", |c| &c.name)
    }
}

/// A value that a delta sets, and how often a strategy has replaced it in this transaction.
///
/// A peer whose put stores another value than it was sent (a trigger normalises it, a type rounds it) says
/// the stored one with the next revision; the higher revision wins everywhere. Rounds are bounded by
/// [`REVISION_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The value.
    pub value: Value,
    /// 0 as the client wrote it.
    pub revision: u32,
}

/// A value replaced more often than this in one transaction does not settle.
pub const REVISION_MAX: u32 = 8;

/// The change of one row of a Dejima table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The row is new. Columns without a cell are unset.
    Insert {
        /// The values known, key columns among them.
        new: BTreeMap<ColumnIndex, Cell>,
    },
    /// The row existed and exists, with other values (perhaps another key).
    Update {
        /// What the changed columns held before.
        old: BTreeMap<ColumnIndex, Value>,
        /// What they hold now.
        new: BTreeMap<ColumnIndex, Cell>,
    },
    /// The row existed and is gone.
    Delete {
        /// What it held.
        old: BTreeMap<ColumnIndex, Value>,
    },
}

/// Which row a change is about. A row that moves away from a key and a new row that takes the key in the same
/// transaction are two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowId {
    /// The key before the transaction; for a new row, its key after it.
    pub key: Key,
    /// The row did not exist before the transaction.
    pub is_new: bool,
}

/// The change of one Dejima table in one transaction: one [`Change`] a row. The change of a row is an insert
/// exactly if the row [is new](RowId::is_new).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The changed rows.
    pub rows: BTreeMap<RowId, Change>,
}

impl Delta {
    /// True if nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the change of a row that the delta does not speak about yet.
    pub fn add(&mut self, key: Key, change: Change) {
        let is_new = matches!(change, Change::Insert { .. });
        self.rows.insert(RowId { key, is_new }, change);
    }
}

/// One changed row as the capture triggers logged it: a whole row of a Dejima table before and after one
/// statement. `old` absent is an insert, `new` absent a delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Rises from statement to statement within a transaction; rows of one statement come in the order in which they changed.
    pub statement: i64,
    /// The Dejima table that the row belongs to.
    pub table: TableName,
    /// The row before the statement.
    pub old: Option<Row>,
    /// The row after the statement.
    pub new: Option<Row>,
}
