//! Two transactions at once that change different sides of one joined row: neither may miss what only both together make.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use crate::database::{Outcome, Text, said};
use crate::{TestDatabase, strategy};

/// How long a session may take until it waits for the other one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rows that went, and rows that came.
type Change = (Vec<Text>, Vec<Text>);

/// Two statements in two transactions, the second of which asks later and has to wait.
struct Meeting {
    first: &'static str,
    second: &'static str,
    /// What the first changed in the Dejima table, and the second.
    captured: [Change; 2],
}

/// All meetings.
pub(crate) async fn check(database: &mut TestDatabase) -> Outcome<()> {
    let row = |cells: &[&str]| vec![text(cells)];
    let ride = "INSERT INTO public.ride (id, driver, km) VALUES (1, 5, 0)";
    let driver = "INSERT INTO public.driver (id, name) VALUES (5, 'x')";
    let (alone, both) = (row(&["1", "5", ""]), row(&["1", "5", "x"]));
    let left = [
        Meeting {
            first: ride,
            second: driver,
            captured: [(vec![], alone.clone()), (alone, both.clone())],
        },
        Meeting {
            first: driver,
            second: ride,
            captured: [(vec![], vec![]), (vec![], both)],
        },
    ];
    meet(database, "join/left.sql", "", &left, true).await?;

    // Who changes a value that is only shown, and who makes another row that shows it.
    let name = "UPDATE public.customer SET name = 'new' WHERE id = 5";
    let order = "INSERT INTO public.orders (id, customer, amount, state) VALUES (1, 5, 0, 'new')";
    let sale = |name: &str| row(&["1", "5", name, "0.00"]);
    let customer = "INSERT INTO public.customer (id, name, country) VALUES (5, 'old', 'JP')";
    // Several statements are derived one after the other, and locked before.
    let twice =
        "UPDATE public.customer SET name = 'newer'; UPDATE public.customer SET name = 'new'";
    let write = [
        Meeting {
            first: name,
            second: order,
            captured: [(vec![], vec![]), (vec![], sale("new"))],
        },
        Meeting {
            first: twice,
            second: order,
            captured: [(vec![], vec![]), (vec![], sale("new"))],
        },
        Meeting {
            first: order,
            second: twice,
            captured: [
                (vec![], sale("old")),
                (
                    [sale("newer"), sale("old")].concat(),
                    [sale("new"), sale("newer")].concat(),
                ),
            ],
        },
        Meeting {
            first: order,
            second: name,
            captured: [(vec![], sale("old")), (sale("old"), sale("new"))],
        },
    ];
    meet(database, "join/write.sql", customer, &write, false).await?;

    // The value is shown or not, as another table says.
    let customer = "INSERT INTO public.customer (id, name, country) VALUES (5, 'x', 'FR'); \
                    INSERT INTO public.orders (id, customer, amount, state) VALUES (1, 5, 0, 'new')";
    let amount = "UPDATE public.orders SET amount = 1 WHERE id = 1";
    let moves = "UPDATE public.customer SET country = 'JP' WHERE id = 5";
    let japanese = |amount: &str| row(&["1", "5", amount]);
    let filter = [
        Meeting {
            first: amount,
            second: moves,
            captured: [(vec![], vec![]), (vec![], japanese("1.00"))],
        },
        Meeting {
            first: moves,
            second: amount,
            captured: [
                (vec![], japanese("0.00")),
                (japanese("0.00"), japanese("1.00")),
            ],
        },
    ];
    meet(database, "join/filter.sql", customer, &filter, false).await
}

/// Has all of them over one strategy, each in a database as `before` makes it; perhaps the last with an old snapshot, too.
async fn meet(
    database: &mut TestDatabase,
    name: &str,
    before: &str,
    meetings: &[Meeting],
    also_repeatable: bool,
) -> Outcome<()> {
    let strategy = strategy(name).ok_or_else(|| format!("{name} is not accepted"))?;
    let tables = strategy.program.sources();
    let tables: Vec<_> = tables
        .map(|table| format!("public.{}", strategy.program.relation(table).name))
        .collect();
    let bed = database.strategy(&strategy.program).await?;
    let anew = format!("TRUNCATE {}; {before}", tables.join(", "));
    for meeting in meetings {
        run(&bed.another_session().await, &anew).await?;
        let (one, other) = (
            bed.another_session().await,
            Arc::new(bed.another_session().await),
        );
        run(&one, "BEGIN").await?;
        run(&other, "BEGIN").await?;
        run(&one, meeting.first).await?;
        run(&other, meeting.second).await?;
        let [of_first, of_second] = meeting.captured.clone();
        expect(name, "the first", captured(&one).await?, of_first)?;
        let asks = Arc::clone(&other);
        let waiting = tokio::spawn(async move { captured(&asks).await });
        bed.until_somebody_waits(PATIENCE)
            .await
            .map_err(|e| format!("{name}: {}, {}: {e}", meeting.first, meeting.second))?;
        run(&one, "COMMIT").await?;
        let found = waiting.await.map_err(|e| e.to_string())??;
        expect(name, "the second, which waited,", found, of_second)?;
        run(&other, "COMMIT").await?;
    }
    if let (true, Some(last)) = (also_repeatable, meetings.last()) {
        run(&bed.another_session().await, &anew).await?;
        // There is nothing to see after the wait.
        let (one, other) = (bed.another_session().await, bed.another_session().await);
        run(&other, "BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        run(&other, last.first).await?;
        let first = format!("BEGIN; {}; SELECT dejima.derive(); COMMIT", last.second);
        run(&one, &first).await?;
        let refused = captured(&other).await.err().unwrap_or_default();
        if !refused.starts_with("40001") {
            return Err(format!(
                "a transaction with an old snapshot is not refused: \"{refused}\""
            ));
        }
        run(&other, "ROLLBACK").await?;
    }
    bed.clear().await
}

fn text(cells: &[&str]) -> Text {
    cells
        .iter()
        .map(|cell| (!cell.is_empty()).then(|| (*cell).to_owned()))
        .collect()
}

fn expect(strategy: &str, who: &str, found: Change, expected: Change) -> Outcome<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!(
            "{strategy}: {who} captured {found:?}\ninstead of {expected:?}"
        ))
    }
}

async fn run(client: &Client, sql: &str) -> Outcome<()> {
    client.batch_execute(sql).await.map_err(said)
}

/// What the transaction of a session changed in the Dejima table.
async fn captured(client: &Client) -> Outcome<Change> {
    crate::database::captured(client).await
}
