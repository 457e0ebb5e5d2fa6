//! Runs the cells and prints the table.

use std::time::{Duration, Instant};

use dejima_core::crash_point::{CrashPoint, Role, Step};

use crate::bed::Bed;
use crate::cell::{Cell, Report};

/// Runs the cells one after the other; true if none has failed.
pub(crate) async fn run(cells: Vec<Cell>, seed: u64) -> bool {
    let begun = Instant::now();
    let count = cells.len();
    let mut failed = 0;
    let mut bed = None;
    if count > 0 {
        println!(
            "{:<28} {:<8} {:<8} {:<12} {:>6} {:>10} {:>11} {:>9} {:>8} {:>7}",
            "point",
            "victim",
            "side",
            "at",
            "killed",
            "reached ms",
            "resolved ms",
            "committed",
            "refused",
            "broken"
        );
    }
    for (number, cell) in cells.into_iter().enumerate() {
        let (at, report) = run_cell(&mut bed, cell, seed, number).await;
        print_line(cell, &at, &report);
        failed += usize::from(!report.failures.is_empty());
    }
    let seconds = begun.elapsed().as_secs();
    println!(
        "{count} cells, {} passed, {failed} failed ({seconds} s, seed {seed})",
        count - failed
    );
    failed == 0
}

/// Makes a world first if there is none, or if the last one came to nothing.
async fn run_cell(bed: &mut Option<Bed>, cell: Cell, seed: u64, number: usize) -> (String, Report) {
    let mut report = Report::default();
    let mut own = match bed.take() {
        Some(own) => own,
        None => match Bed::make(seed).await {
            Ok(own) => own,
            Err(error) => {
                report.failures.push(error.to_string());
                return ("-".into(), report);
            }
        },
    };
    let at = organisation(&own, cell.point, number, seed);
    match cell.run(&mut own, &at, &mut report).await {
        Ok(()) => *bed = Some(own),
        Err(error) => report.failures.push(error.to_string()),
    }
    (at, report)
}

/// By turns; but only the government, which connects the two others, often has to tell somebody further.
fn organisation(bed: &Bed, point: CrashPoint, number: usize, seed: u64) -> String {
    if (point.role, point.step) == (Role::Participant, Step::Forget) {
        return "government".into();
    }
    let names = bed.names();
    let turn = number + usize::try_from(seed).unwrap_or_default();
    names[turn % names.len()].clone()
}

fn print_line(cell: Cell, at: &str, report: &Report) {
    let ms = |duration: Option<Duration>| {
        duration.map_or_else(
            || "-".to_owned(),
            |duration| duration.as_millis().to_string(),
        )
    };
    let result = if report.failures.is_empty() {
        "ok".to_owned()
    } else {
        format!("FAILED {}", report.failures.join("; "))
    };
    println!(
        "{cell} {at:<12} {:>6} {:>10} {:>11} {:>9} {:>8} {:>7} {result}",
        report.killed,
        ms(report.reached),
        ms(report.resolved),
        report.committed,
        report.refused,
        report.broken,
    );
}
