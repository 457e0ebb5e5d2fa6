//! Logs to standard error, for people or for programs. Values of rows are never logged.

use tracing_subscriber::EnvFilter;

use crate::config::{Error, LogConfig, LogFormat};

/// Begins to log.
pub fn start(config: &LogConfig) -> Result<(), Error> {
    let filter =
        EnvFilter::try_new(&config.filter).map_err(|error| Error::invalid("log.filter", error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
