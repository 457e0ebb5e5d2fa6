//! Batches: a large capture in parts, each small enough for memory, so that nothing that belongs together is torn apart.
//!
//! What belongs together is tied by keys: all that happened to a row, also when it changed its key, and what happened to a row
//! that had its key before or after. The rows of different Dejima tables that one base row shows are tied by their place in the
//! log, and so are those under equal keys: at another peer they may be one base row. What is tied, directly or by a chain,
//! goes into one batch, however large that makes it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::{Captured, Key, Schema};
use crate::name::TableName;

/// How large a batch may become, unless what is tied together is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Entries of the capture.
    pub rows_max: u64,
    /// Bytes of their text.
    pub bytes_max: u64,
}

impl BatchLimits {
    /// Everything is one batch.
    pub fn unlimited() -> Self {
        Self {
            rows_max: u64::MAX,
            bytes_max: u64::MAX,
        }
    }
}

impl Default for BatchLimits {
    /// Rows of any size: ten thousand small ones take about 30 MB in a peer at work on them, 2 MiB of text about 10 MB.
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            bytes_max: 2 << 20,
        }
    }
}

/// Takes the entries of a capture one after the other, and remembers of each only what ties it to others.
#[derive(Debug, Default)]
pub struct Planner {
    units: Vec<Unit>,
    /// Hashes of keys, and the units that name them.
    keys: Vec<(u64, u32)>,
    /// Where the keys of the last unit begin.
    last_keys: usize,
    last_place: Option<(i64, (i64, usize))>,
}

/// Entries that follow each other in the log and are of one base row.
#[derive(Clone, Copy, Debug, Default)]
struct Unit {
    rows: u64,
    bytes: u64,
}

/// One batch: where its entries stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Ranges of bytes of the capture, ascending.
    pub pieces: Vec<Range<u64>>,
    /// Number of entries.
    pub rows: u64,
    /// Number of bytes.
    pub bytes: u64,
}

impl Planner {
    /// Takes the next entry. `place` tells the base rows of a statement apart: the number of the section, and the place in it.
    pub fn add(
        &mut self,
        schema: Option<&Schema>,
        entry: &Captured,
        place: (i64, usize),
        bytes: u64,
    ) {
        let place = (entry.statement, place);
        if self.last_place.replace(place) != Some(place) {
            self.units.push(Unit::default());
            self.last_keys = self.keys.len();
        }
        let at = self.units.len() - 1;
        self.units[at].rows += 1;
        self.units[at].bytes += bytes;
        let unit = u32::try_from(at).unwrap_or(u32::MAX);
        for row in entry.old.iter().chain(&entry.new) {
            // Without a key the entry is refused later, whatever batch it is in.
            let Some(key) = schema.and_then(|schema| schema.key_of(row)) else {
                continue;
            };
            let tie = (hash(&key), unit);
            if !self.keys[self.last_keys..].contains(&tie) {
                self.keys.push(tie);
            }
        }
    }

    /// The batches, in the order in which they first appear in the log. Within each the log's order is kept.
    pub fn plan(self, limits: BatchLimits) -> Vec<Batch> {
        let Self {
            units, mut keys, ..
        } = self;
        let mut ties = Ties::of(units.len());
        keys.sort_unstable();
        for pair in keys.windows(2) {
            if pair[0].0 == pair[1].0 {
                ties.unite(pair[0].1, pair[1].1);
            }
        }
        drop(keys);
        pack(&units, &mut ties, limits)
    }
}

