//! What refers to what, and CHECKs.

use super::{Keeper, truth};
use crate::strategy::derive::Derived;
use crate::strategy::derive::build::{absent, any, present, target_columns, test};
use crate::strategy::derive::{Table, TableForeignKey};
use crate::strategy::language::syntax::{
    Atom, Expression, ExpressionKind, Literal, Name, UnaryOperator,
};

impl Keeper<'_> {
    /// What the root refers to must be there.
    pub(super) fn foreign_keys(&mut self) -> Derived<()> {
        let table = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        for key in &table.foreign_keys {
            let Some(target) = self
                .definition
                .tables
                .iter()
                .find(|target| target.name.text == key.target.text)
            else {
                continue;
            };
            let values: Vec<Expression> = key
                .columns
                .iter()
                .map(|&column| row[column].clone())
                .collect();
            if self.is_joined(target, key, &values)
                || values
                    .iter()
                    .any(|value| value.kind == ExpressionKind::Null)
            {
                continue;
            }
            let is_self = target.name.text == table.name.text;
            let Some(atom) = self.referred(target, &target_columns(key, target), &values, is_self)
            else {
                continue;
            };
            let nullable = key
                .columns
                .iter()
                .zip(&values)
                .filter(|(column, _)| table.columns[**column].nullable);
            let mut literals: Vec<Literal> = nullable
                .map(|(_, value)| {
                    test(
                        value
                            .clone()
                            .unary(UnaryOperator::IsNull)
                            .unary(UnaryOperator::Not),
                    )
                })
                .collect();
            literals.push(absent(atom));
            let reason = format!("{} refers to {}", table.name.text, target.name.text);
            self.refuse_with_hidden(literals, &reason, key.span)?;
        }
        Ok(())
    }

    /// Whether the join itself demands that the row referred to is there.
    fn is_joined(&self, target: &Table, key: &TableForeignKey, values: &[Expression]) -> bool {
        let columns = target_columns(key, target);
        self.branch.groups.iter().any(|group| {
            group
                .is_table(self.branch, &target.name.text)
                .is_some_and(|used| {
                    let joined = self.branch.row(used);
                    let pairs = columns.iter().zip(values);
                    pairs.into_iter().all(|(column, value)| {
                        target
                            .column(&column.text)
                            .is_some_and(|position| joined[position].kind == value.kind)
                    })
                })
        })
    }

    /// A row of the target; of the view itself where a table refers to itself and all of it is shown.
    fn referred(
        &self,
        target: &Table,
        columns: &[Name],
        values: &[Expression],
        is_self: bool,
    ) -> Option<Atom> {
        let span = self.span();
        let positions: Option<Vec<usize>> = columns
            .iter()
            .map(|column| target.column(&column.text))
            .collect();
        let positions = positions?;
        let mut row = vec![any(span); target.columns.len()];
        for (&position, value) in positions.iter().zip(values) {
            row[position] = value.clone();
        }
        if !is_self {
            return Some(crate::strategy::derive::build::atom(
                None,
                &target.name,
                row,
                span,
            ));
        }
        if !self.hiding().is_empty() || !self.branch.hidden().is_empty() {
            return None;
        }
        let root = self.branch.row(self.branch.root);
        let view = self.branch.view_row().into_iter().map(|shown| {
            let position = root.iter().position(|value| value.kind == shown.kind);
            position.map_or_else(|| any(span), |position| row[position].clone())
        });
        Some(self.branch.view_atom(view.collect()))
    }

    /// What refers to the root's rows must not lose them.
    pub(super) fn references(&mut self) {
        let root = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        let shown = self.branch.shown();
        for table in &self.definition.tables {
            if table.name.text == root.name.text {
                continue;
            }
            for key in table
                .foreign_keys
                .iter()
                .filter(|key| key.target.text == root.name.text)
            {
                let columns = target_columns(key, root);
                let positions: Option<Vec<usize>> = columns
                    .iter()
                    .map(|column| root.column(&column.text))
                    .collect();
                let Some(positions) = positions else { continue };
                let names: Vec<String> = positions
                    .iter()
                    .flat_map(|&position| row[position].variables())
                    .collect();
                if names.is_empty() || !names.iter().all(|name| shown.contains(name)) {
                    continue;
                }
                let span = key.span;
                let mut referring = vec![any(span); table.columns.len()];
                for (&column, &position) in key.columns.iter().zip(&positions) {
                    referring[column] = row[position].clone();
                }
                let referring = present(crate::strategy::derive::build::atom(
                    None,
                    &table.name,
                    referring,
                    span,
                ));
                let wanted = self
                    .branch
                    .view_row()
                    .into_iter()
                    .map(|value| match &value.kind {
                        ExpressionKind::Variable(name) if !names.contains(name) => any(value.span),
                        _ => value,
                    });
                let gone = absent(self.branch.view_atom(wanted.collect()));
                let mut body = vec![referring, present(self.branch.root_atom(None, row.clone()))];
                for group in &self.branch.groups {
                    body.extend(group.literals(self.branch));
                }
                body.extend(self.branch.tests.iter().cloned().map(test));
                body.push(gone);
                let reason = format!("{} refers to {}", table.name.text, root.name.text);
                self.refuse(body, &reason, span);
            }
        }
    }

    /// The CHECKs of the root.
    pub(super) fn checks(&mut self) -> Derived<()> {
        let table = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        for check in &table.checks {
            let condition = check
                .condition
                .map_variables(&|name| match table.column(name) {
                    Some(column) => row[column].kind.clone(),
                    None => ExpressionKind::Variable(name.to_owned()),
                });
            let broken = test(condition.unary(UnaryOperator::Not));
            if truth(&broken) == Some(false) {
                continue;
            }
            let reason = format!("a CHECK of {}", table.name.text);
            self.refuse_with_hidden(vec![broken], &reason, check.condition.span)?;
        }
        Ok(())
    }
}
