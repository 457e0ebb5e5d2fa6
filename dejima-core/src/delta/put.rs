//! What is put into the base tables: changes in the words of `dejima.put` (sql/README.md).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Cell, Change, ColumnIndex, Delta, Key, Net, RowId, Schema, Value};
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
    /// The row must be there under `key` and hold `old`.
    Update {
        /// The row's key in the database at this moment.
        key: Key,
        /// What the changed columns must hold.
        old: BTreeMap<String, Value>,
        /// What they shall hold.
        new: BTreeMap<String, Value>,
    },
    /// The row must be there under `key` and hold `old`.
    Delete {
        /// The row's key in the database at this moment.
        key: Key,
        /// What the row must hold.
        old: BTreeMap<String, Value>,
    },
}

/// Rows that exchange their keys in a ring: no order of single updates puts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} rows exchange their keys in a ring")]
pub struct KeyCycle(pub usize);

impl Put {
    /// The rows that realise `todo` on top of what this transaction has already done here (`net`).
    pub fn new(
        table: &TableName,
        schema: &Schema,
        todo: &Delta,
        net: &Net,
    ) -> Result<Self, KeyCycle> {
        let (mut deletes, mut updates, mut moves, mut inserts) = (vec![], vec![], vec![], vec![]);
        for (id, change) in &todo.rows {
            match put_row(schema, id, change, net) {
                row @ PutRow::Delete { .. } => deletes.push(row),
                row @ PutRow::Insert { .. } => inserts.push(row),
                row @ PutRow::Update { .. } => match moved_key(schema, &row) {
                    Some(to) => moves.push((to, row)),
                    None => updates.push(row),
                },
            }
        }
        let rows = deletes
            .into_iter()
            .chain(updates)
            .chain(in_free_order(moves)?)
            .chain(inserts);
        Ok(Self {
            table: table.clone(),
            rows: rows.collect(),
        })
    }
}

fn put_row(schema: &Schema, id: &RowId, change: &Change, net: &Net) -> PutRow {
    let key = || {
        net.current(id)
            .and_then(|row| schema.key_of(row))
            .unwrap_or_else(|| id.key.clone())
    };
    match (change, net.current(id)) {
        (Change::Insert { new }, None) => PutRow::Insert {
            new: named_cells(schema, new),
        },
        (Change::Insert { new } | Change::Update { new, .. }, Some(row)) => {
            let old = new
                .keys()
                .map(|&column| (column, row.get(usize::from(column)).cloned().flatten()));
            let changed = |(column, old): &(ColumnIndex, Value)| new[column].value != *old;
            let old: BTreeMap<_, _> = old.filter(changed).collect();
            let new = new.iter().filter(|(column, _)| old.contains_key(column));
            let new = new.map(|(&column, cell)| (column, cell.clone())).collect();
            PutRow::Update {
                key: key(),
                old: named(schema, &old),
                new: named_cells(schema, &new),
            }
        }
        (Change::Update { old, new }, None) => PutRow::Update {
            key: key(),
            old: named(schema, old),
            new: named_cells(schema, new),
        },
        (Change::Delete { old }, _) => PutRow::Delete {
            key: key(),
            old: named(schema, old),
        },
    }
}

fn named(schema: &Schema, values: &BTreeMap<ColumnIndex, Value>) -> BTreeMap<String, Value> {
    let name = |column: ColumnIndex| schema.column_name(column).to_owned();
    values
        .iter()
        .map(|(&column, value)| (name(column), value.clone()))
        .collect()
}

fn named_cells(schema: &Schema, cells: &BTreeMap<ColumnIndex, Cell>) -> BTreeMap<String, Value> {
    let name = |column: ColumnIndex| schema.column_name(column).to_owned();
    cells
        .iter()
        .map(|(&column, cell)| (name(column), cell.value.clone()))
        .collect()
}

