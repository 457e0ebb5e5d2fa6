//! A line for each run, and what they come to.

use std::process::ExitCode;
use std::time::Duration;

/// The most that may happen when all boot at once, and when one joins.
const ALL_MESSAGES_MAX: u64 = 150;
const ALL_TIME_MAX: Duration = Duration::from_secs(1);
const JOIN_MESSAGES_MAX: u64 = 38;

/// What one boot has cost.
pub(crate) struct Measure {
    /// Exchanges that were answered.
    pub(crate) messages: u64,
    /// Exchanges that reached nobody.
    pub(crate) unanswered: u64,
    /// From the last peer's readiness to the last change of what any peer knows.
    pub(crate) time: Duration,
    /// The peers that know something wrong, and what; none if all is well.
    pub(crate) wrong: Vec<String>,
}

/// All runs.
pub(crate) struct Report {
    runs: usize,
    all: Vec<Measure>,
    joins: Vec<Measure>,
}

impl Report {
    /// Prints the head of the table.
    pub(crate) fn new(runs: usize) -> Self {
        println!("{:>4} | {:^42} | one joins", "", "all at once");
        println!("{:>4} | {HEAD} | {HEAD}", "run");
        Self {
            runs,
            all: Vec::new(),
            joins: Vec::new(),
        }
    }

    /// Takes a run and prints its line.
    pub(crate) fn add(&mut self, joiner: &str, all: Measure, joins: Measure) {
        let run = self.all.len() + 1;
        println!("{run:>4} | {} | {} {joiner}", line(&all), line(&joins));
        for wrong in all.wrong.iter().chain(&joins.wrong) {
            println!("     wrong: {wrong}");
        }
        self.all.push(all);
        self.joins.push(joins);
    }

    /// Prints minimum, median and maximum, and judges.
    pub(crate) fn close(&self) -> ExitCode {
        println!();
        for (name, of) in [
            ("min", (|sorted| sorted[0]) as fn(&[u64]) -> u64),
            ("median", |sorted| sorted[sorted.len() / 2]),
            ("max", |sorted| sorted[sorted.len() - 1]),
        ] {
            print!("{name:>6}");
            for measures in [&self.all, &self.joins] {
                let [messages, unanswered, ms] = columns(measures).map(|column| of(&column));
                print!(" | {messages:>8} {unanswered:>10} {ms:>6} ms");
            }
            println!();
        }
        let runs = self.all.iter().zip(&self.joins);
        let correct = runs
            .filter(|(all, join)| all.wrong.is_empty() && join.wrong.is_empty())
            .count();
        println!("\n{correct} of {} correct", self.runs);
        let missed = self.missed();
        missed
            .iter()
            .for_each(|missed| println!("missed: {missed}"));
        if correct == self.runs && missed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        if self.all.iter().any(|all| all.messages > ALL_MESSAGES_MAX) {
            missed.push(format!(
                "at most {ALL_MESSAGES_MAX} messages if all boot at once"
            ));
        }
        if self.all.iter().any(|all| all.time > ALL_TIME_MAX) {
            missed.push(format!("at most {ALL_TIME_MAX:?} if all boot at once"));
        }
        if self
            .joins
            .iter()
            .any(|join| join.messages > JOIN_MESSAGES_MAX)
        {
            missed.push(format!("at most {JOIN_MESSAGES_MAX} messages if one joins"));
        }
        missed
    }
}

const HEAD: &str = "messages unanswered      time correct";

fn line(measure: &Measure) -> String {
    format!(
        "{:>8} {:>10} {:>6} ms {:>7}",
        measure.messages,
        measure.unanswered,
        measure.time.as_millis(),
        if measure.wrong.is_empty() {
            "yes"
        } else {
            "NO"
        }
    )
}

/// Messages, unanswered calls and milliseconds, each sorted.
fn columns(measures: &[Measure]) -> [Vec<u64>; 3] {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let values: [fn(&Measure) -> u64; 2] = [|m| m.messages, |m| m.unanswered];
    let mut columns = [
        measures.iter().map(values[0]).collect::<Vec<_>>(),
        measures.iter().map(values[1]).collect(),
        measures.iter().map(|measure| ms(measure.time)).collect(),
    ];
    columns.iter_mut().for_each(|column| column.sort_unstable());
    columns
}
