//! `dejima-peer`: the daemon beside one organisation's database.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use dejima_peer::config::{self, Arguments, Config};
use dejima_peer::{daemon, logging};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As a shell says of a program that a signal has ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dejima-peer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = config::read(&Arguments::parse(), &environment.collect())?;
    logging::start(&config.log)?;
    runtime(&config)?.block_on(async {
        let stop = stop_signal()?;
        Ok(daemon::run(config, stop).await?)
    })
}

/// One thread by default: a small transaction is a few short steps that follow each other, and handing each
/// step to another thread costs more than the step.
fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let mut builder = match config.threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if config.threads > 1 {
        builder.worker_threads(config.threads);
    }
    builder.enable_all().build().context("starting the runtime")
}

/// Comes with the first SIGTERM or SIGINT; the second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(INTERRUPTED);
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
