//! The join of deltas: what different paths say of one transaction, united (invariant 3).
//!
//! A cell is a chain of revisions with a flat lattice at each: unset below every value, two values of one
//! revision have no upper bound short of conflict. Rows and deltas are products of cells, and finite; so
//! propagation ends on any graph, cycles too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Cell, Change, ColumnIndex, Delta, RowId, Value};

/// Two paths contradict each other. It names no value: the text goes to peers that may not see the row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two values were set for one attribute of one record.
    #[error("two values were set for column {0} of one row in one transaction")]
    Values(ColumnIndex),
    /// Two paths saw different old values.
    #[error("two paths saw different old values in column {0} of one row")]
    OldValues(ColumnIndex),
    /// One path inserts, updates or deletes a row of which another path says otherwise.
    #[error("one path says {0} and another {1} of the same row")]
    Kinds(&'static str, &'static str),
}

impl Delta {
    /// Unites `other` into this delta and returns the news: what `other` says that was not known here.
    ///
    /// After a conflict the delta may be half joined; the transaction is lost then.
    pub fn join(&mut self, other: &Delta) -> Result<Delta, Conflict> {
        let mut news = Delta::default();
        for (row, change) in &other.rows {
            if let Some(change) = self.join_row(row, change)? {
                news.rows.insert(row.clone(), change);
            }
        }
        Ok(news)
    }

    fn join_row(&mut self, row: &RowId, change: &Change) -> Result<Option<Change>, Conflict> {
        match self.rows.entry(row.clone()) {
            Entry::Vacant(free) => {
                free.insert(change.clone());
                Ok(Some(change.clone()))
            }
            Entry::Occupied(mut known) => known.get_mut().join(change),
        }
    }
}

impl Change {
    /// What the change does to the row, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Change::Insert { .. } => "insert",
            Change::Update { .. } => "update",
            Change::Delete { .. } => "delete",
        }
    }

    /// Unites `other` into this change of the same row and returns the news, if any.
    pub fn join(&mut self, other: &Change) -> Result<Option<Change>, Conflict> {
        match (self, other) {
            (Change::Insert { new }, Change::Insert { new: said }) => {
                let news = join_cells(new, said)?;
                Ok((!news.is_empty()).then_some(Change::Insert { new: news }))
            }
            (
                Change::Update { old, new },
                Change::Update {
                    old: seen,
                    new: said,
                },
            ) => {
                join_old(old, seen)?;
                let news = join_cells(new, said)?;
                let old = seen.iter().filter(|(column, _)| news.contains_key(column));
                let old = old
                    .map(|(&column, value)| (column, value.clone()))
                    .collect();
                Ok((!news.is_empty()).then_some(Change::Update { old, new: news }))
            }
            (Change::Delete { old }, Change::Delete { old: seen }) => {
                join_old(old, seen)?;
                Ok(None)
            }
            (known, other) => Err(Conflict::Kinds(known.kind(), other.kind())),
        }
    }
}

fn join_cells(
    known: &mut BTreeMap<ColumnIndex, Cell>,
    said: &BTreeMap<ColumnIndex, Cell>,
) -> Result<BTreeMap<ColumnIndex, Cell>, Conflict> {
    let mut news = BTreeMap::new();
    for (&column, cell) in said {
        let is_news = match known.get(&column) {
            None => true,
            Some(held) if held.revision == cell.revision && held.value != cell.value => {
                return Err(Conflict::Values(column));
            }
            Some(held) => held.revision < cell.revision,
        };
        if is_news {
            known.insert(column, cell.clone());
            news.insert(column, cell.clone());
        }
    }
    Ok(news)
}

