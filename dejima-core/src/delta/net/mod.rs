//! The net change of one Dejima table in one transaction at one peer: captured changes, one after the other.

mod settle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Captured, Cell, Change, ColumnIndex, Key, Row, RowId, Schema, Value};

/// A captured row that does not fit the Dejima table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    /// Too many or too few columns.
    #[error("A captured row has {found} columns, the Dejima table has {wanted}")]
    Width {
        /// Columns in the row.
        found: usize,
        /// Columns of the Dejima table.
        wanted: usize,
    },
    /// A key column is NULL.
    #[error("A captured row has NULL in a key column")]
    NullKey,
    /// Two rows had one key before the transaction.
    #[error("The captured rows do not say how a row came to its key")]
    Unexplained,
}

/// What happened to each row since the transaction began. It remembers whole rows, so that a→b→a is nothing,
/// and finds a row under its new key after its key has changed.
#[derive(Clone, Debug, Default)]
pub struct Net {
    records: Vec<Record>,
    by_id: BTreeMap<RowId, usize>,
    /// Where a row is now. More than one only while the rows of one SQL statement come in pieces (MERGE).
    by_current: BTreeMap<Key, Vec<usize>>,
    /// Records of rows under keys that others had: what brought them there is still to be told.
    late: BTreeMap<Key, Vec<usize>>,
    /// Keys under which more than one has been since the last call.
    crowded: BTreeSet<Key>,
}

#[derive(Clone, Debug)]
struct Record {
    id: RowId,
    old: Option<Row>,
    new: Option<Row>,
    /// It waits in `late`, and is not in `by_id`.
    is_late: bool,
}

impl Net {
    /// Takes all captured rows of this Dejima table, in the order in which they changed as far as that is known; returns
    /// the rows concerned.
    ///
    /// PostgreSQL ends a statement's triggers and the cascades of its foreign keys before it shows what the statement
    /// itself did, or another part of it. So the second change of a row may come before the first: then the row has a
    /// key that another had, and waits for the change that explains it.
    ///
    /// A row may be among those returned that is none any more: a new row that took another key, or went away again.
    pub fn absorb(
        &mut self,
        schema: &Schema,
        captured: &[Captured],
    ) -> Result<BTreeSet<RowId>, InvalidRow> {
        let mut touched = BTreeSet::new();
        for entry in captured {
            let old = entry.old.as_ref();
            let departed = old.map(|old| self.depart(schema, old)).transpose()?;
            touched.extend(departed.map(|record| self.records[record].id.clone()));
            if let Some(new) = &entry.new {
                let record = self.arrive(schema, departed, new)?;
                touched.insert(self.records[record].id.clone());
                if let Some(rest) = self.told_early(schema, record, new)? {
                    touched.insert(self.records[rest].id.clone());
                    self.take_over(schema, record, rest)?;
                    touched.insert(self.records[record].id.clone());
                }
            }
        }
        self.settle(schema, &mut touched)?;
        self.unite_deleted_and_new(schema, &mut touched)?;
        Ok(touched)
    }

    /// The net change of a row.
    pub fn change(&self, row: &RowId) -> Option<Change> {
        let record = &self.records[*self.by_id.get(row)?];
        match (&record.old, &record.new) {
            (None, None) => None,
            (None, Some(new)) => Some(Change::Insert {
                new: set_cells(new),
            }),
            (Some(old), None) => {
                let old = (0..).zip(old.iter().cloned()).collect();
                Some(Change::Delete { old })
            }
            (Some(old), Some(new)) => changed_columns(old, new),
        }
    }

    /// The whole row as it is now, if this transaction has touched it and it exists.
    pub fn current(&self, row: &RowId) -> Option<&Row> {
        self.records[*self.by_id.get(row)?].new.as_ref()
    }

