//! Which refusals are deliberate (sql/README.md): by SQLSTATE and words, so that no other error passes for one.

use tokio_postgres::error::DbError;

/// SQLSTATE, what the message holds, and what it is about.
const DELIBERATE: [(&str, &str, &str); 4] = [
    (
        "0A000",
        "cannot be shared in a",
        "TRUNCATE in a transaction with one snapshot",
    ),
    (
        "55000",
        "after the peers have voted",
        "a change after SET CONSTRAINTS ALL IMMEDIATE",
    ),
    (
        "55000",
        "have voted on this transaction before",
        "a vote that was taken in a savepoint and given back with it",
    ),
    (
        "0A000",
        "cannot put the change of keys",
        "keys that rows exchange",
    ),
];

/// What is refused as if it were stale, at every attempt.
pub(crate) const MOVED_AND_CASCADED: &str =
    "a row whose key one statement changes and that a cascade of it deletes";

/// What a deliberate refusal is about; `None` if the error is none.
pub(crate) fn deliberate(error: &DbError) -> Option<&'static str> {
    let found = DELIBERATE.iter().find(|(sqlstate, words, _)| {
        error.code().code() == *sqlstate && error.message().contains(words)
    });
    found.map(|(_, _, about)| *about)
}
