//! A database with Dejima in it and one strategy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use dejima_core::database::{Installation, install};
use dejima_core::name::{PeerName, TableName};
use dejima_core::strategy::evaluate::{Database, Rows};
use dejima_core::strategy::program::{ConstraintKind, Program, RelationId, Scope};
use dejima_core::strategy::value::{Sort, Value};
use dejima_core::strategy::{BaseColumn, BaseTable, Bound, Names, UniqueKey, identifier, parts};
use dejima_testbed::Cluster;
use tokio_postgres::{Client, NoTls};

pub(crate) struct TestDatabase {
    admin: Client,
    /// A session of the peer's own: it has no hook.
    session: Client,
    session_url: String,
}

/// A strategy in its database.
pub(crate) struct Bed<'a> {
    database: &'a TestDatabase,
    pub(crate) program: Arc<Program>,
    pub(crate) bound: Bound,
    removes: Vec<String>,
}

pub(crate) type Outcome<T> = Result<T, String>;

pub(crate) fn said(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!(
            "{}: {} {} {}",
            db.code().code(),
            db.message(),
            db.detail().unwrap_or_default(),
            db.where_().unwrap_or_default()
        ),
        None => error.to_string(),
    }
}

async fn quiet_session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("a session");
    tokio::spawn(connection);
    let settings = "SET client_min_messages = warning; SET search_path = pg_catalog";
    client.batch_execute(settings).await.expect("settings");
    client
}

impl TestDatabase {
    pub(crate) async fn create(cluster: &Cluster, name: &str) -> Self {
        cluster.create_database(name).expect("a database");
        let installation = Installation {
            peer: PeerName::new("bank").expect("a name"),
            helper: PathBuf::from("/bin/false"),
            callback: "unix:/nowhere".into(),
        };
        let url = cluster.url("postgres", name);
        install(&url, &installation)
            .await
            .expect("Dejima can be installed");
        let session_url = cluster.url("dejima", name);
        Self {
            admin: quiet_session(&url).await,
            session: quiet_session(&session_url).await,
            session_url,
        }
    }

    /// Makes the base tables and the strategy's SQL.
    pub(crate) async fn strategy(&mut self, program: &Arc<Program>) -> Outcome<Bed<'_>> {
        let client = &self.admin;
        let admin = |sql: String| async move {
            let done = client.batch_execute(&sql).await;
            done.map_err(|e| format!("{}\n{sql}", said(e)))
        };
        admin("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO dejima".into()).await?;
        let names = Names::of(program);
        for (&relation, (schema, table)) in &names.tables {
            admin(create_table(program, relation, schema, table)).await?;
        }
        for constraint in &program.constraints {
            if let ConstraintKind::ForeignKey {
                relation,
                columns,
                target,
            } = &constraint.kind
            {
                admin(foreign_key(program, &names, *relation, columns, *target)).await?;
            }
        }
        let mut bases = BTreeMap::new();
        for (&relation, (schema, table)) in &names.tables {
            bases.insert(relation, Arc::new(self.base_table(schema, table).await?));
        }
        let mut types = Vec::new();
        for name in &names.types {
            let sql = "SELECT format_type(to_regtype($1), -1)";
            let row = self.admin.query_one(sql, &[name]).await.map_err(said)?;
            types.push(row.get(0));
        }
        let table = TableName::new(&program.view().name).map_err(|e| e.to_string())?;
        let bound =
            Bound::new(table, 1, Arc::clone(program), &bases, &types).map_err(|e| e.to_string())?;
        let parts = parts(&[], std::slice::from_ref(&bound));
        for part in &parts {
            let created = self.session.batch_execute(&part.create).await;
            created.map_err(|e| format!("{}: {}\n{}", part.name, said(e), part.create))?;
        }
        let removes = parts.iter().rev().map(|part| part.remove.clone()).collect();
        Ok(Bed {
            database: self,
            program: Arc::clone(program),
            bound,
            removes,
        })
    }

    async fn base_table(&self, schema: &str, table: &str) -> Outcome<BaseTable> {
        let name = format!("{}.{}", identifier(schema), identifier(table));
        let columns = self.admin.query(
            "SELECT a.attname::text, format_type(a.atttypid, -1), a.attnotnull, a.attrelid, format_type(a.atttypid, -1) = 'bpchar' AND a.atttypmod = -1 FROM pg_attribute AS a
             WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 ORDER BY a.attnum", &[&name]).await.map_err(said)?;
        let keys = self.admin.query(
            "SELECT (SELECT array_agg(a.attname::text) FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
             FROM pg_index AS i WHERE i.indrelid = $1::text::regclass AND i.indisunique", &[&name]).await.map_err(said)?;
        let first = columns.first().ok_or("a table without columns")?;
        Ok(BaseTable {
            oid: first.get(3),
            schema: schema.to_owned(),
            name: table.to_owned(),
            columns: columns
                .iter()
                .map(|row| BaseColumn {
                    name: row.get(0),
                    type_name: row.get(1),
                    not_null: row.get(2),
                    has_default: false,
                    generated: false,
                    base_type: row.get(1),
                    keeps_spaces: row.get(4),
                    local_type: None,
                })
                .collect(),
            is_partitioned: false,
            toast: None,
            unique_keys: keys
                .iter()
                .map(|row| {
                    let columns: Vec<String> = row.get(0);
                    UniqueKey {
                        operators: vec!["OPERATOR(pg_catalog.=)".into(); columns.len()],
                        columns,
                        deferrable: false,
                    }
                })
                .collect(),
        })
    }
}

fn table_name(schema: &str, table: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(table))
}

