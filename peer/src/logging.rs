//! Logs to standard error, for people or for programs. Values of rows are never logged.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Error, LogConfig, LogFormat};

/// Begins to log.
pub fn start(config: &LogConfig) -> Result<(), Error> {
    let invalid = |error| Error::invalid("log.filter", error);
    let filter = EnvFilter::try_new(&config.filter).map_err(|error| invalid(error.to_string()))?;
    // At `debug` this crate logs the parameters of statements, which are values of rows.
    let driver = "tokio_postgres=info".parse();
    let filter =
        filter.add_directive(driver.map_err(|error: ParseError| invalid(error.to_string()))?);
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
