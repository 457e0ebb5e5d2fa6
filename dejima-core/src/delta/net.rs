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
}

/// What happened to each row since the transaction began. It remembers whole rows, so that a→b→a is nothing,
/// and finds a row under its new key after its key has changed.
#[derive(Clone, Debug, Default)]
pub struct Net {
    records: Vec<Record>,
    by_id: BTreeMap<RowId, usize>,
    /// Where a row is now. More than one only while the rows of one SQL statement come in pieces (MERGE).
    by_current: BTreeMap<Key, Vec<usize>>,
}

#[derive(Clone, Debug)]
struct Record {
    id: RowId,
    old: Option<Row>,
    new: Option<Row>,
}

impl Net {
    /// Takes captured rows of this Dejima table in the order of their statements; returns the rows concerned.
    ///
    /// A row may be among them that is none any more: a new row that took another key, or went away again.
    pub fn absorb(
        &mut self,
        schema: &Schema,
        captured: &[Captured],
    ) -> Result<BTreeSet<RowId>, InvalidRow> {
        let mut touched = BTreeSet::new();
        for statement in captured.chunk_by(|a, b| a.statement == b.statement) {
            // The rows of one statement change at once: a key freed by one may be taken by another.
            let departed = statement
                .iter()
                .map(|entry| {
                    entry
                        .old
                        .as_ref()
                        .map(|old| self.depart(schema, old))
                        .transpose()
                })
                .collect::<Result<Vec<_>, _>>()?;
            for (entry, departed) in statement.iter().zip(departed) {
                touched.extend(departed.map(|record| self.records[record].id.clone()));
                if let Some(new) = &entry.new {
                    touched.insert(self.arrive(schema, departed, new)?);
                }
            }
        }
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

    /// A row leaves its current key; the first time it becomes a record.
    fn depart(&mut self, schema: &Schema, old: &Row) -> Result<usize, InvalidRow> {
        let key = checked_key(schema, old)?;
        if let Some(record) = self.leave(&key, old) {
            self.records[record].new = None;
            return Ok(record);
        }
        let id = RowId { key, is_new: false };
        Ok(self.record(id, Some(old.clone())))
    }

    fn leave(&mut self, key: &Key, old: &Row) -> Option<usize> {
        let here = self.by_current.get_mut(key)?;
        let exact = here
            .iter()
            .position(|&record| self.records[record].new.as_ref() == Some(old));
        let record = here.swap_remove(exact.unwrap_or(0));
        if here.is_empty() {
            self.by_current.remove(key);
        }
        Some(record)
    }

    /// A row takes a key: the one that departed, one that was deleted under this key before, or a new one.
    fn arrive(
        &mut self,
        schema: &Schema,
        departed: Option<usize>,
        new: &Row,
    ) -> Result<RowId, InvalidRow> {
        let key = checked_key(schema, new)?;
        let record = match departed.or_else(|| self.deleted(&key)) {
            Some(record) => record,
            None => self.record(
                RowId {
                    key: key.clone(),
                    is_new: true,
                },
                None,
            ),
        };
        self.records[record].new = Some(new.clone());
        if self.records[record].id.is_new && self.records[record].id.key != key {
            self.rename(record, key.clone());
        }
        self.by_current.entry(key).or_default().push(record);
        Ok(self.records[record].id.clone())
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
        self.by_id.insert(id.clone(), self.records.len());
        self.records.push(Record { id, old, new: None });
        self.records.len() - 1
    }

    fn rename(&mut self, record: usize, key: Key) {
        self.by_id.remove(&self.records[record].id);
        self.records[record].id.key = key;
        self.by_id.insert(self.records[record].id.clone(), record);
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
    fn keys_change_hands_within_one_statement() {
        assert_eq!(net(&["a=1>b=1;b=2>a=2"]), ["update a 0=b", "update b 0=a"]);
        assert_eq!(
            net(&["b=2>c=2", "a=1>b=1"]),
            ["update a 0=b", "update b 0=c"]
        );
    }

    #[test]
    fn a_new_row_may_take_the_key_of_one_that_moved() {
        assert_eq!(
            net(&["a=1>b=1", ">a=9"]),
            ["update a 0=b", "insert a 0=a,1=9"]
        );
    }
}
