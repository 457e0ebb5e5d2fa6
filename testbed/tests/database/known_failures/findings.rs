//! Failure: an error says only "not validated".

use dejima_core::strategy::check::{Effort, Verdict, check, explain};
use dejima_core::strategy::language::Severity;
use dejima_testbed::{CorpusFile, Expectation};

fn corpus() -> impl Iterator<Item = CorpusFile> {
    let names = CorpusFile::names().expect("the folder is there");
    names
        .into_iter()
        .map(|name| CorpusFile::open(&name).expect("it has a head"))
}

/// Whether a finding shows a line of the file, underlined, with its number.
fn points_into(finding: &str, file: &CorpusFile) -> bool {
    let place = finding.split_once(&format!("--> {}:", file.name));
    let line = place.and_then(|(_, rest)| rest.split(':').next()?.parse::<usize>().ok());
    let Some(text) = line.and_then(|line| file.text.lines().nth(line - 1)) else {
        return false;
    };
    finding.contains(&format!("| {text}\n")) && finding.contains('^')
}

/// Each strategy of the corpus that a search refutes is told where it is wrong, what is broken, and in which smallest case.
#[test]
fn a_refutation_names_rule_place_and_counterexample() {
    let mut refuted = 0;
    for file in corpus().filter(|file| matches!(file.head.expectation, Expectation::Refuted(_))) {
        let reading = file.reading().expect("it is there");
        let program = reading.program.expect("it can be read");
        let report = check(&program, None, Effort::default());
        for (obligation, verdict) in &report.verdicts {
            let Verdict::Refuted(Some(_)) = verdict else {
                continue;
            };
            refuted += 1;
            let finding = explain(&program, *obligation, verdict).expect("it is refuted");
            let finding = finding.render(&reading.sources);
            assert!(points_into(&finding, &file), "{}:\n{finding}", file.name);
            for part in ["error: ", "= note: for example", "before  "] {
                assert!(
                    finding.contains(part),
                    "{} lacks {part}:\n{finding}",
                    file.name
                );
            }
        }
    }
    assert!(refuted >= 16, "{refuted} refutations");
}

/// What cannot be read is told the place.
#[test]
fn what_cannot_be_read_is_shown_where() {
    let mut unreadable = 0;
    for file in corpus().filter(|file| matches!(file.head.expectation, Expectation::Unreadable(_)))
    {
        let reading = file.reading().expect("it is there");
        let errors = reading.findings.iter();
        let errors: Vec<_> = errors
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.render(&reading.sources))
            .collect();
        unreadable += 1;
        let points = errors.iter().all(|finding| points_into(finding, &file));
        assert!(
            points && !errors.is_empty(),
            "{}:\n{}",
            file.name,
            errors.concat()
        );
    }
    assert!(unreadable >= 12, "{unreadable} strategies");
}
