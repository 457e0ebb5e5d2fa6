//! What can be wrong with a configuration, in words that name the place and the cure.

use std::path::PathBuf;

use dejima_core::name::TableName;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, or may not be read.
    #[error("{file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The file is no TOML, or holds a key or a value that has no meaning here.
    #[error("{file}, line {line}: {why}")]
    InFile {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        why: String,
    },
    /// A strategy is not understood.
    #[error("{file} cannot be used as a strategy:\n{findings}")]
    Strategy {
        /// The file.
        file: PathBuf,
        /// What was found in it, with the places.
        findings: String,
    },
    /// A strategy says what another Dejima table is.
    #[error(
        "{file} says what Dejima table \"{view}\" is, and the configuration calls it \"{name}\"; give both one name (SQL and put rules have capitals in double quotes alone)"
    )]
    StrategyName {
        /// The file.
        file: PathBuf,
        /// Its name there.
        view: String,
        /// Its name in the configuration.
        name: TableName,
    },
    /// A value of the environment or a flag has the wrong type.
    #[error("{0}")]
    Value(String),
    /// A key that is needed is nowhere.
    #[error(
        "`{key}` is missing: say it in the file, as {variable} in the environment, or by --{flag}"
    )]
    Missing {
        /// The key in the file.
        key: &'static str,
        /// The variable of the environment.
        variable: String,
        /// The flag.
        flag: String,
    },
    /// A value that is no good.
    #[error("{place}`{key}`: {why}")]
    Invalid {
        /// Where it is said, with a colon: file and line, the variable or the flag; empty if nowhere.
        place: String,
        /// The key, with its position if it is in a list.
        key: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl Error {
    pub(crate) fn invalid(key: impl Into<String>, why: impl ToString) -> Self {
        Self::Invalid {
            place: String::new(),
            key: key.into(),
            why: why.to_string(),
        }
    }
}
