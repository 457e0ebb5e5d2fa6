//! What a view is, read from SQL or from a declaration: the input of the derivation.

use crate::strategy::language::Span;
use crate::strategy::language::syntax::{Expression, ExpressionKind, Name};

/// A Dejima table that is defined by what it shows.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// The base tables that are known.
    pub(crate) tables: Vec<Table>,
    /// Its name.
    pub(crate) view: Name,
    /// Its columns.
    pub(crate) columns: Vec<Name>,
    /// The parts of a union; one if it is none.
    pub(crate) branches: Vec<Branch>,
    /// Answers to what the view leaves open.
    pub(crate) choices: Vec<Choice>,
}

/// A base table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: Name,
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) keys: Vec<TableKey>,
    pub(crate) foreign_keys: Vec<TableForeignKey>,
    pub(crate) checks: Vec<TableCheck>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct TableCheck {
    /// Its variables are the columns' names.
    pub(crate) condition: Expression,
    /// The same as it is written, in SQL.
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) struct TableColumn {
    pub(crate) name: Name,
    pub(crate) type_name: Name,
    pub(crate) nullable: bool,
    pub(crate) default: ColumnDefault,
}

/// What an INSERT writes that does not name the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnDefault {
    /// NULL.
    None,
    /// A constant.
    Constant(Expression),
    /// What only the database knows, as it is written.
    Computed(String),
}

#[derive(Clone, Debug)]
pub(crate) struct TableKey {
    pub(crate) columns: Vec<usize>,
    pub(crate) is_primary: bool,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct TableForeignKey {
    pub(crate) columns: Vec<usize>,
    pub(crate) target: Name,
    /// The target's primary key if there are none.
    pub(crate) target_columns: Vec<Name>,
    pub(crate) span: Span,
}

/// A SELECT. Its columns are variables named by [`column_variable`].
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) uses: Vec<Use>,
    /// All of them hold.
    pub(crate) conditions: Vec<Expression>,
    /// One for each column of the view.
    pub(crate) outputs: Vec<Expression>,
    pub(crate) span: Span,
}

/// A table in a SELECT.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    /// Its position in [`Definition::tables`].
    pub(crate) table: usize,
    pub(crate) kind: UseKind,
    /// Of a left join, or of a subquery: what links its rows to those of the others.
    pub(crate) on: Vec<Expression>,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UseKind {
    /// FROM, or an inner join.
    Inner,
    /// A left join.
    Left,
    /// EXISTS.
    Present,
    /// NOT EXISTS.
    Absent,
}

/// The variable that stands for a column of a use.
pub(crate) fn column_variable(number: usize, column: usize) -> String {
    format!("{number}.{column}")
}

/// The use and the column that a variable stands for.
pub(crate) fn variable_column(variable: &str) -> Option<(usize, usize)> {
    let (number, column) = variable.split_once('.')?;
    Some((number.parse().ok()?, column.parse().ok()?))
}

/// An answer to a question that the view leaves open.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) kind: ChoiceKind,
}

#[derive(Clone, Debug)]
pub(crate) enum ChoiceKind {
    /// The table is only looked up.
    Read(String),
    /// Its rows are changed, too.
    Write(String),
    /// A hidden column of a table gets this value in new rows.
    Default(String, String, Expression),
    /// New rows of a union go into this table.
    InsertInto(String),
}

impl Definition {
    /// Whether it shows columns of some rows of one table, each once, as they are. Not if rows of the table refer to others of it:
    /// then it matters which of them are written first.
    pub(crate) fn is_mapping(&self) -> bool {
        let [branch] = self.branches.as_slice() else {
            return false;
        };
        let mut shown = std::collections::BTreeSet::new();
        let mut is_new_column = |output: &Expression| match &output.kind {
            ExpressionKind::Variable(name) => shown.insert(name.clone()),
            _ => false,
        };
        let [used] = branch.uses.as_slice() else {
            return false;
        };
        let table = &self.tables[used.table];
        let refers_to_itself = |key: &TableForeignKey| key.target.text == table.name.text;
        used.kind == UseKind::Inner
            && branch.outputs.iter().all(&mut is_new_column)
            && !table.foreign_keys.iter().any(refers_to_itself)
    }
}

impl Table {
    /// The position of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.text == name)
    }

    /// The primary key or, if there is none, the first unique key without NULL.
    pub(crate) fn key(&self) -> Option<&TableKey> {
        let is_total = |key: &&TableKey| {
            key.columns
                .iter()
                .all(|&column| !self.columns[column].nullable)
        };
        let primary = self.keys.iter().find(|key| key.is_primary);
        primary.or_else(|| self.keys.iter().find(is_total))
    }
}

/// A condition as the conditions of which all must hold.
pub(crate) fn conjuncts(expression: Expression) -> Vec<Expression> {
    use crate::strategy::language::syntax::BinaryOperator::And;
    match expression.kind {
        ExpressionKind::Binary(And, left, right) => [conjuncts(*left), conjuncts(*right)].concat(),
        _ => vec![expression],
    }
}
