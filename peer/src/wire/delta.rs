//! Deltas: cut into parts to be sent, put together and checked when received.

use std::collections::{BTreeMap, btree_map};

use dejima_core::delta::{Cell, Change, ColumnIndex, Delta, Key, RowId, Schema, Value};
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::transaction::{GroupVersion, Millis, RequestId};
use dejima_proto::v1;

use super::{Invalid, gid, peer, storable, table};

/// A part is closed when its rows reach this size: large enough to cost little, small enough to flow.
const PART_BYTES: usize = 1 << 20;
/// A week. No peer is configured for more than a day, and no transaction has so many rows.
const PATIENCE_MS_MAX: Millis = 7 * 24 * 60 * 60 * 1_000;

/// What stands at the head of every part of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who sends it.
    pub from: PeerName,
    /// The transaction.
    pub gid: Gid,
    /// The sender's number for it.
    pub request: RequestId,
    /// The Dejima table.
    pub table: TableName,
    /// Which members of it the sender sees.
    pub group: GroupVersion,
    /// Counts the batches of the transaction.
    pub batch: u32,
    /// How long the whole transaction may take.
    pub patience_ms: Millis,
}

/// The parts of one delta, made one after the other so that it is never held twice as a whole.
#[derive(Debug)]
pub struct Parts {
    head: v1::PropagateRequest,
    rows: btree_map::IntoIter<RowId, Change>,
    is_first: bool,
}

impl Parts {
    /// Cuts a delta; each part names the columns as this peer has them.
    pub fn new(head: Head, schema: &Schema, delta: Delta) -> Self {
        let head = v1::PropagateRequest {
            from: head.from.into(),
            gid: head.gid.to_string(),
            request: head.request,
            table: head.table.into(),
            group: head.group.0,
            batch: head.batch,
            patience_ms: head.patience_ms,
            columns: schema
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            rows: Vec::new(),
        };
        Self {
            head,
            rows: delta.rows.into_iter(),
            is_first: true,
        }
    }
}

impl Iterator for Parts {
    type Item = v1::PropagateRequest;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while bytes < PART_BYTES
            && let Some((RowId { key, .. }, change)) = self.rows.next()
        {
            bytes += size(&key, &change);
            rows.push(row_to_wire(key, change));
        }
        // A delta without rows is one part as well.
        if rows.is_empty() && !self.is_first {
            return None;
        }
        self.is_first = false;
        let mut part = if self.rows.len() == 0 {
            std::mem::take(&mut self.head)
        } else {
            self.head.clone()
        };
        part.rows = rows;
        Some(part)
    }
}

/// About as many bytes as a row needs, for parts and deadlines.
fn size(key: &Key, change: &Change) -> usize {
    let value = |value: &Value| 8 + value.as_ref().map_or(0, |text| text.len());
    let olds = |old: &BTreeMap<ColumnIndex, Value>| old.values().map(value).sum::<usize>();
    let news = |new: &BTreeMap<ColumnIndex, Cell>| {
        new.values().map(|cell| value(&cell.value)).sum::<usize>()
    };
    let key: usize = key.iter().map(|part| part.len()).sum();
    key + 8
        + match change {
            Change::Insert { new } => news(new),
            Change::Update { old, new } => olds(old) + news(new),
            Change::Delete { old } => olds(old),
        }
}

fn row_to_wire(key: Key, change: Change) -> v1::Row {
    let change = match change {
        Change::Insert { new } => v1::row::Change::Insert(v1::Insert {
            cells: cells_to_wire(new),
        }),
        Change::Update { old, new } => v1::row::Change::Update(v1::Update {
            old: olds_to_wire(old),
            new: cells_to_wire(new),
        }),
        Change::Delete { old } => v1::row::Change::Delete(v1::Delete {
            old: olds_to_wire(old),
        }),
    };
    v1::Row {
        change: Some(change),
        key: key.iter().map(|part| part.as_ref().to_owned()).collect(),
    }
}

fn cells_to_wire(cells: BTreeMap<ColumnIndex, Cell>) -> Vec<v1::Cell> {
    let cell = |(column, cell): (ColumnIndex, Cell)| v1::Cell {
        column: column.into(),
        value: cell.value.as_deref().map(str::to_owned),
        revision: cell.revision,
    };
    cells.into_iter().map(cell).collect()
}

fn olds_to_wire(olds: BTreeMap<ColumnIndex, Value>) -> Vec<v1::OldCell> {
    let old = |(column, value): (ColumnIndex, Value)| v1::OldCell {
        column: column.into(),
        value: value.as_deref().map(str::to_owned),
    };
    olds.into_iter().map(old).collect()
}

/// A delta as its parts come in.
#[derive(Debug)]
pub struct IncomingDelta {
    /// What all its parts say.
    pub head: Head,
    /// The columns as the sender has them.
    pub columns: Vec<String>,
    rows: Vec<v1::Row>,
}

