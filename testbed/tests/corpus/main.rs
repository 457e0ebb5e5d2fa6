//! Every strategy of the folder `strategies/`: verdict, counterexample and time, against what its head says.
//!
//! What is proved is also tried on random databases with the evaluator: if one of them refutes it, either lies. The last line says
//! how many were as expected. With `DEJIMA_CORPUS=write` the counterexamples are written into the heads instead of compared.

mod outcome;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dejima_core::strategy::check::Z3;
use dejima_testbed::{CorpusFile, Expectation, Head};

use outcome::Outcome;

/// What a question to the solver may take.
const SOLVER_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // cargo test passes options of its own harness; a list of tests is what tools ask for.
    if std::env::args().any(|argument| argument == "--list") {
        println!("corpus: test");
        return ExitCode::SUCCESS;
    }
    let mut solver = match dejima_testbed::solver(SOLVER_TIMEOUT) {
        Ok(solver) => solver,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let writes = std::env::var("DEJIMA_CORPUS").is_ok_and(|value| value == "write");
    let started = Instant::now();
    let (mut good, mut bad) = (0, 0);
    for name in CorpusFile::names().expect("the folder is there") {
        match one(&name, &mut solver, writes) {
            Ok(()) => good += 1,
            Err(why) => {
                bad += 1;
                println!("     NOT as expected: {why}");
            }
        }
    }
    println!("{:.1} s", started.elapsed().as_secs_f32());
    println!("as expected {good}, not as expected {bad}");
    if bad == 0 && good > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn one(name: &str, solver: &mut Z3, writes: bool) -> Result<(), String> {
    let file = CorpusFile::open(name)?;
    let started = Instant::now();
    let outcome = Outcome::of(&file, solver)?;
    println!(
        "{:10} {:5.2} s  {name}",
        outcome.word(),
        started.elapsed().as_secs_f32()
    );
    if writes && let Some(picture) = outcome.picture() {
        let written = file.head.with_counterexample(&file.text, picture);
        std::fs::write(&file.path, written).map_err(|error| error.to_string())?;
    } else {
        compare(&file.head, &outcome)?;
    }
    outcome.cross_check()
}

fn compare(head: &Head, outcome: &Outcome) -> Result<(), String> {
    match (&head.expectation, outcome) {
        (Expectation::Proved, Outcome::Proved(_)) => Ok(()),
        (
            Expectation::Refuted(codes),
            Outcome::Refuted {
                codes: found,
                picture,
                ..
            },
        ) => {
            if codes != found {
                return Err(format!(
                    "refuted {}, expected refuted {}",
                    found.join(" "),
                    codes.join(" ")
                ));
            }
            match (&head.counterexample, picture) {
                (expected, Some(found)) if expected == found => Ok(()),
                (_, None) => Ok(()),
                (_, Some(found)) => Err(format!("another counterexample:\n{found}")),
            }
        }
        (Expectation::Unreadable(message), Outcome::Unreadable(found)) => {
            let is_said = found.iter().any(|finding| finding == message);
            if is_said {
                Ok(())
            } else {
                Err(format!("it says: {}", found.join("; ")))
            }
        }
        (_, outcome) => Err(outcome.details()),
    }
}
