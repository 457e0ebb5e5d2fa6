//! Is anything left in flight, anywhere?

use std::time::Duration;

use dejima_proto::v1::AwaitQuietRequest;
use dejima_testbed::{Error, World};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks: not every fact can be waited for.
const LOOK_POLL: Duration = Duration::from_millis(10);

/// What must be zero.
const FACTS: [(&str, &str); 4] = [
    ("prepared transactions", "FROM pg_prepared_xacts"),
    ("decision rows", "FROM dejima.transaction"),
    ("participant rows", "FROM dejima.participant"),
    (
        "open transactions of the peer",
        "FROM pg_stat_activity WHERE usename = 'dejima' AND xact_start IS NOT NULL",
    ),
];

/// Waits until nothing is in flight; after that time says what still is.
pub(crate) async fn await_rest(world: &World, until: Instant) -> Result<(), String> {
    loop {
        let found = match timeout_at(until, look(world)).await {
            Ok(Ok(found)) if found.is_empty() => return Ok(()),
            Ok(Ok(found)) => found,
            Ok(Err(error)) => error.to_string(),
            // Only to wait for the peers takes long.
            Err(_) => {
                let found = facts(world).await.unwrap_or_else(|error| error.to_string());
                return Err(format!("a peer has transactions in flight; {found}"));
            }
        };
        if Instant::now() > until {
            return Err(found);
        }
        sleep(LOOK_POLL).await;
    }
}

async fn look(world: &World) -> Result<String, Error> {
    for member in world.members() {
        let quiet = world
            .operator(member.name())
            .await_quiet(AwaitQuietRequest {})
            .await;
        if let Err(status) = quiet {
            return Ok(format!("peer {} does not answer: {status}", member.name()));
        }
    }
    facts(world).await
}

async fn facts(world: &World) -> Result<String, Error> {
    let mut found = Vec::new();
    for member in world.members() {
        let database = world.superuser(member.name()).await?;
        for (what, rows) in FACTS {
            let sql = format!("SELECT count(*) {rows}");
            let row = database.query_one(&sql, &[]).await;
            match row.map(|row| row.get::<_, i64>(0)) {
                Ok(0) => {}
                Ok(count) => found.push(format!("{count} {what} at {}", member.name())),
                Err(error) => found.push(format!("{}: {error}", member.name())),
            }
        }
    }
    Ok(found.join(", "))
}
