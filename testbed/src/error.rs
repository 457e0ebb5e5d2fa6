//! What can go wrong, with what the reader can do.

use std::path::PathBuf;
use std::time::Duration;

/// Why something of the testbed could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program or package that the machine does not have.
    #[error("{what} is missing; {cure}")]
    Missing {
        /// What.
        what: String,
        /// The command that installs it.
        cure: String,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// A process ended, or did not become ready in time.
    #[error("{name} did not become ready: {why}; the end of its log:\n{log}")]
    NotReady {
        /// The process.
        name: String,
        /// What was seen instead.
        why: String,
        /// The last lines of its log.
        log: String,
    },
    /// A file or a process could not be handled by the operating system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A path that is too long for a unix socket.
    #[error(
        "the socket {0} would have a path of more than 100 bytes; set TMPDIR to a shorter folder"
    )]
    LongPath(PathBuf),
    /// A database said no.
    #[error("{what}: {source}")]
    Database {
        /// What was tried.
        what: String,
        /// What it said.
        source: tokio_postgres::Error,
    },
    /// The objects of schema `dejima` could not be installed.
    #[error("installing into the database of \"{peer}\": {why}")]
    Install {
        /// The organisation.
        peer: String,
        /// The whole chain of causes.
        why: String,
    },
    /// Something went on for longer than it may.
    #[error("{what} was not done after {waited:?}")]
    Hung {
        /// What.
        what: String,
        /// How long it had.
        waited: Duration,
    },
    /// A peer did not answer an operator's call.
    #[error("peer \"{peer}\" did not answer: {why}")]
    Operator {
        /// The peer.
        peer: String,
        /// What gRPC said.
        why: String,
    },
}

/// Says what was tried when the operating system refuses.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// Says what was tried when a database refuses.
pub(crate) fn database(what: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Error {
    let what = what.into();
    move |source| Error::Database { what, source }
}

/// An error and its causes in one line: many a `Display` names only the outermost.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
