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

/// Views of the plain tables that show what the strategies show, where PostgreSQL asks for a trigger that says how they are written:
/// the shortest that does.
const VIEWS: &str = "
CREATE VIEW plain_sale AS SELECT o.id, o.customer, c.name, o.amount FROM plain_orders o JOIN plain_customer c ON o.customer = c.id;
CREATE FUNCTION write_sale() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.amount IS DISTINCT FROM OLD.amount THEN UPDATE plain_orders SET amount = NEW.amount WHERE id = OLD.id; END IF;
  IF NEW.name IS DISTINCT FROM OLD.name THEN UPDATE plain_customer SET name = NEW.name WHERE id = OLD.customer; END IF;
  RETURN NEW; END $$;
CREATE TRIGGER write INSTEAD OF UPDATE ON plain_sale FOR EACH ROW EXECUTE FUNCTION write_sale();
CREATE VIEW plain_fleet AS SELECT 'bus' AS kind, id, seats FROM plain_bus UNION ALL SELECT 'taxi', id, seats FROM plain_taxi;
CREATE FUNCTION write_fleet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF OLD.kind = 'bus' THEN UPDATE plain_bus SET seats = NEW.seats WHERE id = OLD.id;
  ELSE UPDATE plain_taxi SET seats = NEW.seats WHERE id = OLD.id; END IF;
  RETURN NEW; END $$;
CREATE TRIGGER write INSTEAD OF UPDATE ON plain_fleet FOR EACH ROW EXECUTE FUNCTION write_fleet();
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
    superuser.batch_execute(key).await?;
    Ok(superuser.batch_execute(VIEWS).await?)
}

/// Fills each page again, as far as room is not left on it.
pub(super) async fn fill_pages(superuser: &Client, table: &str, room: Room) -> Result<()> {
    let fillfactor = match room {
        Room::Left => 45,
        Room::None => 100,
    };
    for table in [table.to_owned(), plain(table)] {
        let set = format!("ALTER TABLE {table} SET (fillfactor = {fillfactor})");
        superuser.batch_execute(&set).await?;
        let fill = format!("VACUUM (FULL, ANALYZE) {table}");
        superuser.batch_execute(&fill).await?;
    }
    Ok(())
}

/// Whether an update can stay on its page, and no index is written.
#[derive(Clone, Copy)]
pub(super) enum Room {
    Left,
    /// As tables are made by default.
    None,
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
