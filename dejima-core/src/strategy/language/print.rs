//! From a document back to text, in one form. What is printed reads as the same document.

use std::fmt::{self, Display, Formatter, Write};

use super::syntax::{
    Atom, BinaryOperator, COMPARISON, ColumnText, Document, Expression, ExpressionKind, Literal,
    NOT, Name, RelationKind, SIGN, Sign, Statement, UnaryOperator,
};

impl Display for Document {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for statement in &self.statements {
            writeln!(f, "{statement}")?;
        }
        Ok(())
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation(relation) => {
                let kind = match relation.kind {
                    RelationKind::Source => "source",
                    RelationKind::View => "view",
                };
                write!(f, "{kind} {}({}).", relation.name, list(&relation.columns))
            }
            Self::Key(key) => {
                let word = if key.is_primary { "PK" } else { "UNIQUE" };
                write!(f, "{word}({}, [{}]).", key.relation, list(&key.columns))
            }
            Self::ForeignKey(key) => write!(
                f,
                "FK({}, [{}], {}, [{}]).",
                key.relation,
                list(&key.columns),
                key.target,
                list(&key.target_columns)
            ),
            Self::Rule(rule) if rule.body.is_empty() => write!(f, "{}.", rule.head),
            Self::Rule(rule) => write!(f, "{} :- {}.", rule.head, list(&rule.body)),
            Self::Constraint(constraint) => {
                if let Some(reason) = &constraint.reason {
                    writeln!(f, "% {}", reason.replace('\n', " "))?;
                }
                write!(f, "_|_ :- {}.", list(&constraint.body))
            }
        }
    }
}

/// With commas between.
fn list<T: Display>(items: &[T]) -> String {
    let mut text = String::new();
    for item in items {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{item}");
    }
    text
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&written(&self.text))
    }
}

/// A name, or two with a point, quoted where they must be.
pub(super) fn written(name: &str) -> String {
    match name.split_once('.') {
        Some((schema, name)) if is_plain(schema) && is_plain(name) => format!("{schema}.{name}"),
        _ if is_plain(name) => name.to_owned(),
        _ => crate::strategy::identifier(name),
    }
}

/// Words that begin statements or stand in expressions.
const RESERVED: [&str; 8] = ["not", "null", "true", "false", "and", "or", "is", "like"];

/// Reads as itself without quotes.
fn is_plain(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name)
}

impl Display for ColumnText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.type_name.text)?;
        if self.nullable {
            f.write_str(" null")?;
        }
        if let Some(default) = &self.default {
            write!(f, " default {default}")?;
        }
        Ok(())
    }
}

impl Display for Atom {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            None => "",
            Some(Sign::Insert) => "+",
            Some(Sign::Delete) => "-",
        };
        write!(f, "{sign}{}({})", self.relation, list(&self.arguments))
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom { negated, atom } => {
                let not = if *negated { "not " } else { "" };
                write!(f, "{not}{atom}")
            }
            Self::Condition(expression) => expression.print(f, NOT),
        }
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.print(f, 0)
    }
}

impl Expression {
    /// Prints it where only what binds at least as tight as `lowest` may stand without parentheses.
    fn print(&self, f: &mut Formatter<'_>, lowest: u8) -> fmt::Result {
        if self.precedence() >= lowest {
            return self.print_bare(f);
        }
        f.write_str("(")?;
        self.print_bare(f)?;
        f.write_str(")")
    }

    fn precedence(&self) -> u8 {
        match &self.kind {
            ExpressionKind::Unary(UnaryOperator::Not, inner)
                if inner.is_distinction().is_none() =>
            {
                NOT
            }
            ExpressionKind::Unary(UnaryOperator::Negate, _) => SIGN,
            ExpressionKind::Unary(..) => COMPARISON,
            ExpressionKind::Binary(operator, ..) => operator.precedence(),
            _ => u8::MAX,
        }
    }

    /// The word after IS NOT, if a negation of this is written so.
    fn is_distinction(&self) -> Option<&'static str> {
        match &self.kind {
            ExpressionKind::Unary(UnaryOperator::IsNull, _) => Some("is not null"),
            ExpressionKind::Unary(UnaryOperator::IsTrue, _) => Some("is not true"),
            ExpressionKind::Binary(BinaryOperator::Same, ..) => Some("is distinct from"),
            _ => None,
        }
    }

    fn print_bare(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExpressionKind::Variable(name) => f.write_str(&variable(name)),
            ExpressionKind::Anonymous => f.write_str("_"),
            ExpressionKind::Number(number) => f.write_str(number),
            ExpressionKind::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            ExpressionKind::Boolean(value) => write!(f, "{value}"),
            ExpressionKind::Null => f.write_str("null"),
            ExpressionKind::Unary(UnaryOperator::Not, inner) => inner.print_negated(f),
            ExpressionKind::Unary(operator, operand) => match operator {
                UnaryOperator::IsNull => operand.print_before(f, "is null"),
                UnaryOperator::IsTrue => operand.print_before(f, "is true"),
                _ => {
                    f.write_str("-")?;
                    operand.print(f, SIGN)
                }
            },
            ExpressionKind::Binary(operator, left, right) => {
                left.print_operands(f, operator.text(), operator.precedence(), right)
            }
            ExpressionKind::Call(function, arguments) => {
                write!(f, "{}({})", function.name(), list(arguments))
            }
        }
    }

    fn print_before(&self, f: &mut Formatter<'_>, word: &str) -> fmt::Result {
        self.print(f, COMPARISON + 1)?;
        write!(f, " {word}")
    }

    fn print_operands(
        &self,
        f: &mut Formatter<'_>,
        operator: &str,
        precedence: u8,
        right: &Self,
    ) -> fmt::Result {
        // Comparisons do not chain; the others are read from the left.
        let left = if precedence == COMPARISON {
            COMPARISON + 1
        } else {
            precedence
        };
        self.print(f, left)?;
        write!(f, " {operator} ")?;
        right.print(f, precedence + 1)
    }

    fn print_negated(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.is_distinction()) {
            (ExpressionKind::Unary(_, operand), Some(word)) => operand.print_before(f, word),
            (ExpressionKind::Binary(_, left, right), Some(word)) => {
                left.print_operands(f, word, COMPARISON, right)
            }
            _ => {
                f.write_str("not ")?;
                self.print(f, NOT)
            }
        }
    }
}

/// A variable, quoted if it would not read as itself.
fn variable(name: &str) -> String {
    let base = name.trim_end_matches('\'');
    let mut characters = base.chars();
    let starts = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let plain = starts && base != "_" && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    let reserved = RESERVED.iter().any(|word| base.eq_ignore_ascii_case(word));
    if plain && !reserved {
        name.to_owned()
    } else {
        crate::strategy::identifier(name)
    }
}
