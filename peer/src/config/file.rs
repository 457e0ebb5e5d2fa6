//! The configuration file and the type file as they are written; nothing is checked yet but keys and types.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::Error;
use super::table::TableSection;

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
    pub(super) metrics: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) database: DatabaseSection,
    pub(super) limits: LimitsSection,
    pub(super) log: LogSection,
    pub(super) seed: Vec<SeedSection>,
    pub(super) dejima_table: Vec<TableSection>,
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
    pub(super) capture_bytes_max: Option<u64>,
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
    pub(super) dejima_table: Vec<TableSection>,
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
    toml::from_str(text).map_err(|error| Error::InFile {
        file: file.into(),
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        why: error
            .message()
            .replace("expected usize", "expected a whole number")
            .replace("expected u64", "expected a whole number"),
    })
}

/// The line where a key such as `database.pool` or `seed[1]` is said, if it is.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut parts = key.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let first = parts.next()?;
    let (_, mut found) = document
        .get_ref()
        .iter()
        .find(|(name, _)| name.get_ref() == first)?;
    for part in parts {
        let inner = match part.parse::<usize>() {
            Ok(at) => found.get_ref().get(at),
            Err(_) => found.get_ref().get(part),
        };
        found = inner?;
    }
    Some(line_at(text, found.span().start))
}

/// Counted from 1.
fn line_at(text: &str, byte: usize) -> usize {
    text.bytes()
        .take(byte)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}
