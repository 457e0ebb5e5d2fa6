//! What a peer is told at its start: a TOML file, over it the environment (`DEJIMA_*`), over that flags.

mod address;
mod arguments;
mod error;
mod file;
mod layers;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use dejima_core::name::{PeerName, TableName};
use dejima_core::strategy::TableDeclaration;

pub use address::LocalAddress;
pub use arguments::Arguments;
pub use error::Error;
pub use layers::read;

/// A complete and checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The peer's name.
    pub name: PeerName,
    /// Which kind of organisation it is, for people; empty if not said.
    pub kind: String,
    /// Where it listens for other peers, `HOST:PORT`.
    pub listen: String,
    /// Where others reach it, `http://HOST:PORT`.
    pub advertise: String,
    /// Where it listens for the helper and the operator.
    pub local: LocalAddress,
    /// Where it serves what it counts, `HOST:PORT`; nowhere if it is absent.
    pub metrics: Option<String>,
    /// Threads of the runtime; 1 runs everything on the main thread.
    pub threads: usize,
    /// Its database.
    pub database: DatabaseConfig,
    /// Bounds of waiting and size.
    pub limits: LimitsConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Its Dejima tables.
    pub tables: Vec<TableDeclaration>,
    /// Addresses of peers that share a Dejima table; a table without any is founded by this peer.
    pub seeds: BTreeMap<TableName, Vec<String>>,
    /// What is strange but no mistake.
    pub warnings: Vec<String>,
}

/// How the database is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// A connection string as libpq takes it.
    pub url: String,
    /// The most connections held.
    pub pool: usize,
}

/// Bounds of waiting and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// From the hook's call to the last vote.
    pub transaction_ms_max: u64,
    /// How long a put waits for a row that another transaction holds.
    pub lock_wait_ms_max: u64,
    /// The most bytes of one delta from another peer that are held in memory: a batch, or its largest row.
    pub delta_bytes_max: usize,
    /// The most bytes of captures that wait in temporary files.
    pub capture_bytes_max: u64,
    /// How long the peer finishes its transactions when it is told to stop.
    pub stop_ms_max: u64,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// In the words of tracing's `EnvFilter`: "info", "dejima_peer=debug", ...
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
