//! The net change of one Dejima table in one transaction at one peer: captured changes, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Captured, Cell, Change, ColumnIndex, Key, Row, RowId, Schema, Value};

/// A captured row that does not fit the Dejima table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    /// Too many or too few columns.
    #[error("a captured row has {found} columns, the Dejima table has {wanted}")]
    Width {
        /// Columns in the row.
        found: usize,
        /// Columns of the Dejima table.
        wanted: usize,
    },
    /// A key column is NULL.
    #[error("a captured row has NULL in a key column")]
    NullKey,
    /// Two rows had one key before the transaction.
    #[error("the captured rows do not say how a row came to its key")]
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
        // What nothing has explained was there before, and another took its key later than it seemed.
        for record in std::mem::take(&mut self.late).into_values().flatten() {
            if !std::mem::take(&mut self.records[record].is_late) {
                continue;
            }
            let id = self.records[record].id.clone();
            if self.by_id.insert(id, record).is_some() {
                return Err(InvalidRow::Unexplained);
            }
        }
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

    /// A row leaves its current key; the first time it becomes a record.
    fn depart(&mut self, schema: &Schema, old: &Row) -> Result<usize, InvalidRow> {
        let key = checked_key(schema, old)?;
        if let Some(record) = self.at(&key, old) {
            self.leave(record, &key);
            self.records[record].new = None;
            return Ok(record);
        }
        let is_taken = self.by_current.contains_key(&key);
        let id = RowId { key, is_new: false };
        let is_late = is_taken || self.by_id.contains_key(&id);
        let record = self.record(id.clone(), Some(old.clone()));
        self.records[record].is_late = is_late;
        if is_late {
            self.late.entry(id.key).or_default().push(record);
        } else {
            self.by_id.insert(id, record);
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
            let record = self.record(id.clone(), None);
            self.by_id.insert(id, record);
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

    /// The rest of what happened to a record's row is in another record, which is none any more.
    fn take_over(&mut self, schema: &Schema, record: usize, rest: usize) -> Result<(), InvalidRow> {
        if let Some(row) = self.records[record].new.take() {
            self.leave(record, &checked_key(schema, &row)?);
        }
        self.forget(rest);
        if let Some(row) = self.records[rest].new.take() {
            let key = checked_key(schema, &row)?;
            self.leave(rest, &key);
            self.stand(record, key, row);
        }
        let id = self.records[record].id.clone();
        if self.records[record].is_late && !self.by_id.contains_key(&id) {
            self.records[record].is_late = false;
            self.by_id.insert(id, record);
        }
        Ok(())
    }

    /// A row that was deleted after it had moved away, or after a new row had taken its key: to everybody else, who sees
    /// the whole transaction at once, the new row is the old one with other values.
    fn unite_deleted_and_new(
        &mut self,
        schema: &Schema,
        touched: &mut BTreeSet<RowId>,
    ) -> Result<(), InvalidRow> {
        let mut new = BTreeSet::new();
        for id in touched.iter().filter(|id| !id.is_new) {
            let again = RowId {
                key: id.key.clone(),
                is_new: true,
            };
            if let (Some(&record), Some(&rest)) = (self.by_id.get(id), self.by_id.get(&again))
                && self.records[record].new.is_none()
            {
                self.take_over(schema, record, rest)?;
                new.insert(again);
            }
        }
        touched.append(&mut new);
        Ok(())
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

    /// The record is none any more.
    fn forget(&mut self, record: usize) {
        self.records[record].is_late = false;
        if self.by_id.get(&self.records[record].id) == Some(&record) {
            self.by_id.remove(&self.records[record].id);
        }
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
        let id = &self.records[record].id;
        if id.is_new && id.key != key {
            self.by_id.remove(id);
            self.records[record].id.key = key.clone();
            self.by_id.insert(self.records[record].id.clone(), record);
        }
        self.by_current.entry(key).or_default().push(record);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::Column;
    use crate::name::TableName;

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

    fn row(text: &str) -> Option<Row> {
        let (key, value) = text.split_once('=')?;
        Some(vec![
            Some(key.into()),
            (!value.is_empty()).then(|| value.into()),
        ])
    }

    /// Each step is "old>new"; steps joined by ';' belong to one statement.
    fn net(statements: &[&str]) -> Vec<String> {
        let table = TableName::new("t").expect("a name");
        let (mut net, mut touched) = (Net::default(), BTreeSet::new());
        for (statement, steps) in (1..).zip(statements) {
            let entry = |step: &str| {
                let (old, new) = step.split_once('>').expect("old>new");
                Captured {
                    statement,
                    table: table.clone(),
                    old: row(old),
                    new: row(new),
                }
            };
            let captured: Vec<_> = steps.split(';').map(entry).collect();
            touched.extend(net.absorb(&schema(), &captured).expect("rows fit"));
        }
        touched
            .iter()
            .filter_map(|id| net.change(id).map(|change| describe(id, &change)))
            .collect()
    }

    fn describe(id: &RowId, change: &Change) -> String {
        let text = |value: &Value| value.as_deref().unwrap_or("NULL").to_owned();
        let cells = |new: &BTreeMap<ColumnIndex, Cell>| {
            new.iter()
                .map(|(column, cell)| format!("{column}={}", text(&cell.value)))
                .collect::<Vec<_>>()
                .join(",")
        };
        match change {
            Change::Insert { new } => format!("insert {} {}", id.key[0], cells(new)),
            Change::Update { new, .. } => format!("update {} {}", id.key[0], cells(new)),
            Change::Delete { .. } => format!("delete {}", id.key[0]),
        }
    }

    #[test]
    fn what_comes_back_is_no_change() {
        assert_eq!(net(&["a=1>a=2", "a=2>a=1"]), Vec::<String>::new());
        assert_eq!(net(&[">a=1", "a=1>"]), Vec::<String>::new());
        assert_eq!(net(&["a=1>", ">a=1"]), Vec::<String>::new());
    }

    #[test]
    fn the_first_old_and_the_last_new_count() {
        assert_eq!(net(&["a=1>a=2", "a=2>a=3"]), ["update a 1=3"]);
        assert_eq!(net(&[">a=1", "a=1>a=2"]), ["insert a 0=a,1=2"]);
        assert_eq!(net(&["a=1>a=2", "a=2>"]), ["delete a"]);
        assert_eq!(net(&["a=1>", ">a=2"]), ["update a 1=2"]);
    }

    #[test]
    fn invariant_3_null_in_an_insert_is_unset_and_in_an_update_a_value() {
        assert_eq!(net(&[">a="]), ["insert a 0=a"]);
        assert_eq!(net(&["a=1>a="]), ["update a 1=NULL"]);
    }

    #[test]
    fn invariant_8_a_row_keeps_its_identity_when_its_key_changes() {
        assert_eq!(net(&["a=1>b=1", "b=1>b=2"]), ["update a 0=b,1=2"]);
        assert_eq!(net(&[">a=1", "a=1>b=1"]), ["insert b 0=b,1=1"]);
        assert_eq!(net(&["a=1>b=1", "b=1>a=1"]), Vec::<String>::new());
    }

    #[test]
    fn invariant_8_a_row_that_comes_back_under_its_key_is_the_one_that_went() {
        // All told at once, as a hook does.
        assert_eq!(net(&["a=1>;>a=2"]), ["update a 1=2"]);
        assert_eq!(net(&["a=1>;>a=2;a=2>b=2"]), ["update a 0=b,1=2"]);
        assert_eq!(net(&["a=1>;>a=2;a=2>b=2;b=2>a=1"]), Vec::<String>::new());
        assert_eq!(
            net(&["a=1>;>a=2;a=2>b=2;>a=3"]),
            ["update a 0=b,1=2", "insert a 0=a,1=3"]
        );
    }

    #[test]
    fn keys_change_hands_within_one_statement() {
        assert_eq!(net(&["a=1>b=1;b=2>a=2"]), ["update a 0=b", "update b 0=a"]);
        assert_eq!(
            net(&["b=2>c=2", "a=1>b=1"]),
            ["update a 0=b", "update b 0=c"]
        );
    }

    #[test]
    fn a_cascade_may_change_a_row_again_in_the_same_statement() {
        assert_eq!(net(&["a=1>b=1;b=1>b=2"]), ["update a 0=b,1=2"]);
        // No cascade: the rows look alike.
        assert_eq!(net(&["b=1>c=1;a=1>b=1"]), ["update a 0=b", "update b 0=c"]);
    }

    #[test]
    fn what_a_statement_did_may_be_told_after_what_its_triggers_did() {
        assert_eq!(net(&["a=2>a=3;a=1>a=2"]), ["update a 1=3"]);
        assert_eq!(net(&["a=2>a=3;>a=2"]), ["insert a 0=a,1=3"]);
        assert_eq!(net(&["b=2>b=3;a=1>b=2"]), ["update a 0=b,1=3"]);
        assert_eq!(net(&["a=2>;a=1>a=2"]), ["delete a"]);
        assert_eq!(net(&[">a=1;a=2>;a=1>a=2"]), Vec::<String>::new());
        assert_eq!(net(&["a=3>;a=1>a=2;a=2>a=3"]), ["delete a"]);
        assert_eq!(net(&["a=2>a=1;a=1>a=2"]), Vec::<String>::new());
        assert_eq!(net(&["a=0>;a=2>a=3;>a=2"]), ["update a 1=3"]);
        assert_eq!(net(&[">a=2;a=1>"]), ["update a 1=2"]);
        assert_eq!(
            net(&["a=0>c=0;a=2>b=2;>a=2"]),
            ["update a 0=c", "insert b 0=b,1=2"]
        );
    }

    #[test]
    fn a_new_row_may_take_the_key_of_one_that_moved() {
        assert_eq!(
            net(&["a=1>b=1", ">a=9"]),
            ["update a 0=b", "insert a 0=a,1=9"]
        );
        assert_eq!(net(&["a=1>b=1;>a=9;b=1>"]), ["update a 1=9"]);
    }
}
