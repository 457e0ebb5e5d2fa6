//! Every strategy of the folder `strategies/`: verdict, counterexample and time, against what its head says.
//!
//! What is proved is also tried on random databases with the evaluator: if one of them refutes it, either lies. The last line says
//! how many were as expected. With `DEJIMA_CORPUS=write` the counterexamples are written into the heads instead of compared.

mod head;
mod outcome;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dejima_core::strategy::check::Z3;
use head::{Expectation, Head};
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../strategies");
    let writes = std::env::var("DEJIMA_CORPUS").is_ok_and(|value| value == "write");
    let started = Instant::now();
    let (mut good, mut bad) = (0, 0);
    for file in strategies(&folder) {
        match one(&file, &folder, &mut solver, writes) {
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

/// All strategies below a folder, in order; schemas are none.
fn strategies(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)
            .expect("the folder is there")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "schema") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending != "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn one(file: &Path, folder: &Path, solver: &mut Z3, writes: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let head = Head::read(&text)?;
    let started = Instant::now();
    let outcome = Outcome::of(file, &text, &head, solver)?;
    let name = file.strip_prefix(folder).unwrap_or(file).display();
    println!(
        "{:10} {:5.2} s  {name}",
        outcome.word(),
        started.elapsed().as_secs_f32()
    );
    if writes && let Some(picture) = outcome.picture() {
        let written = head.with_counterexample(&text, picture);
        std::fs::write(file, written).map_err(|error| error.to_string())?;
    } else {
        compare(&head, &outcome)?;
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
