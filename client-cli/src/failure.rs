//! What went wrong, said once, at the end.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use serde_json::json;
use tokio_postgres::error::DbError;

use crate::output::{Output, json_of, text_of};

/// A failure in our own words.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: String,
    status: u8,
}

impl Failure {
    /// The command line does not suffice: exit status 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: String::new(),
            status: 2,
        }
    }

    /// With another exit status.
    pub(crate) fn ending_with(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Something failed: exit status 1.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            status: 1,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints the error to standard error and says the exit status.
pub(crate) fn report(error: &anyhow::Error, output: Output) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        return ExitCode::FAILURE;
    }
    let said = Said::of(error);
    match output {
        Output::Table => eprintln!("{}", text_of(&said.text())),
        Output::Json => eprintln!("{}", json_of(&said.json())),
    }
    let failure = error.downcast_ref::<Failure>();
    ExitCode::from(failure.map_or(1, |failure| failure.status))
}

/// An error in the parts that PostgreSQL gives one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    sqlstate: String,
    message: String,
    detail: String,
    hint: String,
}

impl Said {
    fn of(error: &anyhow::Error) -> Self {
        if let Some(database) = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<DbError>())
        {
            return Self::of_database(database);
        }
        let hint = error
            .downcast_ref::<Failure>()
            .map(|failure| failure.hint.clone());
        Self {
            message: format!("{error:#}"),
            hint: hint.unwrap_or_default(),
            ..Self::default()
        }
    }

    fn of_database(error: &DbError) -> Self {
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().unwrap_or_default().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::from("ERROR:  ");
        if !self.sqlstate.is_empty() {
            text = format!("{text}{}: ", self.sqlstate);
        }
        text.push_str(&self.message);
        for (label, part) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if !part.is_empty() {
                write!(text, "\n{label}:  {part}").expect("writing to a string cannot fail");
            }
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        json!({ "error": {
            "sqlstate": self.sqlstate, "message": self.message, "detail": self.detail, "hint": self.hint,
        } })
    }
}

/// A database's error as psql shows it with VERBOSITY verbose, line by line.
pub(crate) fn database_error_text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => Said::of_database(error).text(),
        None => format!("ERROR:  {error}"),
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
