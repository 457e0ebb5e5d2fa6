//! Pieces of documents.

use super::{ColumnDefault, Table, TableColumn, TableForeignKey};
use crate::strategy::language::Span;
use crate::strategy::language::syntax::{
    Atom, BinaryOperator, ColumnText, ConstraintText, Expression, ExpressionKind, Literal, Name,
    RuleText, Sign, Statement, UnaryOperator,
};

pub(super) fn variable(name: &str, span: Span) -> Expression {
    Expression::new(ExpressionKind::Variable(name.to_owned()), span)
}

pub(super) fn any(span: Span) -> Expression {
    Expression::new(ExpressionKind::Anonymous, span)
}

pub(super) fn null(span: Span) -> Expression {
    Expression::new(ExpressionKind::Null, span)
}

pub(super) fn atom(
    sign: Option<Sign>,
    relation: &Name,
    arguments: Vec<Expression>,
    span: Span,
) -> Atom {
    Atom {
        sign,
        relation: relation.clone(),
        arguments,
        span,
    }
}

pub(super) fn present(atom: Atom) -> Literal {
    Literal::Atom {
        negated: false,
        atom,
    }
}

pub(super) fn absent(atom: Atom) -> Literal {
    Literal::Atom {
        negated: true,
        atom,
    }
}

pub(super) fn test(condition: Expression) -> Literal {
    Literal::Condition(condition)
}

/// They differ, NULL being a value.
pub(super) fn distinct(left: Expression, right: Expression) -> Expression {
    Expression::binary(BinaryOperator::Same, left, right).unary(UnaryOperator::Not)
}

/// The expression is this constant, which may be NULL.
pub(super) fn is_constant(expression: Expression, constant: &Expression) -> Expression {
    match constant.kind {
        ExpressionKind::Null => expression.unary(UnaryOperator::IsNull),
        _ => Expression::binary(BinaryOperator::Equal, expression, constant.clone()),
    }
}

/// Not true; IS NULL is never NULL itself.
pub(super) fn fails(condition: Expression) -> Expression {
    match condition.kind {
        ExpressionKind::Unary(UnaryOperator::IsNull, _) => condition.unary(UnaryOperator::Not),
        _ => condition.is_not_true(),
    }
}

pub(super) fn rule(head: Atom, body: Vec<Literal>) -> Statement {
    let span = head.span;
    Statement::Rule(RuleText { head, body, span })
}

pub(super) fn constraint(body: Vec<Literal>, reason: &str, span: Span) -> Statement {
    Statement::Constraint(ConstraintText {
        body,
        reason: Some(reason.to_owned()),
        check: None,
        span,
    })
}

pub(super) fn column_text(column: &TableColumn) -> ColumnText {
    ColumnText {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        nullable: column.nullable,
        default: match &column.default {
            ColumnDefault::Constant(constant) => Some(constant.clone()),
            ColumnDefault::None | ColumnDefault::Computed(_) => None,
        },
    }
}

/// The columns that a foreign key refers to: the primary key unless it says others.
pub(super) fn target_columns(key: &TableForeignKey, target: &Table) -> Vec<Name> {
    if !key.target_columns.is_empty() {
        return key.target_columns.clone();
    }
    let primary = target.keys.iter().find(|key| key.is_primary);
    let columns = primary.map(|key| key.columns.clone()).unwrap_or_default();
    columns
        .into_iter()
        .map(|column| target.columns[column].name.clone())
        .collect()
}

/// With other expressions for some variables.
pub(super) fn substituted(
    literal: &Literal,
    replace: &dyn Fn(&str) -> Option<Expression>,
) -> Literal {
    let of = |expression: &Expression| {
        expression.map_variables(&|name| match replace(name) {
            Some(other) => other.kind,
            None => ExpressionKind::Variable(name.to_owned()),
        })
    };
    match literal {
        Literal::Condition(condition) => Literal::Condition(of(condition)),
        Literal::Atom { negated, atom } => Literal::Atom {
            negated: *negated,
            atom: Atom {
                arguments: atom.arguments.iter().map(of).collect(),
                ..atom.clone()
            },
        },
    }
}

/// The variables of a literal.
pub(super) fn variables_of(literal: &Literal) -> Vec<String> {
    match literal {
        Literal::Condition(condition) => condition.variables(),
        Literal::Atom { atom, .. } => atom
            .arguments
            .iter()
            .flat_map(Expression::variables)
            .collect(),
    }
}
