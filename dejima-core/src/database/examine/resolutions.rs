//! Transactions that the operator ended himself.

use deadpool_postgres::Client;
use tokio_postgres::{Error, Row};

use super::{Finding, or_ok, read_only};

pub(super) const CHECK: &str = "resolutions";

const RESOLUTIONS: &str =
    "SELECT gid, parent, decision, contradicted_by FROM dejima.resolution ORDER BY resolved";

pub(super) async fn examine(client: &mut Client) -> Result<Vec<Finding>, Error> {
    let transaction = read_only(client).await?;
    let rows = transaction.query(RESOLUTIONS, &[]).await?;
    let faults = rows.iter().map(fault).collect();
    Ok(or_ok(CHECK, faults, "none is open"))
}

fn fault(row: &Row) -> Finding {
    let (gid, parent, chosen): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
    match row.get::<_, Option<&str>>(3) {
        None => Finding::warning(
            CHECK,
            format!("{gid} was ended by its operator with {chosen}; the decision is not known yet"),
            format!("start peer \"{parent}\", which knows the decision or asks for it"),
        ),
        Some(decision) => Finding::critical(
            CHECK,
            format!(
                "{gid} was ended by its operator with {chosen}, but the decision is {decision}: the copies differ"
            ),
            format!(
                "compare the rows of the Dejima tables with the other members', mend them, then: \
                 DELETE FROM dejima.resolution WHERE gid = {}",
                crate::strategy::literal(gid)
            ),
        ),
    }
}
