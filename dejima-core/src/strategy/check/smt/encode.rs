//! Programs as formulas: what a rule's body says, with the rules of everything else put in its place.

use super::expression::truth;
use super::formula::Formula;
use super::term::{Constants, Term, column_sort};
use crate::strategy::program::{
    Argument, Body, Predicate, Program, RelationId, Role, Rule, Step, Variable,
};

/// Which state of the base tables, and which rows of the Dejima table, a formula speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct World {
    /// The base tables after put rather than before.
    pub(super) after: bool,
    /// The Dejima table as shown before, rather than as wanted.
    pub(super) unchanged: bool,
}

/// Before put, with the Dejima table as wanted.
pub(super) const WANTED: World = World {
    after: false,
    unchanged: false,
};
/// After put.
pub(super) const AFTER: World = World {
    after: true,
    unchanged: false,
};
/// Before, with the Dejima table as shown.
pub(super) const UNCHANGED: World = World {
    after: false,
    unchanged: true,
};

/// Encodes parts of one program; names are given only once.
pub(super) struct Encoder<'a> {
    pub(super) program: &'a Program,
    pub(super) constants: Constants,
    names: usize,
}

/// The name of a stored relation.
pub(super) fn relation_name(relation: RelationId) -> String {
    format!("r{relation}")
}

