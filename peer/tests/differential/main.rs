//! Random SQL at one peer of three, and the same SQL on a plain PostgreSQL: every statement must come to the same, and
//! afterwards the peer's base tables must equal the plain ones, and the Dejima tables of the two other peers the views
//! over these (invariants 4, 6 and 7). What is refused on purpose is known by its SQLSTATE and words, counted, and
//! rolled back at the plain side too.
//!
//! `cargo test -p dejima-peer --test differential -- [STATEMENTS [SEED]] [--round N]`. A round is a script on empty
//! tables. The first round that differs is shrunk and printed; then the exit status is 1. The pinned cases come first.

mod bed;
mod cases;
mod compare;
mod difference;
mod generate;
mod order;
mod refusal;
mod schema;
mod script;
mod session;
mod sharing;
mod shrink;
mod statement;
mod value;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use dejima_simulator::random::Random;

use bed::{Bed, Tally};
use generate::script;
use script::Script;
use shrink::Shrunk;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What CI runs.
const STATEMENTS: usize = 20_000;
const SEED: u64 = 1;

/// Options of cargo's test harness that are followed by a value: `cargo test -- --test-threads 2` reaches us too.
const HARNESS_OPTIONS: [&str; 5] = [
    "--test-threads",
    "--skip",
    "--color",
    "--format",
    "--logfile",
];

/// What the command line says.
struct Arguments {
    statements: usize,
    seed: u64,
    /// The first round to run, from 0.
    round: usize,
}

impl Arguments {
    /// `None` if cargo asks for other tests only.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut read = Self {
            statements: STATEMENTS,
            seed: SEED,
            round: 0,
        };
        let mut numbers = 0;
        while let Some(argument) = arguments.next() {
            if argument == "--list" {
                return None;
            } else if HARNESS_OPTIONS.contains(&argument.as_str()) {
                arguments.next();
            } else if argument == "--round" {
                read.round = arguments.next()?.parse().ok()?;
            } else if let Ok(number) = argument.parse::<u64>() {
                numbers += 1;
                match numbers {
                    1 => read.statements = usize::try_from(number).ok()?,
                    _ => read.seed = number,
                }
            } else if !argument.starts_with('-') && !"differential".contains(&argument) {
                return None;
            }
        }
        Some(read)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        return Ok(ExitCode::SUCCESS);
    };
    let begun = Instant::now();
    let mut bed = Bed::make().await?;
    let mut tally = Tally::default();
    let mut differences = run_cases(&mut bed, &mut tally).await?;
    if differences == 0 {
        differences += run_rounds(&mut bed, &arguments, &mut tally).await?;
    }
    print(&tally, differences, begun);
    Ok(if differences == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Each case is a script that once differed.
async fn run_cases(bed: &mut Bed, tally: &mut Tally) -> Result<usize> {
    let mut differences = 0;
    for (name, script) in cases::all() {
        if let Some(difference) = bed.run(&script, tally).await? {
            println!("case \"{name}\": {difference}");
            differences += 1;
        }
    }
    Ok(differences)
}

async fn run_rounds(bed: &mut Bed, arguments: &Arguments, tally: &mut Tally) -> Result<usize> {
    let mut seeds = Random::new(arguments.seed);
    for round in 0.. {
        let script = script(&mut Random::new(seeds.bits()));
        if round < arguments.round {
            continue;
        }
        if tally.statements >= arguments.statements {
            break;
        }
        if let Some(difference) = bed.run(&script, tally).await? {
            println!(
                "{} {} --round {round} differs:\n{difference}",
                arguments.statements, arguments.seed
            );
            explain(bed, script, difference).await?;
            return Ok(1);
        }
    }
    Ok(0)
}

/// Prints the smallest script that shows the difference.
async fn explain(bed: &mut Bed, script: Script, difference: difference::Difference) -> Result<()> {
    let whole = script.statements();
    if bed.run(&script, &mut Tally::default()).await?.is_none() {
        println!("it does not differ when it is run again: a matter of time, or of order");
        return Ok(());
    }
    let mut shrunk = Shrunk::new(script, difference);
    shrunk.shrink(bed).await?;
    println!(
        "after {} runs {} of {whole} statements are left:\n\n{}\n{}\n",
        shrunk.runs,
        shrunk.script.statements(),
        shrunk.script,
        shrunk.difference
    );
    Ok(())
}

fn print(tally: &Tally, differences: usize, begun: Instant) {
    for (kind, (run, failed)) in &tally.kinds {
        println!("{kind:<14} {run:>7} run {failed:>7} failed");
    }
    for (about, count) in &tally.refused {
        println!("refused: {about}: {count}");
    }
    let refused: usize = tally.refused.values().sum();
    println!(
        "{} statements, {} transactions ({} tried twice), {refused} refused, {differences} differences ({} s)",
        tally.statements,
        tally.transactions,
        tally.retried,
        begun.elapsed().as_secs()
    );
}
