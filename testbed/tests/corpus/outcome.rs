//! What becomes of a strategy.

use dejima_core::strategy::check::{
    Effort, Obligation, Overall, Verdict, Z3, check, picture, search,
};
use dejima_core::strategy::program::Program;
use dejima_testbed::CorpusFile;

/// Random databases on which a proof is tried.
const CROSS_CHECKS: usize = 1_000;

pub(crate) enum Outcome {
    Proved(Box<Program>),
    Refuted {
        /// The codes of what does not hold.
        codes: Vec<String>,
        /// The first counterexample.
        picture: Option<String>,
        /// What is unknown beside it.
        unknown: Vec<String>,
    },
    Unknown(Vec<String>),
    /// The messages of all findings.
    Unreadable(Vec<String>),
}

impl Outcome {
    pub(crate) fn of(file: &CorpusFile, solver: &mut Z3) -> Result<Self, String> {
        let reading = file.reading()?;
        let Some(program) = reading.program else {
            return Ok(Self::Unreadable(
                reading
                    .findings
                    .into_iter()
                    .map(|finding| finding.message)
                    .collect(),
            ));
        };
        let report = check(&program, Some(solver), Effort::default());
        let of_verdict = |wanted: fn(&Verdict) -> bool| {
            report
                .verdicts
                .iter()
                .filter(move |(_, verdict)| wanted(verdict))
                .map(|(obligation, _)| *obligation)
        };
        let unknown: Vec<String> = of_verdict(|verdict| matches!(verdict, Verdict::Unknown(_)))
            .map(|obligation| obligation.name(&program))
            .collect();
        Ok(match report.overall() {
            Overall::Proved => Self::Proved(Box::new(program)),
            Overall::Unknown => Self::Unknown(unknown),
            Overall::Refuted => {
                let mut codes: Vec<String> =
                    of_verdict(|verdict| matches!(verdict, Verdict::Refuted(_)))
                        .map(|obligation| obligation.code().to_owned())
                        .collect();
                codes.dedup();
                let first = report
                    .verdicts
                    .iter()
                    .find_map(|(_, verdict)| match verdict {
                        Verdict::Refuted(case) => case.as_ref(),
                        _ => None,
                    });
                let picture = first.and_then(|case| picture(&program, case).ok());
                Self::Refuted {
                    codes,
                    picture,
                    unknown,
                }
            }
        })
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Proved(_) => "proved",
            Self::Refuted { .. } => "refuted",
            Self::Unknown(_) => "unknown",
            Self::Unreadable(_) => "unreadable",
        }
    }

    pub(crate) fn picture(&self) -> Option<&str> {
        match self {
            Self::Refuted { picture, .. } => picture.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn details(&self) -> String {
        match self {
            Self::Proved(_) => "it is proved".to_owned(),
            Self::Refuted { codes, unknown, .. } => {
                format!(
                    "refuted: {}; unknown: {}",
                    codes.join(" "),
                    unknown.join("; ")
                )
            }
            Self::Unknown(unknown) => format!("unknown: {}", unknown.join("; ")),
            Self::Unreadable(findings) => format!("unreadable: {}", findings.join("; ")),
        }
    }

    /// Nothing that is proved fails on a random database.
    pub(crate) fn cross_check(&self) -> Result<(), String> {
        let Self::Proved(program) = self else {
            return Ok(());
        };
        let all = Obligation::of(program).into_iter().collect();
        let effort = Effort {
            seed: 7,
            cases_a_size_max: 2_000,
            random_databases: CROSS_CHECKS,
        };
        let found = search(program, &all, effort);
        match found.against.iter().next() {
            None => Ok(()),
            Some((obligation, case)) => {
                let picture = picture(program, case).map_err(|failure| failure.to_string())?;
                Err(format!(
                    "proved, and yet refuted: {}\n{picture}",
                    obligation.name(program)
                ))
            }
        }
    }
}
