//! What a program says of single rows of a base table, as conditions that a CHECK could have.

use super::expression::{Known, expression};
use crate::strategy::identifier;
use crate::strategy::language::syntax::{BinaryOperator, UnaryOperator};
use crate::strategy::program::{
    Argument, Constraint, ConstraintKind, Expr, Predicate, Program, RelationId, Role, Step,
};

/// What each row of a base table keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCondition {
    /// The base table.
    pub relation: RelationId,
    /// It comes from a CHECK, not from a constraint that somebody wrote.
    pub is_check: bool,
    /// In SQL over the base table's columns; a CHECK's own words come first.
    pub texts: Vec<String>,
}

impl RowCondition {
    /// All that a program has.
    pub fn all(program: &Program) -> Vec<Self> {
        let constraints = program.constraints.iter();
        constraints
            .filter_map(|constraint| Self::of(program, constraint))
            .collect()
    }

    fn of(program: &Program, constraint: &Constraint) -> Option<Self> {
        let own = match &constraint.kind {
            ConstraintKind::Check { condition, .. } => Some(condition.clone()),
            ConstraintKind::Written(_) => None,
            ConstraintKind::Key { .. } | ConstraintKind::ForeignKey { .. } => return None,
        };
        let (relation, text) = kept(program, constraint)?;
        Some(Self {
            relation,
            is_check: own.is_some(),
            texts: own.into_iter().chain([text]).collect(),
        })
    }
}

/// What holds of a row if the constraint does, if it speaks of one row and its values alone.
fn kept(program: &Program, constraint: &Constraint) -> Option<(RelationId, String)> {
    let body = &constraint.body;
    let mut row = None;
    let mut kept: Option<Expr> = None;
    for step in &body.steps {
        match step {
            Step::Match(Predicate::Rows(relation), arguments) if row.is_none() => {
                row = Some((*relation, arguments));
            }
            Step::Test(test) => {
                let holds = opposite(test);
                kept = Some(match kept {
                    Some(kept) => binary(BinaryOperator::Or, kept, holds),
                    None => holds,
                });
            }
            _ => return None,
        }
    }
    let (relation, arguments) = row?;
    let declared = program.relation(relation);
    if declared.role != Role::Source {
        return None;
    }
    let mut known = Known::new();
    for (column, argument) in declared.columns.iter().zip(arguments) {
        match argument {
            Argument::Any => {}
            Argument::Variable(variable) => {
                let other = known.insert(*variable, identifier(&column.name));
                if other.is_some() {
                    return None;
                }
            }
            Argument::Constant(_) => return None,
        }
    }
    Some((relation, expression(&kept?, &body.variables, &known)))
}

/// What is false where the expression is true, and true where it is false.
fn opposite(expr: &Expr) -> Expr {
    match expr {
        Expr::Unary(UnaryOperator::Not, inner) => (**inner).clone(),
        Expr::Binary(BinaryOperator::And, left, right) => {
            binary(BinaryOperator::Or, opposite(left), opposite(right))
        }
        Expr::Binary(BinaryOperator::Or, left, right) => {
            binary(BinaryOperator::And, opposite(left), opposite(right))
        }
        Expr::Binary(operator, left, right) => match opposite_operator(*operator) {
            Some(operator) => Expr::Binary(operator, left.clone(), right.clone()),
            None => Expr::Unary(UnaryOperator::Not, Box::new(expr.clone())),
        },
        _ => Expr::Unary(UnaryOperator::Not, Box::new(expr.clone())),
    }
}

fn binary(operator: BinaryOperator, left: Expr, right: Expr) -> Expr {
    Expr::Binary(operator, Box::new(left), Box::new(right))
}

fn opposite_operator(operator: BinaryOperator) -> Option<BinaryOperator> {
    Some(match operator {
        BinaryOperator::Equal => BinaryOperator::NotEqual,
        BinaryOperator::NotEqual => BinaryOperator::Equal,
        BinaryOperator::Less => BinaryOperator::GreaterOrEqual,
        BinaryOperator::LessOrEqual => BinaryOperator::Greater,
        BinaryOperator::Greater => BinaryOperator::LessOrEqual,
        BinaryOperator::GreaterOrEqual => BinaryOperator::Less,
        _ => return None,
    })
}
