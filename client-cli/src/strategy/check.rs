//! `dejima strategy check`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use dejima_core::strategy::check::{
    Case, Effort, Obligation, Overall, Report, Solver, Together, Verdict, Z3,
    check as check_program, explain, together,
};
use dejima_core::strategy::evaluate::{Database, Rows, get};
use dejima_core::strategy::language::{Reading, Severity};
use dejima_core::strategy::program::Program;
use dejima_core::strategy::value::Value as Cell;
use serde_json::{Value, json};

use super::{Files, UNREADABLE, readings};
use crate::arguments::StrategyCheck;
use crate::output::{Output, print, print_json};

/// All strategies are proved.
const PROVED: u8 = 0;
/// One is refuted.
const REFUTED: u8 = 1;
/// None is refuted, one is not proved.
const UNKNOWN: u8 = 2;

/// Checks all files; says the exit status of the worst.
pub(super) fn check(arguments: &StrategyCheck, output: Output) -> anyhow::Result<u8> {
    let mut checker = Checker {
        solver: solver(arguments),
        output,
        documents: Vec::new(),
        pairs: Vec::new(),
        proved: Vec::new(),
        statuses: Vec::new(),
    };
    checker.files(&arguments.files, arguments.schema.as_deref())?;
    checker.pairs()?;
    if output == Output::Json {
        print_json(&json!({ "strategies": checker.documents, "together": checker.pairs }))?;
    }
    Ok(worst(&checker.statuses))
}

/// What cannot be read is worst, then what is refuted: it is known to be wrong.
fn worst(statuses: &[u8]) -> u8 {
    let order = [UNREADABLE, REFUTED, UNKNOWN];
    order
        .into_iter()
        .find(|status| statuses.contains(status))
        .unwrap_or(PROVED)
}

fn solver(arguments: &StrategyCheck) -> Option<Z3> {
    match Z3::start(Duration::from_secs(arguments.solver_timeout)) {
        Ok(solver) => Some(solver),
        Err(missing) => {
            eprintln!("{missing}; without it nothing is proved, only tried");
            None
        }
    }
}

struct Checker {
    solver: Option<Z3>,
    output: Output,
    documents: Vec<Value>,
    /// What came of checking two of them together.
    pairs: Vec<Value>,
    /// Programs that are right by themselves.
    proved: Vec<Program>,
    statuses: Vec<u8>,
}

impl Checker {
    fn files(&mut self, files: Files<'_>, schema: Option<&Path>) -> anyhow::Result<()> {
        for file in files {
            for reading in readings(file, schema)? {
                self.reading(file, &reading)?;
            }
        }
        Ok(())
    }

    fn reading(&mut self, file: &Path, reading: &Reading) -> anyhow::Result<()> {
        let started = Instant::now();
        let name = match reading.view() {
            Some(view) => format!("{} ({view})", file.display()),
            None => file.display().to_string(),
        };
        if self.output == Output::Table {
            for finding in &reading.findings {
                print(finding.render(&reading.sources))?;
            }
        }
        let Some(program) = &reading.program else {
            self.statuses.push(UNREADABLE);
            if self.output == Output::Table {
                print(format_args!("{name}: cannot be read"))?;
            }
            self.documents.push(json!({
                "file": file.display().to_string(), "view": reading.view(), "verdict": "unreadable",
                "findings": rendered(reading),
            }));
            return Ok(());
        };
        let solver = self.solver.as_mut().map(|solver| solver as &mut dyn Solver);
        let report = check_program(program, solver, Effort::default());
        self.statuses.push(status(&report));
        if report.overall() == Overall::Proved {
            self.proved.push(program.clone());
        }
        match self.output {
            Output::Table => print_report(&name, program, reading, &report, started.elapsed())?,
            Output::Json => self
                .documents
                .push(report_json(file, program, reading, &report)),
        }
        Ok(())
    }
}

impl Checker {
    /// Whether one strategy undoes what another has put, for all that are right by themselves.
    fn pairs(&mut self) -> anyhow::Result<()> {
        let programs = std::mem::take(&mut self.proved);
        for (number, first) in programs.iter().enumerate() {
            for (_, second) in programs
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != number)
            {
                let solver = self.solver.as_mut().map(|solver| solver as &mut dyn Solver);
                if let Some(found) = together(first, second, solver, Effort::default()) {
                    self.pair(first, second, &found)?;
                }
            }
        }
        Ok(())
    }

    fn pair(&mut self, first: &Program, second: &Program, found: &Together) -> anyhow::Result<()> {
        let (first, second) = (&first.view().name, &second.view().name);
        self.statuses.push(match found.verdict {
            Verdict::Proved => PROVED,
            Verdict::Refuted(_) => REFUTED,
            Verdict::Unknown(_) => UNKNOWN,
        });
        let picture = found.picture()?;
        if self.output == Output::Json {
            self.pairs.push(json!({
                "first": first, "second": second, "verdict": word(&found.verdict), "counterexample": picture,
            }));
            return Ok(());
        }
        if let Some(picture) = picture {
            print(format_args!(
                "error: {second} undoes what was put into {first}; for example\n{picture}\n"
            ))?;
        }
        let tried = match &found.verdict {
            Verdict::Unknown(unknown) => format!(
                "; it held on {} databases that were tried",
                unknown.databases
            ),
            _ => String::new(),
        };
        Ok(print(format_args!(
            "{first}, then {second}: {}{tried}",
            word(&found.verdict)
        ))?)
    }
}

