//! Rules without helpers: what a rule says of base tables and of the Dejima table alone.
//!
//! A helper in a body is replaced by the bodies of its rules, one clause for each; what must not be is kept as what there must
//! be none of. So a clause is what one SELECT can say.

use std::collections::{BTreeMap, BTreeSet};

use crate::strategy::language::syntax::BinaryOperator;
use crate::strategy::program::{
    Argument, Body, Expr, Predicate, Program, RelationId, Role, Rule, Step, Variable, VariableId,
};

/// A conjunction over base tables and the Dejima table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// All variables, those of what there must be none of as well.
    pub(super) variables: Vec<Variable>,
    /// In an order in which every item knows what it needs.
    pub(super) items: Vec<Item>,
    /// The row that it gives.
    pub(super) head: Vec<Argument>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// There is such a row; binds the variables that are not bound yet.
    Row(RelationId, Vec<Argument>),
    /// None of these holds.
    None(Vec<Vec<Item>>),
    /// Gives a variable its value.
    Define(VariableId, Expr),
    /// Is true.
    Test(Expr),
}

/// The clauses of all rules of a predicate.
pub(super) fn clauses(program: &Program, head: Predicate) -> Vec<Clause> {
    program
        .rules_of(head)
        .flat_map(|rule| rule_clauses(program, rule))
        .collect()
}

/// The clauses of one rule.
pub(super) fn rule_clauses(program: &Program, rule: &Rule) -> Vec<Clause> {
    of_body(program, &rule.body, &rule.arguments)
}

/// The clauses of a body.
pub(super) fn of_body(program: &Program, body: &Body, head: &[Argument]) -> Vec<Clause> {
    let mut unfolding = Unfolding {
        program,
        variables: body.variables.clone(),
    };
    let identity: Substitution = (0..body.variables.len())
        .map(|variable| (variable, Argument::Variable(variable)))
        .collect();
    let ways = unfolding.grow(vec![Growing::default()], &body.steps, &identity);
    let finished = ways.into_iter().map(|way| Clause {
        variables: unfolding.variables.clone(),
        items: way.items,
        head: head.to_vec(),
    });
    finished.collect()
}

/// What stands for the variables of a rule that is being put in.
type Substitution = BTreeMap<VariableId, Argument>;

/// One way in which the helpers so far can hold.
#[derive(Clone, Default)]
struct Growing {
    items: Vec<Item>,
    bound: BTreeSet<VariableId>,
}

struct Unfolding<'a> {
    program: &'a Program,
    /// Those of all ways: no two things share a number.
    variables: Vec<Variable>,
}

impl Unfolding<'_> {
    /// Appends steps, in all ways in which helpers can hold.
    fn grow(
        &mut self,
        mut ways: Vec<Growing>,
        steps: &[Step],
        substitution: &Substitution,
    ) -> Vec<Growing> {
        for step in steps {
            let before = std::mem::take(&mut ways);
            for way in before {
                ways.extend(self.step(way, step, substitution));
            }
        }
        ways
    }

    fn step(&mut self, mut way: Growing, step: &Step, substitution: &Substitution) -> Vec<Growing> {
        match step {
            Step::Match(predicate, arguments) => {
                let arguments = substituted(arguments, substitution);
                if is_stored(self.program, *predicate) {
                    way.row(predicate.relation(), arguments);
                    return vec![way];
                }
                self.put_in(&way, *predicate, &arguments)
            }
            Step::Absent(predicate, arguments) => {
                let arguments = substituted(arguments, substitution);
                let alternatives = if is_stored(self.program, *predicate) {
                    vec![vec![Item::Row(predicate.relation(), arguments)]]
                } else {
                    let inner = Growing {
                        items: Vec::new(),
                        bound: way.bound.clone(),
                    };
                    let ways = self.put_in(&inner, *predicate, &arguments);
                    ways.into_iter().map(|way| way.items).collect()
                };
                way.items.push(Item::None(alternatives));
                vec![way]
            }
            Step::Define(variable, expr) => {
                way.define(&substitution[variable], in_expr(expr, substitution));
                vec![way]
            }
            Step::Test(condition) => {
                way.items.push(Item::Test(in_expr(condition, substitution)));
                vec![way]
            }
        }
    }

    /// Appends the bodies of a helper's rules whose heads are to be these arguments, one at a time.
    fn put_in(&mut self, way: &Growing, helper: Predicate, arguments: &[Argument]) -> Vec<Growing> {
        let mut ways = Vec::new();
        for rule in self.program.rules_of(helper) {
            let Some((mut substitution, equal)) = fitted(rule, arguments) else {
                continue;
            };
            for (variable, declared) in rule.body.variables.iter().enumerate() {
                substitution.entry(variable).or_insert_with(|| {
                    self.variables.push(declared.clone());
                    Argument::Variable(self.variables.len() - 1)
                });
            }
            for mut way in self.grow(vec![way.clone()], &rule.body.steps, &substitution) {
                for (left, right) in &equal {
                    way.same(left, right);
                }
                ways.push(way);
            }
        }
        ways
    }
}

