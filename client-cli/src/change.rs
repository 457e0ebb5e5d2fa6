//! Manual changes: plain SQL at the peer's own database, as any client would send it.

use std::io::Read;

use dejima_core::strategy::identifier;
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use crate::arguments::{Assignment, Delete, Insert, Place, Sql, Update};
use crate::failure::Failure;
use crate::inspect;
use crate::output::{Output, Rows, print, print_json};
use crate::value::Text;

/// `dejima insert`
pub(crate) async fn insert(
    arguments: Insert,
    peer: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let client = connect(&arguments.place, peer).await?;
    let mut statement = Statement::default();
    let (columns, places): (Vec<String>, Vec<String>) =
        statement.assign(&arguments.values, &arguments.null).unzip();
    let target = target(&client, &arguments.table).await?;
    let sql = format!(
        "INSERT INTO {target} ({}) VALUES ({})",
        columns.join(", "),
        places.join(", ")
    );
    report(statement.execute(&client, &sql).await?, "inserted", output)
}

/// `dejima update`
pub(crate) async fn update(
    arguments: Update,
    peer: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let client = connect(&arguments.place, peer).await?;
    let mut statement = Statement::default();
    let set: Vec<String> = statement
        .assign(&arguments.set, &arguments.null)
        .map(|(column, place)| format!("{column} = {place}"))
        .collect();
    let key = statement.condition(&arguments.key);
    let target = target(&client, &arguments.table).await?;
    let sql = format!("UPDATE {target} SET {} WHERE {key}", set.join(", "));
    report(statement.execute(&client, &sql).await?, "updated", output)
}

/// `dejima delete`
pub(crate) async fn delete(
    arguments: Delete,
    peer: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let client = connect(&arguments.place, peer).await?;
    let mut statement = Statement::default();
    let key = statement.condition(&arguments.key);
    let target = target(&client, &arguments.table).await?;
    let sql = format!("DELETE FROM {target} WHERE {key}");
    report(statement.execute(&client, &sql).await?, "deleted", output)
}

/// `dejima sql`
pub(crate) async fn sql(
    arguments: Sql,
    peer: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let text = match arguments.sql {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
    };
    let client = connect(&arguments.place, peer).await?;
    let results = results(client.simple_query(&text).await?);
    match output {
        Output::Json => print_json(
            &json!({ "results": results.iter().map(StatementResult::json).collect::<Vec<_>>() }),
        )?,
        Output::Table => results.iter().try_for_each(StatementResult::print)?,
    }
    Ok(())
}

/// The values of a statement; its text has only their numbers.
#[derive(Default)]
struct Statement {
    values: Vec<Text>,
}

impl Statement {
    /// Takes the values of some columns and NULL for others: each quoted column, and what stands for its value.
    fn assign<'a>(
        &'a mut self,
        values: &'a [Assignment],
        null: &'a [String],
    ) -> impl Iterator<Item = (String, String)> + 'a {
        let named = values
            .iter()
            .map(|a| (a.column.as_str(), Some(a.value.as_str())));
        let null = null.iter().map(|column| (column.as_str(), None));
        named
            .chain(null)
            .map(|(column, value)| (identifier(column), self.place(value)))
    }

    /// Takes a value and says what stands for it in the statement.
    fn place(&mut self, value: Option<&str>) -> String {
        self.values.push(Text(value.map(str::to_owned)));
        format!("${}", self.values.len())
    }

    fn condition(&mut self, key: &[Assignment]) -> String {
        let equal =
            |a: &Assignment| format!("{} = {}", identifier(&a.column), self.place(Some(&a.value)));
        key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    async fn execute(&self, client: &Client, sql: &str) -> Result<u64, tokio_postgres::Error> {
        let values: Vec<&(dyn ToSql + Sync)> = self.values.iter().map(|value| value as _).collect();
        client.execute(sql, &values).await
    }
}

/// Lets PostgreSQL read the table's name as it stands in SQL, and takes it back quoted.
async fn target(client: &Client, table: &str) -> Result<String, tokio_postgres::Error> {
    let row = client
        .query_one("SELECT $1::text::regclass::text", &[&table])
        .await?;
    Ok(row.get(0))
}

/// A change of no row is a failure: the key was wrong.
fn report(rows: u64, done: &str, output: Output) -> anyhow::Result<()> {
    if rows == 0 {
        Err(Failure::new(
            format!("no row was {done}"),
            "No row has this key, or you may not see it.",
        ))?;
    }
    match output {
        Output::Json => print_json(&json!({ "rows": rows }))?,
        Output::Table => print(format_args!(
            "{rows} {} {done}.",
            if rows == 1 { "row" } else { "rows" }
        ))?,
    }
    Ok(())
}

/// Connects where `--database` says, else where the peer says that its database is.
pub(crate) async fn connect(place: &Place, peer: Option<String>) -> anyhow::Result<Client> {
    let url = match (&place.database, peer) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => inspect::database_place(&address).await?,
        (None, None) => Err(Failure::usage(
            "which database? Say --peer ADDRESS (or DEJIMA_PEER), or --database URL (or DEJIMA_DATABASE)",
        ))?,
    };
    let mut config: Config = url
        .parse()
        .map_err(|error| Failure::usage(format!("--database: {error}")))?;
    if config.get_user().is_none() {
        let user = place.user.clone().or_else(|| std::env::var("USER").ok());
        config.user(user.ok_or_else(|| Failure::usage("which role? Say --user ROLE (or PGUSER)"))?);
    }
    if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
        config.password(password);
    }
    config.application_name("dejima");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    // What ends the connection is reported by the statement that it cuts off.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// What one statement answered.
#[derive(Debug, Default, PartialEq, Eq)]
struct StatementResult {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    count: u64,
}

fn results(messages: Vec<SimpleQueryMessage>) -> Vec<StatementResult> {
    let mut results = Vec::new();
    let mut current = StatementResult::default();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                current.columns = columns
                    .iter()
                    .map(|column| column.name().to_owned())
                    .collect();
            }
            SimpleQueryMessage::Row(row) => {
                current.rows.push(
                    (0..row.len())
                        .map(|at| row.get(at).map(str::to_owned))
                        .collect(),
                );
            }
            SimpleQueryMessage::CommandComplete(count) => {
                current.count = count;
                results.push(std::mem::take(&mut current));
            }
            _ => {}
        }
    }
    results
}

impl StatementResult {
    fn json(&self) -> Value {
        json!({ "columns": self.columns, "rows": self.rows, "count": self.count })
    }

    fn print(&self) -> std::io::Result<()> {
        if self.columns.is_empty() {
            return print(format_args!("done, {} rows", self.count));
        }
        let header: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let mut rows = Rows::new(&header);
        for row in &self.rows {
            rows.add_row(row.iter().map(|value| value.as_deref().unwrap_or("NULL")));
        }
        print(rows)
    }
}
