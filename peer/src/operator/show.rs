//! One transaction: what the machine remembers of its rows, and what the database shows of it.

use dejima_core::database::{MarkedRow, Sight};
use dejima_core::delta::{Change, ColumnIndex, Delta, RowId, Schema, Value};
use dejima_core::name::{Gid, TableName};
use dejima_proto::v1;
use tonic::Status;

use super::OperatorService;
use super::words::transaction_to_wire;

/// Rows that are shown one by one.
const ROWS_MAX: usize = 100;

impl OperatorService {
    pub(super) async fn show(&self, gid: Gid) -> Result<v1::ShowTransactionResponse, Status> {
        let asked = gid.clone();
        let (now, summary, changes) = self
            .look(move |now, _, transactions| {
                let found = transactions
                    .summaries()
                    .into_iter()
                    .find(|s| s.gid == asked);
                (now, found, transactions.changes(&asked))
            })
            .await?;
        let Some(summary) = summary else {
            return Ok(v1::ShowTransactionResponse::default());
        };
        let number: usize = changes.values().map(|delta| delta.rows.len()).sum();
        let rows_max = if number == 0 { ROWS_MAX } else { 0 };
        let tables = &self.known.tables;
        let parent = summary.parent.clone();
        let looked = self
            .store
            .look(&gid, parent.as_ref(), tables, rows_max)
            .await;
        let (sight, unseen) = match looked {
            Ok(sight) => (sight, String::new()),
            Err(why) => (Sight::default(), why),
        };
        let changes = changes
            .iter()
            .flat_map(|(table, delta)| self.changed(table, delta));
        Ok(v1::ShowTransactionResponse {
            transaction: Some(transaction_to_wire(now, summary)),
            changes: changes.take(ROWS_MAX).collect(),
            changes_more: u64::try_from(number.saturating_sub(ROWS_MAX)).unwrap_or(u64::MAX),
            marked: sight.marked.rows.into_iter().map(marked_to_wire).collect(),
            marked_more: sight.marked.has_more,
            locks: sight.locks.into_iter().map(lock_to_wire).collect(),
            pid: sight.pid,
            unseen,
        })
    }

    fn changed(&self, table: &TableName, delta: &Delta) -> Vec<v1::ChangedRow> {
        let declared = self.known.tables.iter().find(|known| known.name == *table);
        let Some(declared) = declared else {
            return vec![];
        };
        let rows = delta.rows.iter().take(ROWS_MAX);
        rows.map(|(id, change)| changed_to_wire(table, &declared.schema, id, change))
            .collect()
    }
}

fn changed_to_wire(
    table: &TableName,
    schema: &Schema,
    id: &RowId,
    change: &Change,
) -> v1::ChangedRow {
    let text = |value: Option<&Value>| value.cloned().flatten().map(|text| text.to_string());
    let column = |at: ColumnIndex, old: Option<&Value>, new: Option<&Value>| v1::ChangedColumn {
        name: schema.column_name(at).to_owned(),
        old: text(old),
        new: text(new),
    };
    let (operation, columns) = match change {
        Change::Insert { new } => {
            let set = new
                .iter()
                .map(|(&at, cell)| column(at, None, Some(&cell.value)));
            ("insert", set.collect())
        }
        Change::Update { old, new } => {
            let set = new
                .iter()
                .map(|(at, cell)| column(*at, old.get(at), Some(&cell.value)));
            ("update", set.collect())
        }
        Change::Delete { old } => {
            let held = old.iter().map(|(&at, value)| column(at, Some(value), None));
            ("delete", held.collect())
        }
    };
    v1::ChangedRow {
        table: table.to_string(),
        operation: operation.into(),
        key: id.key.iter().map(|value| value.to_string()).collect(),
        columns,
    }
}

fn marked_to_wire(row: MarkedRow) -> v1::MarkedRow {
    let column = |(name, old)| v1::ChangedColumn {
        name,
        old,
        new: None,
    };
    v1::MarkedRow {
        base_table: row.base_table,
        columns: row.columns.into_iter().map(column).collect(),
    }
}

fn lock_to_wire(lock: dejima_core::database::Lock) -> v1::Lock {
    v1::Lock {
        on: lock.on,
        mode: lock.mode,
        granted: lock.is_granted,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use dejima_core::delta::{Cell, Column};

    use super::*;

    #[test]
    fn an_update_shows_old_and_new_and_null_is_absent() {
        let column = |name: &str| Column {
            name: name.into(),
            type_name: "text".into(),
        };
        let schema = Schema {
            columns: vec![column("id"), column("phone")],
            key: vec![0],
        };
        let id = RowId {
            key: vec![Arc::from("1")],
            is_new: false,
        };
        let cell = Cell {
            value: Some(Arc::from("556")),
            revision: 0,
        };
        let change = Change::Update {
            old: BTreeMap::from([(1, None)]),
            new: BTreeMap::from([(1, cell)]),
        };
        let table = TableName::new("T").unwrap();
        let shown = changed_to_wire(&table, &schema, &id, &change);
        assert_eq!(
            (shown.operation.as_str(), shown.key),
            ("update", vec!["1".to_owned()])
        );
        let phone = &shown.columns[0];
        assert_eq!(
            (&*phone.name, &phone.old, phone.new.as_deref()),
            ("phone", &None, Some("556"))
        );
    }
}
