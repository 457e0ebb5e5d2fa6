//! `simulate SEEDS [FIRST]`: runs so many seeds, prints each violation with the command that repeats it, how often
//! each kind of fault happened, and ends with one line.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use dejima_simulator::Outcome;
use dejima_simulator::fault::Fault;

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
    let total = simulate(first, first.saturating_add(seeds));
    let seconds = begun.elapsed().as_secs_f64();
    for fault in Fault::all() {
        println!("{:>12}  {fault}", total.faults.of(fault));
    }
    let Outcome {
        steps,
        committed,
        several_rounds,
        several_batches,
        refused,
        violations,
        ..
    } = total;
    println!(
        "{seeds} seeds, {steps} steps, {committed} committed ({several_rounds} in several rounds, {several_batches} in several batches), {refused} refused, \
         {seconds:.1} seconds, {:.0} steps a second, {:.0} seeds a second, {} violations",
        steps as f64 / seconds,
        seeds as f64 / seconds,
        violations.len()
    );
    if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// All seeds from `first` to before `end`, on all processors.
fn simulate(first: u64, end: u64) -> Outcome {
    let next = AtomicU64::new(first);
    let run = || {
        let mut total = Outcome::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return total;
            }
            let outcome = dejima_simulator::run(seed, None);
            report(seed, &outcome);
            total.add(outcome);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut total = Outcome::default();
        for thread in running {
            total.add(thread.join().expect("a seed that panics has said so"));
        }
        total
    })
}

fn report(seed: u64, outcome: &Outcome) {
    for violation in &outcome.violations {
        println!(
            "seed {seed}: {}: {}\n  repeat: cargo run --locked -p dejima-simulator --bin simulate -- 1 {seed}",
            violation.invariant, violation.what
        );
    }
}
