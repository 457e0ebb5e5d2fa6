//! One client: a connection, wishes from dice, and what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use dejima_simulator::random::Random;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_postgres::error::Severity;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::LoadOptions;
use super::counters::Counters;
use super::ledger::{COMMON, COMMON_PERSONS, Change, Ledger, State, common_person};
use crate::organisation::base_table_of;
use crate::world::connect;

/// Few enough that all are read in no time, and that most transactions change what is there.
const PERSONS: usize = 24;
/// Rows of his own that a transaction changes at most.
const ROWS_MAX: usize = 3;
/// After a failure a client waits; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// A database that is stopped takes connections and says nothing.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Nobody waits for ever for a row that a prepared transaction holds.
const SESSION: &str = "SET lock_timeout = '5s'";

/// A client of the load.
#[derive(Debug)]
pub(super) struct LoadClient {
    number: usize,
    url: String,
    base_table: &'static str,
    columns: Vec<&'static str>,
    think: Duration,
    started: Instant,
    successes: watch::Sender<u64>,
    random: Random,
    /// Makes every value new.
    value_last: u64,
    connection: Option<Client>,
    pause: Duration,
    pub(super) ledger: Ledger,
    pub(super) counters: Counters,
}

/// What a client wants: statements, and what they do to his persons.
struct Wish {
    statements: Vec<String>,
    /// One statement may go without BEGIN and COMMIT.
    is_plain: bool,
    change: Change,
}

/// How a transaction failed.
enum Failure {
    /// By the database, with this SQLSTATE.
    Refused(String),
    /// The connection broke before COMMIT was sent.
    Broken,
    /// The connection broke during COMMIT.
    Unknown,
}

