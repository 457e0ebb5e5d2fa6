//! Expressions and values as SQL.

use std::collections::BTreeMap;

use crate::strategy::language::syntax::{BinaryOperator, Function, UnaryOperator};
use crate::strategy::literal;
use crate::strategy::program::{Expr, Variable, VariableId};
use crate::strategy::value::{Sort, Value};

/// What is known of variables: the SQL of their values.
pub(super) type Known = BTreeMap<VariableId, String>;

/// The SQL type of a sort, for values that stand alone.
fn sort_type(sort: &Sort) -> &str {
    match sort {
        Sort::Integer => "bigint",
        Sort::Numeric => "numeric",
        Sort::Float => "double precision",
        Sort::Text => "text",
        Sort::Boolean => "boolean",
        Sort::Date => "date",
        Sort::Timestamp => "timestamp",
        Sort::Opaque(name) => name,
    }
}

/// A value of a column of that type.
pub(super) fn typed(value: &Value, type_name: &str) -> String {
    format!("{}::{type_name}", quoted(value))
}

/// A value whose place says its type.
fn quoted(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Text(text) | Value::Opaque(text) => literal(text),
        Value::Boolean(_) | Value::Integer(_) | Value::Numeric(_) => literal(&value.to_string()),
        // Between quotes already; no digit needs an escape.
        Value::Date(_) | Value::Timestamp(_) => value.to_string(),
    }
}

/// A value that stands alone.
fn constant(value: &Value) -> String {
    let sort = match value {
        Value::Null | Value::Opaque(_) => return quoted(value),
        Value::Boolean(_) => Sort::Boolean,
        Value::Integer(number) if i32::try_from(*number).is_ok() => {
            return format!("{}::integer", quoted(value));
        }
        Value::Integer(number) if i64::try_from(*number).is_err() => Sort::Numeric,
        Value::Integer(_) => Sort::Integer,
        Value::Numeric(_) => Sort::Numeric,
        Value::Date(_) => Sort::Date,
        Value::Timestamp(_) => Sort::Timestamp,
        Value::Text(_) => Sort::Text,
    };
    typed(value, sort_type(&sort))
}

/// An expression in parentheses.
pub(super) fn expression(expr: &Expr, variables: &[Variable], known: &Known) -> String {
    let of = |expr: &Expr| expression(expr, variables, known);
    match expr {
        Expr::Variable(variable) => match known.get(variable) {
            Some(sql) => sql.clone(),
            None => format!("NULL::{}", sort_type(&variables[*variable].sort)),
        },
        Expr::Constant(value) => constant(value),
        Expr::Unary(UnaryOperator::Negate, operand) => format!("(- {})", of(operand)),
        Expr::Unary(UnaryOperator::Not, operand) => format!("(NOT {})", of(operand)),
        Expr::Unary(UnaryOperator::IsNull, operand) => format!("({} IS NULL)", of(operand)),
        Expr::Unary(UnaryOperator::IsTrue, operand) => format!("({} IS TRUE)", of(operand)),
        Expr::Binary(operator, left, right) => {
            let (left_sql, right_sql) = (of(left), of(right));
            let operator = match operator {
                BinaryOperator::Same
                    if !may_be_null(left, variables) && !may_be_null(right, variables) =>
                {
                    "="
                }
                other => other.text(),
            };
            format!("({left_sql} {} {right_sql})", operator.to_uppercase())
        }
        Expr::Call(function, arguments) => {
            let arguments: Vec<_> = arguments.iter().map(of).collect();
            let name = match function {
                Function::Lower => "lower",
                Function::Upper => "upper",
                Function::Length => "length",
                Function::Abs => "abs",
                Function::Coalesce => "coalesce",
            };
            format!("{name}({})", arguments.join(", "))
        }
    }
}

/// A condition that has to be true. An index finds what is equal, so `=` stands where it says the same: not below a NOT.
pub(super) fn condition(expr: &Expr, variables: &[Variable], known: &Known) -> String {
    match expr {
        Expr::Binary(BinaryOperator::Same, left, right)
            if !may_be_null(left, variables) || !may_be_null(right, variables) =>
        {
            let (left, right) = (
                expression(left, variables, known),
                expression(right, variables, known),
            );
            format!("{left} = {right}")
        }
        other => expression(other, variables, known),
    }
}

/// Whether an expression can be NULL, as far as can be seen at a glance.
pub(super) fn may_be_null(expr: &Expr, variables: &[Variable]) -> bool {
    match expr {
        Expr::Variable(variable) => variables[*variable].nullable,
        Expr::Constant(value) => value.is_null(),
        _ => true,
    }
}
