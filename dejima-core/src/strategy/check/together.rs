//! Two Dejima tables over the same base tables: does one undo what the other has put?
//!
//! One transaction elsewhere can change both, and their changes arrive one after the other. So let the base tables be in any state, and
//! let both Dejima tables be wanted as some other state would show them. After the first was put, and then the second, the
//! first must still show what was wanted of it. This is written as one program, whose relations are the base tables before, the base
//! tables as wanted, and everything in between; then it is an obligation like the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Effort, Obligation, Solver, Verdict, check_one};
use crate::strategy::evaluate::{Evaluation, Failure, Rows};
use crate::strategy::program::{
    Argument, Body, Column, Constraint, ConstraintKind, Predicate, Program, Relation, RelationId,
    Role, Rule, Scope, Step, Variable,
};

/// What came of checking two strategies together.
#[derive(Clone, Debug)]
pub struct Together {
    /// Whether the first is still as it was wanted after the second was put.
    pub verdict: Verdict,
    program: Program,
    /// What to show of a case, with what it is called.
    shown: Vec<(String, RelationId)>,
}

/// Checks whether the second strategy undoes the first. `None` if neither writes what the other reads, or if they declare a base table
/// differently.
pub fn together(
    first: &Program,
    second: &Program,
    solver: Option<&mut dyn Solver>,
    effort: Effort,
) -> Option<Together> {
    if !meet(first, second) {
        return None;
    }
    let mut merged = Merged::new(first);
    let before = merged.state(&[first, second], "")?;
    let target = merged.state(&[first, second], " as wanted")?;
    let wanted_first = merged.get(first, &target, "wanted of the first");
    let between = merged.put(first, &before, wanted_first);
    let wanted_second = merged.get(second, &target, "wanted of the second");
    let after = merged.put(second, &between, wanted_second);
    let kept = merged.get(first, &after, "the first in the end");
    for program in [first, second] {
        merged.promises(program, &before);
        merged.promises(program, &target);
    }
    merged.accepted(first, &before, wanted_first);
    merged.accepted(second, &between, wanted_second);
    let positions = [
        merged.differ(wanted_first, kept),
        merged.differ(kept, wanted_first),
    ];
    let mut shown = Vec::new();
    for (title, state) in [
        ("before", &before),
        ("as wanted", &target),
        ("after both", &after),
    ] {
        for (name, &relation) in state {
            shown.push((format!("{name} {title}"), relation));
        }
    }
    shown.push((format!("{} as wanted", first.view().name), wanted_first));
    shown.push((format!("{} after both", first.view().name), kept));
    let obligations = positions.map(Obligation::Shown);
    let verdict = check_one(&merged.program, &obligations, solver, effort);
    Some(Together {
        verdict,
        program: merged.program,
        shown,
    })
}

/// Whether one writes a base table that the other reads or writes.
fn meet(first: &Program, second: &Program) -> bool {
    let names = |program: &Program, relations: Vec<RelationId>| -> BTreeSet<String> {
        relations
            .into_iter()
            .map(|relation| program.relation(relation).name.clone())
            .collect()
    };
    let all = |program: &Program| names(program, program.sources().collect());
    let written = |program: &Program| names(program, program.written().collect());
    !written(first).is_disjoint(&all(second)) || !written(second).is_disjoint(&all(first))
}

impl Together {
    /// The states of a refutation, table by table.
    pub fn picture(&self) -> Result<Option<String>, Failure> {
        let Verdict::Refuted(Some(case)) = &self.verdict else {
            return Ok(None);
        };
        let evaluation = Evaluation::of(&self.program, &case.before, &Rows::new())?;
        let mut text = String::new();
        for (title, relation) in &self.shown {
            let rows = evaluation.rows(Predicate::Rows(*relation));
            let texts: Vec<String> = rows
                .iter()
                .map(|row| {
                    let values: Vec<String> = row.iter().map(ToString::to_string).collect();
                    format!("({})", values.join(", "))
                })
                .collect();
            let rows = if texts.is_empty() {
                "no rows".to_owned()
            } else {
                texts.join(" ")
            };
            text.push_str(&format!("{title}: {rows}\n"));
        }
        Ok(Some(text.trim_end().to_owned()))
    }
}

