//! Expressions, in the usual precedence: `or`, `and`, `not`, comparisons and IS, `+ - ||`, `* /`, signs.

use super::cursor::{Parsed, Parser};
use super::diagnostic::Diagnostic;
use super::syntax::{
    BinaryOperator, COMPARISON, Expression, ExpressionKind, Function, NOT, UnaryOperator,
};
use super::token::TokenKind;

/// Expressions nested deeper are refused: nobody writes them, and they would exhaust the stack.
const DEPTH_MAX: usize = 100;

impl Parser {
    /// A part of a body: everything that binds tighter than `and`.
    pub(super) fn expression_above_and(&mut self) -> Parsed<Expression> {
        self.expression(NOT, 0)
    }

    /// What an atom may contain: a variable, a constant or `_`.
    pub(super) fn argument(&mut self) -> Parsed<Expression> {
        let argument = self.expression(COMPARISON + 1, 0)?;
        match argument.kind {
            ExpressionKind::Unary(..) | ExpressionKind::Binary(..) | ExpressionKind::Call(..) => {
                Err(Box::new(
                    Diagnostic::error(
                        "a relation is given an expression",
                        argument.span,
                        "only a variable, a constant or `_` can stand here",
                    )
                    .help(
                        "give it a name: write a variable here and `NAME = expression` in the body",
                    ),
                ))
            }
            _ => Ok(argument),
        }
    }

    /// A constant or variable, with its sign.
    pub(super) fn operand(&mut self) -> Parsed<Expression> {
        self.prefixed(0)
    }

    fn expression(&mut self, lowest: u8, depth: usize) -> Parsed<Expression> {
        if depth > DEPTH_MAX {
            return Err(Box::new(Diagnostic::error(
                "an expression is nested too deeply",
                self.here(),
                format!("deeper than {DEPTH_MAX}"),
            )));
        }
        let mut left = if lowest <= NOT && self.negation() {
            let start = self.before();
            let mut negated = self.expression(NOT, depth + 1)?.unary(UnaryOperator::Not);
            negated.span = start.to(negated.span);
            negated
        } else {
            self.prefixed(depth)?
        };
        loop {
            if lowest <= COMPARISON && self.keyword("is") {
                left = self.is(left)?;
                continue;
            }
            let Some(operator) = self.operator().filter(|found| found.precedence() >= lowest)
            else {
                return Ok(left);
            };
            self.advance();
            let right = self.expression(operator.precedence() + 1, depth + 1)?;
            left = Expression::binary(operator, left, right);
        }
    }

    /// What follows IS.
    fn is(&mut self, operand: Expression) -> Parsed<Expression> {
        let start = operand.span;
        let negated = self.negation();
        let mut found = if self.keyword("null") {
            operand.unary(UnaryOperator::IsNull)
        } else if self.keyword("true") {
            operand.unary(UnaryOperator::IsTrue)
        } else if self.keyword("false") {
            operand
                .unary(UnaryOperator::Not)
                .unary(UnaryOperator::IsTrue)
        } else if self.keyword("distinct") {
            if !self.keyword("from") {
                return Err(self.unexpected("`from`", "after `is distinct`"));
            }
            let other = self.expression(COMPARISON + 1, 0)?;
            // "is distinct from" is the negation, "is not distinct from" the operator.
            let same = Expression::binary(BinaryOperator::Same, operand, other);
            if negated {
                same
            } else {
                same.unary(UnaryOperator::Not)
            }
        } else {
            return Err(self.unexpected("`null`, `true`, `false` or `distinct from`", "after `is`"));
        };
        let is_same = matches!(found.kind, ExpressionKind::Binary(BinaryOperator::Same, ..));
        let is_distinct = matches!(&found.kind, ExpressionKind::Unary(UnaryOperator::Not, inner)
            if matches!(inner.kind, ExpressionKind::Binary(BinaryOperator::Same, ..)));
        if negated && !is_same && !is_distinct {
            found = found.unary(UnaryOperator::Not);
        }
        found.span = start.to(self.before());
        Ok(found)
    }

    pub(super) fn is_operator_ahead(&self, by: usize) -> bool {
        self.operator_ahead(by)
            .is_some_and(|found| found.precedence() >= COMPARISON)
            || self.is_word_ahead(by, "is")
    }

