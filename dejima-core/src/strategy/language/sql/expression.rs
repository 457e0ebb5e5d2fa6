//! Expressions of SQL.

use sqlparser::ast::{
    self, BinaryOperator as SqlOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator as SqlUnary,
};

use super::{Places, Read, cast};
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, Function, UnaryOperator,
};

/// A column that an expression names.
pub(super) struct Column {
    /// The variable that stands for it.
    pub(super) variable: String,
    /// Its type, in PostgreSQL's words.
    pub(super) type_name: String,
}

/// Where an expression stands.
pub(super) struct Context<'a> {
    pub(super) places: &'a Places,
    /// Says what a column name means: the qualifier, if there is one, and the name.
    pub(super) columns: &'a dyn Fn(Option<&str>, &ast::Ident) -> Read<Column>,
    /// It is what a view shows, not a condition.
    pub(super) is_output: bool,
}

impl Context<'_> {
    /// The column that an expression is.
    pub(super) fn column(&self, expr: &Expr) -> Read<Column> {
        let places = self.places;
        let parts = match expr {
            Expr::Identifier(ident) => std::slice::from_ref(ident),
            Expr::CompoundIdentifier(parts) => parts,
            _ => &[],
        };
        match parts {
            [column] => (self.columns)(None, column),
            [qualifier, column] => (self.columns)(Some(&places.name(qualifier).text), column),
            [schema, table, column] => {
                let (schema, table) = (places.name(schema).text, places.name(table).text);
                let qualifier = if schema == "public" {
                    table
                } else {
                    format!("{schema}.{table}")
                };
                (self.columns)(Some(&qualifier), column)
            }
            _ => Err(unsupported(places.span(expr), "this name")),
        }
    }
}

/// An expression whose columns are resolved.
pub(super) fn expression(expr: &Expr, context: &Context<'_>) -> Read<Expression> {
    let span = context.places.span(expr);
    let of = |expr: &Expr| expression(expr, context);
    match expr {
        Expr::Nested(inner) => of(inner),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
            let column = context.column(expr)?;
            let kind = ExpressionKind::Variable(column.variable);
            Ok(Expression::new(kind, span))
        }
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
            if operator == BinaryOperator::Divide {
                whole(left, right, span, context)?;
            }
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
        Expr::Function(function) => call(function, span, context),
        Expr::Cast {
            expr: inner,
            data_type,
            ..
        } => match constant(expr, span) {
            Some(constant) => Ok(constant),
            None => of(cast::kept(inner, data_type, span, context)?),
        },
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
    let items = cast::array(array).unwrap_or_default().into_iter();
    let list = items.map(|kind| Expression::new(kind, span)).collect();
    let any = among(&operand, list).ok_or_else(|| unsupported(span, "this array"))?;
    Ok(spanned(any, span))
}

/// Refuses a division that has a fraction: a cast of one side would be left out.
fn whole(left: &Expr, right: &Expr, span: Span, context: &Context<'_>) -> Read<()> {
    for side in [left, right] {
        let found = cast::type_of(side, context)?;
        if found.is_some_and(|found| found.has_fraction()) {
            return Err(Box::new(unsupported(span, "this quotient").note(
                "PostgreSQL rounds it, so it could not be put back; whole numbers can be divided",
            )));
        }
    }
    Ok(())
}

/// A constant, with or without casts that leave it as it is.
pub(super) fn constant(expr: &Expr, span: Span) -> Option<Expression> {
    let (kind, _) = cast::typed_constant(expr)?;
    Some(Expression::new(kind, span))
}

/// A constant without a cast.
pub(super) fn literal(value: &ast::Value) -> Option<ExpressionKind> {
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

fn call(function: &ast::Function, span: Span, context: &Context<'_>) -> Read<Expression> {
    let name = function.name.to_string();
    let Some(known) = Function::named(&name) else {
        let known: Vec<_> = Function::ALL.iter().map(|known| known.name()).collect();
        return Err(Box::new(
            unsupported(
                context.places.span(&function.name),
                &format!("the function {name}"),
            )
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
        arguments.push(expression(expr, context)?);
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
