//! What is not shown, or says two things of one, cannot be put.

use super::Keeper;
use crate::strategy::derive::Derived;
use crate::strategy::derive::UseKind;
use crate::strategy::derive::branch::shown_constants;
use crate::strategy::derive::build::{
    absent, any, distinct, fails, present, substituted, test, variable,
};
use crate::strategy::language::Span;
use crate::strategy::language::syntax::{Atom, Expression, ExpressionKind, Literal, UnaryOperator};

impl Keeper<'_> {
    /// What is not shown cannot be put.
    pub(super) fn belonging(&mut self) {
        let conditions = [self.branch.belongs(), shown_constants(self.branch)].concat();
        for condition in conditions {
            let span = condition.span;
            let reason = format!("{} shows no such row", self.view_name());
            self.refuse(
                vec![self.plain_view(), test(fails(condition))],
                &reason,
                span,
            );
        }
    }

    /// One column shown twice says the same twice; a computed one what it is computed from says.
    pub(super) fn columns(&mut self) {
        let pairs: Vec<(Expression, String)> = self
            .branch
            .outputs
            .iter()
            .cloned()
            .zip(self.branch.output_names.clone())
            .collect();
        for (output, name) in pairs {
            let shown = variable(&name, output.span);
            if output.variables().is_empty() || output.kind == shown.kind {
                continue;
            }
            let is_copy = matches!(output.kind, ExpressionKind::Variable(_));
            if is_copy
                && !self
                    .branch
                    .shown()
                    .is_superset(&output.variables().into_iter().collect())
            {
                continue;
            }
            let reason = if is_copy {
                "two columns show the same"
            } else {
                "a computed column is what it is computed from"
            };
            let span = output.span;
            self.refuse(
                vec![self.plain_view(), test(distinct(shown, output))],
                reason,
                span,
            );
        }
    }

    /// Conditions on hidden columns, and on other tables.
    pub(super) fn selection(&mut self) -> Derived<()> {
        let belongs = self.branch.belongs();
        let tests: Vec<Expression> = self
            .branch
            .tests
            .iter()
            .filter(|test| !belongs.contains(test))
            .cloned()
            .collect();
        let reason = format!("{} shows no such row", self.view_name());
        for condition in tests {
            let span = condition.span;
            self.refuse_with_hidden(vec![test(fails(condition))], &reason, span)?;
        }
        let groups: Vec<(Literal, Span)> = self
            .branch
            .groups
            .iter()
            .filter(|group| !group.is_written)
            .map(|group| {
                let atom = group.atom(self.branch);
                let span = atom.span;
                let atom = self.without_determined(atom, &group.determines);
                let broken = if group.kind == UseKind::Absent {
                    present(atom)
                } else {
                    absent(atom)
                };
                (broken, span)
            })
            .collect();
        for (broken, span) in groups {
            self.refuse_with_hidden(vec![broken], &reason, span)?;
        }
        Ok(())
    }

    /// What is found by the group itself cannot be asked of it.
    fn without_determined(&self, mut atom: Atom, determined: &[String]) -> Atom {
        for argument in &mut atom.arguments {
            if matches!(&argument.kind, ExpressionKind::Variable(name) if determined.contains(name))
            {
                *argument = any(argument.span);
            }
        }
        atom
    }

    /// What a left join shows is looked up.
    pub(super) fn lefts(&mut self) {
        for used in 0..self.branch.branch.uses.len() {
            if self.branch.branch.uses[used].kind != UseKind::Left {
                continue;
            }
            let own = self.branch.own_variables(used);
            let span = self.branch.branch.uses[used].span;
            let name = &self.branch.table(used).name.text;
            let reason = format!("{name} is looked up, not changed");
            let shown: Vec<String> = self
                .branch
                .outputs
                .iter()
                .flat_map(Expression::variables)
                .filter(|name| own.contains(name))
                .collect();
            let missing = absent(self.branch.use_atom(used, self.branch.linked_row(used)));
            for column in shown {
                let stored = format!("OLD_{column}");
                let rename = |found: &str| (found == column).then(|| variable(&stored, span));
                let there = present(self.branch.use_atom(used, self.branch.row(used)));
                let there = substituted(&there, &rename);
                let differs = test(distinct(variable(&column, span), variable(&stored, span)));
                let wish = self.branch.wish();
                self.refuse([wish.clone(), vec![there, differs]].concat(), &reason, span);
                let is_set = test(
                    variable(&column, span)
                        .unary(UnaryOperator::IsNull)
                        .unary(UnaryOperator::Not),
                );
                self.refuse(
                    [wish, vec![missing.clone(), is_set]].concat(),
                    &reason,
                    span,
                );
            }
        }
    }

    /// Where the view has no key, rows of one row of a base table agree; so they do about a written table.
    pub(super) fn agreement(&mut self, has_no_key: bool) {
        for used in 0..self.branch.branch.uses.len() {
            if self.branch.is_written(used) {
                let table = &self.branch.table(used).name.text;
                let reason = format!("one row of {table} cannot be two things");
                for body in self.branch.lookup_agreement(used) {
                    self.refuse(body, &reason, self.branch.branch.uses[used].span);
                }
            }
        }
        if has_no_key && self.branch.is_keyed() {
            let row = self.branch.row(self.branch.root);
            let key_names: Vec<String> = self
                .branch
                .key()
                .into_iter()
                .flat_map(|column| row[column].variables())
                .collect();
            let reason = format!(
                "one row of {} cannot be two rows",
                self.branch.root_table().name.text
            );
            let others: Vec<String> = self
                .branch
                .shown()
                .into_iter()
                .filter(|name| !key_names.contains(name))
                .collect();
            for name in others {
                let rename = |found: &str| {
                    let is_other = found != name && !key_names.iter().any(|key| key == found);
                    (found == name || is_other)
                        .then(|| variable(&format!("OTHER_{found}"), self.branch.span()))
                };
                let wish = self.wish_for(&[]);
                let other: Vec<Literal> = wish
                    .iter()
                    .map(|literal| substituted(literal, &rename))
                    .collect();
                let differ = distinct(
                    variable(&name, self.span()),
                    variable(&format!("OTHER_{name}"), self.span()),
                );
                self.refuse(
                    [wish, other, vec![test(differ)]].concat(),
                    &reason,
                    self.span(),
                );
            }
        }
    }
}
