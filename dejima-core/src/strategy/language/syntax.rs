//! What a Datalog strategy says, as it was written: names instead of references, and every place kept.

use super::source::Span;

/// A whole strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// In the order in which they were written.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `source r(...)` or `view v(...)`.
    Relation(RelationDeclaration),
    /// `PK(r, [...])` or `UNIQUE(r, [...])`.
    Key(KeyDeclaration),
    /// `FK(r, [...], s, [...])`.
    ForeignKey(ForeignKeyDeclaration),
    /// `head :- body`, or a fact.
    Rule(RuleText),
    /// `_|_ :- body`.
    Constraint(ConstraintText),
}

/// A name as it is in the database, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Folded to lower case unless it was quoted.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// Whether a relation is a base table or the Dejima table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A base table.
    Source,
    /// The Dejima table.
    View,
}

/// The columns of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationDeclaration {
    /// Base table or Dejima table.
    pub kind: RelationKind,
    /// Its name.
    pub name: Name,
    /// In order.
    pub columns: Vec<ColumnText>,
    /// The whole statement.
    pub span: Span,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnText {
    /// Its name.
    pub name: Name,
    /// Its type, in PostgreSQL's words.
    pub type_name: Name,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What an INSERT that does not name it writes.
    pub default: Option<Expression>,
}

/// A primary or unique key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDeclaration {
    /// The relation.
    pub relation: Name,
    /// Its columns.
    pub columns: Vec<Name>,
    /// `PK` rather than `UNIQUE`.
    pub is_primary: bool,
    /// The whole statement.
    pub span: Span,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyDeclaration {
    /// The relation that refers.
    pub relation: Name,
    /// Its columns.
    pub columns: Vec<Name>,
    /// The relation referred to.
    pub target: Name,
    /// Its columns.
    pub target_columns: Vec<Name>,
    /// The whole statement.
    pub span: Span,
}

/// A rule; a fact has an empty body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// What holds if the body does.
    pub head: Atom,
    /// All of it must hold.
    pub body: Vec<Literal>,
    /// The whole rule.
    pub span: Span,
}

/// What must never hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstraintText {
    /// All of it together must never hold.
    pub body: Vec<Literal>,
    /// Why it is there: what the user says in the line above, or what it was derived from, a CHECK of a base table, say.
    pub reason: Option<String>,
    /// The condition of the CHECK that it was derived from, in SQL.
    pub check: Option<String>,
    /// The whole constraint.
    pub span: Span,
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// There is such a row, or there is none.
    Atom {
        /// There is none.
        negated: bool,
        /// The row.
        atom: Atom,
    },
    /// A condition is true.
    Condition(Expression),
}

impl Literal {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Self::Atom { atom, .. } => atom.span,
            Self::Condition(expression) => expression.span,
        }
    }
}

/// The sign before a relation's name: the rows to insert into it, or to delete from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// `+r`.
    Insert,
    /// `-r`.
    Delete,
}

/// Rows of a relation, or of its change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// None: the relation itself.
    pub sign: Option<Sign>,
    /// The relation.
    pub relation: Name,
    /// One for each column: a variable, a constant or `_`.
    pub arguments: Vec<Expression>,
    /// The whole atom.
    pub span: Span,
}

/// An expression and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// What it is.
    pub kind: ExpressionKind,
    /// Where.
    pub span: Span,
}

/// An expression over the values of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionKind {
    /// A variable, case and all.
    Variable(String),
    /// `_`: any value.
    Anonymous,
    /// A number, in decimal digits, perhaps with a point.
    Number(String),
    /// A text, a date, or a value of any other type in its text form.
    Text(String),
    /// True or false.
    Boolean(bool),
    /// NULL.
    Null,
    /// An operator before, or IS after, one operand.
    Unary(UnaryOperator, Box<Expression>),
    /// An operator between two.
    Binary(BinaryOperator, Box<Expression>, Box<Expression>),
    /// A function.
    Call(Function, Vec<Expression>),
}

/// Operators on one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnaryOperator {
    /// `-x`.
    Negate,
    /// `not x`, in three values.
    Not,
    /// `x is null`.
    IsNull,
    /// `x is true`: false where x is NULL.
    IsTrue,
}

/// Operators between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum BinaryOperator {
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
    /// `is not distinct from`: NULL is the same as NULL.
    Same,
    Like,
    And,
    Or,
}