impl<'a> Encoder<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        Self {
            program,
            constants: Constants::default(),
            names: 0,
        }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("x{}", self.names)
    }

    /// New names for a row of a relation: what to quantify over, and the terms.
    pub(super) fn row(&mut self, relation: RelationId) -> (Vec<(String, &'static str)>, Vec<Term>) {
        let columns = &self.program.relation(relation).columns;
        columns
            .iter()
            .map(|column| {
                let name = self.name();
                let sort = column_sort(&column.sort, column.nullable);
                let term = Term::name(&name, &column.sort, column.nullable);
                ((name, sort), term)
            })
            .unzip()
    }

    /// The row is in the predicate.
    pub(super) fn holds(&mut self, predicate: Predicate, row: &[Term], world: World) -> Formula {
        let relation = predicate.relation();
        let role = self.program.relation(relation).role;
        match (predicate, role) {
            (Predicate::Rows(_), Role::Source) if world.after => {
                let deleted = self.holds(Predicate::Delete(relation), row, world);
                let inserted = self.holds(Predicate::Insert(relation), row, world);
                let stays = Formula::and([self.stored(relation, row), deleted.not()]);
                Formula::or([stays, inserted])
            }
            (Predicate::Rows(_), Role::Source) => self.stored(relation, row),
            (Predicate::Rows(_), Role::View) if world.unchanged => self.shown(row, world),
            (Predicate::Rows(_), Role::View) => self.stored(relation, row),
            (Predicate::Rows(_), Role::Helper) => self.defined(predicate, row, world),
            // What put writes follows from the state before.
            (Predicate::Insert(_) | Predicate::Delete(_), _) => {
                let world = World {
                    after: false,
                    ..world
                };
                self.defined(predicate, row, world)
            }
        }
    }

    /// The Dejima table shows the row of the base tables of that world.
    pub(super) fn shown(&mut self, row: &[Term], world: World) -> Formula {
        self.defined(Predicate::Rows(self.program.view), row, world)
    }

    /// A relation that is stored has the row; a column that is NOT NULL has no NULL.
    pub(super) fn stored(&mut self, relation: RelationId, row: &[Term]) -> Formula {
        let columns = &self.program.relation(relation).columns;
        let mut text = format!("({}", relation_name(relation));
        let mut parts = Vec::new();
        for (term, column) in row.iter().zip(columns) {
            text.push(' ');
            if column.nullable {
                text.push_str(&term.as_nullable());
            } else {
                parts.push(term.null.clone().not());
                text.push_str(&term.value);
            }
        }
        text.push(')');
        parts.push(Formula::Atom(text));
        Formula::and(parts)
    }

    /// One of the rules gives the row.
    fn defined(&mut self, predicate: Predicate, row: &[Term], world: World) -> Formula {
        let program = self.program;
        let rules: Vec<&Rule> = program.rules_of(predicate).collect();
        let given: Vec<Formula> = rules
            .into_iter()
            .map(|rule| self.rule(rule, row, world))
            .collect();
        Formula::or(given)
    }

    /// The rule gives the row. A variable of the head that stands for a column gets the row's term at once.
    pub(super) fn rule(&mut self, rule: &Rule, row: &[Term], world: World) -> Formula {
        let columns = &self.program.relation(rule.head.relation()).columns;
        let mut bindings: Vec<Option<Term>> = vec![None; rule.body.variables.len()];
        let mut equations = Vec::new();
        let mut names = Vec::new();
        for ((argument, term), column) in rule.arguments.iter().zip(row).zip(columns) {
            match argument {
                Argument::Variable(variable) => match &bindings[*variable] {
                    Some(bound) => equations.push(bound.same(term)),
                    // A value of its own, which the solver finds where it would not find one that may be NULL.
                    None if term.null != Formula::False
                        && !rule.body.variables[*variable].nullable =>
                    {
                        let name = self.name();
                        names.push((name.clone(), column_sort(&column.sort, false)));
                        let plain = Term::plain(name, &column.sort);
                        equations.push(term.same(&plain));
                        bindings[*variable] = Some(plain);
                    }
                    None => bindings[*variable] = Some(term.clone()),
                },
                Argument::Constant(value) => {
                    equations.push(self.constants.term(value, &column.sort).same(term));
                }
                Argument::Any => {}
            }
        }
        let (quantified, body) = self.steps(&rule.body, bindings, world);
        names.extend(quantified);
        Formula::exists(names, Formula::and(equations.into_iter().chain([body])))
    }

    /// The body holds, for some values of its variables.
    pub(super) fn body(&mut self, body: &Body, world: World) -> Formula {
        let (quantified, formula) = self.steps(body, vec![None; body.variables.len()], world);
        Formula::exists(quantified, formula)
    }

    /// The rule's body holds, and its head would have NULL in that column.
    pub(super) fn gives_null(&mut self, rule: &Rule, column: usize, world: World) -> Formula {
        let sort = &self.program.relation(rule.head.relation()).columns[column].sort;
        let mut bindings = vec![None; rule.body.variables.len()];
        let (quantified, formula) = self.bound_steps(&rule.body, &mut bindings, world);
        let null = match &rule.arguments[column] {
            Argument::Variable(variable) => match &bindings[*variable] {
                Some(term) => term.null.clone(),
                None => Formula::True,
            },
            Argument::Constant(value) => self.constants.term(value, sort).null,
            Argument::Any => Formula::True,
        };
        Formula::exists(quantified, Formula::and([formula, null]))
    }

    fn steps(
        &mut self,
        body: &Body,
        mut bindings: Vec<Option<Term>>,
        world: World,
    ) -> (Vec<(String, &'static str)>, Formula) {
        self.bound_steps(body, &mut bindings, world)
    }

    fn bound_steps(
        &mut self,
        body: &Body,
        bindings: &mut [Option<Term>],
        world: World,
    ) -> (Vec<(String, &'static str)>, Formula) {
        let mut quantified = Vec::new();
        let mut parts = Vec::new();
        for step in &body.steps {
            match step {
                Step::Match(predicate, arguments) => {
                    let row =
                        self.arguments(*predicate, arguments, body, bindings, &mut quantified);
                    parts.push(self.holds(*predicate, &row, world));
                }
                Step::Absent(predicate, arguments) => {
                    let mut any = Vec::new();
                    let row = self.arguments(*predicate, arguments, body, bindings, &mut any);
                    let there = self.holds(*predicate, &row, world);
                    parts.push(Formula::exists(any, there).not());
                }
                Step::Define(variable, expr) => {
                    let sort = &body.variables[*variable].sort;
                    let value = super::expression::term(expr, bindings, sort, &mut self.constants);
                    match &bindings[*variable] {
                        Some(bound) => parts.push(bound.same(&value)),
                        None => bindings[*variable] = Some(value),
                    }
                }
                Step::Test(condition) => {
                    parts.push(truth(condition, bindings, &mut self.constants).is_true);
                }
            }
        }
        (quantified, Formula::and(parts))
    }

    /// The terms of an atom; variables without a value and `_` are new names.
    fn arguments(
        &mut self,
        predicate: Predicate,
        arguments: &[Argument],
        body: &Body,
        bindings: &mut [Option<Term>],
        quantified: &mut Vec<(String, &'static str)>,
    ) -> Vec<Term> {
        let columns = &self.program.relation(predicate.relation()).columns;
        let mut row = Vec::new();
        for (argument, column) in arguments.iter().zip(columns) {
            row.push(match argument {
                Argument::Constant(value) => self.constants.term(value, &column.sort),
                Argument::Any => {
                    let name = self.name();
                    quantified.push((name.clone(), column_sort(&column.sort, column.nullable)));
                    Term::name(&name, &column.sort, column.nullable)
                }
                Argument::Variable(variable) => match &bindings[*variable] {
                    Some(term) => term.clone(),
                    None => {
                        let Variable { sort, nullable, .. } = &body.variables[*variable];
                        let name = self.name();
                        quantified.push((name.clone(), column_sort(sort, *nullable)));
                        let term = Term::name(&name, sort, *nullable);
                        bindings[*variable] = Some(term.clone());
                        term
                    }
                },
            });
        }
        row
    }
}
