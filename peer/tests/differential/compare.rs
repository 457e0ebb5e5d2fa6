//! Do the tables hold what they should?

use dejima_testbed::World;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::Result;
use crate::difference::Difference;
use crate::sharing::{OFFICE, OTHERS, REPLACED_SQL, base_rows_sql, dejima_rows_sql};

/// The databases, as their superusers see them.
pub(crate) struct Databases {
    /// The one without Dejima.
    pub(crate) plain: Client,
    /// Each peer's, the office's first.
    pub(crate) peers: Vec<(&'static str, Client)>,
}

/// Where the generated keys of the office are.
const NUMBERS: &str = "SELECT last_value, is_called FROM public.ticket_id_seq";

impl Databases {
    /// Lets the office take the same numbers next as the plain database.
    pub(crate) async fn align_numbers(&self) -> Result<()> {
        let plain = self.plain.query_one(NUMBERS, &[]).await?;
        let (last, is_called): (i64, bool) = (plain.get(0), plain.get(1));
        let (_, office) = &self.peers[0];
        let sql = "SELECT setval('public.ticket_id_seq', $1, $2)";
        office.execute(sql, &[&last, &is_called]).await?;
        Ok(())
    }

    /// Waits until the peers are quiet, then compares everything; the first difference.
    pub(crate) async fn compare(&self, world: &World) -> Result<Option<Difference>> {
        world.await_quiet().await?;
        let expected = rows(&self.plain, &base_rows_sql()).await?;
        let (_, office) = &self.peers[0];
        let found = rows(office, &base_rows_sql()).await?;
        if let Some(difference) = Difference::of_rows(OFFICE, "base tables", &expected, &found) {
            return Ok(Some(difference));
        }
        for (peer, database) in self.peers.iter().filter(|(peer, _)| OTHERS.contains(peer)) {
            let expected = rows(&self.plain, &dejima_rows_sql(peer)).await?;
            let found = rows(database, &dejima_rows_sql(peer)).await?;
            if let Some(difference) = Difference::of_rows(peer, "Dejima tables", &expected, &found)
            {
                return Ok(Some(difference));
            }
            let replaced = rows(database, REPLACED_SQL).await?;
            if !replaced.is_empty() {
                return Ok(Some(Difference::Replaced {
                    peer,
                    rows: replaced,
                }));
            }
        }
        Ok(None)
    }
}

/// Rows as text, sorted by the database.
async fn rows(database: &Client, sql: &str) -> Result<Vec<String>> {
    let messages = database.simple_query(sql).await?;
    let text = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let field = |at| row.get(at).unwrap_or_default();
            Some(format!("{} {}", field(0), field(1)))
        }
        _ => None,
    };
    Ok(messages.iter().filter_map(text).collect())
}
