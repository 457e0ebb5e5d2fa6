//! Strategies: how a Dejima table and a base table correspond, and the SQL that makes it so.
//!
//! One way leads from a declaration to what runs in the database, and each step has a type of its own:
//! [`Declaration`] (a user's words) → [`plan`] checks it against the [`BaseTable`]s → [`Strategy`] (what is
//! meant, with nothing left to look up) → [`Part`]s (SQL texts).
//!
//! The strategy language stands beside it, and says more than can be run yet: [`language`] reads put rules, SQL views and
//! declarations into a [`program`], `derive` finds put for what only says what it shows, [`evaluate`] is what a program means,
//! [`check`] proves or refutes that it is right, [`depend`] says what hangs on what. docs/strategies.md is its manual.

mod base_table;
mod bound;
mod capture;
pub mod check;
mod constraint;
mod declaration;
pub mod depend;
mod derive;
pub mod evaluate;
pub mod language;
mod plan;
pub mod program;
mod put;
pub(crate) mod quote;
mod sql;
mod unbound;
pub mod value;
mod view;

use std::sync::Arc;

use crate::delta::Schema;
use crate::name::TableName;

pub use base_table::{BaseColumn, BaseTable, UniqueKey};
pub use bound::{Bound, Names, Source};
pub use constraint::{BaseConstraint, BaseRule, Conditions, Known};
pub use declaration::{
    ColumnDefault, ColumnMapping, Declaration, DefaultValue, TableDeclaration, TableProgram,
};
pub use plan::{Invalid, Part, PartKind, Plan, divided, parts, plan};
pub use quote::{identifier, literal};
pub use sql::RowCondition;
pub use unbound::Unbound;

/// The settings of every generated function. Text forms of values depend on them, and how they are read, so they are
/// fixed here and nowhere else; `jit` would compile for longer than a capture takes.
const PINNED: &str = "SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC'
SET extra_float_digits = 3 SET bytea_output = 'hex' SET lc_monetary = 'C'
SET xmloption = 'content' SET array_nulls = on SET jit = off";

/// A Dejima table that shows some columns of some rows of one base table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// The Dejima table.
    pub table: TableName,
    /// Names the generated functions; given by the database once for each Dejima table.
    pub id: i32,
    /// Columns and key of the Dejima table.
    pub schema: Schema,
    /// The base table.
    pub base: Arc<BaseTable>,
    /// For each column of the Dejima table, in order, its column in the base table.
    pub columns: Vec<BaseColumn>,
    /// The rows shown, in SQL over the base table's columns.
    pub condition: Option<String>,
    /// The base table's own index on the key.
    pub key: UniqueKey,
    /// What an insert writes into base columns that the Dejima table does not show; what is not named here
    /// gets the base table's own DEFAULT.
    pub hidden: Vec<HiddenColumn>,
    /// What is known of the base table's constraints; a declaration says nothing of them.
    pub known: Known,
}

/// A base column that a Dejima table does not show and that its inserts write all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenColumn {
    /// The base column.
    pub column: BaseColumn,
    /// The declared default. `None` writes NULL, whatever the base table's DEFAULT says: another Dejima table
    /// shows the column, and to it the value is unset.
    pub value: Option<String>,
}

impl Strategy {
    /// The condition as an SQL expression with the base table's columns in scope; the line break ends a
    /// comment in the operator's text.
    fn shows(&self) -> String {
        match &self.condition {
            Some(condition) => format!("({condition}\n)"),
            None => "true".to_owned(),
        }
    }

    /// Pairs of (Dejima column name, base column), in order.
    fn pairs(&self) -> impl Iterator<Item = (&str, &BaseColumn)> {
        self.schema
            .columns
            .iter()
            .map(|c| c.name.as_str())
            .zip(&self.columns)
    }
}

/// A value of a column as text, to be compared byte by byte. The cast of `bpchar` to text drops trailing spaces, which
/// is right where a length says how many there are, and only there.
fn text_of(value: &str, column: &BaseColumn) -> String {
    text(value, column.keeps_spaces)
}

fn text(value: &str, keeps_spaces: bool) -> String {
    if keeps_spaces {
        format!("textin(bpcharout({value})) COLLATE \"C\"")
    } else {
        format!("{value}::text COLLATE \"C\"")
    }
}
