//! Expressions: sorts, and constants of the right sort.

use std::collections::BTreeMap;

use super::body::Scope;
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, Function, Literal, UnaryOperator,
};
use crate::strategy::program::Expr;
use crate::strategy::value::{Sort, Value};

type Typed = Result<(Expr, Sort), Box<Diagnostic>>;

/// Finds out the sorts of expressions over the variables of a body.
pub(super) struct Typing<'a> {
    scope: &'a Scope,
}

/// A constant as a value of a sort.
pub(super) fn constant(expression: &Expression, sort: &Sort) -> Result<Value, Diagnostic> {
    let value = match &expression.kind {
        ExpressionKind::Null => return Ok(Value::Null),
        ExpressionKind::Boolean(value) if *sort == Sort::Boolean => Some(Value::Boolean(*value)),
        ExpressionKind::Number(text)
            if matches!(sort, Sort::Integer | Sort::Numeric | Sort::Float) =>
        {
            Value::read(text, sort)
        }
        ExpressionKind::Number(text) if matches!(sort, Sort::Opaque(_)) => Value::read(text, sort),
        ExpressionKind::Text(text) => Value::read(text, sort),
        _ => None,
    };
    value.ok_or_else(|| {
        let finding = Diagnostic::error(
            format!("{expression} is no value of type {sort}"),
            expression.span,
            format!("{sort} must stand here"),
        );
        match sort {
            Sort::Date => finding.help("dates are written 'YYYY-MM-DD'"),
            Sort::Timestamp => finding.help("timestamps are written 'YYYY-MM-DD HH:MM:SS'"),
            Sort::Text => finding.help(format!(
                "texts are written in single quotes: '{expression}'"
            )),
            _ => finding,
        }
    })
}

