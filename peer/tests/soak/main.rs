//! Mixed load on three organisations while peers, servers, sessions and helpers are killed or hang and wires are cut,
//! at random. Once a minute all is brought up again: then it must be quiet within ten seconds, nobody in doubt, all
//! copies equal, and every client must find what he was told.
//!
//! `cargo test -p dejima-peer --test soak -- [MINUTES] [--seed N]` (default: half a minute). Exit status 1 if anything
//! else was found; the logs are kept then.

mod doubt;
mod fault;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dejima_simulator::random::Random;
use dejima_testbed::{Counts, Layout, Load, LoadOptions, World, WorldOptions, worked_example};

use doubt::{Doubt, Watcher, figures};
use fault::{Ending, Fault, Kinds};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The organisations.
pub(crate) const PEERS: [&str; 3] = ["bank", "government", "insurance"];
const CLIENTS: usize = 6;
/// Between two checks of the whole.
const ROUND: Duration = Duration::from_secs(60);
/// After the load has stopped and everything is up.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// Nothing signals that a row of a table has gone.
const QUIET_POLL: Duration = Duration::from_millis(50);
/// A peer that ends while its database dies is started again, as its supervisor would; but not for ever.
const STARTS_MAX: u32 = 20;

/// Options of cargo's test harness that are followed by a value: `cargo test -- --test-threads 2` reaches us too.
const HARNESS_OPTIONS: [&str; 5] = [
    "--test-threads",
    "--skip",
    "--color",
    "--format",
    "--logfile",
];

/// What is in doubt.
const PREPARED: &str = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
/// The peer's rows about transactions that ended, if it is quiet.
const ROWS: &str =
    "SELECT gid FROM dejima.transaction UNION ALL SELECT gid FROM dejima.participant";

fn main() -> Result<ExitCode> {
    let Some((minutes, seed)) = arguments(std::env::args().skip(1)) else {
        return Ok(ExitCode::SUCCESS);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(soak(Duration::from_secs_f64(minutes * 60.0), seed))
}

/// Minutes and seed; `None` if cargo asks for other tests only.
fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(f64, u64)> {
    let (mut minutes, mut seed) = (0.5, u64::from(std::process::id()));
    while let Some(argument) = arguments.next() {
        if argument == "--list" {
            return None;
        } else if HARNESS_OPTIONS.contains(&argument.as_str()) {
            arguments.next();
        } else if argument == "--seed" {
            seed = arguments.next()?.parse().ok()?;
        } else if let Ok(given) = argument.parse() {
            minutes = given;
        } else if !argument.starts_with('-') && !"soak".contains(&argument) {
            return None;
        }
    }
    Some((minutes, seed))
}

/// What was done and seen.
#[derive(Default)]
struct Report {
    kinds: Kinds,
    /// Peers that ended by themselves, and were started again.
    ended: u32,
    until_quiet: Vec<Duration>,
    /// Rows about transactions that had ended, before the peers were restarted.
    wrong: Vec<String>,
}

impl Report {
    fn faults(&self) -> u32 {
        self.kinds.values().sum()
    }

    fn found(&mut self, what: &str, examples: &[String]) {
        self.wrong
            .extend(examples.iter().map(|example| format!("{what}: {example}")));
    }
}

async fn soak(span: Duration, seed: u64) -> Result<ExitCode> {
    println!(
        "soaking for {:.1} minutes, --seed {seed}",
        span.as_secs_f64() / 60.0
    );
    let options = WorldOptions {
        layout: Layout::ClusterEach,
        cuttable: true,
        ..WorldOptions::default()
    };
    let mut world = World::start(worked_example(Counts::default()), options).await?;
    let options = LoadOptions {
        seed,
        clients: CLIENTS,
        think: Duration::from_millis(5),
    };
    let mut load = Load::new(&world, options).await?;
    let all_up = Arc::new(AtomicBool::new(true));
    let watch = |peer: &&str| {
        let url = world.cluster(peer).url("postgres", peer);
        Watcher::start(url, Arc::clone(&all_up))
    };
    let watchers: Vec<Watcher> = PEERS.iter().map(watch).collect();
    let mut random = Random::new(seed);
    let mut report = Report::default();
    let begun = Instant::now();
    let until = begun + span;
    while Instant::now() < until && report.wrong.is_empty() {
        load.work();
        let round_end = until.min(Instant::now() + ROUND);
        while Instant::now() < round_end {
            incident(&mut world, &mut random, &all_up, &mut report).await?;
        }
        bring_up(&mut world, &mut report).await?;
        all_up.store(true, Ordering::Relaxed);
        load.rest().await?;
        check(&world, &mut load, &mut report).await?;
        let (at, faults) = (begun.elapsed().as_secs(), report.faults());
        println!(
            "{at:5} s: {faults} faults, {} transactions succeeded",
            load.counters().succeeded()
        );
    }
    let mut doubts = Vec::new();
    for watcher in watchers {
        doubts.extend(watcher.end().await);
    }
    print(&report, &load, &doubts);
    if report.wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("the logs are in {}", keep_logs(&world, seed)?.display());
    Ok(ExitCode::FAILURE)
}

/// One or two faults at once, for a while; then all is brought up, and there is a moment of peace.
async fn incident(
    world: &mut World,
    random: &mut Random,
    all_up: &AtomicBool,
    report: &mut Report,
) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(random.below(3_000))).await;
    all_up.store(false, Ordering::Relaxed);
    let faults = if random.chance(300) { 2 } else { 1 };
    let mut endings: Vec<Ending> = Vec::new();
    for _ in 0..faults {
        let fault = Fault::choose(random);
        if let Some(ending) = fault.strike(world).await? {
            *report.kinds.entry(fault.kind()).or_default() += 1;
            endings.push(ending);
        }
    }
    tokio::time::sleep(Duration::from_millis(random.below(5_000))).await;
    for ending in endings {
        ending.carry_out(world)?;
    }
    // Sometimes the next fault finds them starting.
    if random.chance(750) {
        bring_up(world, report).await?;
        all_up.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Waits until every peer serves.
async fn bring_up(world: &mut World, report: &mut Report) -> Result<()> {
    for peer in PEERS {
        for start in 1.. {
            let process = &mut world.member_mut(peer).process;
            match process.wait_until_ready().await {
                Ok(()) => break,
                Err(error) if process.runs() || start == STARTS_MAX => return Err(error.into()),
                Err(error) => {
                    println!("{error}");
                    report.ended += 1;
                    process.start()?;
                }
            }
        }
    }
    Ok(())
}

/// The load rests and everything is up: it is quiet in time, and right.
async fn check(world: &World, load: &mut Load, report: &mut Report) -> Result<()> {
    let begun = Instant::now();
    let in_doubt = wait_until_gone(world, PREPARED).await?;
    report.found("in doubt", &in_doubt);
    if tokio::time::timeout(
        QUIET_MAX.saturating_sub(begun.elapsed()),
        world.await_quiet(),
    )
    .await
    .is_err()
    {
        report.found("not quiet", &[format!("after {QUIET_MAX:?}")]);
        world.await_quiet().await?;
    }
    report.until_quiet.push(begun.elapsed());
    let rows = wait_until_gone(world, ROWS).await?;
    report.found("rows left", &rows);
    let agreement = world.compare().await?;
    if !agreement.holds() {
        report.found("the copies differ", &[format!("{agreement:?}")]);
    }
    let wrong = load.check(world).await?;
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    report.found("not what the client was told", &wrong);
    Ok(())
}

/// Waits until no database lists anything; what it still lists when it is late.
async fn wait_until_gone(world: &World, sql: &str) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        let found = listed(world, sql).await?;
        if found.is_empty() || begun.elapsed() > QUIET_MAX {
            return Ok(found);
        }
        tokio::time::sleep(QUIET_POLL).await;
    }
}

