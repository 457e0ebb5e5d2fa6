//! `simulate SEEDS [FIRST]`: runs so many seeds, prints each violation with the command that repeats it, and ends with one line.

use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "usage: simulate SEEDS [FIRST]   runs SEEDS seeds from FIRST (default 0) on";

fn main() -> ExitCode {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let (seeds, first) = match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(seeds)), None, None) => (seeds, 0),
        (Some(Ok(seeds)), Some(Ok(first)), None) => (seeds, first),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let (mut steps, mut committed, mut refused, mut violations) = (0, 0, 0, 0_u64);
    for seed in (first..).take(usize::try_from(seeds).unwrap_or(usize::MAX)) {
        let outcome = dejima_simulator::run(seed, None);
        steps += outcome.steps;
        committed += outcome.committed;
        refused += outcome.refused;
        if let Some(violation) = outcome.violation {
            violations += 1;
            println!("seed {seed}: {}: {}", violation.invariant, violation.what);
            println!("  repeat: cargo run --locked -p dejima-simulator --bin simulate -- 1 {seed}");
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {steps} steps, {committed} committed, {refused} refused, {seconds:.1} seconds, \
         {violations} violations"
    );
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
