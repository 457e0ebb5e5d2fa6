//! What the Dejima table shows, where only put is written.
//!
//! In a state that nothing changes, no put rule may fire. So if a rule fires for rows that the Dejima table lacks, these rows are
//! in it: `-r(X) :- r(X), not v(X)` says that `v` shows all of `r` (Tran, Kato, Hu 2020, section 4.3). The rows found so are the
//! least that v can show; whether it is all of them is what the checks of GetPut and PutGet then find out.

use std::collections::{BTreeMap, BTreeSet};

use super::Resolver;
use super::order::atoms;
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    Atom, BinaryOperator, Document, Expression, ExpressionKind, Literal, RuleText, Sign, Statement,
    UnaryOperator,
};
use crate::strategy::program::{Predicate, RelationId, Role};

impl Resolver {
    /// The rules of the Dejima table that follow from the put rules and constraints.
    pub(super) fn derive_get(
        &mut self,
        view: RelationId,
        rules: &[RuleText],
        document: &Document,
    ) -> Vec<RuleText> {
        let wanted = self.depending_on_wish(view, rules);
        let put = rules
            .iter()
            .filter(|rule| rule.head.sign.is_some())
            .map(effective);
        let forbidden = document
            .statements
            .iter()
            .filter_map(|statement| match statement {
                Statement::Constraint(constraint) => {
                    Some((constraint.body.clone(), constraint.span))
                }
                _ => None,
            });
        let mut derived: Vec<RuleText> = Vec::new();
        let bodies = put.chain(forbidden).flat_map(|(body, span)| {
            let unfolded = self.unfolded(rules, &wanted, body, 0);
            unfolded.into_iter().map(move |body| (body, span))
        });
        for (body, span) in bodies {
            if let Some(rule) = self.shown(view, &wanted, body, span)
                && !derived.iter().any(|known| same_rule(known, &rule))
            {
                derived.push(rule);
            }
        }
        if derived.is_empty() {
            let relation = &self.relations[view];
            let columns: Vec<_> = relation
                .columns
                .iter()
                .map(|c| c.name.to_uppercase())
                .collect();
            let finding = Diagnostic::error(
                format!("what {} shows does not follow from the put rules", relation.name),
                relation.span,
                "which rows are in it?",
            )
            .note("it would follow from rules that fire for rows that it lacks: -r(X) :- r(X), not v(X)")
            .help(format!("say it: {}({}) :- ...", relation.name, columns.join(", ")));
            self.report(finding);
        }
        derived
    }

    /// A body with the rules of helpers that depend on what is wanted in their place: one for each way to choose the rules.
    fn unfolded(
        &self,
        rules: &[RuleText],
        wanted: &BTreeSet<Predicate>,
        body: Vec<Literal>,
        depth: usize,
    ) -> Vec<Vec<Literal>> {
        let is_helper = |literal: &Literal| match literal {
            Literal::Atom {
                negated: false,
                atom,
            } => {
                let predicate = self.predicate(atom).filter(|_| atom.sign.is_none());
                predicate.is_some_and(|predicate| {
                    wanted.contains(&predicate)
                        && self.relations[predicate.relation()].role == Role::Helper
                })
            }
            _ => false,
        };
        let Some(position) = body
            .iter()
            .position(is_helper)
            .filter(|_| depth < UNFOLDED_MAX)
        else {
            return vec![body];
        };
        let Literal::Atom { atom, .. } = &body[position] else {
            return vec![body];
        };
        let of_helper = rules
            .iter()
            .filter(|rule| self.head(rule) == self.predicate(atom));
        let replaced = of_helper.map(|rule| {
            let inner = instance(rule, atom, depth);
            [&body[..position], &inner, &body[position + 1..]].concat()
        });
        replaced
            .flat_map(|body| self.unfolded(rules, wanted, body, depth + 1))
            .collect()
    }

    /// Everything that depends on what the Dejima table is wanted to be.
    fn depending_on_wish(&self, view: RelationId, rules: &[RuleText]) -> BTreeSet<Predicate> {
        let mut wanted = BTreeSet::from([Predicate::Rows(view)]);
        loop {
            let before = wanted.len();
            for rule in rules {
                let depends = atoms(rule).any(|atom| self.is_in(atom, &wanted));
                if let Some(head) = self.head(rule).filter(|_| depends) {
                    wanted.insert(head);
                }
            }
            if wanted.len() == before {
                return wanted;
            }
        }
    }

    fn is_in(&self, atom: &Atom, predicates: &BTreeSet<Predicate>) -> bool {
        self.predicate(atom)
            .is_some_and(|predicate| predicates.contains(&predicate))
    }

