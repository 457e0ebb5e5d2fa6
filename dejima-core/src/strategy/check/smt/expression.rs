//! Expressions as terms, conditions as what makes them true and what makes them false.

use super::formula::Formula;
use super::term::{Constants, Term};
use crate::strategy::language::syntax::{BinaryOperator, Function, UnaryOperator};
use crate::strategy::program::Expr;
use crate::strategy::value::{Sort, Value};

/// Functions of which nothing is known but that equal arguments give equal results, and an order of texts.
pub(super) const FUNCTIONS: &str = "\
(declare-fun concatenate (Int Int) Int)
(declare-fun product (Int Int) Int)
(declare-fun real_product (Real Real) Real)
(declare-fun lower (Int) Int)
(declare-fun upper (Int) Int)
(declare-fun length (Int) Int)
(declare-fun is_like (Int Int) Bool)
(declare-fun rank (Int) Real)
(declare-fun unrank (Real) Int)
(declare-fun opaque_rank (Int) Real)
(declare-fun opaque_unrank (Real) Int)
";
/// Different texts have different ranks.
pub(super) const TEXT_ORDER: &str =
    "(assert (forall ((x Int)) (! (= (unrank (rank x)) x) :pattern ((rank x)))))\n";
/// And so have different values of other types.
pub(super) const OPAQUE_ORDER: &str = "(assert (forall ((x Int)) (! (= (opaque_unrank (opaque_rank x)) x) :pattern ((opaque_rank x)))))\n";

/// When a condition is true, and when it is false; else it is NULL.
pub(super) struct Truth {
    pub(super) is_true: Formula,
    pub(super) is_false: Formula,
}

impl Truth {
    fn decided(is_true: Formula) -> Self {
        Self {
            is_false: is_true.clone().not(),
            is_true,
        }
    }

    /// NULL where one of the terms is.
    fn strict(terms: &[&Term], is_true: Formula) -> Self {
        let known: Vec<Formula> = terms.iter().map(|term| term.null.clone().not()).collect();
        let with = |formula: Formula| Formula::and(known.iter().cloned().chain([formula]));
        Self {
            is_true: with(is_true.clone()),
            is_false: with(is_true.not()),
        }
    }
}

type Terms = [Option<Term>];

/// A condition.
pub(super) fn truth(expr: &Expr, bindings: &Terms, constants: &mut Constants) -> Truth {
    match expr {
        Expr::Unary(UnaryOperator::Not, inner) => {
            let inner = truth(inner, bindings, constants);
            Truth {
                is_true: inner.is_false,
                is_false: inner.is_true,
            }
        }
        Expr::Unary(UnaryOperator::IsTrue, inner) => {
            Truth::decided(truth(inner, bindings, constants).is_true)
        }
        Expr::Unary(UnaryOperator::IsNull, inner) => {
            let sort = sort(inner, bindings);
            Truth::decided(term(inner, bindings, &sort, constants).null)
        }
        Expr::Binary(operator, left, right) if !is_arithmetic(*operator) => {
            comparison(*operator, left, right, bindings, constants)
        }
        _ => {
            let value = term(expr, bindings, &Sort::Boolean, constants);
            let is_true = Formula::atom(value.value.clone());
            Truth::strict(&[&value], is_true)
        }
    }
}

fn is_arithmetic(operator: BinaryOperator) -> bool {
    use BinaryOperator::{Add, Concatenate, Divide, Multiply, Subtract};
    matches!(operator, Add | Subtract | Multiply | Divide | Concatenate)
}

fn comparison(
    operator: BinaryOperator,
    left: &Expr,
    right: &Expr,
    bindings: &Terms,
    constants: &mut Constants,
) -> Truth {
    if let BinaryOperator::And | BinaryOperator::Or = operator {
        let (left, right) = (
            truth(left, bindings, constants),
            truth(right, bindings, constants),
        );
        return if operator == BinaryOperator::And {
            Truth {
                is_true: Formula::and([left.is_true, right.is_true]),
                is_false: Formula::or([left.is_false, right.is_false]),
            }
        } else {
            Truth {
                is_true: Formula::or([left.is_true, right.is_true]),
                is_false: Formula::and([left.is_false, right.is_false]),
            }
        };
    }
    // A constant NULL takes the sort of the other side.
    let sort = match left {
        Expr::Constant(Value::Null) => sort(right, bindings),
        _ => sort(left, bindings),
    };
    let left = term(left, bindings, &sort, constants);
    let right = term(right, bindings, &sort, constants);
    let less = |left: &Term, right: &Term| less(left, right);
    let is_true = match operator {
        BinaryOperator::Same => return Truth::decided(left.same(&right)),
        BinaryOperator::Equal => left.equal(&right),
        BinaryOperator::NotEqual => left.equal(&right).not(),
        BinaryOperator::Less => less(&left, &right),
        BinaryOperator::GreaterOrEqual => less(&left, &right).not(),
        BinaryOperator::Greater => less(&right, &left),
        BinaryOperator::LessOrEqual => less(&right, &left).not(),
        _ => Formula::atom(format!("(is_like {} {})", left.value, right.value)),
    };
    Truth::strict(&[&left, &right], is_true)
}

fn less(left: &Term, right: &Term) -> Formula {
    let (first, second) = left.comparable(right);
    Formula::atom(match left.sort {
        Sort::Boolean => format!("(and (not {first}) {second})"),
        Sort::Text => format!("(< (rank {first}) (rank {second}))"),
        Sort::Opaque(_) => format!("(< (opaque_rank {first}) (opaque_rank {second}))"),
        _ => format!("(< {first} {second})"),
    })
}