impl<'a> Typing<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self { scope }
    }

    /// The sort of a helper's column, from what its first rule puts there.
    pub(super) fn sort_of(&mut self, argument: &Expression, body: &[Literal]) -> Sort {
        if let ExpressionKind::Variable(name) = &argument.kind {
            let known = self
                .scope
                .ids
                .get(name)
                .and_then(|&id| self.scope.variables[id].as_ref());
            if let Some(variable) = known {
                return variable.sort.clone();
            }
            // Given by an equation.
            let equations: BTreeMap<String, &Expression> =
                body.iter().flat_map(equations).collect();
            if let Some(value) = equations.get(name)
                && let Ok((_, sort)) = self.value(value, None)
            {
                return sort;
            }
        }
        self.value(argument, None)
            .map_or(Sort::Text, |(_, sort)| sort)
    }

    /// A condition: its sort must be boolean.
    pub(super) fn condition(&self, expression: &Expression) -> Result<Expr, Box<Diagnostic>> {
        if let ExpressionKind::Binary(operator, left, right) = &expression.kind
            && is_comparison(*operator)
            && [left, right]
                .iter()
                .any(|side| side.kind == ExpressionKind::Null)
        {
            let other = if left.kind == ExpressionKind::Null {
                right
            } else {
                left
            };
            let not = if *operator == BinaryOperator::NotEqual {
                "not "
            } else {
                ""
            };
            return Err(Box::new(
                Diagnostic::error(
                    "nothing is equal to NULL, not even NULL",
                    expression.span,
                    "this is never true",
                )
                .help(format!("write {other} is {not}null")),
            ));
        }
        let (expr, sort) = self.value(expression, Some(&Sort::Boolean))?;
        if sort == Sort::Boolean {
            return Ok(expr);
        }
        Err(Box::new(Diagnostic::error(
            format!("a condition is true or false, and this is {sort}"),
            expression.span,
            format!("{sort}"),
        )))
    }

    /// An expression; a constant becomes one of the wanted sort.
    pub(super) fn value(&self, expression: &Expression, wanted: Option<&Sort>) -> Typed {
        match &expression.kind {
            ExpressionKind::Variable(name) => {
                let id = self.scope.ids.get(name);
                let known = id.and_then(|&id| Some((id, self.scope.variables[id].as_ref()?)));
                let Some((id, variable)) = known else {
                    return Err(Box::new(Diagnostic::error(
                        format!("{name} gets its value from nowhere"),
                        expression.span,
                        "must be known here",
                    )));
                };
                Ok((Expr::Variable(id), variable.sort.clone()))
            }
            ExpressionKind::Anonymous => Err(Box::new(Diagnostic::error(
                "_ has no value that could be compared or computed with",
                expression.span,
                "which one?",
            ))),
            ExpressionKind::Unary(operator, operand) => self.unary(*operator, operand, wanted),
            ExpressionKind::Binary(operator, left, right) => {
                self.binary(*operator, left, right, expression.span)
            }
            ExpressionKind::Call(function, arguments) => {
                self.call(*function, arguments, wanted, expression.span)
            }
            kind => {
                let own = match kind {
                    ExpressionKind::Number(text) if text.contains(['.', 'e', 'E']) => Sort::Numeric,
                    ExpressionKind::Number(_) => Sort::Integer,
                    ExpressionKind::Boolean(_) => Sort::Boolean,
                    _ => Sort::Text,
                };
                let sort = wanted.cloned().unwrap_or(own);
                Ok((Expr::Constant(constant(expression, &sort)?), sort))
            }
        }
    }

    fn unary(&self, operator: UnaryOperator, operand: &Expression, wanted: Option<&Sort>) -> Typed {
        let (expr, sort) = match operator {
            UnaryOperator::Negate => {
                let (expr, sort) = self.value(operand, wanted)?;
                if !sort.is_number() {
                    return Err(no_number(operand, &sort));
                }
                (expr, sort)
            }
            UnaryOperator::IsNull => (self.value(operand, None)?.0, Sort::Boolean),
            UnaryOperator::Not | UnaryOperator::IsTrue => (self.condition(operand)?, Sort::Boolean),
        };
        Ok((Expr::Unary(operator, Box::new(expr)), sort))
    }

    fn binary(
        &self,
        operator: BinaryOperator,
        left: &Expression,
        right: &Expression,
        span: Span,
    ) -> Typed {
        use BinaryOperator::{Add, And, Concatenate, Divide, Like, Multiply, Or, Subtract};
        let made = |left: Expr, right: Expr, sort: Sort| {
            Ok((
                Expr::Binary(operator, Box::new(left), Box::new(right)),
                sort,
            ))
        };
        match operator {
            And | Or => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                made(left, right, Sort::Boolean)
            }
            Concatenate | Like => {
                let side = |side: &Expression| {
                    let (expr, sort) = self.value(side, Some(&Sort::Text))?;
                    if sort == Sort::Text {
                        return Ok(expr);
                    }
                    Err(Box::new(Diagnostic::error(
                        format!("`{}` is for texts, and this is {sort}", operator.text()),
                        side.span,
                        format!("{sort}"),
                    )))
                };
                let sort = if operator == Like {
                    Sort::Boolean
                } else {
                    Sort::Text
                };
                made(side(left)?, side(right)?, sort)
            }
            Add | Subtract | Multiply | Divide => {
                let [(left_expr, left_sort), (right_expr, right_sort)] = self.sides(left, right)?;
                let sort = match (operator, &left_sort, &right_sort) {
                    (Add | Subtract, Sort::Date, Sort::Integer) => Sort::Date,
                    (Subtract, Sort::Date, Sort::Date) => Sort::Integer,
                    (_, Sort::Integer, Sort::Integer) => Sort::Integer,
                    (Divide, ..) => {
                        return Err(Box::new(
                            Diagnostic::error("only whole numbers can be divided here", span, "")
                                .note("PostgreSQL rounds other quotients, so they could not be put back"),
                        ));
                    }
                    (_, left, right) if left.is_number() && right.is_number() => Sort::Numeric,
                    (_, left_sort, right_sort) => {
                        let (side, sort) = if left_sort.is_number() {
                            (right, right_sort)
                        } else {
                            (left, left_sort)
                        };
                        return Err(no_number(side, sort));
                    }
                };
                made(left_expr, right_expr, sort)
            }
            _ => {
                let [(left, left_sort), (right, right_sort)] = self.sides(left, right)?;
                let numbers = [Sort::Integer, Sort::Numeric, Sort::Float];
                let comparable = left_sort == right_sort
                    || (numbers.contains(&left_sort) && numbers.contains(&right_sort));
                if comparable {
                    return made(left, right, Sort::Boolean);
                }
                Err(Box::new(Diagnostic::error(
                    format!("{left_sort} cannot be compared with {right_sort}"),
                    span,
                    "these are of different types",
                )))
            }
        }
    }

    /// Both operands; a constant becomes what the other one is, where it can.
    fn sides(
        &self,
        left: &Expression,
        right: &Expression,
    ) -> Result<[(Expr, Sort); 2], Box<Diagnostic>> {
        match (is_constant(left), is_constant(right)) {
            (true, false) => {
                let right = self.value(right, None)?;
                Ok([self.beside(left, &right.1)?, right])
            }
            (false, true) => {
                let left = self.value(left, None)?;
                let right = self.beside(right, &left.1)?;
                Ok([left, right])
            }
            _ => Ok([self.value(left, None)?, self.value(right, None)?]),
        }
    }

    /// A constant beside an operand of a sort: 1.5 beside an integer stays what it is, 1 beside a date is a number of days.
    fn beside(&self, constant: &Expression, sort: &Sort) -> Typed {
        let own = self.value(constant, None);
        match (&constant.kind, sort) {
            (ExpressionKind::Number(text), Sort::Integer) if text.contains(['.', 'e', 'E']) => own,
            (ExpressionKind::Number(_), Sort::Date) => own,
            _ => self.value(constant, Some(sort)),
        }
    }

    fn call(
        &self,
        function: Function,
        arguments: &[Expression],
        wanted: Option<&Sort>,
        span: Span,
    ) -> Typed {
        let (wanted, given) = match function {
            Function::Lower | Function::Upper | Function::Length => {
                (Some(Sort::Text), Some(Sort::Text))
            }
            Function::Abs => (Some(Sort::Integer), None),
            Function::Coalesce => {
                let known = arguments.iter().filter(|argument| !is_constant(argument));
                let sorts: Result<Vec<Sort>, Box<Diagnostic>> = known
                    .map(|argument| Ok(self.value(argument, None)?.1))
                    .collect();
                (sorts?.first().cloned().or(wanted.cloned()), None)
            }
        };
        let mut exprs = Vec::new();
        let mut sort = wanted.clone().unwrap_or(Sort::Text);
        for argument in arguments {
            let as_constant = if is_constant(argument) {
                wanted.as_ref()
            } else {
                None
            };
            let (expr, found) = self.value(argument, as_constant)?;
            let fits = match (&given, function) {
                (Some(given), _) => found == *given,
                (None, Function::Abs) => found.is_number(),
                _ => wanted.as_ref().is_none_or(|wanted| found == *wanted),
            };
            if !fits {
                return Err(Box::new(Diagnostic::error(
                    format!("{} takes no argument that is {found}", function.name()),
                    argument.span,
                    format!("{found}"),
                )));
            }
            sort = found;
            exprs.push(expr);
        }
        if exprs.is_empty() {
            return Err(Box::new(Diagnostic::error(
                "an argument is missing",
                span,
                "",
            )));
        }
        if function == Function::Length {
            sort = Sort::Integer;
        }
        Ok((Expr::Call(function, exprs), sort))
    }
}

