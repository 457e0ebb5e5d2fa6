//! Expressions of SQL.

use sqlparser::ast::{
    self, BinaryOperator as SqlOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator as SqlUnary,
};

use super::{Places, Read};
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, Function, UnaryOperator,
};

/// Says what a column name means: the qualifier, if there is one, and the name.
pub(super) type Columns<'a> = dyn Fn(Option<&str>, &ast::Ident) -> Read<String> + 'a;

/// An expression whose columns are resolved.
pub(super) fn expression(expr: &Expr, places: &Places, columns: &Columns<'_>) -> Read<Expression> {
    let span = places.span(expr);
    let of = |expr: &Expr| expression(expr, places, columns);
    let made = |kind| Ok(Expression::new(kind, span));
    match expr {
        Expr::Nested(inner) => of(inner),
        Expr::Identifier(ident) => made(ExpressionKind::Variable(columns(None, ident)?)),
        Expr::CompoundIdentifier(parts) => match &parts[..] {
            [qualifier, column] => {
                let qualifier = places.name(qualifier).text;
                made(ExpressionKind::Variable(columns(Some(&qualifier), column)?))
            }
            [schema, table, column] => {
                let (schema, table) = (places.name(schema).text, places.name(table).text);
                let qualifier = if schema == "public" {
                    table
                } else {
                    format!("{schema}.{table}")
                };
                made(ExpressionKind::Variable(columns(Some(&qualifier), column)?))
            }
            _ => Err(unsupported(span, "this name")),
        },
        Expr::UnaryOp { op, expr: operand } => match op {
            SqlUnary::Not => Ok(spanned(of(operand)?.unary(UnaryOperator::Not), span)),
            SqlUnary::Minus => match constant(expr, span) {
                Some(constant) => Ok(constant),
                None => Ok(spanned(of(operand)?.unary(UnaryOperator::Negate), span)),
            },
            SqlUnary::Plus => of(operand),
            _ => Err(unsupported(span, "this operator")),
        },
        Expr::BinaryOp {
            left,
            op: SqlOperator::PGNotLikeMatch,
            right,
        } => {
            let like = Expression::binary(BinaryOperator::Like, of(left)?, of(right)?);
            Ok(spanned(not(like), span))
        }
        Expr::BinaryOp { left, op, right } => {
            let operator =
                operator(op).ok_or_else(|| unsupported(span, &format!("the operator {op}")))?;
            Ok(spanned(
                Expression::binary(operator, of(left)?, of(right)?),
                span,
            ))
        }
        Expr::IsNull(operand) => Ok(spanned(of(operand)?.unary(UnaryOperator::IsNull), span)),
        Expr::IsNotNull(operand) => Ok(spanned(
            not(of(operand)?.unary(UnaryOperator::IsNull)),
            span,
        )),
        Expr::IsTrue(operand) => Ok(spanned(of(operand)?.unary(UnaryOperator::IsTrue), span)),
        Expr::IsNotTrue(operand) => Ok(spanned(of(operand)?.is_not_true(), span)),
        Expr::IsFalse(operand) => Ok(spanned(
            not(of(operand)?).unary(UnaryOperator::IsTrue),
            span,
        )),
        Expr::IsNotFalse(operand) => Ok(spanned(not(of(operand)?).is_not_true(), span)),
        Expr::IsNotDistinctFrom(left, right) => Ok(spanned(
            Expression::binary(BinaryOperator::Same, of(left)?, of(right)?),
            span,
        )),
        Expr::IsDistinctFrom(left, right) => {
            let same = Expression::binary(BinaryOperator::Same, of(left)?, of(right)?);
            Ok(spanned(not(same), span))
        }
        Expr::Between {
            expr: operand,
            negated,
            low,
            high,
        } => {
            let operand = of(operand)?;
            let low = Expression::binary(BinaryOperator::GreaterOrEqual, operand.clone(), of(low)?);
            let high = Expression::binary(BinaryOperator::LessOrEqual, operand, of(high)?);
            let both = Expression::binary(BinaryOperator::And, low, high);
            Ok(spanned(if *negated { not(both) } else { both }, span))
        }
        Expr::InList {
            expr: operand,
            list,
            negated,
        } => {
            let list = list.iter().map(of).collect::<Read<Vec<_>>>()?;
            let any = among(&of(operand)?, list);
            let any = any.ok_or_else(|| unsupported(span, "an empty list"))?;
            Ok(spanned(if *negated { not(any) } else { any }, span))
        }
        // As PostgreSQL writes IN; the next is NOT IN.
        Expr::AnyOp {
            left,
            compare_op: SqlOperator::Eq,
            right,
            ..
        } => in_array(of(left)?, right, span),
        Expr::AllOp {
            left,
            compare_op: SqlOperator::NotEq,
            right,
        } => in_array(of(left)?, right, span).map(|any| spanned(not(any), span)),
        Expr::Like {
            negated,
            any: false,
            expr: operand,
            pattern,
            escape_char: None,
        } => {
            let like = Expression::binary(BinaryOperator::Like, of(operand)?, of(pattern)?);
            Ok(spanned(if *negated { not(like) } else { like }, span))
        }
        Expr::Function(function) => call(function, places, columns, span),
        _ => constant(expr, span).ok_or_else(|| {
            let finding = unsupported(span, "this expression");
            Box::new(finding.note("what the checks cannot compute they cannot prove"))
        }),
    }
}

