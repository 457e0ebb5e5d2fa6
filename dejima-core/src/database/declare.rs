//! Declaring Dejima tables: what is there is compared with what is wanted, and only the difference is made.
//!
//! A start that changes nothing takes no lock on a base table. It must not: a prepared transaction in doubt holds
//! locks there, and only the started peer can end it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::error::{Error, describe};
use super::{Database, catalogue};
use crate::delta::{Column, Schema};
use crate::group::{Attribute, Links};
use crate::name::TableName;
use crate::strategy::{BaseTable, Declaration, Part, PartKind, Plan, Strategy, identifier, plan};

const TRIGGERS_WORK: &str = "SELECT coalesce(bool_and(p.state IN ('O', 'A')), false) FROM (SELECT coalesce(state, 'D') AS state FROM dejima.capture_points($1)) AS p";
/// What is not so any more goes first, what is new comes second; of the unique keys those that Dejima tables have.
const FORGET_SHAPE: &str = "DELETE FROM dejima.shape AS s WHERE NOT EXISTS (SELECT FROM dejima.shape_of($1) AS now \
     WHERE now = s AND (now.what NOT LIKE 'unique key %' OR now.what = ANY ($2)))";
const NOTE_SHAPE: &str = "INSERT INTO dejima.shape SELECT now.* FROM dejima.shape_of($1) AS now \
     WHERE now.what NOT LIKE 'unique key %' OR now.what = ANY ($2) ON CONFLICT DO NOTHING";
const VIEW_EXISTS: &str = "SELECT to_regclass($1) IS NOT NULL";

/// A Dejima table as it is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTable {
    /// Its name.
    pub name: TableName,
    /// Its columns and key.
    pub schema: Schema,
    /// Its base table, quoted and qualified.
    pub base_table: String,
    /// For each of its columns, the base table's column.
    pub base_columns: Vec<String>,
    /// Which rows it shows, if not all.
    pub condition: Option<String>,
}

impl DeclaredTable {
    /// For each of its columns, the columns of the other ones of `tables` that come from the same base column.
    pub fn links(&self, tables: &[Self]) -> Links {
        let others = || {
            tables
                .iter()
                .filter(|other| other.name != self.name && other.base_table == self.base_table)
        };
        let linked = |base: &String| {
            let attributes = others().flat_map(|other| {
                let same = other.attributes().filter(move |(_, from)| *from == base);
                same.map(|(attribute, _)| attribute)
            });
            attributes.collect()
        };
        self.attributes()
            .map(|(attribute, base)| (attribute.column, linked(base)))
            .collect()
    }

    /// Its columns, each with its base column.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &String)> {
        let attribute = |column: &Column| Attribute {
            table: self.name.clone(),
            column: column.name.clone(),
        };
        self.schema
            .columns
            .iter()
            .map(attribute)
            .zip(&self.base_columns)
    }
}

impl Database {
    /// Makes the database serve exactly these Dejima tables. Idempotent; in one transaction: an error leaves
    /// everything as it was.
    pub async fn declare(&self, declarations: &[Declaration]) -> Result<Vec<DeclaredTable>, Error> {
        let mut client = self.client().await?;
        let failed = |e| self.failed("declaring the Dejima tables", &e);
        let transaction = client.transaction().await.map_err(failed)?;
        // Names of types are compared with those of other peers.
        let settings = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off; SET LOCAL lock_timeout = '5s'; \
                        SET LOCAL client_min_messages = warning; \
                        SELECT pg_advisory_xact_lock(hashtextextended('dejima.declare', 0))";
        transaction.batch_execute(settings).await.map_err(failed)?;
        let base_tables = self.base_tables(&transaction, declarations).await?;
        let ids = self.ids(&transaction, declarations).await?;
        let plan = plan(declarations, &base_tables, &ids, Vec::new()).map_err(|invalid| {
            Error::Declaration {
                peer: self.peer().clone(),
                invalid,
            }
        })?;
        self.establish(&transaction, &plan).await?;
        self.note_shape(&transaction, &plan).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(plan.strategies.iter().map(declared).collect())
    }

    async fn base_tables(
        &self,
        transaction: &Transaction<'_>,
        declarations: &[Declaration],
    ) -> Result<BTreeMap<String, Arc<BaseTable>>, Error> {
        let mut found = BTreeMap::new();
        for declaration in declarations {
            if let Some(base) = catalogue::base_table(transaction, self.peer(), declaration).await?
            {
                found.insert(declaration.base_table.clone(), Arc::new(base));
            }
        }
        Ok(found)
    }

