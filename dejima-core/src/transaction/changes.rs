//! What a transaction has changed at one peer, and what is known of it elsewhere: the data both roles share.

use std::collections::{BTreeMap, BTreeSet};

use super::interface::{Membership, Millis, Touched};
use crate::delta::{
    Captured, Cell, Change, ColumnIndex, Delta, InvalidRow, Key, Net, Put, REVISION_MAX, RowId,
    Schema, Value, row_hash,
};
use crate::name::{PeerName, TableName};
use crate::refusal::{Refusal, sqlstate};

/// The Dejima tables of this peer.
pub(super) type Tables = BTreeMap<TableName, Membership>;

/// Between two inputs, for every Dejima table: `known` is what all members have been told, and `net` is what
/// the database holds; they say the same, but for rows that are still to be put.
///
/// Of the rows of settled batches nothing is left but a hash of each of their keys, so that none of them is touched again.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    tables: BTreeMap<TableName, TableChange>,
    settled: BTreeSet<u64>,
    weight_ms: Millis,
}

#[derive(Clone, Debug, Default)]
struct TableChange {
    known: Delta,
    net: Net,
    /// Rows of earlier batches.
    settled: Touched,
}

impl Changes {
    /// Unites a delta from another peer; returns what must be put into the database.
    pub(super) fn join(
        &mut self,
        me: &PeerName,
        table: &TableName,
        schema: &Schema,
        delta: &Delta,
    ) -> Result<Delta, Refusal> {
        for (row, change) in &delta.rows {
            self.check_open(me, table, &row.key)?;
            if let Some(key) = moved_key(schema, row, change) {
                self.check_open(me, table, &key)?;
            }
        }
        let change = self.tables.entry(table.clone()).or_default();
        let joined = change.known.join(delta);
        joined.map_err(|e| Refusal::conflict(me, table, &format!("{e}.")))
    }

    /// The batch is answered everywhere and nothing of it is in flight: its rows are forgotten, and may not change again.
    pub(super) fn settle(&mut self) {
        for (table, change) in &mut self.tables {
            let known = std::mem::take(&mut change.known);
            let net = std::mem::take(&mut change.net);
            change.settled.add(count(&known));
            let keys = known.rows.keys().map(|row| &row.key).chain(net.keys());
            self.settled.extend(keys.map(|key| row_hash(table, key)));
        }
    }

    /// True if the transaction has changed a row that the delta changes too.
    pub(super) fn meets(&self, table: &TableName, schema: &Schema, delta: &Delta) -> bool {
        let change = self.tables.get(table);
        let has = |key: &Key| {
            change.is_some_and(|change| change.net.has_key(key))
                || self.settled.contains(&row_hash(table, key))
        };
        delta.rows.iter().any(|(row, change)| {
            has(&row.key) || moved_key(schema, row, change).is_some_and(|key| has(&key))
        })
    }

    fn check_open(&self, me: &PeerName, table: &TableName, key: &Key) -> Result<(), Refusal> {
        if self.settled.is_empty() || !self.settled.contains(&row_hash(table, key)) {
            return Ok(());
        }
        Err(Refusal::settled(me, table))
    }

    /// Spells out how `todo` is put on top of what is there.
    pub(super) fn put(
        &self,
        me: &PeerName,
        table: &TableName,
        schema: &Schema,
        todo: &Delta,
    ) -> Result<Put, Refusal> {
        let untouched = Net::default();
        let net = self
            .tables
            .get(table)
            .map_or(&untouched, |change| &change.net);
        Put::new(table, schema, todo, net).map_err(|cycle| Refusal {
            peer: me.clone(),
            sqlstate: sqlstate::FEATURE_NOT_SUPPORTED.into(),
            message: format!(
                "peer \"{me}\" cannot put the change of keys in Dejima table \"{table}\""
            ),
            detail: format!("{cycle}."),
            hint: "Move one of the rows to a free key first, in a transaction of its own.".into(),
        })
    }

    /// Takes what the database says has changed; `todo` is what was put just now. Returns, for each Dejima
    /// table, what the other members do not know yet.
    pub(super) fn absorb(
        &mut self,
        me: &PeerName,
        tables: &Tables,
        captured: Vec<Captured>,
        todo: &BTreeMap<TableName, Delta>,
    ) -> Result<Vec<(TableName, Delta)>, Refusal> {
        let mut by_table: BTreeMap<TableName, Vec<Captured>> =
            todo.keys().map(|table| (table.clone(), vec![])).collect();
        self.weight_ms += captured.iter().map(weight_ms).sum::<Millis>();
        for entry in captured {
            let table = by_table.entry(entry.table.clone());
            table.or_default().push(entry);
        }
        let mut news = vec![];
        for (table, captured) in &by_table {
            let Some(membership) = tables.get(table) else {
                return Err(unknown_table(me, table));
            };
            for row in captured
                .iter()
                .flat_map(|entry| entry.old.iter().chain(&entry.new))
            {
                if let Some(key) = membership.schema.key_of(row) {
                    self.check_open(me, table, &key)?;
                }
            }
            let change = self.tables.entry(table.clone()).or_default();
            let touched = change.net.absorb(&membership.schema, captured);
            let mut rows = touched.map_err(|e| invalid_row(me, table, &e))?;
            rows.extend(
                todo.get(table)
                    .into_iter()
                    .flat_map(|delta| delta.rows.keys().cloned()),
            );
            let delta = change
                .reconcile(&membership.schema, &rows)
                .map_err(|fault| fault.refusal(me, table, &membership.schema))?;
            if !delta.is_empty() {
                news.push((table.clone(), delta));
            }
        }
        Ok(news)
    }

