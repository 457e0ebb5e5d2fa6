//! Reads what the catalogue says of a base table, and refuses base tables that cannot be shared as they are.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::error::{Error, describe};
use crate::name::{PeerName, TableName};
use crate::strategy::{BaseColumn, BaseTable, UniqueKey, identifier};

const TABLE: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p',
  c.relpersistence <> 'p' OR coalesce('p' <> ANY (part.persistences), false),
  CASE
    WHEN c.relkind NOT IN ('r', 'p') THEN 'is a view or a foreign table'
    WHEN c.relispartition THEN format('is a partition of %s', pg_partition_root(c.oid)::regclass)
    WHEN 'f' = ANY (part.kinds) THEN 'has a partition that is a foreign table'
    WHEN c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhparent, i.inhrelid))
      THEN 'inherits from another, or another from it' END,
  row_security_active(c.oid),
  has_schema_privilege(n.oid, 'USAGE'),
  ARRAY(SELECT p FROM unnest($2::text[]) WITH ORDINALITY AS u(p, at)
    WHERE NOT has_table_privilege(c.oid, p) ORDER BY at),
  nullif(c.reltoastrelid, 0)
FROM parse_ident($1) AS name(part)
JOIN pg_namespace AS n ON n.nspname = name.part[1]
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = name.part[2]
CROSS JOIN LATERAL (
  SELECT array_agg(t.relkind::text) AS kinds, array_agg(t.relpersistence::text) AS persistences
  FROM pg_partition_tree(c.oid) AS p JOIN pg_class AS t ON t.oid = p.relid) AS part
WHERE cardinality(name.part) = 2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

// What a domain stands on is the end of a chain of domains; `part` are the types that a type is made of. Arrays, enums, composites
// and ranges have the operators of pg_catalog, whatever they are made of.
const COLUMNS: &str = "
SELECT a.attname::text, format_type(a.atttypid, -1), a.attnotnull OR t.typnotnull,
  a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, a.attgenerated <> '' OR a.attidentity = 'a',
  format_type(b.oid, -1), b.oid = 'bpchar'::regtype AND b.typmod = -1,
  (WITH RECURSIVE part(oid) AS (
      SELECT a.atttypid
      UNION
      SELECT n.oid FROM part AS p JOIN pg_type AS y ON y.oid = p.oid CROSS JOIN LATERAL (
        VALUES (y.typbasetype), (y.typelem)
        UNION ALL SELECT r.rngsubtype FROM pg_range AS r WHERE y.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL SELECT c.atttypid FROM pg_attribute AS c WHERE c.attrelid = y.typrelid AND c.attnum > 0 AND NOT c.attisdropped
      ) AS n(oid))
    SELECT y.typname::text FROM part AS p JOIN pg_type AS y ON y.oid = p.oid
    WHERE y.typnamespace = 'pg_catalog'::regnamespace AND y.typname = ANY ($2) ORDER BY y.typname LIMIT 1),
  EXISTS (SELECT FROM pg_type AS y WHERE y.oid = b.oid AND y.typtype = 'b' AND y.typnamespace <> 'pg_catalog'::regnamespace
    AND y.typsubscript <> 'array_subscript_handler'::regproc),
  (SELECT format('%I.%I', n.nspname, o.collname) FROM pg_collation AS o JOIN pg_namespace AS n ON n.oid = o.collnamespace
    WHERE o.oid = a.attcollation AND NOT o.collisdeterministic)
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
  WITH RECURSIVE under(oid, typmod, depth) AS (
    SELECT a.atttypid, a.atttypmod, 0
    UNION ALL
    SELECT d.typbasetype, d.typtypmod, u.depth + 1 FROM under AS u JOIN pg_type AS d ON d.oid = u.oid WHERE d.typtype = 'd')
  SELECT u.oid, u.typmod FROM under AS u ORDER BY u.depth DESC LIMIT 1) AS b
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Types whose text means an object of the database that it stands in, or that have no input from text.
const LOCAL_TYPES: [&str; 19] = [
    "aclitem",
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

// The operator is the one by which the index compares; the type's own `=` may stand in any schema.
const UNIQUE_KEYS: &str = "
SELECT array_agg(a.attname::text ORDER BY k.at),
  array_agg(format('OPERATOR(%I.%s)', n.nspname, o.oprname) ORDER BY k.at), bool_or(NOT i.indimmediate)
FROM pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::smallint[], i.indclass::oid[]) WITH ORDINALITY AS k(attnum, class, at)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_opclass AS c ON c.oid = k.class
JOIN pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype
  AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3
