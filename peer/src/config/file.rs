//! The configuration file and the type file as they are written; nothing is checked yet but keys and types.

use std::path::Path;

use dejima_core::strategy::Declaration;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;

/// A configuration file. Tables with names of the operator's choosing are lists with a `name` or `table` key,
/// because the layers above it know no difference between large and small letters in keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) type_file: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) advertise: Option<String>,
    pub(super) local: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) database: DatabaseSection,
    pub(super) limits: LimitsSection,
    pub(super) log: LogSection,
    pub(super) seed: Vec<SeedSection>,
    pub(super) dejima_table: Vec<Declaration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DatabaseSection {
    pub(super) url: Option<String>,
    pub(super) pool: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsSection {
    pub(super) transaction_ms_max: Option<u64>,
    pub(super) lock_wait_ms_max: Option<u64>,
    pub(super) delta_bytes_max: Option<usize>,
    pub(super) stop_ms_max: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogSection {
    pub(super) filter: Option<String>,
    pub(super) format: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeedSection {
    pub(super) table: String,
    pub(super) peers: Vec<String>,
}

/// A type file holds Dejima tables and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypeFile {
    pub(super) dejima_table: Vec<Declaration>,
}

/// Reads a file's text.
pub(super) fn text(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|why| Error::Unreadable {
        file: file.into(),
        why,
    })
}

/// Parses a file by itself: only here is the line of a mistake known.
pub(super) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or("");
        let line = before.matches('\n').count() + 1;
        Error::InFile {
            file: file.into(),
            line,
            why: error.message().to_owned(),
        }
    })
}
