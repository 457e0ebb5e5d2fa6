//! A look at what one transaction holds in the database, for the operator. Changes nothing.

use deadpool_postgres::Transaction;
use tokio_postgres::Error;

use super::error::describe;
use super::{Database, DeclaredTable};
use crate::name::{Gid, PeerName};
use crate::strategy::identifier;

/// The longest that one statement of a look or of an examination may take.
const STATEMENT_MAX: &str = "5s";

/// Locks of a prepared transaction, found by the lock on its own xid; and of the client's session at the origin,
/// found by the advisory lock on the gid.
const LOCKS: &str = "
WITH prepared AS (SELECT transaction FROM pg_prepared_xacts WHERE gid = $1 AND database = current_database()),
key AS (SELECT hashtextextended($2, 0) AS value),
holder AS (
  SELECT virtualtransaction, pid FROM pg_locks
  WHERE locktype = 'transactionid' AND granted AND transactionid IN (SELECT transaction FROM prepared)
  UNION
  SELECT virtualtransaction, pid FROM pg_locks, key
  WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock' AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = key.value)
SELECT CASE l.locktype
    WHEN 'relation' THEN CASE WHEN l.database IN (0, d.oid) THEN l.relation::regclass::text ELSE l.relation::text END
    WHEN 'transactionid' THEN 'transaction ' || l.transactionid
    WHEN 'virtualxid' THEN 'session ' || l.virtualxid
    WHEN 'advisory' THEN CASE WHEN (l.classid::bigint << 32 | l.objid::bigint) = key.value THEN 'gid' ELSE 'advisory' END
    ELSE l.locktype END,
  l.mode, l.granted, l.pid
FROM pg_locks AS l JOIN holder AS h USING (virtualtransaction), key, pg_database AS d
WHERE d.datname = current_database() AND l.pid IS NOT DISTINCT FROM h.pid
ORDER BY l.granted, l.locktype, 1, 2";

const PREPARED_XID: &str = "SELECT transaction::text FROM pg_prepared_xacts WHERE gid = $1 AND database = current_database()";

/// What a transaction holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Its locks. Those on rows are in the rows themselves and cannot be counted.
    pub locks: Vec<Lock>,
    /// The session of the client, at the origin.
    pub pid: Option<i32>,
    /// The rows that it updated or deleted.
    pub marked: MarkedRows,
}

/// A lock held or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What is locked.
    pub on: String,
    /// How, in PostgreSQL's words.
    pub mode: String,
    /// False while it waits for it.
    pub is_granted: bool,
}

/// Rows that bear the transaction's mark, as they were before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkedRows {
    /// At most as many as were asked for.
    pub rows: Vec<MarkedRow>,
    /// There are more.
    pub has_more: bool,
}

/// A row that a prepared transaction updated or deleted; its values from before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedRow {
    /// The base table, quoted and qualified.
    pub base_table: String,
    /// The columns that Dejima tables rely on, with their values.
    pub columns: Vec<(String, Option<String>)>,
}

impl Database {
    /// Looks at the locks of a transaction and, if `rows_max` is not 0, at the rows that it updated or deleted: those
    /// of a prepared transaction bear its xid as their xmax. What it inserted nobody else can see.
    pub async fn look(
        &self,
        gid: &Gid,
        parent: Option<&PeerName>,
        tables: &[DeclaredTable],
        rows_max: usize,
    ) -> Result<Sight, String> {
        let mut client = self.inner.control.get().await.map_err(|e| e.to_string())?;
        let prepared = parent.map(|parent| self.prepared_name(parent, gid));
        let look = async {
            let transaction = read_only(&mut client).await?;
            let mut sight = locks(&transaction, prepared.as_deref(), gid).await?;
            if let Some(prepared) = prepared.as_deref().filter(|_| rows_max > 0) {
                sight.marked = marked(&transaction, prepared, tables, rows_max).await?;
            }
            Ok(sight)
        };
        look.await.map_err(|e: Error| describe(&e))
    }
}

/// A transaction that cannot change anything and waits for nothing for long.
pub(super) async fn read_only(
    client: &mut deadpool_postgres::Client,
) -> Result<Transaction<'_>, Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    let settings = format!(
        "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off; SET LOCAL enable_seqscan = on; \
         SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '{STATEMENT_MAX}'"
    );
    transaction.batch_execute(&settings).await?;
    Ok(transaction)
}

async fn locks(
    transaction: &Transaction<'_>,
    prepared: Option<&str>,
    gid: &Gid,
) -> Result<Sight, Error> {
    let rows = transaction
        .query(LOCKS, &[&prepared, &gid.as_str()])
        .await?;
    Ok(Sight {
        pid: rows.iter().find_map(|row| row.get(3)),
        locks: rows
            .iter()
            .map(|row| Lock {
                on: row.get(0),
                mode: row.get(1),
                is_granted: row.get(2),
            })
            .collect(),
        marked: MarkedRows::default(),
    })
}

async fn marked(
    transaction: &Transaction<'_>,
    prepared: &str,
    tables: &[DeclaredTable],
    rows_max: usize,
) -> Result<MarkedRows, Error> {
    let mut marked = MarkedRows::default();
    let Some(xid) = transaction.query_opt(PREPARED_XID, &[&prepared]).await? else {
        return Ok(marked);
    };
    let xid: &str = xid.get(0);
    for (base_table, columns) in base_tables(tables) {
        let texts: Vec<_> = columns
            .iter()
            .map(|column| format!("{}::text", identifier(column)))
            .collect();
        let limit = rows_max - marked.rows.len() + 1;
        let sql = format!(
            "SELECT ARRAY[{}] FROM {base_table} WHERE xmax = $1::text::xid LIMIT {limit}",
            texts.join(", ")
        );
        for row in transaction.query(&sql, &[&xid]).await? {
            let values: Vec<Option<String>> = row.get(0);
            marked.rows.push(MarkedRow {
                base_table: base_table.to_owned(),
                columns: columns
                    .iter()
                    .map(|&column| column.to_owned())
                    .zip(values)
                    .collect(),
            });
        }
        if marked.rows.len() > rows_max {
            marked.rows.truncate(rows_max);
            marked.has_more = true;
            break;
        }
    }
    Ok(marked)
}

/// Each base table once, with the columns that its Dejima tables rely on.
fn base_tables(tables: &[DeclaredTable]) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = vec![];
    for used in tables.iter().flat_map(|table| &table.base_tables) {
        let at = found.iter().position(|(name, _)| *name == used.name);
        let at = at.unwrap_or_else(|| {
            found.push((&used.name, vec![]));
            found.len() - 1
        });
        for (column, _) in &used.columns {
            if !found[at].1.contains(&column.as_str()) {
                found[at].1.push(column);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::declared::tests::over;
    use super::*;

    #[test]
    fn a_base_table_is_looked_at_once_with_all_its_columns() {
        let tables = [
            over("A", "public.x", &["id", "a"], &[]),
            over("B", "public.y", &["id"], &[]),
            over("C", "public.x", &["id", "b"], &[]),
        ];
        let expected = vec![("public.x", vec!["id", "a", "b"]), ("public.y", vec!["id"])];
        assert_eq!(base_tables(&tables), expected);
    }
}
