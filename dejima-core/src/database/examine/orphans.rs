//! What nobody will finish: prepared transactions and rows about transactions that the machine does not hold, and
//! prepared transactions of others that hold back vacuum.

use std::collections::BTreeSet;
use std::time::Duration;

use deadpool_postgres::Client;
use tokio_postgres::{Error, Row};

use super::{Finding, or_ok, read_only};
use crate::database::outcome::gid_and_parent;
use crate::name::{Gid, PeerName};

pub(super) const CHECK: &str = "orphans";

/// A transaction that has ended in the machine is forgotten in the database within this time.
const GONE_MAX: Duration = Duration::from_secs(2);
const GONE_POLL: Duration = Duration::from_millis(100);

const TRACES: &str = "
SELECT 'prepared transaction', gid FROM pg_prepared_xacts
WHERE database = current_database() AND starts_with(gid, $1)
UNION ALL SELECT 'decision row', gid FROM dejima.transaction
UNION ALL SELECT 'participant row', gid FROM dejima.participant";

/// Another peer's, in its own database, is judged there.
const OF_OTHERS: &str = "
SELECT gid, database::text, owner::text, extract(epoch FROM now() - prepared)::bigint / 3600 FROM pg_prepared_xacts
WHERE prepared < now() - interval '1 hour' AND NOT (database = current_database() AND starts_with(gid, $1))
  AND NOT (database <> current_database() AND starts_with(gid, 'dejima:'))
ORDER BY prepared";

/// Visible rows are leftovers: a transaction takes its own rows away before it ends.
const LEFT_OVER: &str = "SELECT count(*) FROM (SELECT FROM dejima.delta UNION ALL SELECT FROM dejima.pending LIMIT 10000) AS d";

/// Something in the database about a transaction that has promised or was decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    /// The transaction.
    pub gid: Gid,
    /// What it is.
    kind: String,
    /// The name of the prepared transaction, or the gid.
    name: String,
}

pub(super) async fn traces(client: &Client, me: &PeerName) -> Result<BTreeSet<Trace>, Error> {
    let mine = format!("dejima:{me}:");
    let rows = client.query(TRACES, &[&mine]).await?;
    let trace = |row: &Row| {
        let (kind, name): (String, String) = (row.get(0), row.get(1));
        let gid = if kind == "prepared transaction" {
            gid_and_parent(me, &name)?.0
        } else {
            Gid::new(&name).ok()?
        };
        Some(Trace { gid, kind, name })
    };
    Ok(rows.iter().filter_map(trace).collect())
}

pub(super) async fn examine(
    client: &mut Client,
    me: &PeerName,
    unclaimed: &BTreeSet<Trace>,
) -> Result<Vec<Finding>, Error> {
    let faults = staying(client, me, unclaimed)
        .await?
        .iter()
        .map(orphan)
        .collect();
    let mut findings = or_ok(
        CHECK,
        faults,
        "the peer knows every transaction that the database holds",
    );
    let transaction = read_only(client).await?;
    let mine = format!("dejima:{me}:");
    let others = transaction.query(OF_OTHERS, &[&mine]).await?;
    let faults = others.iter().map(of_others).collect();
    findings.extend(or_ok(
        "prepared",
        faults,
        "no old prepared transaction of others",
    ));
    let left: i64 = transaction.query_one(LEFT_OVER, &[]).await?.get(0);
    if left > 0 {
        findings.push(Finding::warning(
            CHECK,
            format!("{left} rows in dejima.delta and dejima.pending of transactions that are over: their changes reached nobody"),
            "compare the copies, then: DELETE FROM dejima.delta; DELETE FROM dejima.pending",
        ));
    }
    Ok(findings)
}

/// Those that are still there after the time in which what has ended is forgotten.
async fn staying(
    client: &Client,
    me: &PeerName,
    unclaimed: &BTreeSet<Trace>,
) -> Result<BTreeSet<Trace>, Error> {
    let mut staying = unclaimed.clone();
    let until = tokio::time::Instant::now() + GONE_MAX;
    while !staying.is_empty() {
        let now = traces(client, me).await?;
        staying.retain(|trace| now.contains(trace));
        if tokio::time::Instant::now() >= until {
            break;
        }
        tokio::time::sleep(GONE_POLL).await;
    }
    Ok(staying)
}

fn orphan(trace: &Trace) -> Finding {
    Finding::warning(
        CHECK,
        format!("the peer does not know the {} {}", trace.kind, trace.name),
        "restart the peer: it takes up again what it finds",
    )
}

fn of_others(row: &Row) -> Finding {
    let (gid, database, owner): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
    let (hours, name): (i64, _) = (row.get(3), crate::strategy::literal(gid));
    Finding::warning(
        "prepared",
        format!(
            "prepared transaction {name} of role \"{owner}\" in database \"{database}\" is {hours} h old: it holds locks \
             and keeps vacuum from removing rows"
        ),
        format!(
            "ask whoever prepared it; then, in that database: COMMIT PREPARED {name} or ROLLBACK PREPARED {name}"
        ),
    )
}
