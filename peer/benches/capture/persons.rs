//! The persons of the measurements.

use std::ops::RangeInclusive;

use tokio_postgres::Client;

use crate::alone::series;
use crate::measure::{PLAIN, Result};

/// Room on each page, so that an update can stay on it.
pub(crate) async fn make_room(superuser: &Client, table: &str) -> Result<()> {
    make_twin(superuser, table, PLAIN).await
}

/// The same for any table, and one beside it with the same columns and indexes.
pub(crate) async fn make_twin(superuser: &Client, table: &str, plain: &str) -> Result<()> {
    let sql = format!(
        "ALTER TABLE {table} SET (fillfactor = 45, autovacuum_enabled = false);
         CREATE TABLE {plain} (LIKE {table} INCLUDING ALL) WITH (fillfactor = 45, autovacuum_enabled = false);
         GRANT ALL ON {plain} TO PUBLIC"
    );
    Ok(superuser.batch_execute(&sql).await?)
}

/// The same persons in both tables, past the triggers.
pub(crate) async fn fill(superuser: &Client, table: &str, rows: RangeInclusive<u64>) -> Result<()> {
    let persons = format!(
        "SELECT 'first' || i, 'last' || i, 'address ' || i FROM {}",
        series(&rows)
    );
    for sql in [
        "SET session_replication_role = replica".to_owned(),
        format!("INSERT INTO {table} (first_name, last_name, address) {persons}"),
        format!("INSERT INTO {PLAIN} (first_name, last_name, address) {persons}"),
        format!("VACUUM ANALYZE {table}, {PLAIN}"),
    ] {
        superuser.batch_execute(&sql).await?;
    }
    Ok(())
}
