//! The helper that the hook starts.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::Finding;

pub(super) const CHECK: &str = "helper";

/// Notes the file that it saw, so it is no reader; a file changed in this second makes it wait for one.
const VERIFY: &str = "SELECT helper, callback, dejima.verify_helper() FROM dejima.peer";

pub(super) async fn examine(client: &Client) -> Result<Vec<Finding>, Error> {
    let row = client.query_one(VERIFY, &[]).await?;
    let (helper, callback): (&str, &str) = (row.get(0), row.get(1));
    Ok(vec![match row.get::<_, Option<&str>>(2) {
        None => Finding::ok(
            CHECK,
            format!("{helper} can be executed, and calls {callback}"),
        ),
        Some(finding) => Finding::critical(
            CHECK,
            format!("{helper} {finding}: every change of shared data is refused"),
            format!(
                "chmod a+x {helper} and the folders above it, or dejima install with another path"
            ),
        ),
    }])
}
