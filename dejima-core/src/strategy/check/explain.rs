//! A verdict as a finding that points into the strategy: which rule, which constraint, which rows, and what to do.

use super::picture::picture;
use super::{Case, Obligation, Verdict};
use crate::strategy::evaluate::{Evaluation, Row, Rows, get};
use crate::strategy::language::{Diagnostic, Span};
use crate::strategy::program::{ConstraintKind, Predicate, Program, RelationId, Role, Rule, Scope};

/// What is to be said of a verdict; nothing of a proof.
pub fn explain(program: &Program, obligation: Obligation, verdict: &Verdict) -> Option<Diagnostic> {
    match verdict {
        Verdict::Proved => None,
        Verdict::Unknown(unknown) => {
            let finding = Diagnostic::warning(
                format!("neither proved nor refuted: {}", obligation.name(program)),
                place(program, obligation),
                "",
            )
            .note(format!(
                "it held on all of {} databases that were tried",
                unknown.databases
            ));
            Some(match &unknown.solver {
                Some(said) => finding.note(said.clone()),
                None => finding.note("there was no solver, which alone could prove it"),
            })
        }
        Verdict::Refuted(None) => Some(unfulfillable(program)),
        Verdict::Refuted(Some(case)) => Some(refuted(program, obligation, case)),
    }
}

/// Where an obligation comes from.
fn place(program: &Program, obligation: Obligation) -> Span {
    match obligation {
        Obligation::Shown(position) | Obligation::Kept(position) => {
            program.constraints[position].span
        }
        Obligation::Disjoint(relation) => program.relation(relation).span,
        Obligation::NotNull(relation, column) => program.relation(relation).columns[column].span,
        Obligation::ShownNotNull(column) => program.view().columns[column].span,
        Obligation::Fulfillable | Obligation::GetPut | Obligation::PutGet => program.view().span,
    }
}

fn unfulfillable(program: &Program) -> Diagnostic {
    let view = &program.view().name;
    let constraints = program
        .constraints
        .iter()
        .filter(|constraint| constraint.scope == Scope::View);
    let finding = Diagnostic::error(
        format!("no row can ever be in {view}"),
        program.view().span,
        "its constraints refuse every row",
    );
    constraints.fold(finding, |finding, constraint| {
        finding.and_at(constraint.span, "this one is among them")
    })
}

fn refuted(program: &Program, obligation: Obligation, case: &Case) -> Diagnostic {
    let facts = Facts::of(program, case);
    let finding = match obligation {
        Obligation::Fulfillable => unfulfillable(program),
        Obligation::Shown(position) => shown(program, position),
        Obligation::ShownNotNull(column) => {
            let column = &program.view().columns[column];
            facts
                .pointing(
                    format!(
                        "{} shows NULL in a column that is not null",
                        program.view().name
                    ),
                    facts.rules_giving_null(Predicate::Rows(program.view)),
                    "this rule gives NULL",
                )
                .and_at(column.span, "not null")
                .help(format!(
                    "write null behind its type: {} {} null",
                    column.name, column.type_name
                ))
        }
        Obligation::Disjoint(relation) => disjoint(program, &facts, relation),
        Obligation::GetPut => get_put(program, &facts),
        Obligation::PutGet => put_get(program, &facts, case),
        Obligation::NotNull(relation, column) => {
            let column = &program.relation(relation).columns[column];
            facts
                .pointing(
                    format!(
                        "NULL is written into column \"{}\", which refuses it",
                        column.name
                    ),
                    facts.rules_giving_null(Predicate::Insert(relation)),
                    "this rule writes NULL",
                )
                .and_at(column.span, "not null")
                .help("write another value, or refuse such rows with a constraint")
        }
        Obligation::Kept(position) => kept(program, &facts, case, position),
    };
    match picture(program, case) {
        Ok(picture) => finding.note(format!("for example\n{picture}")),
        Err(_) => finding,
    }
}

