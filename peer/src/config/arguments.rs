//! The flags of `dejima-peer`.

use std::path::PathBuf;

/// The daemon beside one organisation's database.
///
/// Each flag but --config overrides a key of the file and a variable of the environment: --database-url
/// overrides DEJIMA_DATABASE_URL, which overrides `url` under `[database]`.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(name = "dejima-peer", version)]
pub struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, env = "DEJIMA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The peer's name
    #[arg(long)]
    pub name: Option<String>,
    /// The kind of organisation; its Dejima tables are read from types/TYPE.toml beside the file
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// The file that declares the Dejima tables
    #[arg(long, value_name = "FILE")]
    pub type_file: Option<String>,
    /// Where to listen for other peers
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where other peers reach this one
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,
    /// Where to listen for the helper and the operator: unix:/path or http://127.0.0.1:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub local: Option<String>,
    /// Where to serve what is counted to Prometheus; not served if it is not said
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<String>,
    /// Threads of the runtime
    #[arg(long)]
    pub threads: Option<String>,
    /// The database, as a connection string
    #[arg(long, value_name = "STRING")]
    pub database_url: Option<String>,
    /// The most connections to the database
    #[arg(long)]
    pub database_pool: Option<String>,
    /// From a client's COMMIT to the last vote
    #[arg(long, value_name = "MS")]
    pub limits_transaction_ms_max: Option<String>,
    /// How long to wait for a row that another transaction holds
    #[arg(long, value_name = "MS")]
    pub limits_lock_wait_ms_max: Option<String>,
    /// The largest delta that is taken from another peer at once: no row can be larger
    #[arg(long, value_name = "BYTES")]
    pub limits_delta_bytes_max: Option<String>,
    /// How much of large transactions of this peer's clients is kept in temporary files
    #[arg(long, value_name = "BYTES")]
    pub limits_capture_bytes_max: Option<String>,
    /// How long to finish transactions when told to stop
    #[arg(long, value_name = "MS")]
    pub limits_stop_ms_max: Option<String>,
    /// What to log: error, warn, info, debug, trace, or more exactly dejima_peer=debug
    #[arg(long, value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Peers that share a Dejima table; replaces the seeds of the file. May be repeated
    #[arg(long, value_name = "TABLE=URL[,URL...]")]
    pub seed: Vec<String>,
}

impl Arguments {
    /// The flags by the keys that they override.
    pub(super) fn values(&self) -> [(&'static str, &Option<String>); 17] {
        [
            ("name", &self.name),
            ("type", &self.kind),
            ("type_file", &self.type_file),
            ("listen", &self.listen),
            ("advertise", &self.advertise),
            ("local", &self.local),
            ("metrics", &self.metrics),
            ("threads", &self.threads),
            ("database.url", &self.database_url),
            ("database.pool", &self.database_pool),
            ("limits.transaction_ms_max", &self.limits_transaction_ms_max),
            ("limits.lock_wait_ms_max", &self.limits_lock_wait_ms_max),
            ("limits.delta_bytes_max", &self.limits_delta_bytes_max),
            ("limits.capture_bytes_max", &self.limits_capture_bytes_max),
            ("limits.stop_ms_max", &self.limits_stop_ms_max),
            ("log.filter", &self.log_filter),
            ("log.format", &self.log_format),
        ]
    }
}

/// The variable of the environment for a key: `database.url` is DEJIMA_DATABASE_URL.
pub(super) fn variable(key: &str) -> String {
    format!("DEJIMA_{}", key.replace('.', "_").to_uppercase())
}

/// The flag for a key: `database.url` is `database-url`.
pub(super) fn flag(key: &str) -> String {
    key.replace(['.', '_'], "-")
}