    /// The numbers of the Dejima tables; a new one gets the next.
    async fn ids(
        &self,
        transaction: &Transaction<'_>,
        declarations: &[Declaration],
    ) -> Result<BTreeMap<TableName, i32>, Error> {
        let names: Vec<_> = declarations.iter().map(|d| d.name.as_str()).collect();
        let failed = |e| self.failed("numbering the Dejima tables", &e);
        let insert = "INSERT INTO dejima.dejima_table (name) SELECT DISTINCT n FROM unnest($1::text[]) AS n \
                      WHERE NOT EXISTS (SELECT FROM dejima.dejima_table WHERE name = n)";
        transaction
            .execute(insert, &[&names])
            .await
            .map_err(failed)?;
        let select = "SELECT name, id FROM dejima.dejima_table WHERE name = ANY ($1)";
        let rows = transaction.query(select, &[&names]).await.map_err(failed)?;
        let id = |name: &TableName| {
            rows.iter()
                .find(|r| r.get::<_, &str>(0) == name.as_str())
                .map(|r| r.get(1))
        };
        Ok(declarations
            .iter()
            .filter_map(|d| Some((d.name.clone(), id(&d.name)?)))
            .collect())
    }

    async fn establish(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<(), Error> {
        let failed = |e| self.failed("reading what is declared", &e);
        let rows = transaction
            .query("SELECT part, creating, removing FROM dejima.generated", &[])
            .await;
        let present: BTreeMap<String, (String, String)> = rows
            .map_err(failed)?
            .iter()
            .map(|r| (r.get(0), (r.get(1), r.get(2))))
            .collect();
        let mut kept = BTreeSet::new();
        for part in &plan.parts {
            let same = present
                .get(&part.name)
                .is_some_and(|(creating, _)| *creating == part.create);
            if same && self.is_whole(transaction, part).await? {
                kept.insert(part.name.as_str());
            }
        }
        self.check_conditions(transaction, plan, &kept).await?;
        // In reverse of the order of creation: what depends goes first.
        let order = ["dispatcher", "capture", "put", "derive", "view"];
        for kind in order {
            for (name, (_, remove)) in present.iter().filter(|(name, _)| name.starts_with(kind)) {
                let replaced = kind == "view" && plan.parts.iter().any(|part| part.name == *name);
                if !kept.contains(name.as_str()) && !replaced {
                    self.remove(transaction, name, remove).await?;
                }
            }
        }
        for part in plan
            .parts
            .iter()
            .filter(|part| !kept.contains(part.name.as_str()))
        {
            self.create(transaction, plan, part).await?;
        }
        Ok(())
    }

    /// Notes what the guard is to keep as it is.
    async fn note_shape(&self, transaction: &Transaction<'_>, plan: &Plan) -> Result<(), Error> {
        let failed = |e| self.failed("noting what is relied on", &e);
        let bases: Vec<u32> = plan.strategies.iter().map(|s| s.base.oid).collect();
        let key = |s: &Strategy| format!("unique key ({})", s.key.columns.join(", "));
        let keys: Vec<String> = plan.strategies.iter().map(key).collect();
        for sql in [FORGET_SHAPE, NOTE_SHAPE] {
            let noted = transaction.execute(sql, &[&bases, &keys]).await;
            noted.map_err(failed)?;
        }
        Ok(())
    }

    /// Is it still there? The owner of a base table can drop or disable triggers: then they are made again.
    async fn is_whole(&self, transaction: &Transaction<'_>, part: &Part) -> Result<bool, Error> {
        let found = match &part.kind {
            PartKind::Capture(oid) => transaction.query_one(TRIGGERS_WORK, &[oid]).await,
            PartKind::View(name) => transaction.query_one(VIEW_EXISTS, &[name]).await,
            PartKind::Put | PartKind::Derive | PartKind::Dispatcher => return Ok(true),
        };
        let found = found.map_err(|e| self.failed("looking at what is declared", &e))?;
        Ok(found.get(0))
    }

    async fn remove(
        &self,
        transaction: &Transaction<'_>,
        name: &str,
        remove: &str,
    ) -> Result<(), Error> {
        let sql = format!(
            "{remove};\nDELETE FROM dejima.generated WHERE part = {}",
            crate::strategy::literal(name)
        );
        let removed = transaction.batch_execute(&sql).await;
        removed.map_err(|e| self.failed("removing what is no longer declared", &e))
    }

    async fn create(
        &self,
        transaction: &Transaction<'_>,
        plan: &Plan,
        part: &Part,
    ) -> Result<(), Error> {
        let created = match part.kind {
            PartKind::View(_) => replace_view(transaction, part).await,
            _ => transaction.batch_execute(&part.create).await,
        };
        created.map_err(|e| self.refused(plan, part, &e))?;
        let note = "INSERT INTO dejima.generated (part, creating, removing) VALUES ($1, $2, $3) ON CONFLICT (part) \
                    DO UPDATE SET creating = excluded.creating, removing = excluded.removing";
        let noted = transaction
            .execute(note, &[&part.name, &part.create, &part.remove])
            .await;
        noted
            .map(drop)
            .map_err(|e| self.failed("noting what is declared", &e))
    }

    fn refused(&self, plan: &Plan, part: &Part, error: &tokio_postgres::Error) -> Error {
        let concerns = |s: &&Strategy| match part.kind {
            PartKind::Capture(oid) => s.base.oid == oid,
            _ => part.name.ends_with(&format!(" {}", s.id)),
        };
        let table = plan
            .strategies
            .iter()
            .find(concerns)
            .map_or("?".into(), |s| s.table.to_string());
        let cure = match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                "a transaction holds the base table: try again when it has ended"
            }
            Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
                "drop what depends on the view and declare again"
            }
            Some(&SqlState::DUPLICATE_OBJECT) => "rename the trigger of that name",
            _ => "correct the declaration",
        };
        Error::BaseTable {
            peer: self.peer().clone(),
            table,
            problem: describe(error),
            cure: cure.into(),
        }
    }

    /// A condition must depend on nothing but the row: otherwise rows would enter or leave the Dejima table
    /// without a write that capture could see. PostgreSQL asks the same of the predicate of an index.
    async fn check_conditions(
        &self,
        transaction: &Transaction<'_>,
        plan: &Plan,
        kept: &BTreeSet<&str>,
    ) -> Result<(), Error> {
        let is_new = |s: &&Strategy| !kept.contains(format!("view {}", s.id).as_str());
        for strategy in plan.strategies.iter().filter(is_new) {
            let Some(condition) = &strategy.condition else {
                continue;
            };
            let refused = |e: tokio_postgres::Error| {
                Error::BaseTable {
                peer: self.peer().clone(),
                table: strategy.table.to_string(),
                problem: format!("its `where` is refused: {}", describe(&e)),
                cure: "write one condition, of columns of the base table, constants, and functions that are IMMUTABLE".into(),
            }
            };
            let base = strategy.base.sql_name();
            for sql in self_contained(&base, condition) {
                transaction.prepare(&sql).await.map_err(refused)?;
            }
            // Created under the base table's name, which the condition may use.
            let name = format!("dejima.{}", identifier(&strategy.base.name));
            let sql = format!(
                "SAVEPOINT condition; ALTER TABLE IF EXISTS {name} RENAME TO \"dejima out of the way\"; \
                 CREATE TABLE {name} (LIKE {base}); CREATE INDEX ON {name} ((1)) WHERE ({condition}\n); ROLLBACK TO SAVEPOINT condition"
            );
            transaction.batch_execute(&sql).await.map_err(refused)?;
        }
        Ok(())
    }
}