impl BinaryOperator {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Concatenate => "||",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Same => "is not distinct from",
            Self::Like => "like",
            Self::And => "and",
            Self::Or => "or",
        }
    }

    /// Binds the tighter the higher.
    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Same
            | Self::Like => COMPARISON,
            Self::Add | Self::Subtract | Self::Concatenate => 6,
            Self::Multiply | Self::Divide => 7,
        }
    }
}

/// The precedence of `not`.
pub(super) const NOT: u8 = 3;
/// The precedence of comparisons and of IS.
pub(super) const COMPARISON: u8 = 5;
/// The precedence of a minus sign before an operand.
pub(super) const SIGN: u8 = 8;

/// The functions that the checks understand. All but `coalesce` give NULL for NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are PostgreSQL's")]
pub enum Function {
    Lower,
    Upper,
    Length,
    Abs,
    Coalesce,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Lower,
        Self::Upper,
        Self::Length,
        Self::Abs,
        Self::Coalesce,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Length => "length",
            Self::Abs => "abs",
            Self::Coalesce => "coalesce",
        }
    }

    /// The function of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
    }
}

impl Expression {
    /// Made where no text stands for it.
    pub fn new(kind: ExpressionKind, span: Span) -> Self {
        Self { kind, span }
    }

    /// An operator between two operands.
    pub fn binary(operator: BinaryOperator, left: Self, right: Self) -> Self {
        let span = left.span.to(right.span);
        Self::new(
            ExpressionKind::Binary(operator, Box::new(left), Box::new(right)),
            span,
        )
    }

    /// An operator on this; a number with a sign is a number.
    pub fn unary(self, operator: UnaryOperator) -> Self {
        let span = self.span;
        let kind = match (operator, self.kind) {
            (UnaryOperator::Negate, ExpressionKind::Number(number)) => {
                ExpressionKind::Number(match number.strip_prefix('-') {
                    Some(positive) => positive.to_owned(),
                    None => format!("-{number}"),
                })
            }
            (operator, kind) => ExpressionKind::Unary(operator, Box::new(Self::new(kind, span))),
        };
        Self::new(kind, span)
    }

    /// With other things in place of its variables.
    pub fn map_variables(&self, replace: &dyn Fn(&str) -> ExpressionKind) -> Self {
        let of = |inner: &Self| Box::new(inner.map_variables(replace));
        let kind = match &self.kind {
            ExpressionKind::Variable(name) => replace(name),
            ExpressionKind::Unary(operator, operand) => {
                ExpressionKind::Unary(*operator, of(operand))
            }
            ExpressionKind::Binary(operator, left, right) => {
                ExpressionKind::Binary(*operator, of(left), of(right))
            }
            ExpressionKind::Call(function, arguments) => {
                let arguments = arguments
                    .iter()
                    .map(|argument| argument.map_variables(replace));
                ExpressionKind::Call(*function, arguments.collect())
            }
            other => other.clone(),
        };
        Self::new(kind, self.span)
    }

    /// With all of it at one place.
    pub fn placed(self, span: Span) -> Self {
        let of = |inner: Box<Self>| Box::new(inner.placed(span));
        let kind = match self.kind {
            ExpressionKind::Unary(operator, operand) => {
                ExpressionKind::Unary(operator, of(operand))
            }
            ExpressionKind::Binary(operator, left, right) => {
                ExpressionKind::Binary(operator, of(left), of(right))
            }
            ExpressionKind::Call(function, arguments) => {
                let arguments = arguments.into_iter().map(|argument| argument.placed(span));
                ExpressionKind::Call(function, arguments.collect())
            }
            other => other,
        };
        Self::new(kind, span)
    }

    /// The variables in it, with repetitions.
    pub fn variables(&self) -> Vec<String> {
        match &self.kind {
            ExpressionKind::Variable(name) => vec![name.clone()],
            ExpressionKind::Unary(_, operand) => operand.variables(),
            ExpressionKind::Binary(_, left, right) => {
                [left.variables(), right.variables()].concat()
            }
            ExpressionKind::Call(_, arguments) => {
                arguments.iter().flat_map(Self::variables).collect()
            }
            _ => Vec::new(),
        }
    }

    /// It is not true: false or NULL.
    pub fn is_not_true(self) -> Self {
        self.unary(UnaryOperator::IsTrue).unary(UnaryOperator::Not)
    }
}

impl Statement {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Self::Relation(relation) => relation.span,
            Self::Key(key) => key.span,
            Self::ForeignKey(key) => key.span,
            Self::Rule(rule) => rule.span,
            Self::Constraint(constraint) => constraint.span,
        }
    }
}