/// The base tables of one state, by name.
type State = BTreeMap<String, RelationId>;

struct Merged {
    program: Program,
}

/// What the relations of a program are in the merged one.
struct Meaning<'a> {
    program: &'a Program,
    state: &'a State,
    view: RelationId,
    helpers: BTreeMap<Predicate, RelationId>,
}

impl Meaning<'_> {
    fn of(&self, predicate: Predicate) -> Predicate {
        let relation = self.program.relation(predicate.relation());
        Predicate::Rows(match (predicate, relation.role) {
            (Predicate::Rows(_), Role::Source) => self.state[&relation.name],
            (Predicate::Rows(_), Role::View) => self.view,
            _ => self.helpers[&predicate],
        })
    }

    fn body(&self, body: &Body) -> Body {
        let step = |step: &Step| match step {
            Step::Match(predicate, arguments) => {
                Step::Match(self.of(*predicate), arguments.clone())
            }
            Step::Absent(predicate, arguments) => {
                Step::Absent(self.of(*predicate), arguments.clone())
            }
            other => other.clone(),
        };
        Body {
            variables: body.variables.clone(),
            steps: body.steps.iter().map(step).collect(),
        }
    }
}

impl Merged {
    fn new(first: &Program) -> Self {
        let mut view = first.view().clone();
        view.columns.clear();
        view.key = None;
        Self {
            program: Program {
                relations: vec![view],
                view: 0,
                rules: Vec::new(),
                constraints: Vec::new(),
                get_is_derived: false,
                from_view: None,
            },
        }
    }

    fn add(&mut self, name: &str, role: Role, like: &Relation) -> RelationId {
        self.program.relations.push(Relation {
            name: name.to_owned(),
            role,
            key: None,
            ..like.clone()
        });
        self.program.relations.len() - 1
    }

    /// Base tables of their own for all base tables of the programs, which must agree on them.
    fn state(&mut self, programs: &[&Program], title: &str) -> Option<State> {
        let mut state = State::new();
        for program in programs {
            for source in program.sources() {
                let declared = program.relation(source);
                let id = match state.get(&declared.name) {
                    Some(&id) => id,
                    None => self.add(&format!("{}{title}", declared.name), Role::Source, declared),
                };
                let alike = |left: &Column, right: &Column| {
                    left.name == right.name
                        && left.sort == right.sort
                        && left.nullable == right.nullable
                };
                let known = &self.program.relation(id).columns;
                let agree = known.len() == declared.columns.len()
                    && known
                        .iter()
                        .zip(&declared.columns)
                        .all(|(left, right)| alike(left, right));
                if !agree {
                    return None;
                }
                state.insert(declared.name.clone(), id);
            }
        }
        Some(state)
    }

    /// What a program's Dejima table shows of a state.
    fn get(&mut self, program: &Program, state: &State, title: &str) -> RelationId {
        let view = self.add(title, Role::Helper, program.view());
        let mut needed = BTreeSet::from([Predicate::Rows(program.view)]);
        for rule in program.rules.iter().rev() {
            if needed.contains(&rule.head) {
                needed.extend(rule.body.predicates());
            }
        }
        self.rules(program, state, view, |head| needed.contains(&head));
        view
    }

    /// The state after a program has put what is wanted.
    fn put(&mut self, program: &Program, state: &State, wanted: RelationId) -> State {
        let view = Predicate::Rows(program.view);
        let helpers = self.rules(program, state, wanted, |head| head != view);
        let mut after = state.clone();
        for source in program.written() {
            let declared = program.relation(source);
            let before = state[&declared.name];
            let id = self.add(&format!("{} then", declared.name), Role::Helper, declared);
            let deleted = helpers.get(&Predicate::Delete(source));
            let inserted = helpers.get(&Predicate::Insert(source));
            self.copy(before, id, deleted.copied());
            if let Some(&inserted) = inserted {
                self.copy(inserted, id, None);
            }
            after.insert(declared.name.clone(), id);
        }
        after
    }