    fn operator(&self) -> Option<BinaryOperator> {
        self.operator_ahead(0)
    }

    fn operator_ahead(&self, by: usize) -> Option<BinaryOperator> {
        use BinaryOperator::{
            Add, And, Concatenate, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Like,
            Multiply, NotEqual, Or, Subtract,
        };
        let symbols = [
            Add,
            Subtract,
            Multiply,
            Divide,
            Concatenate,
            Equal,
            NotEqual,
            Less,
            LessOrEqual,
            Greater,
            GreaterOrEqual,
        ];
        symbols
            .into_iter()
            .find(|operator| self.is_symbol_ahead(by, operator.text()))
            .or_else(|| {
                [And, Or, Like]
                    .into_iter()
                    .find(|operator| self.is_word_ahead(by, operator.text()))
            })
    }

    fn prefixed(&mut self, depth: usize) -> Parsed<Expression> {
        let start = self.here();
        if !self.symbol("-") {
            return self.primary(depth);
        }
        if depth > DEPTH_MAX {
            return Err(self.unexpected("an operand", "after so many signs"));
        }
        let operand = self.prefixed(depth + 1)?;
        let span = start.to(operand.span);
        let mut negated = operand.unary(UnaryOperator::Negate);
        negated.span = span;
        Ok(negated)
    }

    fn primary(&mut self, depth: usize) -> Parsed<Expression> {
        let start = self.here();
        let kind = match self.peek().clone() {
            TokenKind::Number(number) => ExpressionKind::Number(number),
            TokenKind::Text(text) => ExpressionKind::Text(text),
            TokenKind::Symbol("_") => ExpressionKind::Anonymous,
            TokenKind::Symbol("(") => {
                self.advance();
                let mut inner = self.expression(0, depth + 1)?;
                let end = self.expect(")", "after an expression in parentheses")?;
                inner.span = start.to(end);
                return Ok(inner);
            }
            TokenKind::Word { text, .. } if self.is_symbol_ahead(1, "(") => {
                self.advance();
                return self.call(&text, start, depth);
            }
            TokenKind::Word { text, quoted } => match text.to_ascii_lowercase().as_str() {
                "null" if !quoted => ExpressionKind::Null,
                "true" if !quoted => ExpressionKind::Boolean(true),
                "false" if !quoted => ExpressionKind::Boolean(false),
                _ => ExpressionKind::Variable(text),
            },
            _ => return Err(self.unexpected("a variable, a constant or a relation", "here")),
        };
        self.advance();
        Ok(Expression::new(kind, start))
    }

    fn call(&mut self, name: &str, start: super::source::Span, depth: usize) -> Parsed<Expression> {
        let Some(function) = Function::named(name) else {
            let known: Vec<_> = Function::ALL.iter().map(|known| known.name()).collect();
            let upper = name.to_ascii_uppercase();
            let aggregates = ["COUNT", "SUM", "AVG", "MIN", "MAX"];
            let finding = if aggregates.contains(&upper.as_str()) {
                Diagnostic::error(
                    format!("{name} adds up many rows to one value"),
                    start,
                    "an aggregate",
                )
                .note("nobody could say which of the many rows a changed value should be put into")
                .help("leave it out of the Dejima table; each member can aggregate what it shows")
            } else {
                Diagnostic::error(
                    format!("the checks do not know the function {name}"),
                    start,
                    "what it gives cannot be foreseen",
                )
                .help(format!("they know {}", known.join(", ")))
            };
            return Err(Box::new(finding));
        };
        self.expect("(", "after the name of a function")?;
        let mut arguments = vec![self.expression(0, depth + 1)?];
        while self.symbol(",") {
            arguments.push(self.expression(0, depth + 1)?);
        }
        let end = self.expect(")", "after the arguments of a function")?;
        if function != Function::Coalesce && arguments.len() != 1 {
            return Err(Box::new(Diagnostic::error(
                format!("{} takes one argument", function.name()),
                start.to(end),
                format!("{} are given", arguments.len()),
            )));
        }
        Ok(Expression::new(
            ExpressionKind::Call(function, arguments),
            start.to(end),
        ))
    }
}