/// The sort of an expression.
fn sort(expr: &Expr, bindings: &Terms) -> Sort {
    use BinaryOperator::{Add, Concatenate, Divide, Multiply, Subtract};
    match expr {
        Expr::Variable(variable) => bindings[*variable]
            .as_ref()
            .map_or(Sort::Text, |term| term.sort.clone()),
        Expr::Constant(value) => match value {
            Value::Integer(_) => Sort::Integer,
            Value::Numeric(_) => Sort::Numeric,
            Value::Boolean(_) => Sort::Boolean,
            Value::Date(_) => Sort::Date,
            Value::Timestamp(_) => Sort::Timestamp,
            Value::Opaque(_) => Sort::Opaque("".into()),
            Value::Text(_) | Value::Null => Sort::Text,
        },
        Expr::Unary(UnaryOperator::Negate, operand) => sort(operand, bindings),
        Expr::Unary(..) => Sort::Boolean,
        Expr::Binary(operator @ (Add | Subtract | Multiply | Divide), left, right) => {
            match (operator, sort(left, bindings), sort(right, bindings)) {
                (Subtract, Sort::Date, Sort::Date) => Sort::Integer,
                (_, Sort::Date, _) => Sort::Date,
                (_, Sort::Integer, Sort::Integer) => Sort::Integer,
                _ => Sort::Numeric,
            }
        }
        Expr::Binary(Concatenate, ..) => Sort::Text,
        Expr::Binary(..) => Sort::Boolean,
        Expr::Call(Function::Length, _) => Sort::Integer,
        Expr::Call(Function::Lower | Function::Upper, _) => Sort::Text,
        Expr::Call(_, arguments) => arguments
            .iter()
            .find(|argument| !matches!(argument, Expr::Constant(Value::Null)))
            .map_or(Sort::Text, |argument| sort(argument, bindings)),
    }
}

/// An expression as a term; a constant is of the wanted sort.
pub(super) fn term(
    expr: &Expr,
    bindings: &Terms,
    wanted: &Sort,
    constants: &mut Constants,
) -> Term {
    match expr {
        Expr::Variable(variable) => bindings[*variable]
            .clone()
            .unwrap_or_else(|| Term::null(wanted)),
        Expr::Constant(value) => constants.term(value, wanted),
        Expr::Unary(UnaryOperator::Negate, operand) => {
            let operand = term(operand, bindings, wanted, constants);
            Term::computed(operand.null, format!("(- {})", operand.value), operand.sort)
        }
        Expr::Binary(operator, left, right) if is_arithmetic(*operator) => {
            let own = sort(expr, bindings);
            let left = term(left, bindings, &sort(left, bindings), constants);
            let right = term(right, bindings, &sort(right, bindings), constants);
            arithmetic(*operator, &left, &right, own)
        }
        Expr::Unary(..) | Expr::Binary(..) => {
            let Truth { is_true, is_false } = truth(expr, bindings, constants);
            let null = Formula::or([is_true.clone(), is_false]).not();
            Term::computed(null, is_true.to_string(), Sort::Boolean)
        }
        Expr::Call(function, arguments) => {
            let own = sort(expr, bindings);
            let terms: Vec<Term> = arguments
                .iter()
                .map(|argument| {
                    let sort = if *function == Function::Length {
                        Sort::Text
                    } else {
                        own.clone()
                    };
                    term(argument, bindings, &sort, constants)
                })
                .collect();
            call(*function, &terms, own)
        }
    }
}

fn arithmetic(operator: BinaryOperator, left: &Term, right: &Term, sort: Sort) -> Term {
    let (first, second) = if sort == Sort::Numeric {
        (left.as_real(), right.as_real())
    } else {
        (left.value.clone(), right.value.clone())
    };
    let value = match operator {
        BinaryOperator::Add => format!("(+ {first} {second})"),
        BinaryOperator::Subtract => format!("(- {first} {second})"),
        // Products of variables are beyond what solvers decide; that it is some function is mostly enough.
        BinaryOperator::Multiply if !is_number(&first) && !is_number(&second) => {
            let name = if sort == Sort::Numeric {
                "real_product"
            } else {
                "product"
            };
            format!("({name} {first} {second})")
        }
        BinaryOperator::Multiply => format!("(* {first} {second})"),
        BinaryOperator::Concatenate => format!("(concatenate {first} {second})"),
        // SQL cuts towards zero.
        _ => {
            let absolute = format!("(div (abs {first}) (abs {second}))");
            format!("(ite (= (>= {first} 0) (> {second} 0)) {absolute} (- {absolute}))")
        }
    };
    let null = Formula::or([left.null.clone(), right.null.clone()]);
    Term::computed(null, value, sort)
}

/// A literal, perhaps negative or converted.
fn is_number(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_digit() || "()-. ".contains(c))
        || text.starts_with("(to_real ") && is_number(&text[9..])
}

fn call(function: Function, arguments: &[Term], sort: Sort) -> Term {
    let Some((first, rest)) = arguments.split_first() else {
        return Term::null(&sort);
    };
    if function == Function::Coalesce {
        return rest.iter().fold(first.clone(), |before, next| {
            let null = Formula::and([before.null.clone(), next.null.clone()]);
            let value = match before.null {
                Formula::False => before.value,
                null => format!("(ite {null} {} {})", next.value, before.value),
            };
            Term::computed(null, value, sort.clone())
        });
    }
    let value = match function {
        Function::Abs if sort == Sort::Integer => format!("(abs {})", first.value),
        Function::Abs => format!("(ite (< {0} 0.0) (- {0}) {0})", first.value),
        _ => format!("({} {})", function.name(), first.value),
    };
    Term::computed(first.null.clone(), value, sort)
}