JOIN pg_operator AS o ON o.oid = m.amopopr JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.at <= i.indnkeyatts
GROUP BY i.indexrelid, i.indnkeyatts ORDER BY i.indexrelid";

/// What role `dejima` needs on a base table that puts write.
pub(super) const WRITTEN: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER"];
/// What it needs on one that is only looked up.
pub(super) const READ: [&str; 2] = ["SELECT", "TRIGGER"];

/// A base table of a Dejima table, by its name in SQL; `None` if there is none of that name.
pub(super) async fn base_table(
    transaction: &Transaction<'_>,
    peer: &PeerName,
    table: &TableName,
    base_table: &str,
    rights: &[&str],
) -> Result<Option<BaseTable>, Error> {
    let failed = |e| failed(peer, &e);
    transaction
        .batch_execute("SAVEPOINT base_table")
        .await
        .map_err(failed)?;
    let row = match transaction.query_opt(TABLE, &[&base_table, &rights]).await {
        Ok(row) => row,
        // parse_ident cannot make sense of the text.
        Err(e) if e.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
            let undone = transaction
                .batch_execute("ROLLBACK TO SAVEPOINT base_table")
                .await;
            undone.map_err(failed)?;
            None
        }
        Err(e) => return Err(failed(e)),
    };
    let Some(row) = row else { return Ok(None) };
    check(peer, table, &row)?;
    let oid: u32 = row.get(0);
    let columns = transaction
        .query(COLUMNS, &[&oid, &&LOCAL_TYPES[..]])
        .await
        .map_err(failed)?;
    let keys = transaction
        .query(UNIQUE_KEYS, &[&oid])
        .await
        .map_err(failed)?;
    Ok(Some(BaseTable {
        oid,
        schema: row.get(1),
        name: row.get(2),
        columns: columns.iter().map(column).collect(),
        is_partitioned: row.get(3),
        toast: row.get(9),
        unique_keys: keys.iter().map(unique_key).collect(),
    }))
}

fn failed(peer: &PeerName, error: &tokio_postgres::Error) -> Error {
    Error::Failed {
        peer: peer.clone(),
        doing: "reading the catalogue",
        why: describe(error),
    }
}

fn column(row: &Row) -> BaseColumn {
    BaseColumn {
        name: row.get(0),
        type_name: row.get(1),
        not_null: row.get(2),
        has_default: row.get(3),
        generated: row.get(4),
        base_type: row.get(5),
        keeps_spaces: row.get(6),
        local_type: row.get(7),
        is_foreign_type: row.get(8),
        blind_collation: row.get(9),
    }
}

fn unique_key(row: &Row) -> UniqueKey {
    UniqueKey {
        columns: row.get(0),
        operators: row.get(1),
        deferrable: row.get(2),
    }
}

/// Refuses what capture could not see or put could not change.
fn check(peer: &PeerName, table: &TableName, row: &Row) -> Result<(), Error> {
    let schema = identifier(row.get(1));
    let name = format!("{schema}.{}", identifier(row.get(2)));
    let refuse = |problem: String, cure: String| {
        Err(Error::BaseTable {
            peer: peer.clone(),
            table: table.to_string(),
            problem,
            cure,
        })
    };
    if let Some(obstacle) = row.get::<_, Option<&str>>(5) {
        return refuse(
            format!("base table {name} {obstacle}"),
            "triggers would not see every change of it: share a table that stands alone, or a whole partitioned table".into(),
        );
    }
    if row.get(4) {
        return refuse(
            format!("base table {name} does not survive a crash"),
            format!("run: ALTER TABLE {name} SET LOGGED"),
        );
    }
    if !row.get::<_, bool>(7) {
        let problem = format!("role \"dejima\" may not use schema {schema} of base table {name}");
        return refuse(
            problem,
            format!("run: GRANT USAGE ON SCHEMA {schema} TO dejima"),
        );
    }
    let missing: Vec<String> = row.get(8);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let problem = format!("role \"dejima\" lacks {missing} on base table {name}");
        return refuse(problem, format!("run: GRANT {missing} ON {name} TO dejima"));
    }
    if row.get(6) {
        let problem =
            format!("row-level security of base table {name} hides rows from role \"dejima\"");
        return refuse(
            problem,
            "run as superuser: ALTER ROLE dejima BYPASSRLS".into(),
        );
    }
    Ok(())
}
