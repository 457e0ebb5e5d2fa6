//! The one form in which all strategies are checked, whatever they were written in.
//!
//! A [`Program`] is a set of typed relations with rules that say which rows to insert into and to delete from the base
//! tables for a wanted state of the Dejima table (put), and which rows the Dejima table shows (get). It follows Tran, Kato, Hu,
//! *Programmable View Update Strategies on Relations* (PVLDB 13(5), 2020), section 3, with NULL, types and keys added.

use std::collections::BTreeSet;

use crate::strategy::language::Span;
use crate::strategy::language::syntax::{BinaryOperator, Function, UnaryOperator};
use crate::strategy::value::{Sort, Value};

/// The position of a relation in [`Program::relations`].
pub type RelationId = usize;
/// The position of a variable in [`Body::variables`].
pub type VariableId = usize;

/// A strategy with all its names resolved. Nothing in it is recursive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Base tables, the Dejima table, and what rules define in between.
    pub relations: Vec<Relation>,
    /// The Dejima table.
    pub view: RelationId,
    /// In an order in which everything is defined before it is used.
    pub rules: Vec<Rule>,
    /// What must never hold.
    pub constraints: Vec<Constraint>,
    /// Nobody wrote how the Dejima table is got; it follows from the put rules.
    pub get_is_derived: bool,
    /// What is known of put because it follows from a view; nothing if somebody wrote it, for then it may mean anything.
    pub from_view: Option<FromView>,
}

/// What is known of a put that follows from a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromView {
    /// It shows columns of some rows of one base table, as they are: a declaration could say the same.
    pub is_mapping: bool,
    /// Base tables, by name, whose rows the parts of the view show, each table for nothing else: a row of the Dejima table is put
    /// into the one of its part.
    pub roots: BTreeSet<String>,
}

/// What a relation is to the strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A base table.
    Source,
    /// The Dejima table.
    View,
    /// Defined by rules, stored nowhere.
    Helper,
}

/// A relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// As the user calls it.
    pub name: String,
    /// Base table, Dejima table, or neither.
    pub role: Role,
    /// In order.
    pub columns: Vec<Column>,
    /// The columns of its primary key or, if it has none, of its first unique key.
    pub key: Option<Vec<usize>>,
    /// Where it is declared.
    pub span: Span,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the user calls it.
    pub name: String,
    /// As the user writes it.
    pub type_name: String,
    /// What the checks know of the type.
    pub sort: Sort,
    /// It may be NULL.
    pub nullable: bool,
    /// Where it is declared.
    pub span: Span,
}

/// A set of rows that rules speak about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predicate {
    /// The rows of a relation: of base tables before the change, of the Dejima table as it is wanted.
    Rows(RelationId),
    /// What is inserted into a base table.
    Insert(RelationId),
    /// What is deleted from it.
    Delete(RelationId),
}

impl Predicate {
    /// The relation.
    pub fn relation(self) -> RelationId {
        match self {
            Self::Rows(relation) | Self::Insert(relation) | Self::Delete(relation) => relation,
        }
    }
}

/// `head :- body`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it adds to.
    pub head: Predicate,
    /// One for each column; never [`Argument::Any`].
    pub arguments: Vec<Argument>,
    /// When.
    pub body: Body,
    /// Where its head is written.
    pub span: Span,
}

/// A conjunction, in an order in which every step knows the variables that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// All variables that occur.
    pub variables: Vec<Variable>,
    /// In order.
    pub steps: Vec<Step>,
}

/// A variable of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// As the user calls it.
    pub name: String,
    /// Of what it is.
    pub sort: Sort,
    /// It may be NULL.
    pub nullable: bool,
}

/// A step of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is such a row; binds the variables that are not bound yet. One variable is one value: NULL is the same as NULL.
    Match(Predicate, Vec<Argument>),
    /// There is no such row; all variables are bound.
    Absent(Predicate, Vec<Argument>),
    /// Gives a variable its value, perhaps NULL.
    Define(VariableId, Expr),
    /// The condition is true, neither false nor NULL.
    Test(Expr),
}

/// What stands for a column of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Argument {
    /// Any value.
    Any,
    /// A variable's value.
    Variable(VariableId),
    /// This value.
    Constant(Value),
}

/// An expression whose variables are those of a body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expr {
    /// A variable's value.
    Variable(VariableId),
    /// A value.
    Constant(Value),
    /// An operator on one operand.
    Unary(UnaryOperator, Box<Expr>),
    /// An operator between two.
    Binary(BinaryOperator, Box<Expr>, Box<Expr>),
    /// A function.
    Call(Function, Vec<Expr>),
}