fn hash(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A hash of a row of a Dejima table, the same as long as the peer runs.
pub(crate) fn row_hash(table: &TableName, key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    (table, key).hash(&mut hasher);
    hasher.finish()
}

fn pack(units: &[Unit], ties: &mut Ties, limits: BatchLimits) -> Vec<Batch> {
    let mut whole = vec![Unit::default(); units.len()];
    for (at, unit) in (0..).zip(units) {
        let sum = &mut whole[ties.first(at) as usize];
        sum.rows += unit.rows;
        sum.bytes += unit.bytes;
    }
    // For the first unit of each component, the batch that the component is in.
    let mut batch_of = vec![None; units.len()];
    let mut batches: Vec<Batch> = vec![];
    let mut room = Unit::default();
    let mut from = 0;
    for (at, unit) in (0..).zip(units) {
        let first = ties.first(at) as usize;
        let component = whole[first];
        let batch = *batch_of[first].get_or_insert_with(|| {
            let fits = component.rows <= room.rows && component.bytes <= room.bytes;
            if batches.is_empty() || !fits {
                batches.push(Batch::default());
                room = Unit {
                    rows: limits.rows_max,
                    bytes: limits.bytes_max,
                };
            }
            room.rows = room.rows.saturating_sub(component.rows);
            room.bytes = room.bytes.saturating_sub(component.bytes);
            batches.len() - 1
        });
        batches[batch].add(from..from + unit.bytes, unit.rows);
        from += unit.bytes;
    }
    batches
}

impl Batch {
    fn add(&mut self, piece: Range<u64>, rows: u64) {
        self.rows += rows;
        self.bytes += piece.end - piece.start;
        match self.pieces.last_mut() {
            Some(last) if last.end == piece.start => last.end = piece.end,
            _ => self.pieces.push(piece),
        }
    }
}

/// Which units are tied, directly or by a chain: a forest, each unit with one that came before it, or itself.
struct Ties {
    earlier: Vec<u32>,
}

impl Ties {
    fn of(units: usize) -> Self {
        Self {
            earlier: (0..).take(units).collect(),
        }
    }

    /// The first unit of the component.
    fn first(&mut self, mut unit: u32) -> u32 {
        while self.earlier[unit as usize] != unit {
            let skipped = self.earlier[self.earlier[unit as usize] as usize];
            self.earlier[unit as usize] = skipped;
            unit = skipped;
        }
        unit
    }

    fn unite(&mut self, one: u32, other: u32) {
        let (one, other) = (self.first(one), self.first(other));
        self.earlier[one.max(other) as usize] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::{Column, Row};

    fn schema() -> Schema {
        Schema {
            columns: vec![Column {
                name: "k".into(),
                type_name: "text".into(),
            }],
            key: vec![0],
        }
    }

    /// "statement.place old>new".
    fn entry(text: &str) -> (Captured, usize) {
        let (place, keys) = text.split_once(' ').expect("place and keys");
        let (statement, place) = place.split_once('.').expect("two numbers");
        let (old, new) = keys.split_once('>').expect("old>new");
        let row = |key: &str| -> Option<Row> { (!key.is_empty()).then(|| vec![Some(key.into())]) };
        let captured = Captured {
            statement: statement.parse().expect("a number"),
            table: TableName::new("t").expect("a name"),
            old: row(old),
            new: row(new),
        };
        (captured, place.parse().expect("a number"))
    }

    /// Each entry has one byte: which entries are in which batch.
    fn planned(rows_max: u64, entries: &[&str]) -> Vec<Vec<u64>> {
        let mut planner = Planner::default();
        for text in entries {
            let (entry, place) = entry(text);
            planner.add(Some(&schema()), &entry, (0, place), 1);
        }
        let bytes_max = u64::MAX;
        let batches = planner.plan(BatchLimits {
            rows_max,
            bytes_max,
        });
        batches
            .into_iter()
            .map(|batch| batch.pieces.into_iter().flatten().collect())
            .collect()
    }

    #[test]
    fn what_is_not_tied_is_packed_in_the_order_of_the_log() {
        let entries = ["1.1 >a", "1.2 >b", "1.3 >c", "1.4 >d", "1.5 >e"];
        assert_eq!(planned(2, &entries), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(planned(9, &entries), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(planned(9, &[]), Vec::<Vec<u64>>::new());
    }

    #[test]
    fn a_row_keeps_its_history_also_over_changes_of_its_key() {
        let entries = ["1.1 >a", "1.2 >b", "2.1 a>c", "3.1 b>", "4.1 c>"];
        assert_eq!(planned(1, &entries), [vec![0, 2, 4], vec![1, 3]]);
    }

    #[test]
    fn a_key_that_changes_hands_ties_both_rows() {
        let entries = ["1.1 a>b", "1.2 c>d", "1.3 b>e"];
        assert_eq!(planned(1, &entries), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn the_images_of_one_base_row_are_tied_whatever_their_keys() {
        let entries = ["1.1 >a", "1.1 >x", "1.2 >b", "1.2 >y"];
        assert_eq!(planned(1, &entries), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn a_statement_whose_base_rows_nobody_can_tell_apart_is_one() {
        let entries = ["1.0 >a", "1.0 >b", "2.0 >c"];
        assert_eq!(planned(1, &entries), [vec![0, 1], vec![2]]);
    }

    proptest! {
        #[test]
        fn every_entry_is_in_one_batch_and_nothing_tied_in_two(
            steps in proptest::collection::vec((0..20u8, 0..20u8), 0..60),
            rows_max in 1..9u64,
        ) {
            let key = |n: u8| if n == 0 { String::new() } else { format!("k{n}") };
            let steps: Vec<_> = steps.into_iter().filter(|pair| *pair != (0, 0)).collect();
            let texts: Vec<String> = (1..).zip(&steps)
                .map(|(at, (old, new))| format!("{at}.1 {}>{}", key(*old), key(*new)))
                .collect();
            let batches = planned(rows_max, &texts.iter().map(String::as_str).collect::<Vec<_>>());
            let mut all: Vec<u64> = batches.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..texts.len() as u64).collect::<Vec<_>>());
            for key in 1..20u8 {
                let names = |at: &u64| {
                    let (old, new) = steps[usize::try_from(*at).expect("small")];
                    old == key || new == key
                };
                prop_assert!(batches.iter().filter(|batch| batch.iter().any(names)).count() <= 1);
            }
        }
    }
}
