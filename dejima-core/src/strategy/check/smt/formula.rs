//! Formulas of SMT-LIB, simplified a little while they are built.

use std::fmt::{self, Display, Formatter, Write};

/// A formula over declared names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formula {
    True,
    False,
    /// Text of sort Bool.
    Atom(String),
    Not(Box<Formula>),
    And(Vec<Formula>),
    Or(Vec<Formula>),
    /// Names with their sorts.
    Exists(Vec<(String, &'static str)>, Box<Formula>),
}

impl Formula {
    pub(super) fn atom(text: impl Into<String>) -> Self {
        Self::Atom(text.into())
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::And(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::True,
            1 => kept.remove(0),
            _ => Self::And(kept),
        }
    }

    pub(super) fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Or(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::False,
            1 => kept.remove(0),
            _ => Self::Or(kept),
        }
    }

    pub(super) fn exists(variables: Vec<(String, &'static str)>, body: Self) -> Self {
        match body {
            Self::True | Self::False => body,
            _ if variables.is_empty() => body,
            _ => Self::Exists(variables, Box::new(body)),
        }
    }
}

impl Display for Formula {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let list = |parts: &[Self]| {
            parts.iter().fold(String::new(), |mut text, part| {
                let _ = write!(text, " {part}");
                text
            })
        };
        match self {
            Self::True => f.write_str("true"),
            Self::False => f.write_str("false"),
            Self::Atom(text) => f.write_str(text),
            Self::Not(inner) => write!(f, "(not {inner})"),
            Self::And(parts) => write!(f, "(and{})", list(parts)),
            Self::Or(parts) => write!(f, "(or{})", list(parts)),
            Self::Exists(variables, body) => {
                f.write_str("(exists (")?;
                for (name, sort) in variables {
                    write!(f, "({name} {sort})")?;
                }
                write!(f, ") {body})")
            }
        }
    }
}
