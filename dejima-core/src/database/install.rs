//! Installing Dejima into a database, as superuser.

use std::path::PathBuf;

use tokio_postgres::NoTls;

use super::error::{Error, describe};
use crate::name::PeerName;
use crate::strategy::literal;

/// The files of sql/, in order.
const FILES: [&str; 7] = [
    include_str!("../../../sql/010_role.sql"),
    include_str!("../../../sql/020_tables.sql"),
    include_str!("../../../sql/030_callback.sql"),
    include_str!("../../../sql/040_capture.sql"),
    include_str!("../../../sql/050_hook.sql"),
    include_str!("../../../sql/060_put.sql"),
    include_str!("../../../sql/070_guard.sql"),
];

/// Whose database it becomes, and how its hook reaches the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The peer.
    pub peer: PeerName,
    /// The helper's absolute path on the database's server.
    pub helper: PathBuf,
    /// The peer's local address: `unix:/path` or `http://host:port`.
    pub callback: String,
}

/// Installs, or installs again, in one transaction. `superuser_url` is a connection string for a superuser.
pub async fn install(superuser_url: &str, installation: &Installation) -> Result<(), Error> {
    let peer = &installation.peer;
    let mut config: tokio_postgres::Config =
        superuser_url.parse().map_err(|e| Error::url(peer, &e))?;
    config.application_name("dejima install");
    let connected = config.connect(NoTls).await;
    let (client, connection) =
        connected.map_err(|e| Error::no_session(peer, &super::place(&config), &e))?;
    let io = tokio::spawn(connection);
    let done = client.batch_execute(&install_sql(installation)).await;
    drop(client);
    // The connection ends with its client; that it ended badly after the work is of no interest.
    let _ = io.await;
    done.map_err(|e| Error::Install {
        peer: peer.clone(),
        why: describe(&e),
    })
}

/// The SQL of an installation, for psql (`psql -v ON_ERROR_STOP=1 -f`).
pub fn install_sql(installation: &Installation) -> String {
    let settings = [
        ("dejima.peer", installation.peer.to_string()),
        ("dejima.helper", installation.helper.display().to_string()),
        ("dejima.callback", installation.callback.clone()),
    ];
    let settings =
        settings.map(|(name, value)| format!("SET LOCAL {name} = {};\n", literal(&value)));
    format!(
        "BEGIN;\nSET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL client_min_messages = warning;\n{}\n{}\nCOMMIT;\n",
        settings.concat(),
        FILES.join("\n"),
    )
}