/// What happens in a case, rule by rule.
struct Facts<'a> {
    program: &'a Program,
    /// For each rule of put, the rows that it gives.
    put: Vec<(&'a Rule, Rows)>,
    /// The same for the rules of the Dejima table, before.
    get: Vec<(&'a Rule, Rows)>,
    case: &'a Case,
}

impl<'a> Facts<'a> {
    fn of(program: &'a Program, case: &'a Case) -> Self {
        let by_rule = |wanted: &Rows, is_meant: &dyn Fn(&Rule) -> bool| {
            let evaluation = Evaluation::of(program, &case.before, wanted);
            let rules = program.rules.iter().filter(|rule| is_meant(rule));
            rules
                .filter_map(|rule| Some((rule, evaluation.as_ref().ok()?.rows_by(rule).ok()?)))
                .collect()
        };
        let view = Predicate::Rows(program.view);
        Self {
            program,
            put: by_rule(&case.wanted, &|rule| {
                !matches!(rule.head, Predicate::Rows(_))
            }),
            get: by_rule(&case.wanted, &|rule| rule.head == view),
            case,
        }
    }

    /// The places of rules that give rows of a kind.
    fn rules_giving(&self, head: Predicate, is_meant: impl Fn(&Row) -> bool) -> Vec<Span> {
        let all = self.put.iter().chain(&self.get);
        all.filter(|(rule, rows)| rule.head == head && rows.iter().any(&is_meant))
            .map(|(rule, _)| rule.span)
            .collect()
    }

    fn rules_giving_null(&self, head: Predicate) -> Vec<Span> {
        let columns = &self.program.relation(head.relation()).columns;
        self.rules_giving(head, |row| {
            row.iter()
                .zip(columns)
                .any(|(value, column)| value.is_null() && !column.nullable)
        })
    }

    /// An error at the first of some places, the others beside it; at the Dejima table if there is none.
    fn pointing(&self, message: String, mut places: Vec<Span>, label: &str) -> Diagnostic {
        places.sort();
        places.dedup();
        let mut places = places.into_iter();
        let Some(first) = places.next() else {
            return Diagnostic::error(message, self.program.view().span, "");
        };
        let finding = Diagnostic::error(message, first, label);
        places.fold(finding, |finding, place| finding.and_at(place, label))
    }
}

fn shown(program: &Program, position: usize) -> Diagnostic {
    let (view, constraint) = (&program.view().name, &program.constraints[position]);
    let name = program.constraint_name(constraint);
    let finding = Diagnostic::error(
        format!("{view} shows rows that break {name}"),
        constraint.span,
        "this is broken before anything changes",
    )
    .note("clients write the base tables, too; what they may write there must be fit to be shown");
    match &constraint.kind {
        ConstraintKind::Key { .. } => {
            finding.help("the base tables must have a key that makes these columns unique")
        }
        _ => finding
            .help("let the base tables have the same constraint, or show only rows that keep it"),
    }
}

fn disjoint(program: &Program, facts: &Facts<'_>, relation: RelationId) -> Diagnostic {
    let name = &program.relation(relation).name;
    let of = |head| facts.put.iter().filter(move |(rule, _)| rule.head == head);
    let all = |head| {
        of(head)
            .flat_map(|(_, rows)| rows.clone())
            .collect::<Rows>()
    };
    let both: Rows = all(Predicate::Insert(relation))
        .intersection(&all(Predicate::Delete(relation)))
        .cloned()
        .collect();
    let inserting = facts.rules_giving(Predicate::Insert(relation), |row| both.contains(row));
    let deleting = facts.rules_giving(Predicate::Delete(relation), |row| both.contains(row));
    let message = format!("a row of {name} is to be inserted and deleted at once");
    let finding = facts.pointing(message, inserting, "this rule inserts it");
    let finding = deleting.into_iter().fold(finding, |finding, place| {
        finding.and_at(place, "this rule deletes it")
    });
    finding.help(format!(
        "insert only what is not there: add `not {name}(...)` to the rule that inserts"
    ))
}

fn get_put(program: &Program, facts: &Facts<'_>) -> Diagnostic {
    let before = &facts.case.before;
    let mut places = Vec::new();
    for source in program.written() {
        let rows = before.rows(source);
        places.extend(facts.rules_giving(Predicate::Insert(source), |row| !rows.contains(row)));
        places.extend(facts.rules_giving(Predicate::Delete(source), |row| rows.contains(row)));
    }
    let finding = facts.pointing(
        "GetPut does not hold: nothing has changed, and put changes a base table".to_owned(),
        places,
        "this rule fires all the same",
    );
    if program.get_is_derived {
        return finding.note(format!(
            "what {} shows is not written; it was derived from the put rules",
            program.view().name
        ));
    }
    finding
}

fn put_get(program: &Program, facts: &Facts<'_>, case: &Case) -> Diagnostic {
    let view = &program.view().name;
    let shown = case
        .change(program)
        .and_then(|change| get(program, &change.applied_to(&case.before)))
        .unwrap_or_default();
    let before = get(program, &case.before).unwrap_or_default();
    let lost: Vec<&Row> = case.wanted.difference(&shown).collect();
    let fires = facts.put.iter().any(|(_, rows)| !rows.is_empty());
    let (message, help) = match lost.first() {
        Some(row) if !before.contains(*row) && !fires => (
            format!("PutGet does not hold: a row that is put into {view} is lost"),
            "write a rule that puts such a row, or refuse it with a constraint: _|_ :- ...",
        ),
        Some(row) if !before.contains(*row) => (
            format!("PutGet does not hold: a row that is put into {view} does not come back"),
            "let the rules write what the Dejima table shows, or refuse such rows with a constraint: _|_ :- ...",
        ),
        Some(_) => (
            format!("PutGet does not hold: a row of {view} vanishes that nobody deleted"),
            "let the rules delete only what shows the row that is deleted",
        ),
        None => (
            format!("PutGet does not hold: {view} shows a row that is not wanted"),
            "write a rule that deletes what shows it, or refuse the change with a constraint: _|_ :- ...",
        ),
    };
    let writing: Vec<Span> = facts
        .put
        .iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(rule, _)| rule.span)
        .collect();
    let finding = if writing.is_empty() {
        let inserting = facts
            .put
            .iter()
            .filter(|(rule, _)| matches!(rule.head, Predicate::Insert(_)));
        let places = inserting.map(|(rule, _)| rule.span).collect();
        facts.pointing(message, places, "does not fire")
    } else {
        facts.pointing(message, writing, "what this rule writes does not do it")
    };
    finding.help(help)
}

