//! `dejima demo`: organisations with a database and a peer each, on this machine, and a story that they play.

mod persons;
mod rides;
mod screen;
mod statement;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use dejima_proto::v1::{Group, GroupsRequest};
use dejima_testbed::{
    Agreement, Binaries, Counts, Organisation, Scratch, World, WorldOptions, ride_sharing,
    worked_example,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::arguments::{Demo, Example};
use screen::Screen;

/// As a shell says it of a program that was interrupted.
const INTERRUPTED: u8 = 130;
/// How much of a peer's log is shown when something went wrong.
const LOG_LINES: usize = 15;

/// Plays the story. 0 if everything was as expected; 130 if it was interrupted before the end.
pub(crate) async fn run(options: Demo) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let screen = Screen::new();
    let mut world = None;
    let as_expected = tokio::select! {
        played = play(&screen, options, &mut world) => played,
        () = interrupts.next() => {
            screen.note("\nInterrupted: stopping everything ...")?;
            drop(world);
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    if let (Ok(false) | Err(_), Some(world)) = (&as_expected, &world) {
        show_logs(world);
    }
    let as_expected = as_expected?;
    if let (false, Some(world)) = (options.once, &world) {
        screen.addresses(world)?;
        interrupts.next().await;
        screen.note("\nStopping everything ...")?;
    }
    drop(world);
    screen.note("All processes have ended, and the temporary folder is gone.")?;
    Ok(if as_expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The world goes to the caller, who ends it.
async fn play(screen: &Screen, options: Demo, place: &mut Option<World>) -> anyhow::Result<bool> {
    let counts = Counts {
        banks: options.banks.into(),
        governments: options.governments.into(),
        insurances: options.insurances.into(),
    };
    let (who, organisations) = match options.example {
        Example::Persons => (persons::who(counts), worked_example(counts)),
        Example::Rides => (rides::WHO.to_owned(), ride_sharing()),
    };
    screen.title(&who)?;
    let world = place.insert(boot(screen, organisations).await?);
    screen.introduction(world, &groups(world).await?)?;
    let mut as_expected = match options.example {
        Example::Persons => persons::play(screen, world).await?,
        Example::Rides => rides::play(screen, world, options.contests).await?,
    };
    let agreement = world.compare().await?;
    screen.agreement(&agreement)?;
    as_expected &= agreement.holds() && shares_rows(&agreement);
    screen.verdict(as_expected)?;
    Ok(as_expected)
}

/// Equal copies say nothing if they are all empty.
fn shares_rows(agreement: &Agreement) -> bool {
    agreement.tables.iter().all(|table| table.rows > 0)
}

async fn boot(screen: &Screen, organisations: Vec<Organisation>) -> anyhow::Result<World> {
    let number = organisations.len();
    // Says on its own lines if it has to install PostgreSQL.
    let scratch = spawn_blocking(Scratch::new).await??;
    let started = Instant::now();
    screen.begin("Preparing the programs")?;
    let place = scratch.clone();
    spawn_blocking(move || Binaries::place(&place)).await??;
    screen.done(started.elapsed())?;

    let started = Instant::now();
    screen.begin(&format!(
        "Starting {number} PostgreSQL clusters and {number} peers"
    ))?;
    let options = WorldOptions {
        durable: true,
        ..WorldOptions::default()
    };
    let world = World::start_in(scratch, organisations, options).await?;
    screen.done(started.elapsed())?;
    Ok(world)
}

/// The folder with the logs is about to go: their ends may say why.
fn show_logs(world: &World) {
    for member in world.members() {
        let log = std::fs::read_to_string(member.process.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("\nThe end of the log of peer {}:", member.name());
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            eprintln!("  {line}");
        }
    }
}

/// Every Dejima table as its members know it, from the first of them.
async fn groups(world: &World) -> anyhow::Result<Vec<Group>> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for member in world.members() {
        let answer = world
            .operator(member.name())
            .groups(GroupsRequest {})
            .await?;
        for group in answer.into_inner().groups {
            groups.entry(group.table.clone()).or_insert(group);
        }
    }
    Ok(groups.into_values().collect())
}

/// Ctrl-C, and what a terminal or a supervisor sends instead.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupts {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
