//! What goes wrong with a database, and what the operator does about it.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use crate::name::PeerName;
use crate::strategy::Invalid;

/// Why the database cannot be used as asked. Nothing is left half done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection string.
    #[error(
        "peer \"{peer}\": the database url cannot be read: {why}; write it as \"host=... dbname=... user=dejima\""
    )]
    Url {
        /// The peer.
        peer: PeerName,
        /// What the parser said.
        why: String,
    },
    /// No session.
    #[error(
        "peer \"{peer}\": no session with the database at {place}: {why}; {cure}", cure = if *passing { "see that it runs there" } else { "correct the url; see that Dejima is installed (`dejima install` makes role dejima) and that pg_hba.conf lets the role in" }
    )]
    Unreachable {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
        /// What was tried and said.
        why: String,
        /// Whether trying again can help, see [`Error::is_unreachable`].
        passing: bool,
    },
    /// Another role than `dejima`, or a superuser.
    #[error(
        "peer \"{peer}\": logged in to {place} as role \"{role}\"; log in as role \"dejima\" (user=dejima in the url), which must not be a superuser"
    )]
    WrongRole {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
        /// As whom.
        role: String,
    },
    /// The server cannot prepare transactions.
    #[error(
        "peer \"{peer}\": the server at {place} has max_prepared_transactions = 0; run as superuser: ALTER SYSTEM SET max_prepared_transactions = 100, and restart the server"
    )]
    NoPreparedTransactions {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
    },
    /// plsh is not in the database.
    #[error(
        "peer \"{peer}\": the database at {place} has no plsh; install the package on its server (Debian: postgresql-15-plsh), then install Dejima into the database as superuser with `dejima install`"
    )]
    NoPlsh {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
    },
    /// Nothing is installed.
    #[error(
        "peer \"{peer}\": Dejima is not installed in the database at {place}; install it as superuser with `dejima install`"
    )]
    NotInstalled {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
    },
    /// Another peer's database.
    #[error(
        "peer \"{peer}\": the database at {place} belongs to peer \"{owner}\"; correct the url or the peer's name"
    )]
    OtherPeer {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
        /// Whose it is.
        owner: String,
    },
    /// Installed by another version.
    #[error("peer \"{peer}\": the database at {place} has version {version} of Dejima's schema, and this peer needs version {needed}; install again as superuser with `dejima install`", needed = super::VERSION)]
    OtherVersion {
        /// The peer.
        peer: PeerName,
        /// Where.
        place: String,
        /// What is there.
        version: i32,
    },
    /// The helper that plsh starts.
    #[error(
        "peer \"{peer}\": the helper {helper} {finding}; correct its mode and those of the folders above it, or install again with another path"
    )]
    Helper {
        /// The peer.
        peer: PeerName,
        /// Its path on the database's server.
        helper: String,
        /// What the server found.
        finding: String,
    },
    /// A declaration that cannot be carried out.
    #[error("peer \"{peer}\": {invalid}")]
    Declaration {
        /// The peer.
        peer: PeerName,
        /// What is wrong.
        invalid: Invalid,
    },
    /// A base table that cannot be shared as it is, or SQL of a declaration that PostgreSQL refuses.
    #[error("peer \"{peer}\", Dejima table \"{table}\": {problem}; {cure}")]
    BaseTable {
        /// The peer.
        peer: PeerName,
        /// The Dejima table.
        table: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        cure: String,
    },
    /// Transactions in doubt were made with what would be changed.
    #[error(
        "peer \"{peer}\": transactions are in doubt, and were made with what would be changed: {gids}; start the peer, which ends them (`dejima tx list` shows them), and apply then"
    )]
    InDoubt {
        /// The peer.
        peer: PeerName,
        /// Which.
        gids: String,
    },
    /// There is nothing to go back to.
    #[error("peer \"{peer}\": nothing was applied by `dejima strategy apply` that could be undone")]
    NothingApplied {
        /// The peer.
        peer: PeerName,
    },
    /// The installation was refused.
    #[error("peer \"{peer}\": the installation failed: {why}")]
    Install {
        /// The peer.
        peer: PeerName,
        /// What PostgreSQL said.
        why: String,
    },
    /// PostgreSQL refused something that should work.
    #[error("peer \"{peer}\": {doing} failed: {why}")]
    Failed {
        /// The peer.
        peer: PeerName,
        /// What was tried.
        doing: &'static str,
        /// What PostgreSQL said.
        why: String,
    },
}

impl Error {
    /// True while the database may still come: nobody answers, or it is starting, stopping or full. Whatever else
    /// a server says (no such database, no such role, a wrong password) it will say again.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { passing: true, .. })
    }

    pub(super) fn url(peer: &PeerName, error: &tokio_postgres::Error) -> Self {
        Self::Url {
            peer: peer.clone(),
            why: describe(error),
        }
    }

    pub(super) fn unreachable(
        peer: &PeerName,
        place: &str,
        error: &deadpool_postgres::PoolError,
    ) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::no_session(peer, place, error),
            other => Self::Unreachable {
                peer: peer.clone(),
                place: place.to_owned(),
                why: other.to_string(),
                passing: true,
            },
        }
    }

    pub(super) fn no_session(peer: &PeerName, place: &str, error: &tokio_postgres::Error) -> Self {
        Self::Unreachable {
            peer: peer.clone(),
            place: place.to_owned(),
            why: describe(error),
            passing: is_passing(error),
        }
    }
}

/// Of what a server says, these pass; of what the client finds, everything but a mistake in the connection string
/// and a server that wants another kind of login or TLS.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    match (error.code(), error.source()) {
        (Some(code), _) => [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
        ]
        .contains(code),
        (None, Some(cause)) => cause.is::<std::io::Error>(),
        (None, None) => true,
    }
}

/// An error of PostgreSQL with its hint, or of the connection with its cause. For the operator: it may quote rows.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let more = [db.detail(), db.hint()]
            .into_iter()
            .flatten()
            .map(|text| format!(" {text}"));
        return format!(
            "{} (SQLSTATE {}){}",
            db.message(),
            db.code().code(),
            more.collect::<String>()
        );
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
