//! One side: a client's session at a database, and what each of its statements came to.

use std::pin::pin;
use std::time::Duration;

use dejima_testbed::connect;
use futures::SinkExt;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::Result;
use crate::statement::{Copy, Statement};

/// Nothing here takes long; what hangs must be seen.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What a statement came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its rows, sorted, and the count of each command.
    Done { rows: Vec<String>, counts: Vec<u64> },
    /// An error of the database.
    Failed(Box<DbError>),
}

impl Outcome {
    /// Would a client see the same?
    pub(crate) fn equals(&self, other: &Outcome) -> bool {
        match (self, other) {
            (
                Self::Done { rows, counts },
                Self::Done {
                    rows: others,
                    counts: numbers,
                },
            ) => rows == others && counts == numbers,
            (Self::Failed(error), Self::Failed(other)) => error.code() == other.code(),
            _ => false,
        }
    }

    /// Did the peers ask to try again? Late they may be on a machine that has much else to do.
    pub(crate) fn is_stale(&self) -> bool {
        let Self::Failed(error) = self else {
            return false;
        };
        let is_late = *error.code() == SqlState::QUERY_CANCELED
            && error.message().contains("did not agree within");
        is_late || *error.code() == SqlState::T_R_SERIALIZATION_FAILURE
    }

    /// In one line.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Done { rows, counts } => format!("counts {counts:?}, rows {rows:?}"),
            Self::Failed(error) => {
                let detail = error.detail().unwrap_or_default();
                format!("{} {}, {detail}", error.code().code(), error.message())
            }
        }
    }
}

/// A session. Commands that cannot fail wait for the next that can, and go with it.
pub(crate) struct Session {
    client: Client,
    waiting: Vec<String>,
}

impl Session {
    /// Connects.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        Ok(Self {
            client: connect(url).await?,
            waiting: Vec::new(),
        })
    }

    /// Connects anew; what was open is rolled back.
    pub(crate) async fn renew(&mut self, url: &str) -> Result<()> {
        *self = Self::open(url).await?;
        Ok(())
    }

    /// One command that cannot fail: done with the next statement.
    pub(crate) fn queue(&mut self, command: &str) {
        self.waiting.push(command.to_owned());
    }

    /// Runs a statement of a script.
    pub(crate) async fn run(&mut self, statement: &Statement) -> Result<Outcome> {
        let sql = statement.to_string();
        match statement {
            Statement::Copy(copy) => self.copy(&sql, copy).await,
            _ => self.execute(&sql).await,
        }
    }

    /// Runs SQL.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<Outcome> {
        let mut commands = std::mem::take(&mut self.waiting);
        let before = commands.len();
        commands.push(sql.to_owned());
        let sql = commands.join(";\n");
        let answer = timeout(ANSWER_MAX, self.client.simple_query(&sql)).await;
        let answer = answer.map_err(|_| format!("no answer for {ANSWER_MAX:?} to {sql}"))?;
        match answer {
            Ok(messages) => Ok(done(&messages, before)),
            Err(error) => failed(error),
        }
    }

    async fn copy(&mut self, sql: &str, copy: &Copy) -> Result<Outcome> {
        if let failed @ Outcome::Failed(_) = self.execute("").await? {
            return Ok(failed);
        }
        let copied = async {
            let mut sink = pin!(self.client.copy_in(sql).await?);
            sink.send(std::io::Cursor::new(copy.text())).await?;
            sink.finish().await
        };
        match timeout(ANSWER_MAX, copied)
            .await
            .map_err(|_| format!("no answer to {sql}"))?
        {
            Ok(count) => Ok(Outcome::Done {
                rows: Vec::new(),
                counts: vec![count],
            }),
            Err(error) => failed(error),
        }
    }
}

fn failed(error: tokio_postgres::Error) -> Result<Outcome> {
    match error.as_db_error() {
        Some(found) => Ok(Outcome::Failed(Box::new(found.clone()))),
        None => Err(error.into()),
    }
}

/// What the commands after the first `before` came to.
fn done(messages: &[SimpleQueryMessage], before: usize) -> Outcome {
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let fields: Vec<Option<&str>> = (0..row.len()).map(|at| row.get(at)).collect();
                rows.push(format!("{fields:?}"));
            }
            SimpleQueryMessage::CommandComplete(count) => counts.push(*count),
            _ => {}
        }
    }
    // SQL promises no order.
    rows.sort();
    counts.drain(..before.min(counts.len()));
    Outcome::Done { rows, counts }
}
