//! What the peer's copy of a Dejima table amounts to, so that two members can compare theirs without showing them.

use super::error::describe;
use super::{Database, DeclaredTable};
use crate::examine::Digest;
use crate::strategy::identifier;

/// A copy is read as a whole: that takes a second for a million rows.
const STATEMENT_MAX: &str = "50s";

/// The form in which values travel (sql/README.md), so that equal rows have equal texts everywhere.
const SETTINGS: &str = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL DateStyle = 'ISO, YMD'; \
     SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = UTC; SET LOCAL extra_float_digits = 3; \
     SET LOCAL bytea_output = hex; SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = content; SET LOCAL jit = off; \
     SET LOCAL enable_seqscan = on; SET LOCAL lock_timeout = '1s'";

impl Database {
    /// The number of rows, and a sum over them that does not depend on their order.
    pub async fn digest(&self, table: &DeclaredTable) -> Result<Digest, String> {
        let columns = table.schema.columns.iter();
        let columns: Vec<_> = columns.map(|column| identifier(&column.name)).collect();
        let sql = format!(
            "SELECT count(*), coalesce(sum(('x' || left(h.md5, 15))::bit(60)::bigint::numeric), 0)::text || '/' || \
               coalesce(sum(('x' || right(h.md5, 15))::bit(60)::bigint::numeric), 0)::text \
             FROM dejima_tables.{} AS t CROSS JOIN LATERAL md5(ROW({})::text) AS h(md5)",
            identifier(table.name.as_str()),
            columns
                .iter()
                .map(|column| format!("t.{column}"))
                .collect::<Vec<_>>()
                .join(", ")
        );
        let digest = async {
            let mut client = self.inner.control.get().await.map_err(|e| e.to_string())?;
            let transaction = client.build_transaction().read_only(true).start().await;
            let transaction = transaction.map_err(|e| describe(&e))?;
            let settings = format!("{SETTINGS}; SET LOCAL statement_timeout = '{STATEMENT_MAX}'");
            let set = transaction.batch_execute(&settings).await;
            set.map_err(|e| describe(&e))?;
            let row = transaction.query_one(&sql, &[]).await;
            let row = row.map_err(|e| describe(&e))?;
            let rows: i64 = row.get(0);
            Ok(Digest {
                rows: u64::try_from(rows).unwrap_or_default(),
                sum: row.get(1),
            })
        };
        digest.await
    }
}
