//! What does it cost to find out who shares what? Twenty real peers with the topology on which the prototype of 2019
//! was measured, each with a database of its own in one cluster; in every run all of them boot at once, then nineteen
//! boot, come to rest, and the twentieth joins.
//!
//! `cargo bench -p dejima-peer --bench detection -- [RUNS]` (default 20). Prints a line for each run, then minimum,
//! median and maximum. Exit status 1 if any peer is wrong in any run, or the targets are missed.
//!
//! Before each boot the peers are killed and what detection has left in their databases is cleared. A message is an
//! Exchange that was answered; its answer is no message of its own, as in 2019. Calls of a peer that is not up yet
//! reach nobody: they have a column of their own.

mod report;
mod topology;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use dejima_testbed::{Detected, Layout, World, WorldOptions};

use report::{Measure, Report};
use topology::Topology;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let runs = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(20)
        .max(1);
    let topology = Topology::read()?;
    let names = topology.names();
    println!("booting one cluster (fsync off) and {} peers", names.len());
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let mut world = World::start(topology.organisations(), options).await?;
    let mut report = Report::new(runs);
    for run in 0..runs {
        let all = boot(&mut world, &topology, &names).await?;
        let joiner = names[run % names.len()];
        let joins = join(&mut world, &topology, joiner).await?;
        report.add(joiner, all, joins);
    }
    Ok(report.close())
}

/// All peers boot at once, each for the first time.
async fn boot(world: &mut World, topology: &Topology, names: &[&str]) -> Result<Measure> {
    boot_anew(world, topology, names).await?;
    let found = world.await_detection().await?;
    let last_ready = found.values().map(Detected::ready).max();
    Ok(Measure {
        messages: messages(&found),
        unanswered: unanswered(&found),
        time: last_ready.map_or(Duration::ZERO, |ready| until_last_update(&found, ready)),
        wrong: topology.wrong(&found),
    })
}

/// A peer that nobody has ever heard of joins the others, who have come to rest without it.
async fn join(world: &mut World, topology: &Topology, joiner: &str) -> Result<Measure> {
    let without = topology.without(joiner);
    boot_anew(world, &without, &without.names()).await?;
    let before = world.await_detection().await?;
    let mut wrong = without.wrong(&before);
    world.boot(&[joiner]).await?;
    let found = world.await_detection().await?;
    wrong.extend(topology.wrong(&found));
    Ok(Measure {
        messages: messages(&found) - messages(&before),
        unanswered: unanswered(&found) - unanswered(&before),
        time: until_last_update(&found, found[joiner].ready()),
        wrong,
    })
}

/// Ends all peers, makes them forget, tells each which seeds it has, and boots those of the topology.
async fn boot_anew(world: &mut World, topology: &Topology, names: &[&str]) -> Result<()> {
    world.forget_peers().await?;
    for organisation in topology.organisations() {
        world.reconfigure(organisation)?;
    }
    Ok(world.boot(names).await?)
}

fn messages(found: &BTreeMap<String, Detected>) -> u64 {
    let counters = found.values().map(Detected::counters);
    counters
        .map(|counters| counters.messages_sent - counters.messages_unanswered)
        .sum()
}

fn unanswered(found: &BTreeMap<String, Detected>) -> u64 {
    let counters = found.values().map(Detected::counters);
    counters.map(|counters| counters.messages_unanswered).sum()
}

/// From an instant to the last time that any peer has learnt something.
fn until_last_update(found: &BTreeMap<String, Detected>, from: std::time::Instant) -> Duration {
    let last = found.values().filter_map(Detected::last_update).max();
    last.map_or(Duration::ZERO, |last| last.saturating_duration_since(from))
}
