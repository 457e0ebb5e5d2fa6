//! A database with Dejima in it and one strategy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dejima_core::database::{self, DeclaredTable, Installation, Options, install};
use dejima_core::delta::{self, Captured};
use dejima_core::name::{PeerName, TableName};
use dejima_core::strategy::evaluate::{Database, Rows};
use dejima_core::strategy::program::{Program, RelationId};
use dejima_core::strategy::value::{Sort, Value};
use dejima_core::strategy::{TableDeclaration, TableProgram, identifier};
use dejima_testbed::{Cluster, until_somebody_waits};
use tokio_postgres::{Client, NoTls};

use crate::tables;

pub(crate) struct TestDatabase {
    admin: Client,
    /// Declares, as a peer does.
    peer: database::Database,
    /// A session of the peer's own: it has no hook.
    session: Client,
    session_url: String,
}

/// A strategy in its database.
pub(crate) struct Bed<'a> {
    database: &'a TestDatabase,
    pub(crate) program: Arc<Program>,
    pub(crate) table: DeclaredTable,
}

/// What is generated for a Dejima table, and must be gone with it.
const LEFT: &str = "
SELECT part FROM dejima.generated WHERE part <> 'dispatcher'
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace AND proname ~ '^(capture|put|derive|through)_[0-9]'
UNION ALL SELECT relname FROM pg_class WHERE relnamespace = 'dejima_tables'::regnamespace
UNION ALL SELECT what FROM dejima.shape
UNION ALL SELECT 'a family' FROM dejima.family";

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
        let peer = PeerName::new("bank").expect("a name");
        let installation = Installation {
            peer: peer.clone(),
            helper: PathBuf::from("/bin/false"),
            callback: "unix:/nowhere".into(),
        };
        let url = cluster.url("postgres", name);
        install(&url, &installation)
            .await
            .expect("Dejima can be installed");
        let session_url = cluster.url("dejima", name);
        let options = Options {
            peer,
            url: session_url.clone(),
            pool: 1,
            lock_wait_ms_max: 1_000,
        };
        Self {
            admin: quiet_session(&url).await,
            peer: database::Database::connect(options)
                .await
                .expect("it is installed"),
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
        for sql in tables::create(program) {
            admin(sql).await?;
        }
        let declaration = TableDeclaration::Program(TableProgram {
            table: TableName::new(&program.view().name).map_err(|e| e.to_string())?,
            program: Arc::clone(program),
        });
        let declared = self.peer.declare(&[declaration]).await;
        let table = declared.map_err(|e| e.to_string())?.pop();
        Ok(Bed {
            database: self,
            program: Arc::clone(program),
            table: table.ok_or("nothing was declared")?,
        })
    }
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

/// Few rows go from now on the way of many, and many that of few.
const EXCHANGE: &str = "DO $$ DECLARE few text; many text; arguments text; BEGIN
  FOR few, many, arguments IN
    SELECT p.proname, regexp_replace(p.proname, 'few$', 'many'), pg_get_function_identity_arguments(p.oid) FROM pg_proc AS p
    WHERE p.pronamespace = 'dejima'::regnamespace AND p.proname ~ '^(put|derive)_[0-9]+(_[0-9]+)?_few$'
  LOOP
    EXECUTE format('ALTER FUNCTION dejima.%I(%s) RENAME TO exchanged', few, arguments);
    EXECUTE format('ALTER FUNCTION dejima.%I(%s) RENAME TO %I', many, arguments, few);
    EXECUTE format('ALTER FUNCTION dejima.exchanged(%s) RENAME TO %I', arguments, many);
  END LOOP;
END $$";

impl Bed<'_> {
    /// The functions for few rows and those for many take each other's place: random databases are small.
    pub(crate) async fn exchange_few_and_many(&self) -> Outcome<()> {
        let done = self.database.admin.batch_execute(EXCHANGE).await;
        done.map_err(said)
    }

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
        let removed = self.database.peer.declare(&[]).await;
        removed.map_err(|e| e.to_string())?;
        let left = self.query(LEFT).await?;
        match left.first() {
            None => Ok(()),
            Some(row) => Err(format!("{} is left", row.get::<_, String>(0))),
        }
    }

    pub(crate) fn table_name(&self, relation: RelationId) -> String {
        tables::name(&self.program, relation)
    }

    pub(crate) fn view_name(&self) -> String {
        format!("dejima_tables.{}", identifier(self.table.name.as_str()))
    }

    /// The types of a relation's columns, without length or precision: a cast would cut.
    pub(crate) fn column_types(&self, relation: RelationId) -> Vec<String> {
        if relation == self.program.view {
            let columns = self.table.schema.columns.iter();
            return columns.map(|column| column.type_name.clone()).collect();
        }
        let columns = self.program.relation(relation).columns.iter();
        let without_length = |name: &str| match (name.find('('), name.find(')')) {
            (Some(open), Some(close)) => name[..open].to_owned() + &name[close + 1..],
            _ => name.to_owned(),
        };
        columns
            .map(|column| without_length(tables::type_name(&column.type_name)))
            .collect()
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

    /// Returns when another session waits for a lock.
    pub(crate) async fn until_somebody_waits(&self, patience: Duration) -> Outcome<()> {
        let waits = until_somebody_waits(&self.database.session, patience).await;
        waits.map_err(|e| e.to_string())
    }

    /// The same as it should be: what the view showed before, and does not now, and the other way round.
    pub(crate) async fn view_texts(&self) -> Outcome<Vec<Text>> {
        let columns: Vec<_> = self
            .table
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
    let sql = "DELETE FROM dejima.delta WHERE xid = pg_current_xact_id() RETURNING statement, dejima_table, old, new";
    let (mut went, mut came) = (Vec::new(), Vec::new());
    for section in client.query(sql, &[]).await.map_err(said)? {
        let table = TableName::new(section.get(1)).map_err(|e| e.to_string())?;
        let rows = Captured::section(section.get(0), &table, section.get(2), section.get(3));
        for row in rows.map_err(|e| e.to_string())? {
            went.extend(row.old.map(text));
            came.extend(row.new.map(text));
        }
    }
    went.sort();
    came.sort();
    let is_derived = "SELECT EXISTS (SELECT FROM dejima.generated WHERE part LIKE 'derive %')";
    let is_derived = client.query_one(is_derived, &[]).await.map_err(said)?;
    Ok(if is_derived.get(0) {
        (went, came)
    } else {
        net(&went, &came)
    })
}

/// What is not derived but logged as it comes holds what came and went again.
fn net(went: &[Text], came: &[Text]) -> (Vec<Text>, Vec<Text>) {
    let count = |rows: &[Text], row: &Text| rows.iter().filter(|other| *other == row).count();
    let more = |rows: &[Text], others: &[Text]| {
        let mut left: Vec<Text> = rows.to_vec();
        left.dedup();
        let times = |row: &Text| count(rows, row).saturating_sub(count(others, row));
        left.iter()
            .flat_map(|row| std::iter::repeat_n(row.clone(), times(row)))
            .collect()
    };
    (more(went, came), more(came, went))
}

fn text(row: delta::Row) -> Text {
    row.iter()
        .map(|value| value.as_deref().map(str::to_owned))
        .collect()
}

fn read_value(text: Option<String>, sort: &Sort) -> Outcome<Value> {
    match text {
        None => Ok(Value::Null),
        Some(text) => Value::read(&text, sort).ok_or_else(|| format!("\"{text}\" is no {sort}")),
    }
}
