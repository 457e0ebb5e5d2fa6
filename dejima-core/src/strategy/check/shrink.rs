//! Making a counterexample smaller as long as it stays one: fewer rows, then simpler values.

use super::Obligation;
use super::case::Case;
use super::domain::Domain;
use crate::strategy::evaluate::{Database, Rows, get};
use crate::strategy::program::{Program, RelationId};
use crate::strategy::value::Value;

/// The smallest case that can be reached step by step.
pub(super) fn shrunk(
    program: &Program,
    domain: &Domain,
    case: Case,
    obligation: Obligation,
) -> Case {
    let mut smallest = case;
    while let Some(smaller) = smaller(program, domain, &smallest, obligation) {
        smallest = smaller;
    }
    smallest
}

/// What nothing changes in must show what it shows.
fn refitted(program: &Program, case: Case, obligation: Obligation) -> Option<Case> {
    let is_steady = matches!(
        obligation,
        Obligation::GetPut | Obligation::Shown(_) | Obligation::ShownNotNull(_)
    );
    if !is_steady {
        return Some(case);
    }
    let wanted = get(program, &case.before).ok()?;
    Some(Case { wanted, ..case })
}

fn smaller(
    program: &Program,
    domain: &Domain,
    case: &Case,
    obligation: Obligation,
) -> Option<Case> {
    let mut candidates = fewer_rows(program, case);
    candidates.extend(simpler_values(program, domain, case));
    candidates
        .into_iter()
        .filter_map(|candidate| refitted(program, candidate, obligation))
        .filter(|candidate| weight(program, domain, candidate) < weight(program, domain, case))
        .find(|candidate| candidate.refutes(program, obligation))
}

/// Rows and changes first, then how far values are from the simplest.
fn weight(program: &Program, domain: &Domain, case: &Case) -> (usize, usize) {
    let shown = get(program, &case.before).unwrap_or_default();
    let changes = shown.symmetric_difference(&case.wanted).count();
    let of_rows = |relation: RelationId, rows: &Rows| -> usize {
        let columns = domain.columns(relation);
        let of_value = |(value, values): (&Value, &Vec<Value>)| {
            values
                .iter()
                .position(|known| known == value)
                .unwrap_or(values.len())
        };
        rows.iter()
            .map(|row| row.iter().zip(columns).map(of_value).sum::<usize>())
            .sum()
    };
    let stored = case
        .before
        .0
        .iter()
        .map(|(&relation, rows)| of_rows(relation, rows));
    let values = stored.sum::<usize>() + of_rows(program.view, &case.wanted);
    (case.before.len() + changes, values)
}

fn fewer_rows(program: &Program, case: &Case) -> Vec<Case> {
    let mut candidates = Vec::new();
    let shown = get(program, &case.before).unwrap_or_default();
    for row in shown.symmetric_difference(&case.wanted) {
        let mut wanted = case.wanted.clone();
        if !wanted.remove(row) {
            wanted.insert(row.clone());
        }
        candidates.push(Case {
            wanted,
            before: case.before.clone(),
        });
    }
    for (&relation, rows) in &case.before.0 {
        for row in rows {
            let mut before = case.before.clone();
            before.0.entry(relation).or_default().remove(row);
            // The row alone, or with what it shows.
            let lost: Rows = match get(program, &before) {
                Ok(now) => shown.difference(&now).cloned().collect(),
                Err(_) => Rows::new(),
            };
            let wanted: Rows = case.wanted.difference(&lost).cloned().collect();
            candidates.push(Case {
                before: before.clone(),
                wanted,
            });
            candidates.push(Case {
                before,
                wanted: case.wanted.clone(),
            });
        }
    }
    candidates
}

/// One value replaced by a simpler one everywhere where it stands in columns that try both.
fn simpler_values(program: &Program, domain: &Domain, case: &Case) -> Vec<Case> {
    let mut replacements: Vec<(Value, Value)> = Vec::new();
    let stored = program.sources().chain([program.view]);
    for values in stored.flat_map(|relation| domain.columns(relation)) {
        for (position, value) in values.iter().enumerate() {
            for simpler in &values[..position] {
                let pair = (value.clone(), simpler.clone());
                if !replacements.contains(&pair) {
                    replacements.push(pair);
                }
            }
        }
    }
    let mut candidates: Vec<Case> = replacements
        .iter()
        .map(|(from, to)| replaced(program, domain, case, from, to))
        .collect();
    candidates.extend(single_values(domain, case));
    candidates
}

fn replaced(program: &Program, domain: &Domain, case: &Case, from: &Value, to: &Value) -> Case {
    let of_rows = |relation: RelationId, rows: &Rows| -> Rows {
        let columns = domain.columns(relation);
        let of_value = |(value, values): (&Value, &Vec<Value>)| {
            if value == from && values.contains(to) {
                to.clone()
            } else {
                value.clone()
            }
        };
        rows.iter()
            .map(|row| row.iter().zip(columns).map(of_value).collect())
            .collect()
    };
    let before = case.before.0.iter();
    Case {
        before: Database(
            before
                .map(|(&relation, rows)| (relation, of_rows(relation, rows)))
                .collect(),
        ),
        wanted: of_rows(program.view, &case.wanted),
    }
}

/// One value of one row of a base table replaced.
fn single_values(domain: &Domain, case: &Case) -> Vec<Case> {
    let mut candidates = Vec::new();
    for (&relation, rows) in &case.before.0 {
        for row in rows {
            for (column, values) in domain.columns(relation).iter().enumerate() {
                let simpler = values.iter().take_while(|value| **value != row[column]);
                for value in simpler {
                    let mut before = case.before.clone();
                    let rows = before.0.entry(relation).or_default();
                    rows.remove(row);
                    let mut changed = row.clone();
                    changed[column] = value.clone();
                    rows.insert(changed);
                    candidates.push(Case {
                        before,
                        wanted: case.wanted.clone(),
                    });
                }
            }
        }
    }
    candidates
}