impl Expr {
    /// The variables in it, with repetitions.
    pub fn variables(&self) -> Vec<VariableId> {
        match self {
            Self::Variable(variable) => vec![*variable],
            Self::Constant(_) => Vec::new(),
            Self::Unary(_, operand) => operand.variables(),
            Self::Binary(_, left, right) => [left.variables(), right.variables()].concat(),
            Self::Call(_, arguments) => arguments.iter().flat_map(Self::variables).collect(),
        }
    }

    /// The constants in it.
    pub fn constants(&self) -> Vec<&Value> {
        match self {
            Self::Variable(_) => Vec::new(),
            Self::Constant(value) => vec![value],
            Self::Unary(_, operand) => operand.constants(),
            Self::Binary(_, left, right) => [left.constants(), right.constants()].concat(),
            Self::Call(_, arguments) => arguments.iter().flat_map(Self::constants).collect(),
        }
    }
}

/// What a constraint speaks about, and so when it has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Base tables alone: it holds before every change, and put must keep it.
    Sources,
    /// The Dejima table, too: a change of the Dejima table that breaks it is refused.
    View,
}

/// What kind of constraint it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    /// `_|_ :- ...`, and the reason, if one is known: the user's own words, or what it was derived from.
    Written(Option<String>),
    /// A CHECK of a base table.
    Check {
        /// The base table.
        relation: RelationId,
        /// What has to hold, in SQL, as it is written.
        condition: String,
    },
    /// A key.
    Key {
        /// Of which relation.
        relation: RelationId,
        /// Its columns.
        columns: Vec<usize>,
    },
    /// A foreign key.
    ForeignKey {
        /// The relation that refers.
        relation: RelationId,
        /// Its columns.
        columns: Vec<usize>,
        /// The relation referred to.
        target: RelationId,
        /// For each column, the one that it refers to.
        target_columns: Vec<usize>,
    },
}

/// What must never hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Holds where the constraint is broken.
    pub body: Body,
    /// What it is.
    pub kind: ConstraintKind,
    /// What it speaks about.
    pub scope: Scope,
    /// Where it is written.
    pub span: Span,
}

impl Program {
    /// A relation.
    pub fn relation(&self, id: RelationId) -> &Relation {
        &self.relations[id]
    }

    /// The Dejima table.
    pub fn view(&self) -> &Relation {
        self.relation(self.view)
    }

    /// The base tables.
    pub fn sources(&self) -> impl Iterator<Item = RelationId> {
        let roles = self.relations.iter().enumerate();
        roles
            .filter(|(_, relation)| relation.role == Role::Source)
            .map(|(id, _)| id)
    }

    /// The base tables that put writes.
    pub fn written(&self) -> impl Iterator<Item = RelationId> {
        self.sources().filter(|&source| {
            let writes = |rule: &Rule| rule.head.relation() == source;
            self.rules.iter().any(writes)
        })
    }

    /// The rules of a predicate.
    pub fn rules_of(&self, head: Predicate) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.head == head)
    }

    /// As a user calls it: `r`, `+r`, `-r`.
    pub fn name_of(&self, predicate: Predicate) -> String {
        let name = &self.relation(predicate.relation()).name;
        match predicate {
            Predicate::Rows(_) => name.clone(),
            Predicate::Insert(_) => format!("+{name}"),
            Predicate::Delete(_) => format!("-{name}"),
        }
    }

    /// What a constraint is called.
    pub fn constraint_name(&self, constraint: &Constraint) -> String {
        match &constraint.kind {
            ConstraintKind::Written(None) => "a constraint of the strategy".to_owned(),
            ConstraintKind::Written(Some(reason)) => format!("the constraint \"{reason}\""),
            ConstraintKind::Check { relation, .. } => {
                format!(
                    "the constraint \"a CHECK of {}\"",
                    self.relation(*relation).name
                )
            }
            ConstraintKind::Key { relation, columns } => {
                format!("the key {}", self.columns_text(*relation, columns))
            }
            ConstraintKind::ForeignKey {
                relation, columns, ..
            } => format!("the foreign key {}", self.columns_text(*relation, columns)),
        }
    }

    /// `(a, b) of r`.
    fn columns_text(&self, relation: RelationId, columns: &[usize]) -> String {
        let relation = self.relation(relation);
        let names: Vec<_> = columns
            .iter()
            .map(|&column| relation.columns[column].name.as_str())
            .collect();
        format!("({}) of {}", names.join(", "), relation.name)
    }
}

impl Body {
    /// The predicates that it looks at.
    pub fn predicates(&self) -> impl Iterator<Item = Predicate> {
        self.steps.iter().filter_map(|step| match step {
            Step::Match(predicate, _) | Step::Absent(predicate, _) => Some(*predicate),
            Step::Define(..) | Step::Test(_) => None,
        })
    }
}