    /// All keys that the rows have or had.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let named = self.by_id.keys().map(|row| &row.key);
        named.chain(self.by_current.keys())
    }

    /// True if a row has this key or had it.
    pub fn has_key(&self, key: &Key) -> bool {
        let named = |is_new| RowId {
            key: key.clone(),
            is_new,
        };
        self.by_current.contains_key(key)
            || [false, true]
                .map(named)
                .iter()
                .any(|row| self.by_id.contains_key(row))
    }

    /// A row leaves its current key; the first time it becomes a record.
    fn depart(&mut self, schema: &Schema, old: &Row) -> Result<usize, InvalidRow> {
        let key = checked_key(schema, old)?;
        if let Some(record) = self.at(&key, old) {
            self.leave(record, &key);
            self.records[record].new = None;
            return Ok(record);
        }
        let is_taken = self.by_current.contains_key(&key);
        let record = self.record(RowId { key, is_new: false }, Some(old.clone()));
        if is_taken {
            self.wait(record);
        } else {
            self.name(record);
        }
        Ok(record)
    }

    /// A row takes a key: the one that departed, one that was deleted under this key before, or a new one.
    fn arrive(
        &mut self,
        schema: &Schema,
        departed: Option<usize>,
        new: &Row,
    ) -> Result<usize, InvalidRow> {
        let key = checked_key(schema, new)?;
        let record = departed.or_else(|| self.deleted(&key)).unwrap_or_else(|| {
            let id = RowId {
                key: key.clone(),
                is_new: true,
            };
            let record = self.record(id, None);
            self.name(record);
            record
        });
        self.stand(record, key, new.clone());
        Ok(record)
    }

    /// The record that began with the row at which this one has arrived, if both cannot be true at once.
    fn told_early(
        &self,
        schema: &Schema,
        record: usize,
        row: &Row,
    ) -> Result<Option<usize>, InvalidRow> {
        let began_so =
            |other: usize| other != record && self.records[other].old.as_ref() == Some(row);
        let id = RowId {
            key: checked_key(schema, row)?,
            is_new: false,
        };
        let first = self.by_id.get(&id).copied().filter(|first| {
            let now = self.records[*first].new.as_ref();
            let stays = now.and_then(|row| schema.key_of(row)).as_ref() == Some(&id.key);
            began_so(*first) && (stays || self.records[record].is_late)
        });
        let mut late = self.late.get(&id.key).into_iter().flatten().copied();
        let late = late.find(|late| self.records[*late].is_late && began_so(*late));
        Ok(late.or(first))
    }

    fn deleted(&self, key: &Key) -> Option<usize> {
        [false, true].into_iter().find_map(|is_new| {
            let record = *self.by_id.get(&RowId {
                key: key.clone(),
                is_new,
            })?;
            self.records[record].new.is_none().then_some(record)
        })
    }

    fn record(&mut self, id: RowId, old: Option<Row>) -> usize {
        self.records.push(Record {
            id,
            old,
            new: None,
            is_late: false,
        });
        self.records.len() - 1
    }

    /// The row is called by its record's id, unless another is.
    fn name(&mut self, record: usize) {
        let id = &self.records[record].id;
        if self.by_id.contains_key(id) {
            self.wait(record);
        } else {
            self.by_id.insert(id.clone(), record);
        }
    }

    fn wait(&mut self, record: usize) {
        let Record { id, is_late, .. } = &mut self.records[record];
        *is_late = true;
        self.late.entry(id.key.clone()).or_default().push(record);
    }

    /// Which record holds this row under this key.
    fn at(&self, key: &Key, row: &Row) -> Option<usize> {
        let mut here = self.by_current.get(key)?.iter().copied();
        here.find(|&record| self.records[record].new.as_ref() == Some(row))
    }

    fn leave(&mut self, record: usize, key: &Key) {
        if let Some(here) = self.by_current.get_mut(key) {
            here.retain(|other| *other != record);
            if here.is_empty() {
                self.by_current.remove(key);
            }
        }
    }

    /// The record holds the row under this key; a new row is called by it.
    fn stand(&mut self, record: usize, key: Key, row: Row) {
        self.records[record].new = Some(row);
        let Record { id, is_late, .. } = &mut self.records[record];
        if id.is_new && id.key != key {
            let before = std::mem::replace(&mut id.key, key.clone());
            if !*is_late {
                self.by_id.remove(&RowId {
                    key: before,
                    is_new: true,
                });
                self.name(record);
            }
        }
        let here = self.by_current.entry(key.clone()).or_default();
        here.push(record);
        if here.len() > 1 {
            self.crowded.insert(key);
        }
    }
}

fn checked_key(schema: &Schema, row: &Row) -> Result<Key, InvalidRow> {
    let (found, wanted) = (row.len(), schema.columns.len());
    if found != wanted {
        return Err(InvalidRow::Width { found, wanted });
    }
    schema.key_of(row).ok_or(InvalidRow::NullKey)
}

/// NULL in an INSERT counts as unset (invariant 3).
fn set_cells(new: &Row) -> BTreeMap<ColumnIndex, Cell> {
    let cells = (0..).zip(new).filter(|(_, value)| value.is_some());
    cells
        .map(|(column, value)| (column, first(value)))
        .collect()
}

fn changed_columns(old: &Row, new: &Row) -> Option<Change> {
    let changed = || {
        (0..)
            .zip(old.iter().zip(new))
            .filter(|(_, (old, new))| old != new)
    };
    changed().next()?;
    Some(Change::Update {
        old: changed()
            .map(|(column, (old, _))| (column, old.clone()))
            .collect(),
        new: changed()
            .map(|(column, (_, new))| (column, first(new)))
            .collect(),
    })
}

fn first(value: &Value) -> Cell {
    Cell {
        value: value.clone(),
        revision: 0,
    }
}
