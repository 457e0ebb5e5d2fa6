//! Captures in tiny batches, cut as the peer cuts large ones.

use std::collections::{BTreeMap, VecDeque};

use dejima_core::delta::{Batch, BatchLimits, Captured, Planner};
use dejima_core::name::TableName;
use dejima_core::transaction::{Membership, Portion};

/// The batches and where each stands; an entry counts for one byte.
pub(crate) fn cut(
    tables: &BTreeMap<TableName, Membership>,
    captured: Vec<Captured>,
    limits: BatchLimits,
) -> VecDeque<(Vec<Captured>, Portion)> {
    let mut planner = Planner::default();
    for entry in &captured {
        let schema = tables.get(&entry.table).map(|table| &table.schema);
        // Each statement of the model changes one base row.
        planner.add(schema, entry, (0, 0), 1);
    }
    let batches = planner.plan(limits);
    let total = captured.len() as u64;
    let mut next = Portion {
        batches: u32::try_from(batches.len()).expect("a client writes a few rows"),
        rows_total: total,
        bytes_total: total,
        ..Portion::default()
    };
    let portion = |Batch {
                       pieces,
                       rows,
                       bytes,
                   }: Batch| {
        let portion = Portion {
            rows,
            bytes,
            ..next
        };
        next.batch += 1;
        next.rows_settled += rows;
        next.bytes_settled += bytes;
        let places = pieces.into_iter().flatten();
        let entry = |at: u64| captured[usize::try_from(at).expect("an index")].clone();
        (places.map(entry).collect(), portion)
    };
    batches.into_iter().map(portion).collect()
}