    /// Takes rules over whose head is wanted; says what stands for helpers and changes.
    fn rules(
        &mut self,
        program: &Program,
        state: &State,
        view: RelationId,
        is_wanted: impl Fn(Predicate) -> bool,
    ) -> BTreeMap<Predicate, RelationId> {
        let mut meaning = Meaning {
            program,
            state,
            view,
            helpers: BTreeMap::new(),
        };
        for rule in program.rules.iter().filter(|rule| is_wanted(rule.head)) {
            let declared = program.relation(rule.head.relation());
            if declared.role != Role::View && !meaning.helpers.contains_key(&rule.head) {
                let id = self.add(&program.name_of(rule.head), Role::Helper, declared);
                meaning.helpers.insert(rule.head, id);
            }
        }
        // A base table that put never inserts into, or never deletes from, has an empty change.
        for source in program.sources() {
            for change in [Predicate::Insert(source), Predicate::Delete(source)] {
                let like = program.relation(source);
                let add = || self.add(&program.name_of(change), Role::Helper, like);
                meaning.helpers.entry(change).or_insert_with(add);
            }
        }
        for rule in program.rules.iter().filter(|rule| is_wanted(rule.head)) {
            let rule = Rule {
                head: meaning.of(rule.head),
                body: meaning.body(&rule.body),
                ..rule.clone()
            };
            self.program.rules.push(rule);
        }
        meaning.helpers
    }

    /// All rows of one relation are rows of another, but for some.
    fn copy(&mut self, from: RelationId, to: RelationId, without: Option<RelationId>) {
        let (body, row) = self.row_of(from, without);
        let span = self.program.relation(to).span;
        self.program.rules.push(Rule {
            head: Predicate::Rows(to),
            arguments: row,
            body,
            span,
        });
    }

    /// A row of one relation that is no row of another.
    fn row_of(&self, from: RelationId, without: Option<RelationId>) -> (Body, Vec<Argument>) {
        let columns = &self.program.relation(from).columns;
        let row: Vec<Argument> = (0..columns.len()).map(Argument::Variable).collect();
        let variables = columns.iter().map(|column| Variable {
            name: column.name.clone(),
            sort: column.sort.clone(),
            nullable: column.nullable,
        });
        let mut steps = vec![Step::Match(Predicate::Rows(from), row.clone())];
        steps.extend(without.map(|without| Step::Absent(Predicate::Rows(without), row.clone())));
        let body = Body {
            variables: variables.collect(),
            steps,
        };
        (body, row)
    }

    /// What a program's base tables promise holds in a state.
    fn promises(&mut self, program: &Program, state: &State) {
        let none = self.add("nothing", Role::Helper, program.view());
        self.constrain(program, state, none, Scope::Sources);
    }

    /// The wanted Dejima table is not refused.
    fn accepted(&mut self, program: &Program, state: &State, wanted: RelationId) {
        self.constrain(program, state, wanted, Scope::View);
    }

    fn constrain(&mut self, program: &Program, state: &State, view: RelationId, scope: Scope) {
        let helpers = self.rules(program, state, view, |head| {
            head != Predicate::Rows(program.view)
        });
        let meaning = Meaning {
            program,
            state,
            view,
            helpers,
        };
        let of_scope = program
            .constraints
            .iter()
            .filter(|constraint| constraint.scope == scope);
        for constraint in of_scope {
            let body = meaning.body(&constraint.body);
            self.constraint(body, Scope::Sources, constraint.span);
        }
    }

    fn constraint(
        &mut self,
        body: Body,
        scope: Scope,
        span: crate::strategy::language::Span,
    ) -> usize {
        self.program.constraints.push(Constraint {
            body,
            kind: ConstraintKind::Written(None),
            scope,
            span,
        });
        self.program.constraints.len() - 1
    }

    /// One relation has a row that the other has not: to be refuted.
    fn differ(&mut self, from: RelationId, other: RelationId) -> usize {
        let (body, _) = self.row_of(from, Some(other));
        let span = self.program.view().span;
        self.constraint(body, Scope::View, span)
    }
}
