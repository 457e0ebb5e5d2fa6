//! What was told of a row in pieces that did not fit together at once becomes one record.

use std::collections::BTreeSet;

use super::{InvalidRow, Net, Record, checked_key};
use crate::delta::{Key, Row, RowId, Schema};

impl Net {
    /// What nothing has explained was there before, and another took its key later than it seemed, if that can be.
    pub(super) fn settle(
        &mut self,
        schema: &Schema,
        touched: &mut BTreeSet<RowId>,
    ) -> Result<(), InvalidRow> {
        loop {
            if let Some(record) = self.next_late() {
                self.settle_late(schema, record, touched)?;
            } else if let Some(key) = self.crowded.pop_first() {
                while let Some([record, _, ..]) = self.by_current.get(&key).map(Vec::as_slice) {
                    self.explain(schema, &key, *record, touched)?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn settle_late(
        &mut self,
        schema: &Schema,
        record: usize,
        touched: &mut BTreeSet<RowId>,
    ) -> Result<(), InvalidRow> {
        let id = self.records[record].id.clone();
        while self.records[record].is_late {
            if self.by_id.contains_key(&id) {
                self.explain(schema, &id.key, record, touched)?;
            } else {
                self.records[record].is_late = false;
                self.by_id.insert(id.clone(), record);
            }
        }
        Ok(())
    }

    fn next_late(&mut self) -> Option<usize> {
        let mut waiting = self.late.first_entry()?;
        let record = waiting.get_mut().pop();
        if waiting.get().is_empty() {
            waiting.remove();
        }
        record
    }

    /// More than one record has been under this key all the time. If one began as what somebody is now, it is the rest of what
    /// happened to him. Who is himself what he was has been on a detour: the other has been there, too, and was told of apart.
    fn explain(
        &mut self,
        schema: &Schema,
        key: &Key,
        record: usize,
        touched: &mut BTreeSet<RowId>,
    ) -> Result<(), InvalidRow> {
        let ids = [false, true].map(|is_new| RowId {
            key: key.clone(),
            is_new,
        });
        let (whole, rest) = ids
            .iter()
            .filter_map(|id| self.by_id.get(id).copied())
            .chain([record])
            .find_map(|rest| Some((self.ends_where_began(rest)?, rest)))
            .ok_or(InvalidRow::Unexplained)?;
        if whole == rest {
            self.drop(schema, rest)?;
        } else {
            self.take_over(schema, whole, rest)?;
            touched.insert(self.records[whole].id.clone());
        }
        Ok(())
    }

    /// The record that is now what this one was at first.
    fn ends_where_began(&self, record: usize) -> Option<usize> {
        let Record { id, old, new, .. } = &self.records[record];
        if old == new {
            return Some(record);
        }
        self.at(&id.key, old.as_ref()?)
    }

    /// The rest of what happened to a record's row is in another record, which is none any more.
    pub(super) fn take_over(
        &mut self,
        schema: &Schema,
        record: usize,
        rest: usize,
    ) -> Result<(), InvalidRow> {
        if let Some(row) = self.records[record].new.take() {
            self.leave(record, &checked_key(schema, &row)?);
        }
        if let Some(row) = self.drop(schema, rest)? {
            self.stand(record, checked_key(schema, &row)?, row);
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
    pub(super) fn unite_deleted_and_new(
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

    /// The record is none any more; returns what it was last.
    fn drop(&mut self, schema: &Schema, record: usize) -> Result<Option<Row>, InvalidRow> {
        self.records[record].is_late = false;
        if self.by_id.get(&self.records[record].id) == Some(&record) {
            self.by_id.remove(&self.records[record].id);
        }
        let last = self.records[record].new.take();
        if let Some(row) = &last {
            self.leave(record, &checked_key(schema, row)?);
        }
        Ok(last)
    }
}
