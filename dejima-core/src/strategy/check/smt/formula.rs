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

    /// Quantifies over as little as possible: over each alternative by itself, and once for quantifiers in each other, so that the
    /// solver sees which variables equations define.
    pub(super) fn exists(variables: Vec<(String, &'static str)>, body: Self) -> Self {
        match body {
            Self::True | Self::False => body,
            Self::Or(parts) => {
                let alone = |part| Self::exists(variables.clone(), part);
                Self::or(parts.into_iter().map(alone))
            }
            Self::Exists(inner, body) => Self::exists([variables, inner].concat(), *body),
            Self::And(parts) => {
                let mut all = variables;
                let mut kept = Vec::new();
                for part in parts {
                    match part {
                        // A formula that was copied has the same names twice.
                        Self::Exists(inner, body)
                            if inner.iter().all(|name| !all.contains(name)) =>
                        {
                            all.extend(inner);
                            kept.push(*body);
                        }
                        other => kept.push(other),
                    }
                }
                Self::quantified(all, Self::and(kept))
            }
            other => Self::quantified(variables, other),
        }
    }

    fn quantified(mut variables: Vec<(String, &'static str)>, body: Self) -> Self {
        let mut parts = match body {
            Self::And(parts) => parts,
            other => vec![other],
        };
        while let Some((part, name, value)) = defined(&variables, &parts) {
            parts.remove(part);
            variables.retain(|(variable, _)| *variable != name);
            parts = parts
                .into_iter()
                .map(|part| part.replaced(&name, &value))
                .collect();
        }
        let body = Self::and(parts);
        if variables.is_empty() {
            return body;
        }
        Self::Exists(variables, Box::new(body))
    }

    /// With a text in place of a name.
    fn replaced(self, name: &str, value: &str) -> Self {
        let all = |parts: Vec<Self>| {
            parts
                .into_iter()
                .map(|part| part.replaced(name, value))
                .collect::<Vec<_>>()
        };
        match self {
            Self::True | Self::False => self,
            Self::Atom(text) => Self::Atom(replaced(&text, name, value)),
            Self::Not(inner) => inner.replaced(name, value).not(),
            Self::And(parts) => Self::and(all(parts)),
            Self::Or(parts) => Self::or(all(parts)),
            Self::Exists(variables, body) => {
                Self::Exists(variables, Box::new(body.replaced(name, value)))
            }
        }
    }
}

/// An equation that gives a quantified variable its value: its position, the variable, the value.
fn defined(
    variables: &[(String, &'static str)],
    parts: &[Formula],
) -> Option<(usize, String, String)> {
    parts.iter().enumerate().find_map(|(position, part)| {
        let Formula::Atom(text) = part else {
            return None;
        };
        let (left, right) = sides(text)?;
        let is_variable = |side: &str| variables.iter().any(|(name, _)| name == side);
        let (name, value) = if is_variable(left) {
            (left, right)
        } else if is_variable(right) {
            (right, left)
        } else {
            return None;
        };
        let mut tokens = value.split(['(', ')', ' ']);
        (!tokens.any(|token| token == name)).then(|| (position, name.to_owned(), value.to_owned()))
    })
}

/// The sides of `(= left right)`.
fn sides(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("(= ")?.strip_suffix(')')?;
    let mut depth = 0;
    let space = inner.char_indices().find(|&(_, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ' ' && depth == 0
    })?;
    Some((&inner[..space.0], &inner[space.0 + 1..]))
}

/// A text in which whole words are replaced.
fn replaced(text: &str, name: &str, value: &str) -> String {
    let mut result = String::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if matches!(c, '(' | ')' | ' ') {
            result.push_str(if word == name { value } else { &word });
            result.push(c);
            word.clear();
        } else {
            word.push(c);
        }
    }
    result.pop();
    result
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
