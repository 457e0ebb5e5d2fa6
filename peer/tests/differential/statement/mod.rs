//! Statements as values: they are made by the generator, made smaller by the shrinker, and written as SQL.

mod smaller;
mod sql;

use crate::schema::{Column, Table};
use crate::value::Value;

/// One statement of a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Merge(Merge),
    Copy(Copy),
    Truncate(Truncate),
    With(With),
    /// A statement of plpgsql whose parts run in subtransactions.
    Do(Vec<Attempt>),
    Cursor(Cursor),
    Prepared(Prepared),
    /// Whatever can be written as it stands: settings, calls, statements that fail, cases.
    Plain(String),
}

/// INSERT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Insert {
    pub(crate) table: &'static Table,
    pub(crate) columns: Vec<&'static Column>,
    pub(crate) source: Source,
    pub(crate) conflict: Conflict,
    pub(crate) returning: bool,
}

/// Where inserted rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Expressions, or DEFAULT.
    Values(Vec<Vec<String>>),
    /// A SELECT.
    Query(String),
    DefaultValues,
}

/// ON CONFLICT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Conflict {
    Error,
    Nothing,
    /// Assignments.
    Update(Vec<String>),
}

/// UPDATE; the table's alias is `t`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Update {
    pub(crate) table: &'static Table,
    pub(crate) assignments: Vec<String>,
    pub(crate) from: Option<String>,
    pub(crate) condition: String,
    pub(crate) returning: bool,
}

/// DELETE; the table's alias is `t`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delete {
    pub(crate) table: &'static Table,
    pub(crate) using: Option<String>,
    pub(crate) condition: String,
    pub(crate) returning: bool,
}

/// MERGE into `t` from `s`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merge {
    pub(crate) table: &'static Table,
    /// As SQL writes it, with its alias.
    pub(crate) source: String,
    pub(crate) condition: String,
    /// Each from WHEN to its end.
    pub(crate) branches: Vec<String>,
}

/// COPY FROM STDIN.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Copy {
    pub(crate) table: &'static Table,
    pub(crate) columns: Vec<&'static Column>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// TRUNCATE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truncate {
    pub(crate) tables: Vec<&'static Table>,
    pub(crate) cascade: bool,
}

/// WITH: statements that change data, under the names `w0`, `w1` and so on, and one more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct With {
    pub(crate) parts: Vec<Statement>,
    pub(crate) last: Box<Statement>,
}

/// A part of a DO that runs in a subtransaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) statements: Vec<Statement>,
    /// Ends with an error, which is caught.
    pub(crate) raises: bool,
}

/// A cursor over some rows, and what is done to the current one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) table: &'static Table,
    pub(crate) condition: String,
    /// Rows fetched before the last one.
    pub(crate) skipped: usize,
    /// UPDATE if there are assignments, else DELETE.
    pub(crate) assignments: Vec<String>,
}

/// A statement that is prepared once and executed with one set of arguments after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prepared {
    pub(crate) types: Vec<&'static str>,
    pub(crate) statement: Box<Statement>,
    pub(crate) arguments: Vec<Vec<String>>,
}

impl Statement {
    /// It changes keys in one part and deletes rows of another table, so that a cascade may delete a row that has moved: the
    /// other members always refuse that (sql/README.md).
    pub(crate) fn moves_and_cascades(&self) -> bool {
        let Self::With(With { parts, last }) = self else {
            return false;
        };
        let parts = || parts.iter().chain([&**last]);
        let moves = |update: &Update| {
            let is_key = |assignment: &String| {
                let mut key = update.table.key_columns().iter();
                key.any(|column| assignment.starts_with(&column.sql()))
            };
            update.assignments.iter().any(is_key)
        };
        let cascades = |moved: &Table| {
            parts().any(|part| matches!(part, Self::Delete(delete) if delete.table != moved))
        };
        parts().any(
            |part| matches!(part, Self::Update(update) if moves(update) && cascades(update.table)),
        )
    }

    /// Its kind, for the count.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Insert(_) => "INSERT",
            Self::Update(_) => "UPDATE",
            Self::Delete(_) => "DELETE",
            Self::Merge(_) => "MERGE",
            Self::Copy(_) => "COPY",
            Self::Truncate(_) => "TRUNCATE",
            Self::With(_) => "WITH",
            Self::Do(_) => "DO",
            Self::Cursor(_) => "CURRENT OF",
            Self::Prepared(_) => "PREPARE",
            Self::Plain(_) => "others",
        }
    }
}