    /// What the batch at hand has changed in each Dejima table, as far as it is known here.
    pub(super) fn known(&self) -> BTreeMap<TableName, Delta> {
        let known = |(table, change): (&TableName, &TableChange)| {
            let delta = change.known.clone();
            (table.clone(), delta)
        };
        self.tables.iter().map(known).collect()
    }

    /// One of these Dejima tables that the transaction has to do with, if there is any.
    pub(super) fn first_of<'a>(&self, tables: &'a BTreeSet<TableName>) -> Option<&'a TableName> {
        let mut tables = tables.iter();
        tables.find(|table| self.tables.contains_key(*table))
    }

    /// Numbers of rows by Dejima table.
    pub(super) fn touched(&self) -> BTreeMap<TableName, Touched> {
        self.tables
            .iter()
            .map(|(table, change)| {
                let mut touched = count(&change.known);
                touched.add(change.settled);
                (table.clone(), touched)
            })
            .collect()
    }

    /// How much longer than usual the transaction may take everywhere, by what was captured here: a
    /// millisecond a row and a millisecond a KiB.
    pub(super) fn weight_ms(&self) -> Millis {
        self.weight_ms
    }
}

fn weight_ms(captured: &Captured) -> Millis {
    let rows = captured.old.iter().chain(&captured.new);
    let bytes: usize = rows.flatten().flatten().map(|value| value.len()).sum();
    1 + bytes as Millis / 1024
}

/// The key that an update gives its row, if it gives it another.
fn moved_key(schema: &Schema, row: &RowId, change: &Change) -> Option<Key> {
    let Change::Update { new, .. } = change else {
        return None;
    };
    let is_moved = schema.key.iter().any(|column| new.contains_key(column));
    let part = |(column, from): (&ColumnIndex, _)| match new.get(column) {
        Some(cell) => cell.value.clone(),
        None => Some(Clone::clone(from)),
    };
    is_moved.then(|| schema.key.iter().zip(&row.key).map(part).collect())?
}

fn count(delta: &Delta) -> Touched {
    let mut touched = Touched::default();
    for change in delta.rows.values() {
        match change {
            Change::Insert { .. } => touched.inserted += 1,
            Change::Update { .. } => touched.updated += 1,
            Change::Delete { .. } => touched.deleted += 1,
        }
    }
    touched
}

/// A put that did something else than it was told.
enum Fault {
    /// The strategy replaces the value of this column again and again.
    Unsettled(ColumnIndex),
    /// Told the first, the put did the second.
    Other(&'static str, &'static str),
}

impl TableChange {
    fn reconcile(&mut self, schema: &Schema, rows: &BTreeSet<RowId>) -> Result<Delta, Fault> {
        let mut news = Delta::default();
        for row in rows {
            let actual = self.net.change(row);
            let change = match (self.known.rows.get_mut(row), actual) {
                (None, None) => None,
                (None, Some(actual)) => {
                    self.known.rows.insert(row.clone(), actual.clone());
                    Some(actual)
                }
                (Some(known), actual) => reconcile_row(schema, known, actual)?,
            };
            if let Some(change) = change {
                news.rows.insert(row.clone(), change);
            }
        }
        Ok(news)
    }
}

