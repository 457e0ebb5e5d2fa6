//! Declaring Dejima tables: what is there is compared with what is wanted, and only the difference is made.
//!
//! A start that changes nothing takes no lock on a base table. It must not: a prepared transaction in doubt holds
//! locks there, and only the started peer can end it.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;

use super::declared::DeclaredTable;
use super::error::{Error, describe};
use super::establish::{Difference, owners};
use super::look::read_only;
use super::relied::Relied;
use super::{Database, catalogue, constraint};
use crate::examine::Finding;
use crate::name::TableName;
use crate::strategy::program::RelationId;
use crate::strategy::{
    BaseConstraint, BaseTable, Bound, Conditions, Declaration, Invalid, Names, Plan, RowCondition,
    Strategy, TableDeclaration, TableProgram, identifier, plan,
};

/// What is not so any more goes first, what is new comes second; of what only some rely on, what they do.
const FORGET_SHAPE: &str = "DELETE FROM dejima.shape AS s WHERE NOT EXISTS (SELECT FROM dejima.shape_of($1) AS now \
     WHERE now = s AND (NOT dejima.is_chosen(now.what) OR now.base_table || ' ' || now.what = ANY ($2)))";
const NOTE_SHAPE: &str = "INSERT INTO dejima.shape SELECT now.* FROM dejima.shape_of($1) AS now \
     WHERE NOT dejima.is_chosen(now.what) OR now.base_table || ' ' || now.what = ANY ($2) ON CONFLICT DO NOTHING";
/// NULL for a type that is not there.
const TYPE_NAME: &str = "SELECT format_type(to_regtype($1), -1)";

impl Database {
    /// Makes the database serve exactly these Dejima tables. Idempotent; in one transaction: an error leaves
    /// everything as it was.
    pub async fn declare(&self, tables: &[TableDeclaration]) -> Result<Vec<DeclaredTable>, Error> {
        let mut client = self.client().await?;
        let transaction = self.declaring(&mut client).await?;
        let plan = self.plan(&transaction, tables).await?;
        let difference = self.difference(&transaction, &plan.parts).await?;
        self.check_conditions(&transaction, &plan, &difference)
            .await?;
        self.establish(&transaction, &difference, &plan.parts, &owners(&plan))
            .await?;
        self.note_shape(&transaction, &Relied::on(&plan)).await?;
        let committed = transaction.commit().await;
        committed.map_err(|e| self.failed("declaring the Dejima tables", &e))?;
        let mut declared = DeclaredTable::all(&plan);
        declared.sort_by_key(|known| tables.iter().position(|table| *table.name() == known.name));
        Ok(declared)
    }

    /// What is not in step between the strategies of these Dejima tables and the constraints of their base tables: nothing that
    /// stops a peer.
    pub async fn constraint_findings(
        &self,
        tables: &[DeclaredTable],
    ) -> Result<Vec<Finding>, Error> {
        let failed = |e| self.failed("comparing constraints with strategies", &e);
        let mut client = self.client().await?;
        let transaction = read_only(&mut client).await.map_err(failed)?;
        let findings = constraint::findings(&transaction, tables).await;
        findings.map_err(failed)
    }

