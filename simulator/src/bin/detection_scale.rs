//! `detection-scale [FOLDER] [PEERS ...]`: detection of so many peers (100 to 10,000) over a wide-area network in
//! virtual time; prints a table, and writes it with a plot into FOLDER.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use dejima_simulator::detection::{Conditions, Outcome, Topology, World, plot};
use dejima_simulator::random::Random;

const USAGE: &str = "usage: detection-scale [FOLDER] [PEERS ...]   writes detection.md and detection.svg into FOLDER (docs)";
/// Everybody knows of everybody: memory and time of the simulation grow with the square.
const PEERS: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];
const SEED: u64 = 1;
/// So many in a thousand leave when all have met.
const LEAVING: u64 = 20;
const LEAVING_MS: u64 = 5_000;
/// In virtual time: far more than anything takes.
const LONG_MS: u64 = 3_600_000;

/// What came of one size.
struct Row {
    peers: usize,
    boot: Outcome,
    leave: Outcome,
    is_at_rest: bool,
    seconds: f64,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "docs".to_owned()));
    let peers: Result<Vec<usize>, _> = arguments.map(|text| text.parse()).collect();
    let Ok(mut peers) = peers else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if peers.is_empty() {
        peers = PEERS.to_vec();
    }
    let mut rows = Vec::new();
    for peers in peers {
        let row = run(peers);
        println!("{}", line(&row));
        rows.push(row);
    }
    if let Err(error) = write(&folder, &rows) {
        eprintln!(
            "{}: {error}; is it a folder that can be written?",
            folder.display()
        );
        return ExitCode::FAILURE;
    }
    let is_right =
        |row: &Row| row.is_at_rest && row.boot.wrong.is_empty() && row.leave.wrong.is_empty();
    if rows.iter().all(is_right) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(peers: usize) -> Row {
    let begun = Instant::now();
    let topology = Topology::spanning_tree(&mut Random::new(SEED), peers);
    let mut world = World::new(topology, Conditions::wide_area(), SEED);
    let mut is_at_rest = world.run(LONG_MS);
    let boot = world.outcome();
    world.leave(LEAVING, LEAVING_MS);
    is_at_rest &= world.run(LONG_MS);
    Row {
        peers,
        boot,
        leave: world.outcome(),
        is_at_rest,
        seconds: begun.elapsed().as_secs_f64(),
    }
}

const HEAD: &str = "\
| peers | messages | a peer | most by one | n·log₂ n | messages / n·log₂ n | s after the last start | messages of leaving | s after the last left | wrong | seconds to simulate |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

fn line(row: &Row) -> String {
    let (peers, messages) = (row.peers as f64, row.boot.messages as f64);
    let bound = peers * peers.log2();
    let converged =
        |outcome: &Outcome| outcome.last_update.saturating_sub(outcome.last_start) as f64 / 1_000.0;
    let wrong = row.boot.wrong.len() + row.leave.wrong.len();
    format!(
        "| {} | {} | {:.1} | {} | {:.0} | {:.2} | {:.1} | {} | {:.1} | {}{} | {:.0} |",
        row.peers,
        row.boot.messages,
        messages / peers,
        row.boot.most_messages,
        bound,
        messages / bound,
        converged(&row.boot),
        row.leave.messages - row.boot.messages,
        converged(&row.leave),
        wrong,
        if row.is_at_rest { "" } else { ", not at rest" },
        row.seconds
    )
}

fn write(folder: &std::path::Path, rows: &[Row]) -> std::io::Result<()> {
    let mut text = String::from(
        "# Detection at scale\n\nWritten by `just detection-scale`: the machines that the daemon runs, in virtual time. All peers share one Dejima table, and each knows one other, so \
         that the seeds are a random spanning tree. Messages take 10 to 100 ms one way, one in twenty is lost (the caller notices after 3 s), \
         one peer in ten starts up to 5 s after the others, which start within a second; when all have met one in fifty leaves \
         within 5 s. A message is one Exchange, its answer is none of its own. `wrong` counts peers whose groups differ from those that follow from \
         what all share.\n\n",
    );
    text.push_str(HEAD);
    for row in rows {
        let _ = writeln!(text, "{}", line(row));
    }
    text.push_str("\n![Messages and time by the number of peers](detection.svg)\n");
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("detection.md"), text)?;
    let points = rows.iter().map(|row| {
        let took = row.boot.last_update.saturating_sub(row.boot.last_start);
        (
            row.peers as f64,
            row.boot.messages as f64,
            took as f64 / 1_000.0,
        )
    });
    std::fs::write(
        folder.join("detection.svg"),
        plot(&points.collect::<Vec<_>>()),
    )
}
