//! Keys that rows have which are not shown, and unique columns.

use super::Keeper;
use crate::strategy::derive::UseKind;
use crate::strategy::derive::build::{
    absent, any, distinct, fails, is_constant, present, substituted, test, variable,
};
use crate::strategy::derive::question;
use crate::strategy::language::Span;
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, Literal, UnaryOperator,
};

impl Keeper<'_> {
    /// A key that a hidden row has is taken.
    pub(super) fn collisions(&mut self) {
        if !self.branch.is_keyed() {
            return;
        }
        let table = self.branch.root_table().name.text.clone();
        let reason = format!("a row of {table} that is not shown has this key");
        for (broken, names, span) in self.hiding() {
            let (key, row) = (self.branch.key(), self.branch.row(self.branch.root));
            let hidden = self.branch.hidden();
            let is_other = |column: usize| !key.contains(&column) && !hidden.contains(&column);
            let named: Vec<usize> = (0..row.len())
                .filter(|&column| {
                    is_other(column)
                        && names
                            .iter()
                            .any(|name| row[column].variables().contains(name))
                })
                .collect();
            let fixed = row
                .iter()
                .position(|value| value.span == span && value.variables().is_empty());
            if named.is_empty() && fixed.is_none() {
                continue;
            }
            let old = |name: &str| {
                let is_named = named
                    .iter()
                    .any(|&column| row[column].variables().iter().any(|found| found == name));
                is_named.then(|| variable(&format!("OLD_{name}"), span))
            };
            let stored: Vec<Expression> = row
                .iter()
                .enumerate()
                .map(|(column, value)| {
                    if key.contains(&column)
                        || (hidden.contains(&column)
                            && names.iter().any(|name| value.variables().contains(name)))
                    {
                        value.clone()
                    } else if named.contains(&column) {
                        value.map_variables(&|name| ExpressionKind::Variable(format!("OLD_{name}")))
                    } else {
                        any(span)
                    }
                })
                .collect();
            let there = present(self.branch.root_atom(None, stored));
            let broken = substituted(&broken, &old);
            let wish = self.wish_for(&[]);
            self.refuse([wish, vec![there, broken]].concat(), &reason, span);
        }
        self.fixed_collisions(&reason);
    }

    /// The same for columns of which only one value is shown.
    fn fixed_collisions(&mut self, reason: &str) {
        let (key, row) = (self.branch.key(), self.branch.row(self.branch.root));
        for (column, constant) in row.iter().enumerate() {
            if !constant.variables().is_empty() || key.contains(&column) {
                continue;
            }
            let declared = &self.branch.root_table().columns[column];
            let name = format!("OLD_{}", declared.name.text.to_uppercase());
            let stored: Vec<Expression> = row
                .iter()
                .enumerate()
                .map(|(other, value)| {
                    if other == column {
                        variable(&name, constant.span)
                    } else if key.contains(&other) {
                        value.clone()
                    } else {
                        any(constant.span)
                    }
                })
                .collect();
            let there = present(self.branch.root_atom(None, stored));
            let condition = is_constant(variable(&name, constant.span), constant);
            let body = [self.wish_for(&[]), vec![there, test(fails(condition))]].concat();
            self.refuse(body, reason, constant.span);
        }
    }

    /// What hides rows of the root: the literal that holds for hidden ones, its variables, and its place.
    pub(super) fn hiding(&self) -> Vec<(Literal, Vec<String>, Span)> {
        let root = self.branch.root_variables();
        let tests = self.branch.tests.iter().map(|condition| {
            let literal = test(fails(condition.clone()));
            (literal, condition.variables(), condition.span)
        });
        let groups = self.branch.groups.iter().filter(|group| !group.is_written).map(|group| {
            let mut atom = group.atom(self.branch);
            for argument in &mut atom.arguments {
                if matches!(&argument.kind, ExpressionKind::Variable(name) if !root.contains(name)) {
                    *argument = any(argument.span);
                }
            }
            let names = atom.arguments.iter().flat_map(Expression::variables).collect();
            let span = atom.span;
            let literal = if group.kind == UseKind::Absent { present(atom) } else { absent(atom) };
            (literal, names, span)
        });
        tests.chain(groups).collect()
    }

    /// Other unique keys of the root hold among what is wanted, and against hidden rows.
    pub(super) fn unique_keys(&mut self) {
        let table = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        let shown = self.branch.shown();
        let key = self.branch.key();
        for unique in table.keys.iter().filter(|unique| unique.columns != key) {
            let is_shown = |column: &usize| {
                let names = row[*column].variables();
                !names.is_empty() && names.iter().all(|name| shown.contains(name))
            };
            if !unique.columns.iter().all(is_shown) {
                continue;
            }
            let names: Vec<String> = unique
                .columns
                .iter()
                .flat_map(|&column| row[column].variables())
                .collect();
            let reason = format!(
                "({}) of {} is unique",
                question::names(table, &unique.columns),
                table.name.text
            );
            let key_names: Vec<String> = key
                .iter()
                .flat_map(|&column| row[column].variables())
                .collect();
            let keep = |expression: Expression| match &expression.kind {
                ExpressionKind::Variable(name) if names.contains(name) => expression,
                ExpressionKind::Variable(name) if key_names.contains(name) => expression,
                _ => any(expression.span),
            };
            let other = |expression: Expression| match &expression.kind {
                ExpressionKind::Variable(name) if names.contains(name) => expression,
                ExpressionKind::Variable(name) if key_names.contains(name) => {
                    variable(&format!("OTHER_{name}"), expression.span)
                }
                _ => any(expression.span),
            };
            let view = |change: &dyn Fn(Expression) -> Expression| {
                present(
                    self.branch
                        .view_atom(self.branch.view_row().into_iter().map(change).collect()),
                )
            };
            let mut differ = key_names.iter().map(|name| {
                distinct(
                    variable(name, self.span()),
                    variable(&format!("OTHER_{name}"), self.span()),
                )
            });
            let Some(first) = differ.next() else { continue };
            let differ = differ.fold(first, |left, right| {
                Expression::binary(BinaryOperator::Or, left, right)
            });
            let set = |names: &[String]| {
                let nullable = names
                    .iter()
                    .filter(|name| self.branch.variable_nullable(name));
                let of = |name: &String| {
                    test(
                        variable(name, self.span())
                            .unary(UnaryOperator::IsNull)
                            .unary(UnaryOperator::Not),
                    )
                };
                nullable.map(of).collect::<Vec<_>>()
            };
            let body = [
                vec![view(&keep), view(&other)],
                set(&names),
                vec![test(differ.clone())],
            ]
            .concat();
            let hiding = self.hiding();
            let set = set(&names);
            let wish = view(&keep);
            self.refuse(body, &reason, unique.span);
            for (broken, used, _) in hiding {
                let old = |name: &str| {
                    let is_kept = names.iter().any(|known| known == name);
                    (!is_kept).then(|| variable(&format!("OTHER_{name}"), self.branch.span()))
                };
                let stored = row.iter().enumerate().map(|(column, value)| {
                    let own = value.variables();
                    let is_used = own
                        .iter()
                        .any(|name| used.contains(name) || names.contains(name))
                        || key.contains(&column);
                    if is_used {
                        value.map_variables(&|name| match old(name) {
                            Some(other) => other.kind,
                            None => ExpressionKind::Variable(name.to_owned()),
                        })
                    } else {
                        any(value.span)
                    }
                });
                let there = present(self.branch.root_atom(None, stored.collect()));
                let broken = substituted(&broken, &old);
                let body = [
                    vec![wish.clone(), there],
                    set.clone(),
                    vec![test(differ.clone()), broken],
                ]
                .concat();
                self.refuse(body, &reason, unique.span);
            }
        }
    }
}