/// Brings what is known of a row to what the database holds; returns the difference.
fn reconcile_row(
    schema: &Schema,
    known: &mut Change,
    actual: Option<Change>,
) -> Result<Option<Change>, Fault> {
    match (known, actual) {
        (Change::Insert { new: known }, Some(Change::Insert { new: actual })) => {
            let mut news = reconcile_cells(known, |column| {
                actual.get(&column).and_then(|cell| cell.value.clone())
            })?;
            news.extend(learn(known, &actual));
            if news.is_empty() {
                return Ok(None);
            }
            // Whoever hears of the row by this message first needs its key.
            let key = schema
                .key
                .iter()
                .filter_map(|column| Some((*column, known.get(column)?.clone())));
            news.extend(key);
            Ok(Some(Change::Insert { new: news }))
        }
        (Change::Update { old, new: known }, actual) => {
            let (actual_old, actual_new) = match actual {
                Some(Change::Update { old, new }) => (old, new),
                // Captured nothing: whatever was put, the row is as it was.
                None => (BTreeMap::new(), BTreeMap::new()),
                Some(other) => return Err(Fault::Other("update", other.kind())),
            };
            let held = |column| match actual_new.get(&column) {
                Some(cell) => cell.value.clone(),
                None => old.get(&column).cloned().flatten(),
            };
            let mut news = reconcile_cells(known, held)?;
            news.extend(learn(known, &actual_new));
            for (column, value) in actual_old {
                old.entry(column).or_insert(value);
            }
            let old = old.iter().filter(|(column, _)| news.contains_key(column));
            let old = old
                .map(|(&column, value)| (column, value.clone()))
                .collect();
            Ok((!news.is_empty()).then_some(Change::Update { old, new: news }))
        }
        (Change::Delete { .. }, Some(Change::Delete { .. })) => Ok(None),
        (known, actual) => Err(Fault::Other(
            known.kind(),
            actual.map_or("nothing", |change| change.kind()),
        )),
    }
}

/// Where the database holds another value than is known, it was replaced: that is the next revision.
fn reconcile_cells(
    known: &mut BTreeMap<ColumnIndex, Cell>,
    held: impl Fn(ColumnIndex) -> Value,
) -> Result<BTreeMap<ColumnIndex, Cell>, Fault> {
    let mut news = BTreeMap::new();
    for (&column, cell) in known.iter_mut() {
        let value = held(column);
        if value != cell.value {
            // A member may have sent a higher one.
            if cell.revision >= REVISION_MAX {
                return Err(Fault::Unsettled(column));
            }
            *cell = Cell {
                value,
                revision: cell.revision + 1,
            };
            news.insert(column, cell.clone());
        }
    }
    Ok(news)
}

/// Columns that the database has changed and nobody had spoken of.
fn learn(
    known: &mut BTreeMap<ColumnIndex, Cell>,
    actual: &BTreeMap<ColumnIndex, Cell>,
) -> BTreeMap<ColumnIndex, Cell> {
    let unknown = actual
        .iter()
        .filter(|(column, _)| !known.contains_key(column));
    let news: BTreeMap<_, _> = unknown
        .map(|(&column, cell)| (column, cell.clone()))
        .collect();
    known.extend(news.clone());
    news
}

impl Fault {
    fn refusal(self, me: &PeerName, table: &TableName, schema: &Schema) -> Refusal {
        let (detail, hint) = match self {
            Fault::Unsettled(column) => (
                format!(
                    "Column \"{}\" of Dejima table \"{table}\" was replaced {REVISION_MAX} times: the strategies of \
                     its members do not settle.",
                    schema.column_name(column)
                ),
                "Make the members' triggers and types agree on one form of the value.".to_owned(),
            ),
            Fault::Other(told, did) => (
                format!("Told to {told} a row of Dejima table \"{table}\", its put did {did}."),
                "Look at the WHERE of the Dejima table, its defaults and the triggers of its base table.".to_owned(),
            ),
        };
        Refusal {
            peer: me.clone(),
            sqlstate: sqlstate::WITH_CHECK_OPTION_VIOLATION.into(),
            message: format!(
                "peer \"{me}\" cannot put the change of Dejima table \"{table}\" into its base table"
            ),
            detail,
            hint,
        }
    }
}

fn unknown_table(me: &PeerName, table: &TableName) -> Refusal {
    Refusal {
        peer: me.clone(),
        sqlstate: sqlstate::CANNOT_CONNECT_NOW.into(),
        message: format!(
            "peer \"{me}\" does not know Dejima table \"{table}\" that its own database captured"
        ),
        detail: "The database's triggers and the peer's configuration differ.".into(),
        hint: "Restart the peer: it declares its Dejima tables at start.".into(),
    }
}

/// What the database captured is not what the peer expects of its triggers, or it leaves open what happened.
fn invalid_row(me: &PeerName, table: &TableName, invalid: &InvalidRow) -> Refusal {
    let (sqlstate, hint) = match invalid {
        InvalidRow::Width { .. } | InvalidRow::NullKey => (
            sqlstate::CANNOT_CONNECT_NOW,
            "Restart the peer: it declares its Dejima tables at start.",
        ),
        InvalidRow::Unexplained => (
            sqlstate::FEATURE_NOT_SUPPORTED,
            "Make the changes of the row in several transactions.",
        ),
    };
    Refusal {
        peer: me.clone(),
        sqlstate: sqlstate.into(),
        message: format!("peer \"{me}\" cannot tell what has changed in Dejima table \"{table}\""),
        detail: format!("{invalid}."),
        hint: hint.into(),
    }
}