fn create_table(program: &Program, relation: RelationId, schema: &str, table: &str) -> String {
    let declared = program.relation(relation);
    let mut items: Vec<String> = declared
        .columns
        .iter()
        .map(|column| {
            let type_name = match column.type_name.as_str() {
                "string" => "text",
                "float" => "double precision",
                other => other,
            };
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {type_name}{not_null}", identifier(&column.name))
        })
        .collect();
    if let Some(key) = &declared.key {
        items.push(format!("UNIQUE ({})", column_list(program, relation, key)));
    }
    for constraint in &program.constraints {
        if let ConstraintKind::Key {
            relation: of,
            columns,
        } = &constraint.kind
            && *of == relation
            && constraint.scope == Scope::Sources
        {
            items.push(format!(
                "UNIQUE ({})",
                column_list(program, relation, columns)
            ));
        }
    }
    let name = table_name(schema, table);
    format!(
        "CREATE SCHEMA IF NOT EXISTS {0}; GRANT USAGE ON SCHEMA {0} TO dejima; DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({1}); GRANT ALL ON {name} TO dejima",
        identifier(schema),
        items.join(", ")
    )
}

fn column_list(program: &Program, relation: RelationId, columns: &[usize]) -> String {
    let names = columns
        .iter()
        .map(|&at| identifier(&program.relation(relation).columns[at].name));
    names.collect::<Vec<_>>().join(", ")
}

/// Deferrable, so that rows can be made in any order; a foreign key is checked at once all the same.
fn foreign_key(
    program: &Program,
    names: &Names,
    relation: RelationId,
    columns: &[usize],
    target: RelationId,
) -> String {
    let name = |relation: RelationId| {
        let (schema, table) = &names.tables[&relation];
        table_name(schema, table)
    };
    let key = program.relation(target).key.clone().unwrap_or_default();
    format!(
        "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) DEFERRABLE",
        name(relation),
        column_list(program, relation, columns),
        name(target),
        column_list(program, target, &key)
    )
}

/// A value as SQL, for a column of that type.
pub(crate) fn sql_value(value: &Value, type_name: &str) -> String {
    match value {
        Value::Null => format!("NULL::{type_name}"),
        Value::Text(_) | Value::Opaque(_) | Value::Date(_) | Value::Timestamp(_) => {
            format!("{value}::{type_name}")
        }
        other => format!("'{other}'::{type_name}"),
    }
}

/// A row that came or went, as texts.
pub(crate) type Text = Vec<Option<String>>;

