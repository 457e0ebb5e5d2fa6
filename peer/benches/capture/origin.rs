//! What the client's session pays: for the statement, the capture and the hook.

use dejima_core::strategy::Declaration;
use dejima_testbed::World;
use serde_json::json;
use tokio_postgres::Client;

use crate::alone::Alone;
use crate::measure::{PLAIN, Result, cpu_ms, ratio, report};
use crate::participant::ROWS;
use crate::persons;

/// Rows of the table when it is large.
const LARGE: u64 = 1_000_000;
/// One-row transactions of a measurement.
const SINGLES: u64 = 1_000;
/// Statements of a session before it counts as old.
const OLD: u64 = 10_000;

/// The shared table of the database without peers.
const SHARED: &str = "users";
/// The columns of the worked example's bank; one Dejima table shows four of them.
const TABLES: &str = "
    CREATE TABLE users (first_name text, last_name text, phone text, address text, risk_factor integer,
      PRIMARY KEY (first_name, last_name));
    GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON users TO dejima";

/// Capture and hook alone: the callback answers at once.
pub(crate) async fn measure(turns: usize) -> Result<()> {
    let alone = Alone::start(TABLES).await?;
    let superuser = &alone.superuser;
    let declaration: Declaration = serde_json::from_value(
        json!({"name": "ShareUsers", "base_table": "public.users", "key": ["first_name", "last_name"],
        "columns": ["first_name", "last_name", "phone", "address"]}),
    )?;
    alone.declare(&[declaration.into()]).await?;
    persons::make_room(superuser, SHARED).await?;
    persons::fill(superuser, SHARED, 1..=ROWS).await?;

    heading();
    let client = alone.client().await?;
    let new = singles(&client, SHARED, "one row, a new session", turns).await?;
    many(&client, SHARED, turns).await?;
    for _ in 0..OLD / SINGLES {
        one_by_one(&client, SHARED, SINGLES).await?;
    }
    let old = singles(&client, SHARED, "one row, after 10,000 statements", turns).await?;
    persons::fill(superuser, SHARED, ROWS + 1..=LARGE).await?;
    let client = alone.client().await?;
    let large = singles(&client, SHARED, "one row of 1,000,000", turns).await?;
    println!(
        "ours: old session x {:.2}, large table x {:.2}",
        ratio(old, new),
        ratio(large, new)
    );
    Ok(())
}

/// The same with the helper, which plsh forks, and three peers; two Dejima tables show the bank's table.
pub(crate) async fn measure_with_peers(world: &World, turns: usize) -> Result<()> {
    heading();
    let client = world.client("bank").await?;
    singles(&client, "bank_users", "one row, helper and peers", turns).await?;
    many(&client, "bank_users", turns).await
}

fn heading() {
    println!("CPU of the client's session, COMMIT and hook included");
    println!(
        "{:44} {:>9} {:>9} {:>9} {:>9}",
        "", "plain ms", "ours ms", "more ms", "ratio"
    );
}

/// Milliseconds a transaction that updates one row costs in the shared table.
async fn singles(client: &Client, table: &str, what: &str, turns: usize) -> Result<f64> {
    let (mut plain, mut ours) = (vec![], vec![]);
    for _ in 0..turns {
        plain.push(one_by_one(client, PLAIN, SINGLES).await? / SINGLES as f64);
        ours.push(one_by_one(client, table, SINGLES).await? / SINGLES as f64);
    }
    Ok(report(what, plain, ours))
}

async fn many(client: &Client, shared: &str, turns: usize) -> Result<()> {
    let (mut plain, mut ours) = (vec![], vec![]);
    for turn in 0..turns {
        for (table, times) in [(PLAIN, &mut plain), (shared, &mut ours)] {
            let sql = format!("UPDATE {table} SET phone = 'many {turn}'");
            let before = cpu_ms(client).await?;
            client.batch_execute(&sql).await?;
            times.push(cpu_ms(client).await? - before);
        }
    }
    report("10,000 rows in one statement", plain, ours);
    Ok(())
}

/// CPU of so many transactions, in milliseconds.
async fn one_by_one(client: &Client, table: &str, number: u64) -> Result<f64> {
    let sql = format!("UPDATE {table} SET phone = $1 WHERE first_name = $2 AND last_name = $3");
    let update = client.prepare(&sql).await?;
    let before = cpu_ms(client).await?;
    for at in 1..=number {
        // Another value each time, so that each is a change.
        let phone = format!("{before} {at}");
        let (first, last) = (format!("first{at}"), format!("last{at}"));
        client.execute(&update, &[&phone, &first, &last]).await?;
    }
    Ok(cpu_ms(client).await? - before)
}
