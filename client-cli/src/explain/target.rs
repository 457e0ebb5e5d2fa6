//! What the database knows of a write: the table that is meant, its columns, and what else they may change.

use dejima_core::strategy::identifier;
use tokio_postgres::Client;

use super::statement::{Operation, Write};
use crate::failure::Failure;

/// PostgreSQL finds the table, as it does for the statement itself.
const TABLE: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.oid::regclass::text, c.relkind IN ('r', 'p', 'f')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = $1::text::regclass";

const COLUMNS: &str = "
SELECT attname::text, attgenerated <> '' FROM pg_attribute
WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

const CASCADES: &str = "
WITH k AS (
  SELECT conname, conrelid, CASE $2 WHEN 'DELETE' THEN confdeltype WHEN 'UPDATE' THEN confupdtype END AS action
  FROM pg_constraint WHERE contype = 'f' AND confrelid = $1 AND conparentid = 0 AND ($2 <> 'UPDATE' OR EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = confrelid AND attnum = ANY (confkey) AND attname = ANY ($3)))
)
SELECT conname::text, conrelid::regclass::text, CASE action WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END
FROM k WHERE action IN ('c', 'n', 'd') ORDER BY 2, 1";

/// What serves the Dejima tables is in schema dejima.
const TRIGGERS: &str = "
SELECT t.tgname::text, p.oid::regproc::text
FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND n.nspname <> 'dejima'
  AND t.tgtype & CASE $2 WHEN 'INSERT' THEN 4 WHEN 'DELETE' THEN 8 ELSE 16 END <> 0
  AND ($2 <> 'UPDATE' OR cardinality(t.tgattr) = 0 OR EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = $1 AND attnum = ANY (t.tgattr) AND attname = ANY ($3)))
ORDER BY t.tgname";

/// A write of a table that exists.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) operation: Operation,
    /// The table's name, as short as the database can write it.
    pub(crate) name: String,
    /// The same, quoted and qualified.
    pub(crate) base_table: String,
    /// What the statement writes, in the order of the table.
    pub(crate) columns: Vec<String>,
    /// Columns that PostgreSQL computes; from these, maybe.
    pub(crate) generated: Vec<String>,
    pub(crate) followers: Vec<Follower>,
}

/// What makes the database write more than the statement says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Follower {
    /// Rows of another table follow their key.
    ForeignKey {
        name: String,
        table: String,
        action: String,
    },
    /// A function, which may write anything.
    Trigger { name: String, function: String },
}

impl Operation {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// Looks a write up.
pub(crate) async fn target(client: &Client, write: &Write) -> anyhow::Result<Target> {
    let quoted: Vec<_> = write.table.iter().map(|part| identifier(part)).collect();
    let table = client.query_one(TABLE, &[&quoted.join(".")]).await?;
    let oid: u32 = table.get(0);
    let name: String = table.get(3);
    if !table.get::<_, bool>(4) {
        Err(Failure::new(
            format!("{name} is no table"),
            "What changes a view is written to its tables; explain a change of these.",
        ))?;
    }
    let (mut columns, mut generated) = (Vec::new(), Vec::new());
    let mut unknown = write.columns.clone();
    for row in client.query(COLUMNS, &[&oid]).await? {
        let column: String = row.get(0);
        let is_named = unknown.remove(&column);
        if row.get(1) {
            generated.push(column);
        } else if is_named || write.operation != Operation::Update {
            columns.push(column);
        }
    }
    if let Some(column) = unknown.first() {
        Err(Failure::new(
            format!("table {name} has no column \"{column}\""),
            "",
        ))?;
    }
    let followers = followers(client, oid, write.operation, &columns).await?;
    Ok(Target {
        operation: write.operation,
        name,
        base_table: format!("{}.{}", identifier(table.get(1)), identifier(table.get(2))),
        columns,
        generated,
        followers,
    })
}

async fn followers(
    client: &Client,
    oid: u32,
    operation: Operation,
    columns: &[String],
) -> Result<Vec<Follower>, tokio_postgres::Error> {
    let operation = operation.word();
    let cascades = client
        .query(CASCADES, &[&oid, &operation, &columns])
        .await?;
    let triggers = client
        .query(TRIGGERS, &[&oid, &operation, &columns])
        .await?;
    let cascades = cascades.iter().map(|row| Follower::ForeignKey {
        name: row.get(0),
        table: row.get(1),
        action: row.get(2),
    });
    let triggers = triggers.iter().map(|row| Follower::Trigger {
        name: row.get(0),
        function: row.get(1),
    });
    Ok(cascades.chain(triggers).collect())
}