/// Equal to one of a list.
fn among(operand: &Expression, list: Vec<Expression>) -> Option<Expression> {
    let equal = |item| Expression::binary(BinaryOperator::Equal, operand.clone(), item);
    let or = |left, right| Expression::binary(BinaryOperator::Or, left, right);
    list.into_iter().map(equal).reduce(or)
}

/// Equal to one of an array of constants.
fn in_array(operand: Expression, array: &Expr, span: Span) -> Read<Expression> {
    let list = match array {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => {
            return in_array(operand, inner, span);
        }
        Expr::Array(array) => array.elem.iter().map(|item| constant(item, span)).collect(),
        _ => None,
    };
    let any = list.and_then(|list| among(&operand, list));
    let any = any.ok_or_else(|| unsupported(span, "this array"))?;
    Ok(spanned(any, span))
}

/// A constant, with or without a cast to its type.
pub(super) fn constant(expr: &Expr, span: Span) -> Option<Expression> {
    let kind = match expr {
        Expr::Nested(inner) => return constant(inner, span),
        Expr::Cast { expr: inner, .. } => return constant(inner, span),
        Expr::Value(value) => literal(&value.value)?,
        Expr::TypedString(typed) => literal(&typed.value.value)?,
        Expr::UnaryOp {
            op: SqlUnary::Minus,
            expr: inner,
        } => match constant(inner, span)?.kind {
            ExpressionKind::Number(number) => ExpressionKind::Number(format!("-{number}")),
            _ => return None,
        },
        _ => return None,
    };
    Some(Expression::new(kind, span))
}

fn literal(value: &ast::Value) -> Option<ExpressionKind> {
    Some(match value {
        ast::Value::Number(number, _) => ExpressionKind::Number(number.to_string()),
        ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => {
            ExpressionKind::Text(text.clone())
        }
        ast::Value::Boolean(value) => ExpressionKind::Boolean(*value),
        ast::Value::Null => ExpressionKind::Null,
        _ => return None,
    })
}

fn spanned(expression: Expression, span: Span) -> Expression {
    Expression { span, ..expression }
}

pub(super) fn not(expression: Expression) -> Expression {
    expression.unary(UnaryOperator::Not)
}

pub(super) fn unsupported(span: Span, what: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(
        format!("{what} cannot be taken into a strategy"),
        span,
        "",
    ))
}

fn operator(operator: &SqlOperator) -> Option<BinaryOperator> {
    Some(match operator {
        SqlOperator::Plus => BinaryOperator::Add,
        SqlOperator::Minus => BinaryOperator::Subtract,
        SqlOperator::Multiply => BinaryOperator::Multiply,
        SqlOperator::Divide => BinaryOperator::Divide,
        SqlOperator::StringConcat => BinaryOperator::Concatenate,
        SqlOperator::Eq => BinaryOperator::Equal,
        SqlOperator::NotEq => BinaryOperator::NotEqual,
        SqlOperator::Lt => BinaryOperator::Less,
        SqlOperator::LtEq => BinaryOperator::LessOrEqual,
        SqlOperator::Gt => BinaryOperator::Greater,
        SqlOperator::GtEq => BinaryOperator::GreaterOrEqual,
        SqlOperator::And => BinaryOperator::And,
        SqlOperator::Or => BinaryOperator::Or,
        // As PostgreSQL writes LIKE.
        SqlOperator::PGLikeMatch => BinaryOperator::Like,
        _ => return None,
    })
}

fn call(
    function: &ast::Function,
    places: &Places,
    columns: &Columns<'_>,
    span: Span,
) -> Read<Expression> {
    let name = function.name.to_string();
    let Some(known) = Function::named(&name) else {
        let known: Vec<_> = Function::ALL.iter().map(|known| known.name()).collect();
        return Err(Box::new(
            unsupported(places.span(&function.name), &format!("the function {name}"))
                .help(format!("the functions that can be: {}", known.join(", "))),
        ));
    };
    let FunctionArguments::List(list) = &function.args else {
        return Err(unsupported(span, "this call"));
    };
    let mut arguments = Vec::new();
    for argument in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else {
            return Err(unsupported(span, "this call"));
        };
        arguments.push(expression(expr, places, columns)?);
    }
    Ok(Expression::new(
        ExpressionKind::Call(known, arguments),
        span,
    ))
}

#[cfg(test)]
mod tests {
    use crate::strategy::language::{File, Format, read};

    /// The put rules of a view with that condition.
    fn rules(condition: &str) -> String {
        let text = format!(
            "CREATE TABLE t (id int PRIMARY KEY, k text NOT NULL); CREATE VIEW v AS SELECT id, k FROM t WHERE {condition}"
        );
        let file = File {
            name: "view.sql",
            text: &text,
        };
        let reading = read(file, Format::Sql, None).remove(0);
        assert!(
            reading.program.is_some(),
            "{condition}: {:?}",
            reading.findings
        );
        reading.document.to_string()
    }

    #[test]
    fn what_postgresql_makes_of_a_condition_means_the_same() {
        for (written, printed) in [
            ("k IN ('a', 'b')", "(k = ANY (ARRAY['a'::text, 'b'::text]))"),
            (
                "k NOT IN ('a', 'b')",
                "(k <> ALL ((ARRAY['a'::text, 'b'::text])::text[]))",
            ),
            ("k LIKE 'a%'", "(k ~~ 'a%'::text)"),
            ("k NOT LIKE 'a%'", "(k !~~ 'a%'::text)"),
        ] {
            assert_eq!(rules(written), rules(printed), "{written}");
        }
        assert_ne!(rules("k IN ('a')"), rules("k NOT IN ('a')"));
    }
}