    /// A transaction in which what is declared may change; one at a time.
    pub(super) async fn declaring<'a>(
        &self,
        client: &'a mut deadpool_postgres::Client,
    ) -> Result<Transaction<'a>, Error> {
        let failed = |e| self.failed("declaring the Dejima tables", &e);
        let transaction = client.transaction().await.map_err(failed)?;
        // Names of types are compared with those of other peers.
        let settings = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL quote_all_identifiers = off; SET LOCAL lock_timeout = '5s'; \
                        SET LOCAL client_min_messages = warning; \
                        SELECT pg_advisory_xact_lock(hashtextextended('dejima.declare', 0))";
        transaction.batch_execute(settings).await.map_err(failed)?;
        Ok(transaction)
    }

    pub(super) async fn plan(
        &self,
        transaction: &Transaction<'_>,
        tables: &[TableDeclaration],
    ) -> Result<Plan, Error> {
        let ids = self.ids(transaction, tables).await?;
        let (mut declarations, mut programs) = (vec![], vec![]);
        for table in tables {
            match table {
                TableDeclaration::Columns(declaration) => declarations.push(declaration.clone()),
                TableDeclaration::Program(program) => {
                    let id = ids.get(&program.table).copied().unwrap_or_default();
                    programs.push(self.bound(transaction, program, id).await?);
                }
            }
        }
        let base_tables = self.base_tables(transaction, &declarations).await?;
        let plan = plan(&declarations, &base_tables, &ids, programs);
        plan.map_err(|invalid| self.invalid(invalid))
    }

    fn invalid(&self, invalid: Invalid) -> Error {
        Error::Declaration {
            peer: self.peer().clone(),
            invalid,
        }
    }

    async fn base_tables(
        &self,
        transaction: &Transaction<'_>,
        declarations: &[Declaration],
    ) -> Result<BTreeMap<String, Arc<BaseTable>>, Error> {
        let mut found = BTreeMap::new();
        for declaration in declarations {
            let (table, base_table) = (&declaration.name, &declaration.base_table);
            let base = self
                .base_table(transaction, table, base_table, &catalogue::WRITTEN)
                .await?;
            found.extend(base.map(|base| (base_table.clone(), base)));
        }
        Ok(found)
    }

    async fn base_table(
        &self,
        transaction: &Transaction<'_>,
        table: &TableName,
        name: &str,
        rights: &[&str],
    ) -> Result<Option<Arc<BaseTable>>, Error> {
        let base = catalogue::base_table(transaction, self.peer(), table, name, rights).await?;
        Ok(base.map(Arc::new))
    }

    /// A program with the base tables and types that the database has for it.
    async fn bound(
        &self,
        transaction: &Transaction<'_>,
        program: &TableProgram,
        id: i32,
    ) -> Result<Bound, Error> {
        let TableProgram { table, program } = program;
        let names = Names::of(program);
        let mut bases = BTreeMap::new();
        for (relation, (schema, name)) in names.tables {
            let is_written = program.written().any(|written| written == relation);
            let rights: &[&str] = if is_written {
                &catalogue::WRITTEN
            } else {
                &catalogue::READ
            };
            let name = format!("{}.{}", identifier(&schema), identifier(&name));
            let base = self.base_table(transaction, table, &name, rights).await?;
            bases.extend(base.map(|base| (relation, base)));
        }
        let mut types = Vec::new();
        for name in &names.types {
            let found = transaction.query_one(TYPE_NAME, &[name]).await;
            let found = found.map_err(|e| self.failed("looking for the types of columns", &e))?;
            types.push(found.get(0));
        }
        let unbound = |unbound| self.invalid(Invalid::Unbound(Box::new(unbound)));
        let bound = Bound::new(table.clone(), id, Arc::clone(program), &bases, &types);
        let bound = bound.map_err(unbound)?;
        let read = self.constraints(transaction, &bound).await;
        let (found, conditions) =
            read.map_err(|e| self.failed("reading the constraints of base tables", &e))?;
        bound.knowing(&found, &conditions).map_err(unbound)
    }

    /// The constraints of a program's base tables, and the conditions that it says, both as PostgreSQL writes them.
    async fn constraints(
        &self,
        transaction: &Transaction<'_>,
        bound: &Bound,
    ) -> Result<(BTreeMap<RelationId, Vec<BaseConstraint>>, Conditions), tokio_postgres::Error>
    {
        let said = RowCondition::all(&bound.program);
        let mut found = BTreeMap::new();
        for (&relation, source) in &bound.sources {
            let mut constraints = constraint::of(transaction, &source.base.sql_name()).await?;
            // What is not compared with anything need not be written alike.
            if said.iter().any(|row| row.relation == relation) {
                for constraint in &mut constraints {
                    constraint::complete(transaction, &source.base, constraint).await?;
                }
            }
            found.insert(relation, constraints);
        }
        let mut conditions = vec![];
        for row in said {
            let base = &bound.source(row.relation).base;
            let mut written = vec![];
            for text in &row.texts {
                written.extend(constraint::written(transaction, base, text).await?);
            }
            conditions.push((row, written));
        }
        Ok((found, conditions))
    }

    /// The numbers of the Dejima tables; a new one gets the next.
    async fn ids(
        &self,
        transaction: &Transaction<'_>,
        tables: &[TableDeclaration],
    ) -> Result<BTreeMap<TableName, i32>, Error> {
        let names: Vec<_> = tables.iter().map(|table| table.name().as_str()).collect();
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
        let names = tables.iter().map(TableDeclaration::name);
        Ok(names
            .filter_map(|name| Some((name.clone(), id(name)?)))
            .collect())
    }

    /// Notes what the guard is to keep as it is.
    pub(super) async fn note_shape(
        &self,
        transaction: &Transaction<'_>,
        relied: &Relied,
    ) -> Result<(), Error> {
        for sql in [FORGET_SHAPE, NOTE_SHAPE] {
            let noted = transaction
                .execute(sql, &[&relied.base_tables, &relied.chosen])
                .await;
            noted.map_err(|e| self.failed("noting what is relied on", &e))?;
        }
        Ok(())
    }

    /// A condition must depend on nothing but the row: otherwise rows would enter or leave the Dejima table
    /// without a write that capture could see. PostgreSQL asks the same of the predicate of an index.
    pub(super) async fn check_conditions(
        &self,
        transaction: &Transaction<'_>,
        plan: &Plan,
        difference: &Difference,
    ) -> Result<(), Error> {
        let is_new = |s: &&Strategy| !difference.keeps(&format!("view {}", s.id));
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
