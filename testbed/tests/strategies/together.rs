//! Two transactions at once that change different sides of one joined row: neither may miss what only both together make.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::database::{Outcome, Text, said};
use crate::{TestDatabase, strategy};

/// How long a session may take until it waits for the other one.
const PATIENCE: Duration = Duration::from_secs(20);

const WAITS: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted";

/// A ride and its driver come in two transactions, in both orders of asking.
pub(crate) async fn check(database: &mut TestDatabase) -> Outcome<()> {
    let strategy = strategy("join/left.sql").ok_or("join/left.sql is not accepted")?;
    let bed = database.strategy(&strategy.program).await?;
    let ride = "INSERT INTO public.ride (id, driver, km) VALUES (1, 5, 0)";
    let driver = "INSERT INTO public.driver (id, name) VALUES (5, 'x')";
    let alone = vec![text(&["1", "5", ""])];
    let both = vec![text(&["1", "5", "x"])];
    for (first, second, of_first, of_second) in [
        (
            ride,
            driver,
            (vec![], alone.clone()),
            (alone.clone(), both.clone()),
        ),
        (driver, ride, (vec![], vec![]), (vec![], both.clone())),
    ] {
        let (one, other) = (
            bed.another_session().await,
            Arc::new(bed.another_session().await),
        );
        run(&one, "BEGIN").await?;
        run(&other, "BEGIN").await?;
        run(&one, first).await?;
        run(&other, second).await?;
        expect("the first", captured(&one).await?, of_first)?;
        let asks = Arc::clone(&other);
        let waiting = tokio::spawn(async move { captured(&asks).await });
        bed.until_somebody_waits(WAITS, Instant::now() + PATIENCE)
            .await?;
        run(&one, "COMMIT").await?;
        let found = waiting.await.map_err(|e| e.to_string())??;
        expect("the second, which waited,", found, of_second)?;
        run(
            &other,
            "COMMIT; DELETE FROM public.ride; DELETE FROM public.driver",
        )
        .await?;
    }
    // With an old snapshot there is nothing to see after the wait.
    let (one, other) = (bed.another_session().await, bed.another_session().await);
    run(&other, "BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    run(&other, driver).await?;
    run(
        &one,
        &format!("BEGIN; {ride}; SELECT dejima.derive(); COMMIT"),
    )
    .await?;
    let refused = captured(&other).await.err().unwrap_or_default();
    if !refused.starts_with("40001") {
        return Err(format!(
            "a transaction with an old snapshot is not refused: \"{refused}\""
        ));
    }
    run(&other, "ROLLBACK").await?;
    run(&one, "DELETE FROM public.ride").await?;
    bed.clear().await
}

fn text(cells: &[&str]) -> Text {
    cells
        .iter()
        .map(|cell| (!cell.is_empty()).then(|| (*cell).to_owned()))
        .collect()
}

fn expect(
    who: &str,
    found: (Vec<Text>, Vec<Text>),
    expected: (Vec<Text>, Vec<Text>),
) -> Outcome<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{who} captured {found:?}\ninstead of {expected:?}"))
    }
}

async fn run(client: &Client, sql: &str) -> Outcome<()> {
    client.batch_execute(sql).await.map_err(said)
}

/// What the transaction of a session changed in the Dejima table.
async fn captured(client: &Client) -> Outcome<(Vec<Text>, Vec<Text>)> {
    crate::database::captured(client).await
}
