//! CPU of a session, and what is made of it.

use tokio_postgres::Client;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The table beside the shared one, with the same columns and indexes.
pub(crate) const PLAIN: &str = "plain_users";

/// CPU time of a session's process so far.
pub(crate) async fn cpu_ms(client: &Client) -> Result<f64> {
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
    let pid: i32 = row.get(0);
    let said = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let ns: u64 = said.split(' ').next().unwrap_or_default().parse()?;
    Ok(ns as f64 / 1e6)
}

/// Prints the medians and returns ours.
pub(crate) fn report(what: &str, plain: Vec<f64>, ours: Vec<f64>) -> f64 {
    let (plain, ours) = (median(plain), median(ours));
    println!(
        "{what:44} {plain:>9.3} {ours:>9.3} {:>9.3} {:>9.2}",
        ours - plain,
        ratio(ours, plain)
    );
    ours
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { f64::NAN } else { a / b }
}