impl IncomingDelta {
    /// Takes the first part.
    pub fn new(part: v1::PropagateRequest) -> Result<Self, Invalid> {
        let head = Head {
            from: peer(&part.from)?,
            gid: gid(&part.gid)?,
            request: part.request,
            table: table(&part.table)?,
            group: GroupVersion(part.group),
            batch: part.batch,
            patience_ms: part.patience_ms,
        };
        if head.patience_ms > PATIENCE_MS_MAX {
            let why = format!("no transaction may take {} ms", head.patience_ms);
            return Err(Invalid::Contradiction(why));
        }
        Ok(Self {
            head,
            columns: part.columns,
            rows: part.rows,
        })
    }

    /// Takes a further part.
    pub fn add(&mut self, part: v1::PropagateRequest) -> Result<(), Invalid> {
        let more = Self::new(part)?;
        if (&more.head, &more.columns) != (&self.head, &self.columns) {
            return Err(Invalid::Contradiction(
                "the parts of one delta must have one head".into(),
            ));
        }
        self.rows.extend(more.rows);
        Ok(())
    }

    /// Whether the sender has the same columns in the same order.
    pub fn fits(&self, schema: &Schema) -> bool {
        schema
            .columns
            .iter()
            .map(|column| &column.name)
            .eq(&self.columns)
    }

    /// All rows, checked against the Dejima table's schema.
    pub fn into_delta(self, schema: &Schema) -> Result<Delta, Invalid> {
        let mut delta = Delta::default();
        let sent = self.rows.len();
        for row in self.rows {
            let (key, change) = row_from_wire(row, schema)?;
            delta.add(key, change);
        }
        if delta.rows.len() < sent {
            return Err(Invalid::Contradiction(
                "a delta speaks twice of one row".into(),
            ));
        }
        Ok(delta)
    }
}

fn row_from_wire(row: v1::Row, schema: &Schema) -> Result<(Key, Change), Invalid> {
    if row.key.len() != schema.key.len() {
        let why = format!(
            "a row's key has {} values instead of {}",
            row.key.len(),
            schema.key.len()
        );
        return Err(Invalid::Contradiction(why));
    }
    let key: Key = row
        .key
        .into_iter()
        .map(storable)
        .collect::<Result<_, _>>()?;
    let change = match row.change.ok_or(Invalid::Missing("a row's change"))? {
        v1::row::Change::Insert(insert) => {
            let new = cells_from_wire(insert.cells, schema)?;
            // Not compared with the row's key: a strategy may have replaced a part of it since.
            let names_itself = schema.key.iter().all(|column| new.contains_key(column));
            if !names_itself {
                return Err(Invalid::Contradiction(
                    "an inserted row must set its key".into(),
                ));
            }
            Change::Insert { new }
        }
        v1::row::Change::Update(update) => Change::Update {
            old: olds_from_wire(update.old, schema)?,
            new: cells_from_wire(update.new, schema)?,
        },
        v1::row::Change::Delete(delete) => Change::Delete {
            old: olds_from_wire(delete.old, schema)?,
        },
    };
    Ok((key, change))
}

fn cells_from_wire(
    cells: Vec<v1::Cell>,
    schema: &Schema,
) -> Result<BTreeMap<ColumnIndex, Cell>, Invalid> {
    let mut checked = BTreeMap::new();
    for cell in cells {
        let column = column(cell.column, schema)?;
        let value = cell.value.map(storable).transpose()?;
        if value.is_none() && schema.key.contains(&column) {
            return Err(Invalid::Contradiction("a key column cannot be NULL".into()));
        }
        if checked
            .insert(
                column,
                Cell {
                    value,
                    revision: cell.revision,
                },
            )
            .is_some()
        {
            return Err(twice(column, schema));
        }
    }
    Ok(checked)
}

fn olds_from_wire(
    olds: Vec<v1::OldCell>,
    schema: &Schema,
) -> Result<BTreeMap<ColumnIndex, Value>, Invalid> {
    let mut checked = BTreeMap::new();
    for old in olds {
        let column = column(old.column, schema)?;
        let value = old.value.map(storable).transpose()?;
        if checked.insert(column, value).is_some() {
            return Err(twice(column, schema));
        }
    }
    Ok(checked)
}

fn column(position: u32, schema: &Schema) -> Result<ColumnIndex, Invalid> {
    let column = ColumnIndex::try_from(position).ok();
    column
        .filter(|&column| usize::from(column) < schema.columns.len())
        .ok_or_else(|| {
            Invalid::Contradiction(format!(
                "there is no column {position} among {}",
                schema.columns.len()
            ))
        })
}

fn twice(column: ColumnIndex, schema: &Schema) -> Invalid {
    Invalid::Contradiction(format!(
        "a row speaks twice of column \"{}\"",
        schema.column_name(column)
    ))
}
