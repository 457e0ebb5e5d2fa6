//! `dejima strategy apply`: makes a database serve the Dejima tables of a configuration, after showing what that changes.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context;
use dejima_core::database::{Database, Options, PartChange, Preview, Target};
use dejima_core::examine::Finding;
use dejima_peer::config;
use serde_json::{Value, json};

use crate::arguments::StrategyApply;
use crate::output::{Output, Rows, is_terminal, print, print_json, print_text};

/// There is something to do, and it was not done.
const NOT_DONE: u8 = 4;

/// Shows, asks and applies; says the exit status.
pub(super) async fn apply(arguments: &StrategyApply, output: Output) -> anyhow::Result<u8> {
    let config = configuration(&arguments.config)?;
    let database = Database::connect(Options {
        peer: config.name,
        url: config.database.url,
        // One shows, and one applies.
        pool: 1,
        lock_wait_ms_max: config.limits.lock_wait_ms_max,
    });
    let database = database.await?;
    let target = if arguments.undo {
        Target::Before
    } else {
        Target::Declared(&config.tables)
    };
    let Preview { changes, warnings } = database.preview(target).await?;
    if output == Output::Table {
        show(&changes)?;
        for Finding { what, cure, .. } in &warnings {
            print_text(format!("warning: {what}; {cure}"))?;
        }
    }
    let is_wanted = !changes.is_empty() && (arguments.yes || confirm(output)?);
    if is_wanted {
        database.apply(target).await?;
    }
    match output {
        Output::Json => print_json(&json!({
            "changes": changes.iter().map(change_json).collect::<Vec<_>>(), "applied": is_wanted,
            "warnings": warnings.iter().map(|Finding { what, cure, .. }| json!({"what": what, "cure": cure})).collect::<Vec<_>>(),
        }))?,
        Output::Table if is_wanted => print("Done. Restart the peer now if it runs.")?,
        Output::Table if changes.is_empty() => {}
        Output::Table => print("Not done; --yes does it without asking.")?,
    }
    Ok(if is_wanted || changes.is_empty() {
        0
    } else {
        NOT_DONE
    })
}

/// As the peer reads it: the environment is laid over the file.
fn configuration(file: &Path) -> anyhow::Result<config::Config> {
    let arguments = config::Arguments {
        config: Some(file.to_owned()),
        ..config::Arguments::default()
    };
    let variables = std::env::vars_os();
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::read(&arguments, &variables.collect()).context("the configuration cannot be used")
}

fn show(changes: &[PartChange]) -> io::Result<()> {
    if changes.is_empty() {
        return print("Nothing to do: the database is as it should be.");
    }
    let mut rows = Rows::new(&["", "what", "Dejima table", "locks"]);
    for change in changes {
        rows.add_row([
            change.action.word(),
            &change.part,
            &change.table,
            &change.lock,
        ]);
    }
    print(rows)
}

/// Whether the operator has said yes; no where there is nobody to ask.
fn confirm(output: Output) -> io::Result<bool> {
    if output == Output::Json || !is_terminal() || !io::stdin().is_terminal() {
        return Ok(false);
    }
    print("Type yes to do this in one transaction, anything else to leave all as it is:")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

fn change_json(change: &PartChange) -> Value {
    json!({
        "action": change.action.word(), "part": change.part, "table": change.table, "lock": change.lock,
    })
}
