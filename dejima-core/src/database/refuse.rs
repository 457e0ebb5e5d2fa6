//! What PostgreSQL refuses, in words that may travel to another organisation.
//!
//! PostgreSQL's own messages quote values and rows, which the client's organisation may not see (invariant 5). So
//! only SQLSTATEs and names travel, and messages that somebody wrote for the purpose: ours, and RAISE in a
//! trigger of the base table.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::name::PeerName;
use crate::refusal::{Refusal, sqlstate};

/// The refusal for an error of a put, of taking the log, or of PREPARE TRANSACTION.
pub(super) fn refusal(peer: &PeerName, error: &Error) -> Refusal {
    let Some(db) = error.as_db_error() else {
        return refuse(
            peer,
            sqlstate::CONNECTION_FAILURE,
            format!("peer \"{peer}\" has lost its database"),
            format!(
                "The session of peer \"{peer}\" with its database ended; its part of the transaction is rolled back."
            ),
            "Try the transaction again.",
        );
    };
    match db.code() {
        // Also P0001: the words of a RAISE in the operator's own trigger.
        _ if db.schema() == Some("dejima") => ours(peer, db),
        &SqlState::RAISE_EXCEPTION => refuse(
            peer,
            db.code().code(),
            db.message().to_owned(),
            format!("Said by a trigger or function at peer \"{peer}\"."),
            "See what that peer asks for; the same change will be refused again.",
        ),
        &SqlState::LOCK_NOT_AVAILABLE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::T_R_SERIALIZATION_FAILURE => conflict(peer, db),
        code if code.code().starts_with("23") => constraint(peer, db),
        _ => other(peer, db),
    }
}

/// No session is free.
pub(super) fn exhausted(peer: &PeerName, sessions: usize) -> Refusal {
    refuse(
        peer,
        SqlState::TOO_MANY_CONNECTIONS.code(),
        format!("peer \"{peer}\" has too many open transactions"),
        format!("All {sessions} sessions of peer \"{peer}\" with its database are busy."),
        "Try again; its operator can raise `pool`.",
    )
}

/// The session that held the transaction is gone.
pub(super) fn not_open(peer: &PeerName) -> Refusal {
    refuse(
        peer,
        sqlstate::SERIALIZATION_FAILURE,
        format!("peer \"{peer}\" no longer has its part of the transaction"),
        format!("The session of peer \"{peer}\" with its database ended before the vote."),
        "Try the transaction again.",
    )
}

fn refuse(peer: &PeerName, sqlstate: &str, message: String, detail: String, hint: &str) -> Refusal {
    Refusal {
        peer: peer.clone(),
        sqlstate: sqlstate.to_owned(),
        message,
        detail,
        hint: hint.to_owned(),
    }
}

fn ours(peer: &PeerName, db: &DbError) -> Refusal {
    let detail = db
        .detail()
        .map_or_else(|| format!("Refused by peer \"{peer}\"."), str::to_owned);
    refuse(
        peer,
        db.code().code(),
        db.message().to_owned(),
        detail,
        db.hint().unwrap_or_default(),
    )
}

fn conflict(peer: &PeerName, db: &DbError) -> Refusal {
    let why = match *db.code() {
        SqlState::LOCK_NOT_AVAILABLE => {
            "another transaction there holds a row or table that this one needs"
        }
        SqlState::T_R_DEADLOCK_DETECTED => "two transactions there waited for each other",
        _ => "another transaction there changed the same data",
    };
    refuse(
        peer,
        sqlstate::SERIALIZATION_FAILURE,
        format!("conflict at peer \"{peer}\""),
        format!("At peer \"{peer}\" {why}."),
        "Try the transaction again.",
    )
}

fn constraint(peer: &PeerName, db: &DbError) -> Refusal {
    let table = db.table().map_or_else(
        || "a table".to_owned(),
        |table| format!("table \"{table}\""),
    );
    let what = match (db.constraint(), db.column()) {
        (Some(constraint), _) => format!("constraint \"{constraint}\""),
        (None, Some(column)) => format!("NOT NULL of column \"{column}\""),
        (None, None) => format!("a constraint of {table}"),
    };
    refuse(
        peer,
        db.code().code(),
        format!("{what} of peer \"{peer}\" refuses the change"),
        format!("Peer \"{peer}\" refuses: {what} of {table}."),
        "The same change will be refused again; that peer can say which values it takes.",
    )
}

fn other(peer: &PeerName, db: &DbError) -> Refusal {
    let named = [
        ("table", db.table()),
        ("column", db.column()),
        ("type", db.datatype()),
    ];
    let named: String = named
        .iter()
        .filter_map(|(what, name)| Some(format!(", {what} \"{}\"", (*name)?)))
        .collect();
    refuse(
        peer,
        db.code().code(),
        format!("peer \"{peer}\" cannot take the change"),
        format!(
            "The database of peer \"{peer}\" answered with SQLSTATE {}{named}.",
            db.code().code()
        ),
        "The log of that peer has the whole message.",
    )
}
