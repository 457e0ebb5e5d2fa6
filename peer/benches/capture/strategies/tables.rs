//! The base tables of the strategies that are measured, and beside each a plain one of the same form.

use std::ops::RangeInclusive;

use tokio_postgres::Client;

use crate::alone::series;
use crate::measure::Result;
use crate::persons::make_twin;

/// As the strategies see them.
pub(super) const SCHEMA: &str = "
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP');
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount int NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'new');
CREATE TABLE bus (id int PRIMARY KEY, seats int);
CREATE TABLE taxi (id int PRIMARY KEY, seats int);
";

/// Each with what its row `i` has.
const ROWS: [(&str, &str); 4] = [
    ("customer", "(id, name) SELECT i, 'name ' || i"),
    ("orders", "(id, customer, amount) SELECT i, i, 0"),
    ("bus", "(id, seats) SELECT i, 0"),
    ("taxi", "(id, seats) SELECT i, 0"),
];

/// The plain table beside it.
pub(super) fn plain(table: &str) -> String {
    format!("plain_{table}")
}

/// Makes the plain tables, and room on each page.
pub(super) async fn make(superuser: &Client) -> Result<()> {
    let more =
        "CREATE INDEX ON orders (customer); GRANT ALL ON ALL TABLES IN SCHEMA public TO dejima";
    superuser.batch_execute(more).await?;
    for (table, _) in ROWS {
        make_twin(superuser, table, &plain(table)).await?;
    }
    let key = "ALTER TABLE plain_orders ADD FOREIGN KEY (customer) REFERENCES plain_customer";
    Ok(superuser.batch_execute(key).await?)
}

/// Adds these rows to all of them, past the triggers.
pub(super) async fn fill(superuser: &Client, rows: RangeInclusive<u64>) -> Result<()> {
    superuser
        .batch_execute("SET session_replication_role = replica")
        .await?;
    for (table, row) in ROWS {
        for table in [table.to_owned(), plain(table)] {
            let insert = format!("INSERT INTO {table} {row} FROM {}", series(&rows));
            superuser.batch_execute(&insert).await?;
            superuser
                .batch_execute(&format!("VACUUM ANALYZE {table}"))
                .await?;
        }
    }
    Ok(())
}
