//! The types of what a SELECT shows, and whether it may be NULL.

use super::branch::Branched;
use super::{UseKind, variable_column};
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, Function, UnaryOperator,
};

impl Branched<'_> {
    /// The type of an output.
    pub(super) fn output_type(&self, position: usize) -> String {
        let of_variable = |name: &str| {
            let place = self.meaning.iter().find(|(_, meaning)| {
                matches!(&meaning.kind, ExpressionKind::Variable(found) if found == name)
            });
            place.map(|((used, column), _)| {
                self.table(*used).columns[*column].type_name.text.clone()
            })
        };
        let original = &self.branch.outputs[position];
        if let ExpressionKind::Variable(name) = &original.kind
            && let Some((used, column)) = variable_column(name)
        {
            return self.table(used).columns[column].type_name.text.clone();
        }
        self.type_of(&self.outputs[position], &of_variable)
    }

    fn type_of(
        &self,
        expression: &Expression,
        of_variable: &dyn Fn(&str) -> Option<String>,
    ) -> String {
        let text = |name: &str| name.to_owned();
        match &expression.kind {
            ExpressionKind::Variable(name) => of_variable(name).unwrap_or_else(|| text("text")),
            ExpressionKind::Number(number) if number.contains('.') => text("numeric"),
            ExpressionKind::Number(_) => text("integer"),
            ExpressionKind::Boolean(_) => text("boolean"),
            ExpressionKind::Unary(UnaryOperator::Negate, operand) => {
                self.type_of(operand, of_variable)
            }
            ExpressionKind::Unary(..) => text("boolean"),
            ExpressionKind::Binary(operator, left, right) => match operator {
                BinaryOperator::Concatenate => text("text"),
                BinaryOperator::Add
                | BinaryOperator::Subtract
                | BinaryOperator::Multiply
                | BinaryOperator::Divide => {
                    let sides = [
                        self.type_of(left, of_variable),
                        self.type_of(right, of_variable),
                    ];
                    let is_numeric =
                        |side: &&String| side.starts_with("numeric") || side.starts_with("decimal");
                    let fallback = sides[0].clone();
                    sides.iter().find(is_numeric).cloned().unwrap_or(fallback)
                }
                _ => text("boolean"),
            },
            ExpressionKind::Call(Function::Length, _) => text("integer"),
            ExpressionKind::Call(_, arguments) => arguments
                .first()
                .map_or_else(|| text("text"), |first| self.type_of(first, of_variable)),
            _ => text("text"),
        }
    }

    /// Whether an output may be NULL.
    pub(super) fn output_nullable(&self, position: usize) -> bool {
        let output = &self.outputs[position];
        if output.kind == ExpressionKind::Null {
            return true;
        }
        output
            .variables()
            .iter()
            .any(|name| self.variable_nullable(name))
    }

    /// Whether a variable may be NULL: no column that it stands for refuses it.
    pub(super) fn variable_nullable(&self, name: &str) -> bool {
        let places = self.meaning.iter().filter(|(_, meaning)| {
            matches!(&meaning.kind, ExpressionKind::Variable(found) if found == name)
        });
        let mut places = places.map(|((used, column), _)| {
            let inner = matches!(
                self.branch.uses[*used].kind,
                UseKind::Inner | UseKind::Present
            );
            !inner || self.table(*used).columns[*column].nullable
        });
        places.all(|nullable| nullable)
    }
}