impl Bed<'_> {
    pub(crate) async fn run(&self, sql: &str) -> Outcome<()> {
        self.database.session.batch_execute(sql).await.map_err(said)
    }

    pub(crate) async fn query(&self, sql: &str) -> Outcome<Vec<tokio_postgres::Row>> {
        self.database
            .session
            .query(sql, &[])
            .await
            .map_err(|e| format!("{}\n{sql}", said(e)))
    }

    /// Removes the strategy.
    pub(crate) async fn clear(self) -> Outcome<()> {
        for remove in &self.removes {
            self.run(remove).await?;
        }
        let left = self.query("SELECT p.proname::text FROM pg_proc AS p WHERE p.pronamespace = 'dejima'::regnamespace AND p.proname ~ '_1(_|$)'").await?;
        match left.first() {
            None => Ok(()),
            Some(row) => Err(format!("{} is left", row.get::<_, String>(0))),
        }
    }

    pub(crate) fn table_name(&self, relation: RelationId) -> String {
        self.bound.sources[&relation].base.sql_name()
    }

    pub(crate) fn view_name(&self) -> String {
        format!("dejima_tables.{}", identifier(self.bound.table.as_str()))
    }

    pub(crate) fn column_types(&self, relation: RelationId) -> Vec<String> {
        match self.bound.sources.get(&relation) {
            Some(source) => source
                .columns
                .iter()
                .map(|column| column.base_type.clone())
                .collect(),
            None => self
                .bound
                .schema
                .columns
                .iter()
                .map(|column| column.type_name.clone())
                .collect(),
        }
    }

    /// The base tables as they are.
    pub(crate) async fn base_tables(&self) -> Outcome<Database> {
        let mut database = Database::default();
        for relation in self.program.sources() {
            let rows = self.rows(relation, &self.table_name(relation)).await?;
            if !rows.is_empty() {
                database.0.insert(relation, rows);
            }
        }
        Ok(database)
    }

    /// What the view shows.
    pub(crate) async fn shown(&self) -> Outcome<Rows> {
        self.rows(self.program.view, &self.view_name()).await
    }

    async fn rows(&self, relation: RelationId, from: &str) -> Outcome<Rows> {
        let declared = &self.program.relation(relation).columns;
        let columns: Vec<_> = declared
            .iter()
            .map(|column| format!("{}::text", identifier(&column.name)))
            .collect();
        let rows = self
            .query(&format!("SELECT {} FROM {from}", columns.join(", ")))
            .await?;
        rows.iter()
            .map(|row| {
                let cells = declared.iter().enumerate();
                cells
                    .map(|(at, column)| read_value(row.get(at), &column.sort))
                    .collect()
            })
            .collect()
    }

    /// What was captured of the Dejima table: rows that went, rows that came. Forgets it.
    pub(crate) async fn captured(&self) -> Outcome<(Vec<Text>, Vec<Text>)> {
        captured(&self.database.session).await
    }

    /// Another session like the one that everything else runs in.
    pub(crate) async fn another_session(&self) -> Client {
        quiet_session(&self.database.session_url).await
    }

    /// Returns when a query finds that somebody waits for a lock; nothing else can tell.
    pub(crate) async fn until_somebody_waits(&self, query: &str, deadline: Instant) -> Outcome<()> {
        loop {
            let waiting: i64 = self.query(query).await?[0].get(0);
            if waiting > 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("nobody waits for a lock".into());
            }
        }
    }

    /// The same as it should be: what the view showed before, and does not now, and the other way round.
    pub(crate) async fn view_texts(&self) -> Outcome<Vec<Text>> {
        let columns: Vec<_> = self
            .bound
            .schema
            .columns
            .iter()
            .map(|column| format!("{}::text", identifier(&column.name)))
            .collect();
        let rows = self
            .query(&format!(
                "SELECT ARRAY[{}] FROM {}",
                columns.join(", "),
                self.view_name()
            ))
            .await?;
        let mut rows: Vec<Text> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort();
        Ok(rows)
    }
}

/// What the transaction of a session captured: rows that went, rows that came. Forgets it.
pub(crate) async fn captured(client: &Client) -> Outcome<(Vec<Text>, Vec<Text>)> {
    client
        .batch_execute("SELECT dejima.derive()")
        .await
        .map_err(said)?;
    let mut sides = Vec::new();
    for side in ["old", "new"] {
        let sql = format!(
            "SELECT ARRAY(SELECT unnest(i.image)) FROM dejima.delta AS d, dejima.rows(d.{side}) AS i(image) WHERE d.xid = pg_current_xact_id()"
        );
        let rows = client.query(&sql, &[]).await.map_err(said)?;
        let mut rows: Vec<Text> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort();
        sides.push(rows);
    }
    let forget = "DELETE FROM dejima.delta WHERE xid = pg_current_xact_id()";
    client.batch_execute(forget).await.map_err(said)?;
    let new = sides.pop().unwrap_or_default();
    Ok((sides.pop().unwrap_or_default(), new))
}

fn read_value(text: Option<String>, sort: &Sort) -> Outcome<Value> {
    match text {
        None => Ok(Value::Null),
        Some(text) => Value::read(&text, sort).ok_or_else(|| format!("\"{text}\" is no {sort}")),
    }
}