/// What stands for the variables of a rule's head, and what has to be equal besides; nothing if its constants do not fit.
fn fitted(
    rule: &Rule,
    arguments: &[Argument],
) -> Option<(Substitution, Vec<(Argument, Argument)>)> {
    let mut substitution = Substitution::new();
    let mut equal = Vec::new();
    for (parameter, argument) in rule.arguments.iter().zip(arguments) {
        match (parameter, argument) {
            (_, Argument::Any) | (Argument::Any, _) => {}
            (Argument::Variable(variable), argument) => match substitution.get(variable) {
                None => {
                    substitution.insert(*variable, argument.clone());
                }
                Some(known) => equal.push((known.clone(), argument.clone())),
            },
            (Argument::Constant(_), Argument::Variable(_)) => {
                equal.push((argument.clone(), parameter.clone()));
            }
            (Argument::Constant(left), Argument::Constant(right)) if left != right => return None,
            (Argument::Constant(_), Argument::Constant(_)) => {}
        }
    }
    Some((substitution, equal))
}

impl Growing {
    fn row(&mut self, relation: RelationId, arguments: Vec<Argument>) {
        for argument in &arguments {
            if let Argument::Variable(variable) = argument {
                self.bound.insert(*variable);
            }
        }
        self.items.push(Item::Row(relation, arguments));
    }

    fn define(&mut self, what: &Argument, expr: Expr) {
        match what {
            Argument::Any => {}
            Argument::Variable(variable) if self.bound.insert(*variable) => {
                self.items.push(Item::Define(*variable, expr));
            }
            known => self.items.push(Item::Test(same(as_expr(known), expr))),
        }
    }

    /// Two that are to be the same value.
    fn same(&mut self, left: &Argument, right: &Argument) {
        match (left, right) {
            (Argument::Variable(variable), other) | (other, Argument::Variable(variable))
                if !self.bound.contains(variable) =>
            {
                self.define(&Argument::Variable(*variable), as_expr(other));
            }
            (left, right) => {
                self.items
                    .push(Item::Test(same(as_expr(left), as_expr(right))));
            }
        }
    }
}

fn same(left: Expr, right: Expr) -> Expr {
    Expr::Binary(BinaryOperator::Same, Box::new(left), Box::new(right))
}

fn as_expr(argument: &Argument) -> Expr {
    match argument {
        Argument::Variable(variable) => Expr::Variable(*variable),
        Argument::Constant(value) => Expr::Constant(value.clone()),
        Argument::Any => Expr::Constant(crate::strategy::value::Value::Null),
    }
}

/// Base tables and the Dejima table are there; the rest is what rules say.
fn is_stored(program: &Program, predicate: Predicate) -> bool {
    matches!(predicate, Predicate::Rows(relation) if program.relation(relation).role != Role::Helper)
}

fn substituted(arguments: &[Argument], substitution: &Substitution) -> Vec<Argument> {
    let of = |argument: &Argument| match argument {
        Argument::Variable(variable) => substitution[variable].clone(),
        other => other.clone(),
    };
    arguments.iter().map(of).collect()
}

fn in_expr(expr: &Expr, substitution: &Substitution) -> Expr {
    let inner = |expr: &Expr| Box::new(in_expr(expr, substitution));
    match expr {
        Expr::Variable(variable) => as_expr(&substitution[variable]),
        Expr::Constant(_) => expr.clone(),
        Expr::Unary(operator, operand) => Expr::Unary(*operator, inner(operand)),
        Expr::Binary(operator, left, right) => Expr::Binary(*operator, inner(left), inner(right)),
        Expr::Call(function, arguments) => {
            let arguments = arguments
                .iter()
                .map(|argument| in_expr(argument, substitution));
            Expr::Call(*function, arguments.collect())
        }
    }
}
