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
        let found = look(world, until).await;
        if found.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(found.join(", "));
        }
        sleep(LOOK_POLL).await;
    }
}

async fn look(world: &World, until: Instant) -> Vec<String> {
    let mut found = Vec::new();
    for member in world.members() {
        let mut operator = world.operator(member.name());
        match timeout_at(until, operator.await_quiet(AwaitQuietRequest {})).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => found.push(format!("peer {}: {status}", member.name())),
            Err(_) => found.push(format!("transactions in flight at peer {}", member.name())),
        }
    }
    match facts(world).await {
        Ok(facts) => found.extend(facts),
        Err(error) => found.push(error.to_string()),
    }
    found
}

async fn facts(world: &World) -> Result<Vec<String>, Error> {
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
    Ok(found)
}