impl LoadClient {
    pub(super) fn new(
        number: usize,
        kind: &str,
        url: String,
        options: LoadOptions,
        started: Instant,
        successes: watch::Sender<u64>,
    ) -> Self {
        let (base_table, columns) = base_table_of(kind);
        let mut seeds = Random::new(options.seed.wrapping_add(number as u64));
        Self {
            number,
            url,
            base_table,
            columns,
            think: options.think,
            started,
            successes,
            random: Random::new(seeds.bits()),
            value_last: 0,
            connection: None,
            pause: PAUSE_MIN,
            ledger: Ledger::new(format!("Load{number}"), PERSONS),
            counters: Counters::default(),
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// One transaction after the other, until it is time to rest.
    pub(super) async fn work(mut self, mut rest: watch::Receiver<bool>) -> Self {
        while !*rest.borrow() {
            let pause = if self.transact().await {
                self.pause = PAUSE_MIN;
                self.think
            } else {
                let pause = self.pause;
                self.pause = (pause * 2).min(PAUSE_MAX);
                pause
            };
            if !pause.is_zero() {
                // Whoever rests has waited long enough.
                let _ = timeout(pause, rest.wait_for(|rest| *rest)).await;
            }
        }
        self
    }

    /// True if a transaction has succeeded.
    async fn transact(&mut self) -> bool {
        let Some(connection) = self.connect().await else {
            self.counters.unconnected += 1;
            return false;
        };
        let wish = self.wish();
        let begun = Instant::now();
        let failure = run(&connection, &wish).await.err();
        let took = begun.elapsed();
        match &failure {
            None => {
                self.ledger.succeeded(wish.change);
                let at = begun.duration_since(self.started) + took;
                self.counters.succeeded_at(at, took);
                self.successes.send_modify(|successes| *successes += 1);
            }
            Some(Failure::Refused(sqlstate)) => self.counters.refuse(sqlstate),
            Some(Failure::Broken) => self.counters.broken += 1,
            Some(Failure::Unknown) => {
                self.ledger.broke_off(wish.change);
                self.counters.unknown += 1;
            }
        }
        if !matches!(failure, Some(Failure::Broken | Failure::Unknown)) {
            self.connection = Some(connection);
        }
        failure.is_none()
    }

    async fn connect(&mut self) -> Option<Client> {
        if let Some(connection) = self.connection.take()
            && !connection.is_closed()
        {
            return Some(connection);
        }
        let connection = timeout(CONNECT_MAX, connect(&self.url)).await.ok()?.ok()?;
        let is_set = timeout(CONNECT_MAX, connection.batch_execute(SESSION)).await;
        is_set.ok()?.ok()?;
        Some(connection)
    }

    /// A few of his own persons, and now and then one that all clients change.
    fn wish(&mut self) -> Wish {
        let mut wish = Wish {
            statements: Vec::new(),
            is_plain: false,
            change: Change::default(),
        };
        let mut persons = self.ledger.in_use();
        for _ in 0..=self.random.index(ROWS_MAX) {
            let (person, before) = persons.swap_remove(self.random.index(persons.len()));
            let (statement, after) = self.change_person(person, &before);
            wish.statements.push(statement);
            wish.change.persons.insert(person, (before, after));
        }
        // Only together with one of his own: by that he finds out whether a broken COMMIT has happened.
        if self.random.chance(100) {
            let common = self.random.index(COMMON_PERSONS);
            wish.statements.push(format!(
                "UPDATE {} SET address = (address::integer + 1)::text WHERE first_name = '{}' AND last_name = '{COMMON}'",
                self.base_table,
                common_person(common).first,
            ));
            wish.change.common = Some(common);
        }
        wish.is_plain = wish.statements.len() == 1 && self.random.chance(500);
        wish
    }

    fn change_person(&mut self, person: u64, before: &State) -> (String, State) {
        let table = self.base_table;
        let name = self.ledger.name(person);
        let (first, last) = (name.first, name.last);
        let row = format!("first_name = '{first}' AND last_name = '{last}'");
        match before {
            None => {
                let values = self.values();
                let (columns, texts): (Vec<&str>, Vec<&String>) = values
                    .iter()
                    .map(|(column, value)| (*column, value))
                    .unzip();
                let (columns, texts) = (columns.join(", "), quoted(&texts));
                let sql = format!(
                    "INSERT INTO {table} (first_name, last_name, {columns}) VALUES ('{first}', '{last}', {texts})"
                );
                (sql, Some(owned(values)))
            }
            Some(_) if self.random.chance(200) => {
                (format!("DELETE FROM {table} WHERE {row}"), None)
            }
            Some(before) => {
                let values = self.values();
                let set: Vec<String> = values
                    .iter()
                    .map(|(column, value)| format!("{column} = '{value}'"))
                    .collect();
                let sql = format!("UPDATE {table} SET {} WHERE {row}", set.join(", "));
                let mut after = before.clone();
                after.extend(owned(values));
                (sql, Some(after))
            }
        }
    }

    /// New values for one to all of the columns.
    fn values(&mut self) -> BTreeMap<&'static str, String> {
        let mut values = BTreeMap::new();
        for _ in 0..=self.random.index(self.columns.len()) {
            self.value_last += 1;
            let column = self.columns[self.random.index(self.columns.len())];
            values.insert(column, value(column, self.value_last));
        }
        values
    }
}

/// As PostgreSQL writes the value of this column.
fn value(column: &str, number: u64) -> String {
    match column {
        "birthdate" => format!(
            "{}-{:02}-{:02}",
            1900 + number / 336 % 100,
            number / 28 % 12 + 1,
            number % 28 + 1
        ),
        "risk_factor" => (number % 101).to_string(),
        "phone" => number.to_string(),
        _ => format!("{number} Quay"),
    }
}

fn owned(values: BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
    let owned = |(column, value): (&str, String)| (column.to_owned(), value);
    values.into_iter().map(owned).collect()
}

fn quoted(values: &[&String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    quoted.join(", ")
}

async fn run(connection: &Client, wish: &Wish) -> Result<(), Failure> {
    if wish.is_plain {
        return statement(connection, &wish.statements[0], Failure::Unknown).await;
    }
    let before_commit = async {
        batch(connection, "BEGIN", Failure::Broken).await?;
        for sql in &wish.statements {
            statement(connection, sql, Failure::Broken).await?;
        }
        Ok(())
    };
    match before_commit.await {
        Ok(()) => batch(connection, "COMMIT", Failure::Unknown).await,
        Err(failure) => {
            // If it cannot be rolled back, the connection is gone, and the transaction with it.
            let _ = connection.batch_execute("ROLLBACK").await;
            Err(failure)
        }
    }
}

async fn batch(connection: &Client, sql: &str, broken: Failure) -> Result<(), Failure> {
    let done = connection.batch_execute(sql).await;
    done.map_err(|error| failure(&error, broken))
}

/// A statement that must change one row: what this client was told of is there.
async fn statement(connection: &Client, sql: &str, broken: Failure) -> Result<(), Failure> {
    let answer = connection.simple_query(sql).await;
    let answer = answer.map_err(|error| failure(&error, broken))?;
    let changed = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    assert_eq!(changed, Some(1), "rows changed by {sql}");
    Ok(())
}

/// A FATAL error ends the session, and does not say whether a COMMIT had happened.
fn failure(error: &tokio_postgres::Error, broken: Failure) -> Failure {
    match error.as_db_error() {
        Some(said) if said.parsed_severity() == Some(Severity::Error) => {
            Failure::Refused(said.code().code().to_owned())
        }
        _ => broken,
    }
}