    /// The rows that must be shown if the body, which misses one row of the view, is never to hold.
    fn shown(
        &self,
        view: RelationId,
        wanted: &BTreeSet<Predicate>,
        body: Vec<Literal>,
        span: Span,
    ) -> Option<RuleText> {
        let is_missing_row = |literal: &Literal| match literal {
            Literal::Atom { negated, atom } => {
                *negated && self.predicate(atom) == Some(Predicate::Rows(view))
            }
            Literal::Condition(_) => false,
        };
        let (missing, rest): (Vec<Literal>, Vec<Literal>) =
            body.into_iter().partition(is_missing_row);
        let [Literal::Atom { atom: head, .. }] = &missing[..] else {
            return None;
        };
        let depends = |literal: &Literal| match literal {
            Literal::Atom { atom, .. } => self.is_in(atom, wanted),
            Literal::Condition(_) => false,
        };
        let known = bound(&rest);
        let is_given = |argument: &Expression| match &argument.kind {
            ExpressionKind::Variable(name) => known.contains(name),
            ExpressionKind::Anonymous => false,
            _ => true,
        };
        (!rest.iter().any(depends) && head.arguments.iter().all(is_given)).then(|| RuleText {
            head: head.clone(),
            body: rest,
            span,
        })
    }
}

/// A put rule's body, and that the rule changes something: it deletes what is there and inserts what is not.
fn effective(rule: &RuleText) -> (Vec<Literal>, Span) {
    let atom = Atom {
        sign: None,
        ..rule.head.clone()
    };
    let negated = rule.head.sign == Some(Sign::Insert);
    let says_so = |literal: &Literal| match literal {
        Literal::Atom {
            negated: not,
            atom: other,
        } => *not == negated && other.sign.is_none() && other.to_string() == atom.to_string(),
        Literal::Condition(_) => false,
    };
    let mut body = rule.body.clone();
    if !negated && !body.iter().any(says_so) {
        body.push(Literal::Atom { negated, atom });
    }
    (body, rule.span)
}

/// Helpers in helpers are followed so deep; they are not recursive, but they may be many.
const UNFOLDED_MAX: usize = 6;

/// The body of a rule for the row that an atom asks for; its other variables get names of their own.
fn instance(rule: &RuleText, atom: &Atom, depth: usize) -> Vec<Literal> {
    let mut values: BTreeMap<String, Expression> = BTreeMap::new();
    let mut conditions = Vec::new();
    let mut equate = |left: &Expression, right: &Expression| {
        let same = Expression::binary(BinaryOperator::Same, left.clone(), right.clone());
        conditions.push(Literal::Condition(same));
    };
    for (parameter, argument) in rule.head.arguments.iter().zip(&atom.arguments) {
        match (&parameter.kind, &argument.kind) {
            (_, ExpressionKind::Anonymous) => {}
            (ExpressionKind::Variable(name), _) => match values.get(name) {
                Some(value) => equate(value, argument),
                None => {
                    values.insert(name.clone(), argument.clone());
                }
            },
            (left, right) if left == right => {}
            _ => equate(argument, parameter),
        }
    }
    let replace = |name: &str| match values.get(name) {
        Some(value) => value.kind.clone(),
        None => ExpressionKind::Variable(format!("{name}_{}", depth + 1)),
    };
    let replaced = rule.body.iter().map(|literal| match literal {
        Literal::Condition(condition) => Literal::Condition(condition.map_variables(&replace)),
        Literal::Atom { negated, atom } => Literal::Atom {
            negated: *negated,
            atom: Atom {
                arguments: atom
                    .arguments
                    .iter()
                    .map(|argument| argument.map_variables(&replace))
                    .collect(),
                ..atom.clone()
            },
        },
    });
    replaced.chain(conditions).collect()
}

fn same_rule(left: &RuleText, right: &RuleText) -> bool {
    let text = |rule: &RuleText| Statement::Rule(rule.clone()).to_string();
    text(left) == text(right)
}

/// The variables that atoms and equations give values to.
fn bound(body: &[Literal]) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for literal in body {
        if let Literal::Atom {
            negated: false,
            atom,
        } = literal
        {
            known.extend(atom.arguments.iter().flat_map(Expression::variables));
        }
    }
    loop {
        let before = known.len();
        for literal in body {
            if let Literal::Condition(condition) = literal
                && let Some((name, value)) = definition(condition, &known)
                && value.iter().all(|variable| known.contains(variable))
            {
                known.insert(name);
            }
        }
        if known.len() == before {
            return known;
        }
    }
}

/// The variable that an equation, or IS NULL, gives a value to, and the variables that it needs for this.
pub(super) fn definition(
    condition: &Expression,
    known: &BTreeSet<String>,
) -> Option<(String, Vec<String>)> {
    let unknown = |expression: &Expression| match &expression.kind {
        ExpressionKind::Variable(name) if !known.contains(name) => Some(name.clone()),
        _ => None,
    };
    match &condition.kind {
        ExpressionKind::Unary(UnaryOperator::IsNull, operand) => {
            Some((unknown(operand)?, Vec::new()))
        }
        ExpressionKind::Binary(BinaryOperator::Equal | BinaryOperator::Same, left, right) => {
            match (unknown(left), unknown(right)) {
                (Some(name), _) if !right.variables().contains(&name) => {
                    Some((name, right.variables()))
                }
                (_, Some(name)) if !left.variables().contains(&name) => {
                    Some((name, left.variables()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
