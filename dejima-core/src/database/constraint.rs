//! The constraints of base tables: read from the catalogue, and those named that no strategy knows.

use deadpool_postgres::Transaction;
use tokio_postgres::{Error, Row};

use super::declared::{DeclaredTable, UsedTable};
use crate::examine::Finding;
use crate::strategy::{BaseConstraint, BaseRule, BaseTable, identifier};

pub(super) const CHECK: &str = "constraints";

/// Those of a base table, and the foreign keys that refer to it. `left_alone` are the columns that an INSERT which does not name them
/// leaves NULL, or gives the next value of a sequence: neither can break a key. In what a domain demands VALUE stands for the column.
const CONSTRAINTS: &str = r#"
WITH base AS (
  SELECT c.oid FROM parse_ident($1) AS p(part)
  JOIN pg_namespace AS n ON n.nspname = p.part[1] JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.part[2]
), found(kind, relation, name, definition, is_validated, columns, target, target_columns, is_strict, acts, condition) AS (
  SELECT CASE WHEN i.indpred IS NULL AND i.indexprs IS NULL THEN 'key' ELSE 'other' END, b.oid, x.relname,
    coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(x.oid)), i.indisvalid,
    ARRAY(SELECT k.attnum FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, at) WHERE k.at <= i.indnkeyatts ORDER BY k.at),
    0::oid, '{}'::smallint[], coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), false, NULL::text
  FROM base AS b JOIN pg_index AS i ON i.indrelid = b.oid AND i.indisunique JOIN pg_class AS x ON x.oid = i.indexrelid
  LEFT JOIN pg_constraint AS c ON c.conindid = x.oid AND c.contype IN ('p', 'u')
  UNION ALL
  SELECT CASE c.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' ELSE 'other' END, c.conrelid, c.conname,
    CASE c.contype WHEN 't' THEN (SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE t.tgconstraint = c.oid)
      ELSE pg_get_constraintdef(c.oid) END,
    c.convalidated, c.conkey, c.confrelid, c.confkey, c.confmatchtype = 'f' AND cardinality(c.conkey) > 1,
    c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd'), pg_get_expr(c.conbin, c.conrelid)
  FROM base AS b JOIN pg_constraint AS c ON c.conrelid = b.oid OR c.contype = 'f' AND c.confrelid = b.oid
  WHERE c.contype IN ('c', 'f', 't', 'x') AND c.conparentid = 0
  UNION ALL
  SELECT 'domain', b.oid, c.conname, format('%s of domain %s of column %I', pg_get_constraintdef(c.oid), c.contypid::regtype, a.attname),
    c.convalidated, ARRAY[a.attnum], 0, NULL, false, false,
    regexp_replace(pg_get_expr(c.conbin, 0), '\mVALUE\M', replace(quote_ident(a.attname), '\', '\\'), 'g')
  FROM base AS b JOIN pg_attribute AS a ON a.attrelid = b.oid AND a.attnum > 0 AND NOT a.attisdropped
  CROSS JOIN LATERAL (
    WITH RECURSIVE under(oid) AS (
      SELECT a.atttypid UNION ALL SELECT d.typbasetype FROM under AS u JOIN pg_type AS d ON d.oid = u.oid WHERE d.typtype = 'd')
    SELECT u.oid FROM under AS u) AS d
  JOIN pg_constraint AS c ON c.contypid = d.oid AND c.contype = 'c'
)
SELECT f.kind, n.nspname::text, t.relname::text, f.name::text, f.definition, f.is_validated, f.is_strict, f.acts, f.condition,
  ARRAY(SELECT a.attname::text FROM unnest(f.columns) WITH ORDINALITY AS k(attnum, at)
    JOIN pg_attribute AS a ON a.attrelid = f.relation AND a.attnum = k.attnum ORDER BY k.at),
  ARRAY(SELECT a.attname::text FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = f.relation AND a.attnum = ANY (f.columns)
      AND (d.oid IS NULL OR a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')),
  m.nspname::text, o.relname::text,
  ARRAY(SELECT a.attname::text FROM unnest(f.target_columns) WITH ORDINALITY AS k(attnum, at)
    JOIN pg_attribute AS a ON a.attrelid = f.target AND a.attnum = k.attnum ORDER BY k.at)
FROM found AS f JOIN pg_class AS t ON t.oid = f.relation JOIN pg_namespace AS n ON n.oid = t.relnamespace
LEFT JOIN pg_class AS o ON o.oid = f.target LEFT JOIN pg_namespace AS m ON m.oid = o.relnamespace
ORDER BY n.nspname <> (parse_ident($1))[1] OR t.relname <> (parse_ident($1))[2], 2, 3, 4"#;

const WRITTEN: &str = "
SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = to_regclass('dejima.\"dejima condition\"') AND contype = 'c'";

/// The constraints of a base table, and the foreign keys that refer to it.
pub(super) async fn of(
    transaction: &Transaction<'_>,
    base_table: &str,
) -> Result<Vec<BaseConstraint>, Error> {
    let rows = transaction.query(CONSTRAINTS, &[&base_table]).await?;
    Ok(rows.iter().map(constraint).collect())
}

fn constraint(row: &Row) -> BaseConstraint {
    let table = |at: usize| {
        let (schema, name): (Option<&str>, Option<&str>) = (row.get(at), row.get(at + 1));
        let (schema, name) = (schema.unwrap_or_default(), name.unwrap_or_default());
        format!("{}.{}", identifier(schema), identifier(name))
    };
    let kind: &str = row.get(0);
    let condition = row.get::<_, Option<String>>(8).unwrap_or_default();
    BaseConstraint {
        table: table(1),
        name: row.get(3),
        definition: row.get(4),
        is_validated: row.get(5),
        rule: match kind {
            "key" => BaseRule::Key {
                columns: row.get(9),
                left_alone: row.get(10),
                is_strict: row.get(6),
            },
            "foreign key" => BaseRule::ForeignKey {
                columns: row.get(9),
                left_alone: row.get(10),
                target: table(11),
                target_columns: row.get(13),
                is_strict: row.get(6),
                acts: row.get(7),
            },
            "check" | "domain" => BaseRule::Check { condition },
            _ => BaseRule::Other,
        },
    }
}

/// How PostgreSQL writes a condition over the columns of a base table once it has read what it had written itself; `None` if it
/// is none there. That is not what it writes first: of `kind IN ('a', 'b')` over a varchar it makes an array that is cast as a whole, and of
/// that one, which a dump has, an array of casts.
pub(super) async fn written(
    transaction: &Transaction<'_>,
    base: &BaseTable,
    condition: &str,
) -> Result<Option<String>, Error> {
    match written_once(transaction, base, condition).await? {
        Some(first) => written_once(transaction, base, &first).await,
        None => Ok(None),
    }
}

/// Takes no lock on the base table: it asks of an empty table with the same columns, and takes that back.
async fn written_once(
    transaction: &Transaction<'_>,
    base: &BaseTable,
    condition: &str,
) -> Result<Option<String>, Error> {
    let columns = base.columns.iter();
    let columns =
        columns.map(|column| format!("{} {}", identifier(&column.name), column.type_name));
    let sql = format!(
        "SAVEPOINT condition; CREATE TABLE dejima.\"dejima condition\" ({}, CHECK ({condition}\n))",
        columns.collect::<Vec<_>>().join(", ")
    );
    let found = match transaction.batch_execute(&sql).await {
        Ok(()) => Some(transaction.query_one(WRITTEN, &[]).await?.get(0)),
        Err(_) => None,
    };
    let back = "ROLLBACK TO SAVEPOINT condition";
    transaction.batch_execute(back).await.map(|()| found)
}

/// Writes what a CHECK of the table, or a domain of its column, demands as what a strategy says is written.
pub(super) async fn complete(
    transaction: &Transaction<'_>,
    base: &BaseTable,
    constraint: &mut BaseConstraint,
) -> Result<(), Error> {
    if let BaseRule::Check { condition } = &mut constraint.rule
        && let Some(found) = written(transaction, base, condition).await?
    {
        *condition = found;
    }
    Ok(())
}

/// What is not in step between the strategies of these Dejima tables and the constraints of their base tables.
pub(super) async fn findings(
    transaction: &Transaction<'_>,
    tables: &[DeclaredTable],
) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for table in tables {
        for used in &table.base_tables {
            let found = of(transaction, &used.name).await?;
            let strangers = used.known.strangers(&used.name, &used.columns, &found);
            findings.extend(
                strangers
                    .into_iter()
                    .map(|stranger| unknown(table, used, stranger)),
            );
            let not_kept = used.known.not_kept.iter();
            findings.extend(not_kept.map(|condition| not_kept_by_any(table, used, condition)));
        }
    }
    Ok(findings)
}

fn unknown(table: &DeclaredTable, used: &UsedTable, found: &BaseConstraint) -> Finding {
    let BaseConstraint {
        table: place,
        name,
        definition,
        ..
    } = found;
    let consequence = match found.rule {
        BaseRule::ForeignKey { acts: true, .. } if *place != used.name => {
            "a put that deletes rows changes what refers to them"
        }
        _ => "a put that breaks it is refused at run time",
    };
    let what = format!(
        "{place} has the constraint {} {definition}, which the strategy of Dejima table \"{}\" does not know: {consequence}",
        identifier(name),
        table.name
    );
    let cure = match found.rule {
        BaseRule::Other => {
            "no strategy can say this: let members share nothing that breaks it".to_owned()
        }
        _ => format!("write it into the CREATE TABLE of {place} in the strategy, and check again"),
    };
    Finding::warning(CHECK, what, cure)
}

fn not_kept_by_any(table: &DeclaredTable, used: &UsedTable, condition: &str) -> Finding {
    let (name, base) = (&table.name, &used.name);
    let what = format!(
        "the strategy of Dejima table \"{name}\" relies on {condition} in each row of {base}, and no constraint is seen to keep it: \
         where a client breaks it, what was proved does not hold"
    );
    let cure = format!("ALTER TABLE {base} ADD CHECK ({condition}), and restart the peer");
    Finding::warning(CHECK, what, cure)
}
