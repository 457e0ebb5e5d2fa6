//! The command `dejima`: the demo, manual changes at a peer, and a look into a running peer.

mod arguments;
mod change;
mod demo;
mod doctor;
mod explain;
mod failure;
mod inspect;
mod installation;
mod output;
mod strategy;
mod tables;
mod transaction;
mod value;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use failure::Failure;
use output::Output;

/// Runs a command line. 0: done. 1: refused or failed. 2: the command line is wrong (as clap does it, too). `doctor`
/// ends otherwise.
pub fn main_of(words: Vec<OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(without_separator(words));
    let output = arguments.output;
    match run(arguments) {
        Ok(code) => code,
        Err(error) => failure::report(&error, output),
    }
}

/// How many changes of tables `dejima explain` finds in SQL text, or why it can explain none.
pub fn changes_in(sql: &str) -> Result<usize, String> {
    let writes = explain::statement::writes(sql);
    writes
        .map(|writes| writes.len())
        .map_err(|failure| failure.to_string())
}

/// `cargo demo -- --once` arrives as `dejima demo -- --once`, because the alias has a `--` of its own.
fn without_separator(mut words: Vec<OsString>) -> Vec<OsString> {
    if let [_, command, separator, ..] = words.as_slice()
        && command == "demo"
        && separator == "--"
    {
        words.remove(2);
    }
    words
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "dejima",
                &mut io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { command } => {
            clap_mangen::Man::new(described(command.as_deref())?).render(&mut io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Strategy(command) => Ok(ExitCode::from(strategy::run(command, arguments.output)?)),
        command => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run_async(command, arguments.peer, arguments.output))
        }
    }
}

async fn run_async(
    command: Command,
    peer: Option<String>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(options) => return demo::run(options).await,
        Command::Insert(arguments) => change::insert(arguments, peer, output).await?,
        Command::Update(arguments) => change::update(arguments, peer, output).await?,
        Command::Delete(arguments) => change::delete(arguments, peer, output).await?,
        Command::Sql(arguments) => change::sql(arguments, peer, output).await?,
        Command::Peers => inspect::peers(&address(peer)?, output).await?,
        Command::Groups { stats } => inspect::groups(&address(peer)?, stats, output).await?,
        Command::Tables => tables::tables(&address(peer)?, output).await?,
        Command::Explain(arguments) => explain::explain(arguments, &address(peer)?, output).await?,
        Command::Tx(arguments::Tx::List) => transaction::list(&address(peer)?, output).await?,
        Command::Tx(arguments::Tx::Show { gid }) => {
            transaction::show(&address(peer)?, &gid, output).await?
        }
        Command::Tx(arguments::Tx::Resolve(arguments)) => {
            transaction::resolve(&address(peer)?, arguments, output).await?
        }
        Command::Doctor { all, copies } => {
            return doctor::doctor(address(peer), all, copies, output).await;
        }
        Command::Install(arguments) => installation::install(arguments).await?,
        Command::Completions { .. } | Command::Man { .. } | Command::Strategy(_) => {
            unreachable!("handled without a runtime")
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The whole command line, or one of its commands under the name of its man page.
fn described(command: Option<&str>) -> Result<clap::Command, Failure> {
    let mut all = Arguments::command();
    let Some(name) = command else {
        return Ok(all);
    };
    all.build();
    let found = all.find_subcommand(name).cloned();
    found
        .map(|command| command.name(format!("dejima-{name}")))
        .ok_or_else(|| Failure::usage(format!("there is no command \"{name}\"; see dejima --help")))
}

fn address(peer: Option<String>) -> Result<String, Failure> {
    peer.ok_or_else(|| {
        Failure::usage("which peer? Say --peer ADDRESS or set DEJIMA_PEER; it is the address `local` of its configuration")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_takes_its_options_as_cargo_passes_them() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            without_separator(words("dejima demo -- --once")),
            words("dejima demo --once")
        );
        assert_eq!(
            without_separator(words("dejima demo --once")),
            words("dejima demo --once")
        );
        assert_eq!(
            without_separator(words("dejima sql -- x")),
            words("dejima sql -- x")
        );
    }
}
