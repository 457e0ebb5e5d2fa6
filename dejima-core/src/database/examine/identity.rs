//! Whether this is the database that the peer began with, in its newest state.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::{Finding, read_only};
use crate::examine::overtaken;

pub(super) const CHECK: &str = "backup";

const PEER: &str = "SELECT incarnation, overtaken_by::text FROM dejima.peer";

pub(super) async fn examine(client: &mut Client, incarnation: u64) -> Result<Vec<Finding>, Error> {
    let transaction = read_only(client).await?;
    let row = transaction.query_one(PEER, &[]).await?;
    let counted = row.get::<_, i64>(0).unsigned_abs();
    let note: Option<&str> = row.get(1);
    // Written by this crate alone; what cannot be read must not hide that something is there.
    let note = note.map(|text| serde_json::from_str(text).map_err(|_| text.to_owned()));
    let mut findings = vec![match note {
        None => overtaken(None),
        Some(Ok(note)) => overtaken(Some(&note)),
        Some(Err(text)) => Finding::critical(
            CHECK,
            format!("dejima.peer.overtaken_by holds {text}"),
            "compare each Dejima table with another member's copy, then: UPDATE dejima.peer SET overtaken_by = NULL",
        ),
    }];
    findings.push(if counted == incarnation {
        Finding::ok("identity", format!("this is start {incarnation} of the peer"))
    } else {
        Finding::critical(
            "identity",
            format!(
                "the database has counted {counted} starts of the peer, and this is start {incarnation}: it was replaced \
                 while the peer ran, or a second process of the peer runs"
            ),
            "restart the peer; see that it runs once only",
        )
    });
    Ok(findings)
}