async fn listed(world: &World, sql: &str) -> Result<Vec<String>> {
    let mut listed = Vec::new();
    for peer in PEERS {
        let superuser = world.superuser(peer).await?;
        let rows = superuser.query(sql, &[]).await?;
        listed.extend(
            rows.iter()
                .map(|row| format!("{peer}: {}", row.get::<_, &str>(0))),
        );
    }
    Ok(listed)
}

fn print(report: &Report, load: &Load, doubts: &[Doubt]) {
    let kinds: Vec<String> = report
        .kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    println!("faults: {}, {} in all", kinds.join(", "), report.faults());
    println!("peers that ended by themselves: {}", report.ended);
    println!("transactions: {}", load.counters());
    println!("in doubt, {} seen", doubts.len());
    println!(
        "  in all:                   {}",
        figures(doubts, |doubt| doubt.whole)
    );
    println!(
        "  while everything was up:  {}",
        figures(doubts, |doubt| doubt.while_up)
    );
    let longest = report.until_quiet.iter().max().copied().unwrap_or_default();
    println!(
        "checks: {}, quiet after {:.2} s at most",
        report.until_quiet.len(),
        longest.as_secs_f64()
    );
    report
        .wrong
        .iter()
        .for_each(|wrong| println!("WRONG: {wrong}"));
    println!("{} violations", report.wrong.len());
}

/// Copies the logs out of the scratch folder.
fn keep_logs(world: &World, seed: u64) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("dejima-soak-{seed}"));
    std::fs::create_dir_all(&folder)?;
    for peer in PEERS {
        let member = world.member(peer);
        std::fs::copy(
            member.process.log(),
            folder.join(format!("{peer}-peer.log")),
        )?;
        let server = folder.join(format!("{peer}-server.log"));
        std::fs::copy(world.cluster(peer).log(), server)?;
    }
    Ok(folder)
}
