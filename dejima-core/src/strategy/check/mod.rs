//! Checking a strategy: what has to hold of it ([`Obligation`]), and whether it does ([`check()`]).
//!
//! A solver proves an obligation for all states, however large; what it does not prove is searched for the smallest state in which
//! it fails; what neither proves nor fails is *unknown*, and the report says how much was tried.

mod case;
mod domain;
mod explain;
mod obligation;
mod picture;
pub mod random;
mod sample;
mod search;
mod shrink;
mod smt;
mod solver;
mod together;

use std::collections::BTreeSet;

use crate::strategy::program::Program;

pub use case::Case;
pub use domain::Domain;
pub use explain::explain;
pub use obligation::Obligation;
pub use picture::picture;
pub use sample::Sample;
pub use search::{Effort, Found, search};
pub use smt::{script_in, script_of_rule, scripts};
pub use solver::{Answer, Solver};
#[cfg(feature = "solver")]
pub use solver::{Missing, Z3};
pub use together::{Together, together};

/// What is known of one obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds in all states.
    Proved,
    /// It does not hold here; there is no state for which [`Obligation::Fulfillable`] would fail, so it has no case.
    Refuted(Option<Case>),
    /// Nobody knows.
    Unknown(Unknown),
}

/// Why an obligation is neither proved nor refuted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What the solver said; nothing if there was none.
    pub solver: Option<String>,
    /// On so many databases it held.
    pub databases: usize,
}

/// The verdict on a whole strategy; the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overall {
    /// All obligations are proved.
    Proved,
    /// None is refuted, some are unknown.
    Unknown,
    /// One is refuted.
    Refuted,
}

/// What checking has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each obligation with its verdict, in the order of [`Obligation::of`].
    pub verdicts: Vec<(Obligation, Verdict)>,
}

impl Report {
    /// The verdict on the whole.
    pub fn overall(&self) -> Overall {
        let of_one = |(_, verdict): &(Obligation, Verdict)| match verdict {
            Verdict::Proved => Overall::Proved,
            Verdict::Refuted(_) => Overall::Refuted,
            Verdict::Unknown(_) => Overall::Unknown,
        };
        self.verdicts
            .iter()
            .map(of_one)
            .max()
            .unwrap_or(Overall::Proved)
    }
}

/// Checks all obligations of a program.
pub fn check(program: &Program, mut solver: Option<&mut dyn Solver>, effort: Effort) -> Report {
    let obligations = Obligation::of(program);
    let mut ask = |obligation: Obligation| {
        let solver = solver.as_deref_mut()?;
        Some(answer(solver, &scripts(program, obligation)))
    };
    // That a row is possible is shown by an example, that none is by a proof; the others the other way round.
    let by_example = |obligation: Obligation| obligation == Obligation::Fulfillable;
    let answers: Vec<Option<Answer>> = obligations
        .iter()
        .map(|&obligation| {
            if by_example(obligation) {
                None
            } else {
                ask(obligation)
            }
        })
        .collect();
    let pairs = obligations.iter().copied().zip(answers);
    let open: BTreeSet<Obligation> = pairs
        .clone()
        .filter(|(_, answer)| *answer != Some(Answer::Unsatisfiable))
        .map(|(obligation, _)| obligation)
        .collect();
    let found = search(program, &open, effort);
    let verdicts = pairs.map(|(obligation, answer)| {
        let lacks_example = by_example(obligation) && found.accepted.is_none();
        let answer = if lacks_example {
            ask(obligation)
        } else {
            answer
        };
        (obligation, verdict(obligation, &answer, &found))
    });
    Report {
        verdicts: verdicts.collect(),
    }
}

/// The verdict on several obligations as one, none of which is [`Obligation::Fulfillable`].
fn check_one(
    program: &Program,
    obligations: &[Obligation],
    solver: Option<&mut dyn Solver>,
    effort: Effort,
) -> Verdict {
    let scripts: Vec<String> = obligations
        .iter()
        .flat_map(|&one| scripts(program, one))
        .collect();
    let answer = solver.map(|solver| answer(solver, &scripts));
    if answer == Some(Answer::Unsatisfiable) {
        return Verdict::Proved;
    }
    let found = search(program, &obligations.iter().copied().collect(), effort);
    let refuting = obligations
        .iter()
        .find(|one| found.against.contains_key(one));
    verdict(*refuting.unwrap_or(&obligations[0]), &answer, &found)
}

/// Unsatisfiable in all ways, or what is to be said of the first that is not.
fn answer(solver: &mut dyn Solver, scripts: &[String]) -> Answer {
    for script in scripts {
        match solver.solve(script) {
            Answer::Unsatisfiable => {}
            other => return other,
        }
    }
    Answer::Unsatisfiable
}

fn verdict(obligation: Obligation, answer: &Option<Answer>, found: &Found) -> Verdict {
    let unknown = |solver: Option<String>| {
        Verdict::Unknown(Unknown {
            solver,
            databases: found.databases,
        })
    };
    if obligation == Obligation::Fulfillable {
        return match (&found.accepted, answer) {
            (Some(_), _) => Verdict::Proved,
            (None, Some(Answer::Unsatisfiable)) => Verdict::Refuted(None),
            (None, answer) => unknown(answer.as_ref().map(said)),
        };
    }
    match (found.against.get(&obligation), answer) {
        (Some(case), _) => Verdict::Refuted(Some(case.clone())),
        (None, Some(Answer::Unsatisfiable)) => Verdict::Proved,
        (None, answer) => unknown(answer.as_ref().map(said)),
    }
}

fn said(answer: &Answer) -> String {
    match answer {
        Answer::Unknown(why) => why.clone(),
        Answer::Satisfiable => "z3 takes it for refutable, and no such state was found".to_owned(),
        Answer::Unsatisfiable => "proved".to_owned(),
    }
}