fn kept(program: &Program, facts: &Facts<'_>, case: &Case, position: usize) -> Diagnostic {
    let constraint = &program.constraints[position];
    let name = program.constraint_name(constraint);
    let rows = case
        .broken_by(program, position)
        .ok()
        .flatten()
        .unwrap_or_default();
    let mut places = Vec::new();
    for (relation, row) in &rows {
        places.extend(facts.rules_giving(Predicate::Insert(*relation), |found| found == row));
    }
    let deleting = places.is_empty();
    if deleting {
        for (rule, rows) in &facts.put {
            if matches!(rule.head, Predicate::Delete(_)) && !rows.is_empty() {
                places.push(rule.span);
            }
        }
    }
    let label = if deleting {
        "by what this rule deletes"
    } else {
        "by what this rule inserts"
    };
    let finding = facts
        .pointing(format!("put breaks {name}"), places, label)
        .and_at(constraint.span, "this is broken");
    let is_new = |(relation, row): &(RelationId, Row)| {
        let inserts = |(rule, given): &(&Rule, Rows)| {
            rule.head == Predicate::Insert(*relation) && given.contains(row)
        };
        facts.put.iter().any(inserts)
    };
    let all_new = !rows.is_empty() && rows.iter().all(is_new);
    match help_to_keep(program, &constraint.kind, all_new) {
        Some(help) => finding.help(help),
        None => {
            finding.help("refuse such changes with a constraint of the Dejima table: _|_ :- ...")
        }
    }
}

fn help_to_keep(program: &Program, kind: &ConstraintKind, all_new: bool) -> Option<String> {
    let view = program.view();
    let names = |relation: RelationId, columns: &[usize]| {
        let all = &program.relation(relation).columns;
        columns
            .iter()
            .map(|&column| all[column].name.clone())
            .collect::<Vec<_>>()
    };
    match kind {
        ConstraintKind::Key { relation, columns } if view.key.is_none() => {
            let key = names(*relation, columns);
            let is_shown = key
                .iter()
                .all(|name| view.columns.iter().any(|column| column.name == *name));
            let text = if is_shown {
                key.join(", ")
            } else {
                "...".to_owned()
            };
            Some(format!(
                "say what the key of the Dejima table is: PK({}, [{text}]).",
                view.name
            ))
        }
        ConstraintKind::Key { relation, columns } if all_new => Some(format!(
            "give each new row another {}, or refuse such rows with a constraint: _|_ :- {}(...), ...",
            names(*relation, columns).join(", "),
            view.name
        )),
        ConstraintKind::Key { relation, .. } => {
            let relation = program.relation(*relation);
            Some(format!(
                "a row of {0} that is not shown may have this key: refuse it with a constraint,\n_|_ :- {1}(...), {0}(...), ...",
                relation.name, view.name
            ))
        }
        ConstraintKind::ForeignKey { target, .. }
            if program.relation(*target).role == Role::Source =>
        {
            let target = &program.relation(*target).name;
            Some(format!(
                "refuse rows that refer to nothing: _|_ :- {}(...), not {target}(...).",
                view.name
            ))
        }
        _ => None,
    }
}
