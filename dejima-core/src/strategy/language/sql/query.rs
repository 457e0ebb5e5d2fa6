//! SELECT, with joins, subqueries of EXISTS and IN, and UNION and EXCEPT between.

use sqlparser::ast::{Query, Select, SetExpr, SetOperator};

use super::expression::unsupported;
use super::select::Scope;
use super::{Places, Read};
use crate::strategy::derive::{Branch, Table, Use, UseKind, column_variable};
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, Name, UnaryOperator,
};

/// The parts of a query with the names of its columns.
pub(super) fn branches(
    query: &Query,
    tables: &[Table],
    places: &Places,
) -> Read<(Vec<Name>, Vec<Branch>)> {
    let span = places.span(query);
    if query.with.is_some() {
        return Err(unsupported(span, "WITH"));
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err(Box::new(unsupported(span, "LIMIT").note(
            "which rows are shown would depend on how many others there are",
        )));
    }
    set(&query.body, tables, places)
}

/// As many columns everywhere, no name twice.
pub(super) fn check_columns(columns: &[Name], branches: &[Branch], view: Span) -> Read<()> {
    for branch in branches {
        if branch.outputs.len() != columns.len() {
            return Err(Box::new(Diagnostic::error(
                format!(
                    "{} columns are selected, and there are {}",
                    branch.outputs.len(),
                    columns.len()
                ),
                branch.span,
                "",
            )));
        }
    }
    let twice = columns.iter().enumerate().find(|(position, column)| {
        columns[..*position]
            .iter()
            .any(|other| other.text == column.text)
    });
    match twice {
        None => Ok(()),
        Some((_, column)) => Err(Box::new(
            Diagnostic::error(
                format!("two columns are called \"{}\"", column.text),
                column.span,
                "again",
            )
            .and_at(view, "in this view")
            .help("give one of them another name with AS"),
        )),
    }
}

fn set(body: &SetExpr, tables: &[Table], places: &Places) -> Read<(Vec<Name>, Vec<Branch>)> {
    match body {
        SetExpr::Select(select) => {
            let (names, branch) = branch(select, tables, places)?;
            Ok((names, vec![branch]))
        }
        SetExpr::Query(query) => branches(query, tables, places),
        SetExpr::SetOperation {
            op: SetOperator::Union,
            left,
            right,
            ..
        } => {
            let (names, mut all) = set(left, tables, places)?;
            all.extend(set(right, tables, places)?.1);
            Ok((names, all))
        }
        SetExpr::SetOperation {
            op: SetOperator::Except,
            left,
            right,
            ..
        } => {
            let (names, left) = set(left, tables, places)?;
            let (_, right) = set(right, tables, places)?;
            let mut left = left;
            for branch in &mut left {
                for other in &right {
                    except(branch, other)?;
                }
            }
            Ok((names, left))
        }
        _ => Err(unsupported(places.span(body), "this part of a query")),
    }
}

/// Rows that another query of one table gives are taken out; NULL is the same as NULL.
fn except(branch: &mut Branch, other: &Branch) -> Read<()> {
    let [used] = &other.uses[..] else {
        return Err(Box::new(
            unsupported(other.span, "EXCEPT with several tables").help("write NOT EXISTS instead"),
        ));
    };
    let number = branch.uses.len();
    let shifted = |expression: &Expression| renumbered(expression, 0, number);
    let mut on: Vec<Expression> = other.conditions.iter().map(shifted).collect();
    for (left, right) in branch.outputs.iter().zip(&other.outputs) {
        on.push(Expression::binary(
            BinaryOperator::Same,
            shifted(right),
            left.clone(),
        ));
    }
    branch.uses.push(Use {
        kind: UseKind::Absent,
        on,
        ..used.clone()
    });
    Ok(())
}

/// With the columns of one use as those of another.
fn renumbered(expression: &Expression, from: usize, to: usize) -> Expression {
    use crate::strategy::derive::variable_column;
    expression.map_variables(&|name| match variable_column(name) {
        Some((number, column)) if number == from => {
            ExpressionKind::Variable(column_variable(to, column))
        }
        _ => ExpressionKind::Variable(name.to_owned()),
    })
}

fn branch(select: &Select, tables: &[Table], places: &Places) -> Read<(Vec<Name>, Branch)> {
    let mut scope = Scope {
        tables,
        places,
        uses: Vec::new(),
        aliases: Vec::new(),
        outer: 0,
    };
    scope.check(select)?;
    let mut conditions = scope.from(select)?;
    if let Some(condition) = &select.selection {
        conditions.extend(scope.conditions(condition)?);
    }
    let (names, outputs) = scope.outputs(select)?;
    let mut branch = Branch {
        uses: scope.uses,
        conditions,
        outputs,
        span: places.span(select),
    };
    anti_joins(&mut branch, tables);
    Ok((names, branch))
}

/// A left join whose row is demanded to be missing is NOT EXISTS.
fn anti_joins(branch: &mut Branch, tables: &[Table]) {
    let missing = |condition: &Expression| match &condition.kind {
        ExpressionKind::Unary(UnaryOperator::IsNull, operand) => match &operand.kind {
            ExpressionKind::Variable(name) => crate::strategy::derive::variable_column(name),
            _ => None,
        },
        _ => None,
    };
    let mut kept = Vec::new();
    for condition in std::mem::take(&mut branch.conditions) {
        let used = missing(&condition).filter(|&(number, column)| {
            let used = &branch.uses[number];
            used.kind == UseKind::Left && !tables[used.table].columns[column].nullable
        });
        match used {
            Some((number, _)) => branch.uses[number].kind = UseKind::Absent,
            None => kept.push(condition),
        }
    }
    branch.conditions = kept;
}