/// `X = value` and `value = X`.
fn equations(literal: &Literal) -> Vec<(String, &Expression)> {
    let Literal::Condition(condition) = literal else {
        return Vec::new();
    };
    let ExpressionKind::Binary(BinaryOperator::Equal, left, right) = &condition.kind else {
        return Vec::new();
    };
    let name = |side: &Expression| match &side.kind {
        ExpressionKind::Variable(name) => Some(name.clone()),
        _ => None,
    };
    let sides = [(name(left), &**right), (name(right), &**left)];
    sides
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .collect()
}

fn is_comparison(operator: BinaryOperator) -> bool {
    use BinaryOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    matches!(
        operator,
        Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual
    )
}

fn is_constant(expression: &Expression) -> bool {
    use ExpressionKind::{Boolean, Null, Number, Text};
    matches!(expression.kind, Boolean(_) | Null | Number(_) | Text(_))
}

fn no_number(expression: &Expression, sort: &Sort) -> Box<Diagnostic> {
    let finding = Diagnostic::error(
        format!("numbers can be computed with, and this is {sort}"),
        expression.span,
        format!("{sort}"),
    );
    Box::new(if *sort == Sort::Float {
        finding.note("sums of floating-point numbers are rounded, so they could not be put back")
    } else {
        finding
    })
}