/// What PostgreSQL can parse exactly if the condition is one expression that stays inside of its parentheses: alone it
/// must make sense, so each of its parentheses closes one of its own; between parentheses it must, so it ends with
/// itself. A statement that is prepared is one statement, and is not executed.
fn self_contained(base: &str, condition: &str) -> [String; 2] {
    let from = format!("SELECT FROM {base} WHERE");
    [
        format!("{from} {condition}\n"),
        format!("{from} ({condition}\n)"),
    ]
}

/// Keeps the grants on the view if its columns allow it.
async fn replace_view(
    transaction: &Transaction<'_>,
    part: &Part,
) -> Result<(), tokio_postgres::Error> {
    transaction.batch_execute("SAVEPOINT view").await?;
    match transaction.batch_execute(&part.create).await {
        Err(e) if e.code() == Some(&SqlState::INVALID_TABLE_DEFINITION) => {
            let again = format!(
                "ROLLBACK TO SAVEPOINT view;\n{};\n{}",
                part.remove, part.create
            );
            transaction.batch_execute(&again).await
        }
        other => other,
    }
}

fn declared(strategy: &Strategy) -> DeclaredTable {
    DeclaredTable {
        name: strategy.table.clone(),
        schema: strategy.schema.clone(),
        base_table: strategy.base.sql_name(),
        base_columns: strategy.columns.iter().map(|c| c.name.clone()).collect(),
        condition: strategy.condition.clone(),
    }
}
