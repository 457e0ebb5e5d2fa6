//! The daemon beside one organisation's database.
//!
//! [`daemon::run`] is the whole life of a peer. One task, the [`event_loop`], owns the machines of
//! `dejima-core`; everything else here carries events to it and carries out what it wants: [`server`] and
//! [`client`] speak gRPC, [`wire`] translates, [`capture`] puts large captures together, [`metrics`] serves what is counted. [`helper`]
//! is what the program `dejima-callback` reads and says.

pub mod capture;
pub mod client;
pub mod config;
pub mod copies;
pub mod daemon;
pub mod event;
pub mod event_loop;
pub mod helper;
pub mod logging;
pub mod metrics;
pub mod operator;
mod pending;
pub mod server;
pub mod spool;
pub mod store;
pub mod wire;

/// The largest message taken, but for deltas: captures come in parts below this, everything else is small.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// How much of one call may be under way unread: a part of a delta.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// How much of one connection may be under way unread.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
