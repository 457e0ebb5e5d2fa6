//! `dejima strategy`: whether a strategy does what it should, and what it means.

mod apply;
mod check;
mod explain;
mod sql;

use std::path::{Path, PathBuf};

use dejima_core::strategy::language::{File, Format, Reading, read};

use crate::arguments::{Strategy, StrategyFile};
use crate::failure::Failure;
use crate::output::Output;

/// A file, or what it says, cannot be read.
pub(crate) const UNREADABLE: u8 = 3;

/// Carries out one of the commands; says the exit status.
pub(crate) fn run(command: Strategy, output: Output) -> anyhow::Result<u8> {
    match command {
        Strategy::Apply(arguments) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(apply::apply(&arguments, output))
        }
        Strategy::Check(arguments) => check::check(&arguments, output),
        Strategy::Explain(StrategyFile { file, schema }) => {
            explain::explain(&file, schema.as_deref(), output)
        }
        Strategy::Sql(StrategyFile { file, schema }) => sql::sql(&file, schema.as_deref(), output),
    }
}

/// What a file says: one strategy, or the several that it declares.
fn readings(file: &Path, schema: Option<&Path>) -> Result<Vec<Reading>, Failure> {
    let name = file.display().to_string();
    let format = Format::of(&name).ok_or_else(|| {
        unreadable(format!(
            "{name}: what is it written in? Its name must end in .sql, .dl or .toml"
        ))
    })?;
    let text = content(file)?;
    let schema = match schema {
        Some(schema) => Some((schema.display().to_string(), content(schema)?)),
        None => None,
    };
    let schema = schema.as_ref().map(|(name, text)| File { name, text });
    Ok(read(
        File {
            name: &name,
            text: &text,
        },
        format,
        schema,
    ))
}

fn content(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| unreadable(format!("{}: {error}", file.display())))
}

fn unreadable(message: String) -> Failure {
    Failure::usage(message).ending_with(UNREADABLE)
}

/// The files that a command works on.
type Files<'a> = &'a [PathBuf];