/// The key that an update moves its row to, if it changes the key.
fn moved_key(schema: &Schema, row: &PutRow) -> Option<Key> {
    let PutRow::Update { key, new, .. } = row else {
        return None;
    };
    let columns = schema.key.iter().map(|&column| schema.column_name(column));
    let to: Key = columns
        .zip(key)
        .map(|(column, from)| {
            new.get(column)
                .cloned()
                .flatten()
                .unwrap_or_else(|| from.clone())
        })
        .collect();
    (to != *key).then_some(to)
}

/// A row may move only to a key that no other row of the put still holds.
fn in_free_order(mut moves: Vec<(Key, PutRow)>) -> Result<Vec<PutRow>, KeyCycle> {
    let mut held: BTreeSet<Key> = moves.iter().filter_map(|(_, row)| from_key(row)).collect();
    let mut ordered = Vec::with_capacity(moves.len());
    while !moves.is_empty() {
        let (free, blocked): (Vec<_>, Vec<_>) =
            moves.into_iter().partition(|(to, _)| !held.contains(to));
        if free.is_empty() {
            return Err(KeyCycle(blocked.len()));
        }
        for (_, row) in free {
            from_key(&row).map(|key| held.remove(&key));
            ordered.push(row);
        }
        moves = blocked;
    }
    Ok(ordered)
}

fn from_key(row: &PutRow) -> Option<Key> {
    match row {
        PutRow::Update { key, .. } => Some(key.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::Column;

    fn schema() -> Schema {
        let column = |name: &str| Column {
            name: name.into(),
            type_name: "text".into(),
        };
        Schema {
            columns: vec![column("k"), column("v")],
            key: vec![0],
        }
    }

    fn moving(from: &str, to: &str) -> (RowId, Change) {
        let old = BTreeMap::from([(0, Some(from.into()))]);
        let new = BTreeMap::from([(
            0,
            Cell {
                value: Some(to.into()),
                revision: 0,
            },
        )]);
        (
            RowId {
                key: vec![from.into()],
                is_new: false,
            },
            Change::Update { old, new },
        )
    }

    fn keys(moves: &[(&str, &str)]) -> Result<Vec<String>, KeyCycle> {
        let rows = moves.iter().map(|(from, to)| moving(from, to)).collect();
        let table = TableName::new("t").expect("a name");
        let put = Put::new(&table, &schema(), &Delta { rows }, &Net::default())?;
        Ok(put
            .rows
            .iter()
            .filter_map(|row| from_key(row).map(|key| key[0].to_string()))
            .collect())
    }

    #[test]
    fn a_row_moves_only_to_a_free_key() {
        assert_eq!(
            keys(&[("a", "b"), ("b", "c"), ("c", "d")]),
            Ok(vec!["c".into(), "b".into(), "a".into()])
        );
        assert_eq!(
            keys(&[("a", "b"), ("b", "a"), ("c", "d")]),
            Err(KeyCycle(2))
        );
    }

    #[test]
    fn a_row_inserted_before_is_completed_by_an_update() {
        let table = TableName::new("t").expect("a name");
        let captured = crate::delta::Captured {
            statement: 1,
            table: table.clone(),
            old: None,
            new: Some(vec![Some("a".into()), None]),
        };
        let mut net = Net::default();
        net.absorb(&schema(), &[captured]).expect("fits");
        let cell = |text: &str| Cell {
            value: Some(text.into()),
            revision: 0,
        };
        let mut todo = Delta::default();
        todo.add(
            vec!["a".into()],
            Change::Insert {
                new: BTreeMap::from([(0, cell("a")), (1, cell("x"))]),
            },
        );
        let put = Put::new(&table, &schema(), &todo, &net).expect("no ring");
        let old = BTreeMap::from([("v".to_owned(), None)]);
        let new = BTreeMap::from([("v".to_owned(), Some("x".into()))]);
        assert_eq!(
            put.rows,
            [PutRow::Update {
                key: vec!["a".into()],
                old,
                new
            }]
        );
    }
}
