//! Expressions in SQL's three values.

use std::cmp::Ordering;

use super::Bindings;
use super::like::is_like;
use crate::strategy::language::syntax::{BinaryOperator, Function, UnaryOperator};
use crate::strategy::program::Expr;
use crate::strategy::value::{Decimal, Value};

/// Why an expression has no value: PostgreSQL would refuse the statement, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A number with too many digits.
    #[error("a number is out of range")]
    OutOfRange,
}

/// The value of an expression.
pub fn value(expr: &Expr, bindings: &Bindings) -> Result<Value, Failure> {
    match expr {
        Expr::Variable(variable) => Ok(bindings[*variable].clone().unwrap_or(Value::Null)),
        Expr::Constant(constant) => Ok(constant.clone()),
        Expr::Unary(operator, operand) => unary(*operator, value(operand, bindings)?),
        Expr::Binary(operator, left, right) => {
            binary(*operator, value(left, bindings)?, value(right, bindings)?)
        }
        Expr::Call(function, arguments) => {
            let values: Result<Vec<_>, _> = arguments
                .iter()
                .map(|argument| value(argument, bindings))
                .collect();
            call(*function, values?)
        }
    }
}

fn unary(operator: UnaryOperator, operand: Value) -> Result<Value, Failure> {
    Ok(match (operator, operand) {
        (UnaryOperator::IsNull, operand) => Value::Boolean(operand.is_null()),
        (UnaryOperator::IsTrue, operand) => Value::Boolean(operand.is_true()),
        (UnaryOperator::Not, Value::Boolean(value)) => Value::Boolean(!value),
        (UnaryOperator::Negate, Value::Integer(number)) => {
            Value::Integer(number.checked_neg().ok_or(Failure::OutOfRange)?)
        }
        (UnaryOperator::Negate, Value::Numeric(number)) => {
            Value::Numeric(number.negated().ok_or(Failure::OutOfRange)?)
        }
        _ => Value::Null,
    })
}

fn binary(operator: BinaryOperator, left: Value, right: Value) -> Result<Value, Failure> {
    match operator {
        BinaryOperator::Same => return Ok(Value::Boolean(left == right)),
        BinaryOperator::And => {
            let is_false = left == Value::Boolean(false) || right == Value::Boolean(false);
            let is_null = left.is_null() || right.is_null();
            return Ok(three(is_false, false, is_null));
        }
        BinaryOperator::Or => {
            let is_null = left.is_null() || right.is_null();
            return Ok(three(left.is_true() || right.is_true(), true, is_null));
        }
        _ => {}
    }
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    let ordering = || compare(&left, &right);
    Ok(Value::Boolean(match operator {
        BinaryOperator::Equal => ordering() == Ordering::Equal,
        BinaryOperator::NotEqual => ordering() != Ordering::Equal,
        BinaryOperator::Less => ordering() == Ordering::Less,
        BinaryOperator::LessOrEqual => ordering() != Ordering::Greater,
        BinaryOperator::Greater => ordering() == Ordering::Greater,
        BinaryOperator::GreaterOrEqual => ordering() != Ordering::Less,
        BinaryOperator::Like => match (&left, &right) {
            (Value::Text(text), Value::Text(pattern)) => is_like(text, pattern),
            _ => false,
        },
        _ => return arithmetic(operator, left, right),
    }))
}

/// `decided` if it is, else NULL if something is, else the opposite.
fn three(is_decided: bool, decided: bool, is_null: bool) -> Value {
    if is_decided {
        Value::Boolean(decided)
    } else if is_null {
        Value::Null
    } else {
        Value::Boolean(!decided)
    }
}

/// Numbers of different sorts are compared as numbers.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Integer(left), Value::Numeric(right)) => Decimal::whole(*left).cmp(right),
        (Value::Numeric(left), Value::Integer(right)) => left.cmp(&Decimal::whole(*right)),
        _ => left.cmp(right),
    }
}

fn arithmetic(operator: BinaryOperator, left: Value, right: Value) -> Result<Value, Failure> {
    use BinaryOperator::{Add, Concatenate, Divide, Multiply, Subtract};
    let found = match (operator, left, right) {
        (Concatenate, Value::Text(left), Value::Text(right)) => {
            return Ok(Value::Text(format!("{left}{right}").into()));
        }
        (Divide, Value::Integer(_), Value::Integer(0)) => return Err(Failure::DivisionByZero),
        (Add, Value::Integer(left), Value::Integer(right)) => {
            left.checked_add(right).map(Value::Integer)
        }
        (Subtract, Value::Integer(left), Value::Integer(right)) => {
            left.checked_sub(right).map(Value::Integer)
        }
        (Multiply, Value::Integer(left), Value::Integer(right)) => {
            left.checked_mul(right).map(Value::Integer)
        }
        (Divide, Value::Integer(left), Value::Integer(right)) => {
            left.checked_div(right).map(Value::Integer)
        }
        (Add, Value::Date(day), Value::Integer(days)) => shifted(day, days),
        (Subtract, Value::Date(day), Value::Integer(days)) => {
            days.checked_neg().and_then(|days| shifted(day, days))
        }
        (Subtract, Value::Date(left), Value::Date(right)) => {
            Some(Value::Integer(i128::from(left) - i128::from(right)))
        }
        (operator, left, right) => {
            let (Some(left), Some(right)) = (decimal(&left), decimal(&right)) else {
                return Ok(Value::Null);
            };
            match operator {
                Add => left.plus(right),
                Subtract => right.negated().and_then(|right| left.plus(right)),
                Multiply => left.times(right),
                _ => None,
            }
            .map(Value::Numeric)
        }
    };
    found.ok_or(Failure::OutOfRange)
}

fn shifted(day: i64, days: i128) -> Option<Value> {
    day.checked_add(i64::try_from(days).ok()?).map(Value::Date)
}

fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Integer(number) => Some(Decimal::whole(*number)),
        Value::Numeric(number) => Some(*number),
        _ => None,
    }
}

fn call(function: Function, arguments: Vec<Value>) -> Result<Value, Failure> {
    if function == Function::Coalesce {
        let first = arguments.into_iter().find(|argument| !argument.is_null());
        return Ok(first.unwrap_or(Value::Null));
    }
    Ok(match (function, arguments.into_iter().next()) {
        (Function::Lower, Some(Value::Text(text))) => Value::Text(text.to_lowercase().into()),
        (Function::Upper, Some(Value::Text(text))) => Value::Text(text.to_uppercase().into()),
        (Function::Length, Some(Value::Text(text))) => {
            Value::Integer(i128::try_from(text.chars().count()).unwrap_or(i128::MAX))
        }
        (Function::Abs, Some(Value::Integer(number))) => {
            Value::Integer(number.checked_abs().ok_or(Failure::OutOfRange)?)
        }
        (Function::Abs, Some(Value::Numeric(number))) if number < Decimal::whole(0) => {
            Value::Numeric(number.negated().ok_or(Failure::OutOfRange)?)
        }
        (Function::Abs, Some(number @ Value::Numeric(_))) => number,
        _ => Value::Null,
    })
}