fn status(report: &Report) -> u8 {
    match report.overall() {
        Overall::Proved => PROVED,
        Overall::Refuted => REFUTED,
        Overall::Unknown => UNKNOWN,
    }
}

fn print_report(
    name: &str,
    program: &Program,
    reading: &Reading,
    report: &Report,
    took: Duration,
) -> anyhow::Result<()> {
    for (obligation, verdict) in &report.verdicts {
        if let Some(finding) = explain(program, *obligation, verdict) {
            print(finding.render(&reading.sources))?;
        }
    }
    let count = |wanted: &str| {
        report
            .verdicts
            .iter()
            .filter(|(_, verdict)| word(verdict) == wanted)
            .count()
    };
    let mut counts = vec![format!("{} proved", count("proved"))];
    for wanted in ["refuted", "unknown"] {
        if count(wanted) > 0 {
            counts.push(format!("{} {wanted}", count(wanted)));
        }
    }
    let overall = overall_word(report);
    Ok(print(format_args!(
        "{name}: {overall} ({}, {:.1} s)",
        counts.join(", "),
        took.as_secs_f32()
    ))?)
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Proved => "proved",
        Verdict::Refuted(_) => "refuted",
        Verdict::Unknown(_) => "unknown",
    }
}

fn overall_word(report: &Report) -> &'static str {
    match report.overall() {
        Overall::Proved => "proved",
        Overall::Refuted => "refuted",
        Overall::Unknown => "unknown",
    }
}

fn rendered(reading: &Reading) -> Vec<Value> {
    let of = |finding: &dejima_core::strategy::language::Diagnostic| {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        json!({ "severity": severity, "message": finding.message, "text": finding.render(&reading.sources) })
    };
    reading.findings.iter().map(of).collect()
}

fn report_json(file: &Path, program: &Program, reading: &Reading, report: &Report) -> Value {
    let obligations = report.verdicts.iter().map(|(obligation, verdict)| {
        let mut document = obligation_json(program, *obligation, verdict);
        if let Some(finding) = explain(program, *obligation, verdict) {
            document["text"] = finding.render(&reading.sources).into();
        }
        document
    });
    json!({
        "file": file.display().to_string(), "view": program.view().name, "verdict": overall_word(report),
        "findings": rendered(reading), "obligations": obligations.collect::<Vec<_>>(),
    })
}

fn obligation_json(program: &Program, obligation: Obligation, verdict: &Verdict) -> Value {
    let mut document = json!({
        "code": obligation.code(), "obligation": obligation.name(program), "verdict": word(verdict),
    });
    match verdict {
        Verdict::Refuted(Some(case)) => document["counterexample"] = case_json(program, case),
        Verdict::Unknown(unknown) => {
            document["databases_tried"] = unknown.databases.into();
            document["solver"] = unknown.solver.clone().into();
        }
        Verdict::Proved | Verdict::Refuted(None) => {}
    }
    document
}

/// The states before and after; values as texts, NULL as null.
fn case_json(program: &Program, case: &Case) -> Value {
    let database = |database: &Database| {
        let tables = program.sources().map(|source| {
            (
                program.relation(source).name.clone(),
                rows_json(database.rows(source)),
            )
        });
        tables.collect::<BTreeMap<String, Value>>()
    };
    let after = case
        .change(program)
        .map(|change| change.applied_to(&case.before))
        .unwrap_or_default();
    let shown = |database: &Database| rows_json(&get(program, database).unwrap_or_default());
    json!({
        "before": database(&case.before), "shown_before": shown(&case.before), "wanted": rows_json(&case.wanted),
        "after": database(&after), "shown_after": shown(&after),
    })
}

fn rows_json(rows: &Rows) -> Value {
    let cell = |cell: &Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) | Cell::Opaque(text) => text.to_string().into(),
        other => other.to_string().trim_matches('\'').into(),
    };
    rows.iter()
        .map(|row| row.iter().map(cell).collect::<Value>())
        .collect()
}