fn join_old(
    known: &mut BTreeMap<ColumnIndex, Value>,
    seen: &BTreeMap<ColumnIndex, Value>,
) -> Result<(), Conflict> {
    for (&column, value) in seen {
        match known.entry(column) {
            Entry::Vacant(free) => {
                free.insert(value.clone());
            }
            Entry::Occupied(held) if held.get() != value => {
                return Err(Conflict::OldValues(column));
            }
            Entry::Occupied(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![Just(None), Just(Some("a".into())), Just(Some("b".into()))]
    }

    fn cells() -> impl Strategy<Value = BTreeMap<ColumnIndex, Cell>> {
        let cell = (value(), 0..2_u32).prop_map(|(value, revision)| Cell { value, revision });
        prop::collection::btree_map(0..3_u16, cell, 0..3)
    }

    fn old() -> impl Strategy<Value = BTreeMap<ColumnIndex, Value>> {
        prop::collection::btree_map(0..3_u16, Just(Some("o".into())), 0..3)
    }

    fn delta() -> impl Strategy<Value = Delta> {
        let change = prop_oneof![
            4 => cells().prop_map(|new| Change::Insert { new }),
            2 => (old(), cells()).prop_map(|(old, new)| Change::Update { old, new }),
            1 => old().prop_map(|old| Change::Delete { old }),
        ];
        let key = prop_oneof![Just(vec!["k".into()]), Just(vec!["l".into()])];
        prop::collection::vec((key, change), 0..3).prop_map(|rows| {
            let mut delta = Delta::default();
            rows.into_iter()
                .for_each(|(key, change)| delta.add(key, change));
            delta
        })
    }

    fn joined(deltas: &[&Delta]) -> Option<Delta> {
        let mut sum = Delta::default();
        for delta in deltas {
            sum.join(delta).ok()?;
        }
        Some(sum)
    }

    proptest! {
        #[test]
        fn invariant_3_join_commutes(a in delta(), b in delta()) {
            // Whether a lower revision's conflict is seen depends on what came between; what all orders that
            // succeed end in does not.
            if let (Some(ab), Some(ba)) = (joined(&[&a, &b]), joined(&[&b, &a])) {
                prop_assert_eq!(ab, ba);
            }
        }

        #[test]
        fn invariant_3_join_associates(a in delta(), b in delta(), c in delta()) {
            let bc = joined(&[&b, &c]);
            if let (Some(left), Some(right)) = (joined(&[&a, &b, &c]), bc.and_then(|bc| joined(&[&a, &bc]))) {
                prop_assert_eq!(left, right);
            }
        }

        #[test]
        fn invariant_3_join_is_idempotent(a in delta()) {
            let mut twice = a.clone();
            let news = twice.join(&a).expect("a delta does not contradict itself");
            prop_assert_eq!(news, Delta::default());
            prop_assert_eq!(twice, a);
        }

        #[test]
        fn invariant_3_news_are_all_that_was_missing(a in delta(), b in delta()) {
            let mut all = a.clone();
            if let Ok(news) = all.join(&b) {
                let mut again = a;
                again.join(&news).expect("news are a part of what joined");
                for (key, change) in &again.rows {
                    let same = match (change, &all.rows[key]) {
                        // Old values of columns that bring no news are not sent again.
                        (Change::Update { new, .. }, Change::Update { new: whole, .. }) => new == whole,
                        (Change::Delete { .. }, Change::Delete { .. }) => true,
                        (part, whole) => part == whole,
                    };
                    prop_assert!(same);
                }
            }
        }
    }

    fn insert(column: ColumnIndex, value: &str, revision: u32) -> Delta {
        let cell = Cell {
            value: Some(value.into()),
            revision,
        };
        single(Change::Insert {
            new: BTreeMap::from([(column, cell)]),
        })
    }

    fn single(change: Change) -> Delta {
        let mut delta = Delta::default();
        delta.add(vec!["k".into()], change);
        delta
    }

    #[test]
    fn invariant_3_two_values_conflict() {
        let mut a = insert(1, "x", 0);
        assert_eq!(a.join(&insert(1, "y", 0)), Err(Conflict::Values(1)));
    }

    #[test]
    fn invariant_3_unset_joins_with_any_value() {
        let mut a = insert(1, "x", 0);
        let news = a.join(&insert(2, "y", 0)).expect("different columns");
        assert_eq!(news, insert(2, "y", 0));
    }

    #[test]
    fn a_later_revision_replaces_the_value() {
        let mut a = insert(1, "x", 0);
        let news = a
            .join(&insert(1, "X", 1))
            .expect("a revision is no conflict");
        assert_eq!((news, a.clone()), (insert(1, "X", 1), insert(1, "X", 1)));
        assert_eq!(a.join(&insert(1, "x", 0)), Ok(Delta::default()));
    }

    #[test]
    fn kinds_conflict() {
        let mut a = single(Change::Update {
            old: BTreeMap::new(),
            new: BTreeMap::new(),
        });
        let gone = single(Change::Delete {
            old: BTreeMap::new(),
        });
        assert_eq!(a.join(&gone), Err(Conflict::Kinds("update", "delete")));
    }
}
