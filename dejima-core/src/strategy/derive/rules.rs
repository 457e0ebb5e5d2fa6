//! The rules of one SELECT: what it shows, what put deletes, what it inserts.

use std::collections::{BTreeMap, BTreeSet};

use super::branch::Branched;
use super::build::{absent, any, present, rule, test, variable};
use super::{Derived, union};
use crate::strategy::language::syntax::{
    Atom, BinaryOperator, Expression, ExpressionKind, Literal, Sign, Statement,
};

impl Branched<'_> {
    /// The bodies by which rows are shown, each with the view's row: two for each left join.
    fn shown_by(&self) -> Vec<(Vec<Literal>, Vec<Expression>)> {
        let mut base = vec![present(self.root_atom(None, self.row(self.root)))];
        for group in &self.groups {
            base.extend(group.literals(self));
        }
        base.extend(self.tests.iter().cloned().map(test));
        let mut variants = vec![(base, self.view_row())];
        for &left in &self.lefts {
            let matched = present(self.use_atom(left, self.row(left)));
            let missing = absent(self.use_atom(left, self.linked_row(left)));
            let own: BTreeSet<String> = self.own_variables(left).into_iter().collect();
            let without = |row: &[Expression]| -> Vec<Expression> {
                row.iter()
                    .map(|value| match &value.kind {
                        ExpressionKind::Variable(name) if own.contains(name) => {
                            super::build::null(value.span)
                        }
                        _ => value.clone(),
                    })
                    .collect()
            };
            variants = variants
                .into_iter()
                .flat_map(|(body, row)| {
                    let alone = (with(&body, missing.clone()), without(&row));
                    [(with(&body, matched.clone()), row), alone]
                })
                .collect();
        }
        for (body, _) in &mut variants {
            for (output, name) in self.outputs.iter().zip(&self.output_names) {
                if let ExpressionKind::Unary(..)
                | ExpressionKind::Binary(..)
                | ExpressionKind::Call(..) = output.kind
                {
                    let equation = Expression::binary(
                        BinaryOperator::Equal,
                        variable(name, output.span),
                        output.clone(),
                    );
                    body.push(test(equation));
                }
            }
        }
        variants
    }

    /// The view's row with `_` for what does not decide what the root's row is.
    fn deciding_row(&self) -> Vec<Expression> {
        let mut deciding = self.root_variables();
        for group in self
            .groups
            .iter()
            .filter(|group| !group.determines.is_empty())
        {
            deciding.extend(
                group
                    .atom(self)
                    .arguments
                    .iter()
                    .flat_map(Expression::variables),
            );
        }
        let decides = |value: &Expression| match &value.kind {
            ExpressionKind::Variable(name) => deciding.contains(name),
            _ => true,
        };
        let row = self.view_row().into_iter();
        row.map(|value| {
            if decides(&value) {
                value
            } else {
                any(value.span)
            }
        })
        .collect()
    }

    /// The rules of get and put.
    pub(super) fn statements(&self, all: &[Self]) -> Derived<Vec<Statement>> {
        let mut statements = Vec::new();
        for group in &self.groups {
            statements.extend(group.definition(self));
        }
        for (body, row) in self.shown_by() {
            statements.push(rule(self.view_atom(row), body));
        }
        let root_row = self.row(self.root);
        let unwanted = || absent(self.view_atom(self.deciding_row()));
        for (body, row) in self.shown_by() {
            // Where a left join found nothing, the view's row has NULL instead.
            let unwanted = if self.lefts.is_empty() {
                unwanted()
            } else {
                self.unwanted_beside(&row)
            };
            let head = self.root_atom(Some(Sign::Delete), root_row.clone());
            statements.push(rule(head, with(&self.needed(body, &unwanted), unwanted)));
        }
        let elsewhere = union::elsewhere(self, all)?;
        statements.extend(self.insertions(elsewhere));
        for used in 0..self.branch.uses.len() {
            if self.is_written(used) {
                statements.extend(self.lookup_statements(used));
            }
        }
        Ok(statements)
    }

    /// The negated row of the view for one variant of a left join.
    fn unwanted_beside(&self, row: &[Expression]) -> Literal {
        let deciding = self.deciding_row();
        let pairs = deciding.iter().zip(row);
        let value = |(deciding, value): (&Expression, &Expression)| match deciding.kind {
            ExpressionKind::Anonymous => deciding.clone(),
            _ => value.clone(),
        };
        absent(self.view_atom(pairs.map(value).collect()))
    }

    /// A body without the equations of computed columns that nothing asks for.
    fn needed(&self, body: Vec<Literal>, unwanted: &Literal) -> Vec<Literal> {
        let asked = super::build::variables_of(unwanted);
        let computed: BTreeSet<&String> = self
            .output_names
            .iter()
            .filter(|name| !asked.contains(name))
            .collect();
        let is_unneeded = |literal: &Literal| match literal {
            Literal::Condition(condition) => match &condition.kind {
                ExpressionKind::Binary(BinaryOperator::Equal, left, _) => match &left.kind {
                    ExpressionKind::Variable(name) => {
                        computed.contains(name) && !self.root_variables().contains(name)
                    }
                    _ => false,
                },
                _ => false,
            },
            Literal::Atom { .. } => false,
        };
        body.into_iter()
            .filter(|literal| !is_unneeded(literal))
            .collect()
    }

    /// Rows that the root gets: with hidden columns as they were, or with defaults.
    fn insertions(&self, elsewhere: Vec<Literal>) -> Vec<Statement> {
        let root_row = self.row(self.root);
        let hidden = self.hidden();
        let mut body = self.wish();
        body.extend(elsewhere);
        let insert = |row: Vec<Expression>, more: Vec<Literal>| {
            let head = self.root_atom(Some(Sign::Insert), row);
            let body = trimmed(&head, [body.clone(), more].concat());
            rule(head, body)
        };
        let not_there = absent(self.root_atom(None, root_row.clone()));
        if hidden.is_empty() {
            return vec![insert(root_row, vec![not_there])];
        }
        let there = present(self.root_atom(None, self.keyed_row(true)));
        let updated = insert(root_row.clone(), vec![there, not_there]);
        let columns = root_row.into_iter().enumerate();
        let filled: Vec<Expression> = columns
            .map(|(column, value)| self.defaults.get(&column).cloned().unwrap_or(value))
            .collect();
        let is_new = absent(self.root_atom(None, self.keyed_row(false)));
        vec![updated, insert(filled, vec![is_new])]
    }
}

/// A body with one more literal.
fn with(body: &[Literal], more: Literal) -> Vec<Literal> {
    [body, &[more]].concat()
}

/// A body in which variables that occur nowhere else are `_`.
pub(super) fn trimmed(head: &Atom, body: Vec<Literal>) -> Vec<Literal> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let of_body = body.iter().flat_map(super::build::variables_of);
    for name in of_body.chain(head.arguments.iter().flat_map(Expression::variables)) {
        *counts.entry(name).or_default() += 1;
    }
    let trim = |literal: Literal| match literal {
        Literal::Atom {
            negated: false,
            mut atom,
        } => {
            for argument in &mut atom.arguments {
                let is_single =
                    matches!(&argument.kind, ExpressionKind::Variable(name) if counts[name] == 1);
                if is_single {
                    *argument = any(argument.span);
                }
            }
            Literal::Atom {
                negated: false,
                atom,
            }
        }
        other => other,
    };
    body.into_iter().map(trim).collect()
}
