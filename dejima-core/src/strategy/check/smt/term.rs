//! Values as terms of SMT-LIB.
//!
//! Whole numbers, texts, dates and all other types but decimals and booleans are integers there: of a text or a date only
//! equality and order matter. The order of texts is any order (a function `rank` of which nothing is known but that it orders),
//! so what is proved holds under every collation. A value that may be NULL is of a datatype with `none`.

use std::collections::BTreeMap;

use super::formula::Formula;
use crate::strategy::value::{Sort, Value};

/// A value that is NULL where `null` holds, and `value` elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) null: Formula,
    pub(super) value: String,
    pub(super) sort: Sort,
    /// The whole as one name of the datatype, if it is one.
    whole: Option<String>,
}

/// The sort of SMT-LIB of values that cannot be NULL.
pub(super) fn plain_sort(sort: &Sort) -> &'static str {
    match sort {
        Sort::Boolean => "Bool",
        Sort::Numeric | Sort::Float => "Real",
        _ => "Int",
    }
}

/// The sort of SMT-LIB of a column.
pub(super) fn column_sort(sort: &Sort, nullable: bool) -> &'static str {
    match (plain_sort(sort), nullable) {
        (plain, false) => plain,
        ("Bool", true) => "NullableBool",
        ("Real", true) => "NullableReal",
        _ => "NullableInt",
    }
}

/// The datatypes of values that may be NULL.
pub(super) const DATATYPES: &str = "\
(declare-datatypes ((NullableInt 0)) (((none_i) (some_i (the_i Int)))))
(declare-datatypes ((NullableReal 0)) (((none_r) (some_r (the_r Real)))))
(declare-datatypes ((NullableBool 0)) (((none_b) (some_b (the_b Bool)))))
";

/// The letter in the names of a datatype.
fn letter(sort: &Sort) -> char {
    match plain_sort(sort) {
        "Bool" => 'b',
        "Real" => 'r',
        _ => 'i',
    }
}

impl Term {
    /// A value that cannot be NULL.
    pub(super) fn plain(value: impl Into<String>, sort: &Sort) -> Self {
        Self {
            null: Formula::False,
            value: value.into(),
            sort: sort.clone(),
            whole: None,
        }
    }

    /// A declared name of a column's sort.
    pub(super) fn name(name: &str, sort: &Sort, nullable: bool) -> Self {
        if !nullable {
            return Self::plain(name, sort);
        }
        let letter = letter(sort);
        Self {
            null: Formula::atom(format!("((_ is none_{letter}) {name})")),
            value: format!("(the_{letter} {name})"),
            sort: sort.clone(),
            whole: Some(name.to_owned()),
        }
    }

    /// NULL of a sort.
    pub(super) fn null(sort: &Sort) -> Self {
        let any = match plain_sort(sort) {
            "Bool" => "false",
            "Real" => "0.0",
            _ => "0",
        };
        Self {
            null: Formula::True,
            value: any.to_owned(),
            sort: sort.clone(),
            whole: None,
        }
    }

    /// NULL where `null` holds, `value` elsewhere.
    pub(super) fn computed(null: Formula, value: String, sort: Sort) -> Self {
        Self {
            null,
            value,
            sort,
            whole: None,
        }
    }

    /// As an argument of a column that may be NULL.
    pub(super) fn as_nullable(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let letter = letter(&self.sort);
        match &self.null {
            Formula::False => format!("(some_{letter} {})", self.value),
            Formula::True => format!("none_{letter}"),
            null => format!("(ite {null} none_{letter} (some_{letter} {}))", self.value),
        }
    }

    /// A number that can be compared with decimals.
    pub(super) fn as_real(&self) -> String {
        match plain_sort(&self.sort) {
            "Int" => format!("(to_real {})", self.value),
            _ => self.value.clone(),
        }
    }

    /// Both are the same value; NULL is the same as NULL.
    pub(super) fn same(&self, other: &Self) -> Formula {
        let is_simple = |term: &Self| {
            term.whole.is_some() || matches!(term.null, Formula::True | Formula::False)
        };
        let has_whole = self.whole.is_some() || other.whole.is_some();
        let one_sort = plain_sort(&self.sort) == plain_sort(&other.sort);
        if has_whole && one_sort && is_simple(self) && is_simple(other) {
            let (left, right) = (self.as_nullable(), other.as_nullable());
            if left == right {
                return Formula::True;
            }
            return Formula::atom(format!("(= {left} {right})"));
        }
        let equal = self.equal(other);
        if self.null == Formula::False && other.null == Formula::False {
            return equal;
        }
        let neither = [self.null.clone().not(), other.null.clone().not()];
        Formula::or([
            Formula::and([self.null.clone(), other.null.clone()]),
            Formula::and(neither.into_iter().chain([equal])),
        ])
    }

    /// The values, whether they are NULL or not, are equal.
    pub(super) fn equal(&self, other: &Self) -> Formula {
        if self.value == other.value {
            return Formula::True;
        }
        let (left, right) = self.comparable(other);
        Formula::atom(format!("(= {left} {right})"))
    }

    /// Both values in one sort of SMT-LIB.
    pub(super) fn comparable(&self, other: &Self) -> (String, String) {
        if plain_sort(&self.sort) == plain_sort(&other.sort) {
            (self.value.clone(), other.value.clone())
        } else {
            (self.as_real(), other.as_real())
        }
    }
}

/// Constants: different texts are different numbers; what an opaque constant is, is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct Constants {
    texts: BTreeMap<String, usize>,
    opaque: BTreeMap<String, usize>,
}

impl Constants {
    /// The constant as a term; a NULL is of the given sort.
    pub(super) fn term(&mut self, value: &Value, sort: &Sort) -> Term {
        match value {
            Value::Null => Term::null(sort),
            Value::Boolean(value) => Term::plain(value.to_string(), &Sort::Boolean),
            Value::Integer(number) => Term::plain(negative(&number.to_string()), &Sort::Integer),
            Value::Numeric(number) => {
                let text = number.to_string();
                let point = if text.contains('.') { "" } else { ".0" };
                Term::plain(negative(&format!("{text}{point}")), &Sort::Numeric)
            }
            Value::Date(day) => Term::plain(negative(&day.to_string()), &Sort::Date),
            Value::Timestamp(at) => Term::plain(negative(&at.to_string()), &Sort::Timestamp),
            Value::Text(text) => {
                let next = self.texts.len();
                let number = *self.texts.entry(text.to_string()).or_insert(next);
                Term::plain(number.to_string(), &Sort::Text)
            }
            Value::Opaque(text) => {
                let next = self.opaque.len();
                let number = *self.opaque.entry(text.to_string()).or_insert(next);
                Term::plain(format!("opaque_{number}"), sort)
            }
        }
    }

    /// What has to be declared.
    pub(super) fn declarations(&self) -> String {
        let declare = |number| format!("(declare-const opaque_{number} Int)\n");
        (0..self.opaque.len()).map(declare).collect()
    }
}

/// A number; SMT-LIB has no negative literals.
fn negative(number: &str) -> String {
    match number.strip_prefix('-') {
        Some(positive) => format!("(- {positive})"),
        None => number.to_owned(),
    }
}
