//! What has to hold of a strategy.

use crate::strategy::program::{Argument, Predicate, Program, RelationId, Scope};

/// Something that has to hold for all states of the base tables and all changes of the Dejima table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obligation {
    /// The constraints leave room for at least one row in the Dejima table.
    Fulfillable,
    /// What the Dejima table shows keeps a constraint (by its position) that changes of it must keep.
    Shown(usize),
    /// What the Dejima table shows is not NULL in this column of it.
    ShownNotNull(usize),
    /// No row of this base table is to be inserted and deleted at once.
    Disjoint(RelationId),
    /// An unchanged Dejima table changes no base table.
    GetPut,
    /// The Dejima table shows what was put into it.
    PutGet,
    /// Put writes no NULL into this column, of this base table, that refuses it.
    NotNull(RelationId, usize),
    /// Put keeps a constraint (by its position) of the base tables.
    Kept(usize),
}

impl Obligation {
    /// All that have to hold of a program, in the order in which they are best read.
    pub fn of(program: &Program) -> Vec<Self> {
        let numbered = || program.constraints.iter().enumerate();
        let of_scope = |scope: Scope| {
            let fitting = numbered().filter(move |(_, constraint)| constraint.scope == scope);
            fitting.map(|(position, _)| position)
        };
        let mut all = vec![Self::Fulfillable];
        all.extend(of_scope(Scope::View).map(Self::Shown));
        let of_view = not_null_targets(program, Predicate::Rows(program.view));
        all.extend(of_view.into_iter().map(Self::ShownNotNull));
        let both = |&source: &RelationId| {
            let has = |head| program.rules_of(head).next().is_some();
            has(Predicate::Insert(source)) && has(Predicate::Delete(source))
        };
        all.extend(program.written().filter(both).map(Self::Disjoint));
        all.extend([Self::GetPut, Self::PutGet]);
        for source in program.written() {
            let targets = not_null_targets(program, Predicate::Insert(source));
            all.extend(
                targets
                    .into_iter()
                    .map(|column| Self::NotNull(source, column)),
            );
        }
        all.extend(
            of_scope(Scope::Sources)
                .filter(|&position| is_touched(program, position))
                .map(Self::Kept),
        );
        all
    }

    /// What it is called.
    pub fn name(self, program: &Program) -> String {
        let constraint = |position: usize| program.constraint_name(&program.constraints[position]);
        let column = |relation: RelationId, column: usize| {
            let relation = program.relation(relation);
            format!(
                "column \"{}\" of {}",
                relation.columns[column].name, relation.name
            )
        };
        let view = &program.view().name;
        match self {
            Self::Fulfillable => format!("{view} can have a row"),
            Self::Shown(position) => format!("{view} as shown keeps {}", constraint(position)),
            Self::ShownNotNull(position) => {
                format!("no NULL is shown in {}", column(program.view, position))
            }
            Self::Disjoint(relation) => format!(
                "no row of {} is inserted and deleted at once",
                program.relation(relation).name
            ),
            Self::GetPut => "GetPut: what has not changed changes nothing".to_owned(),
            Self::PutGet => format!("PutGet: {view} shows what was put into it"),
            Self::NotNull(relation, position) => {
                format!("put writes no NULL into {}", column(relation, position))
            }
            Self::Kept(position) => format!("put keeps {}", constraint(position)),
        }
    }

    /// What programs call it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fulfillable => "fulfillable",
            Self::Shown(_) => "shown-constraint",
            Self::ShownNotNull(_) => "shown-not-null",
            Self::Disjoint(_) => "disjoint",
            Self::GetPut => "get-put",
            Self::PutGet => "put-get",
            Self::NotNull(..) => "not-null",
            Self::Kept(_) => "kept-constraint",
        }
    }
}

/// The columns that are NOT NULL and into which a rule could write NULL.
fn not_null_targets(program: &Program, head: Predicate) -> Vec<usize> {
    let relation = program.relation(head.relation());
    let columns = 0..relation.columns.len();
    let may_be_null = |column: &usize| {
        program
            .rules_of(head)
            .any(|rule| match &rule.arguments[*column] {
                Argument::Variable(variable) => rule.body.variables[*variable].nullable,
                Argument::Constant(value) => value.is_null(),
                Argument::Any => true,
            })
    };
    columns
        .filter(|&column| !relation.columns[column].nullable)
        .filter(may_be_null)
        .collect()
}

/// Whether put writes anything that a constraint of base tables speaks about.
fn is_touched(program: &Program, position: usize) -> bool {
    let written: Vec<RelationId> = program.written().collect();
    let mut open: Vec<Predicate> = program.constraints[position].body.predicates().collect();
    while let Some(predicate) = open.pop() {
        if written.contains(&predicate.relation()) {
            return true;
        }
        open.extend(
            program
                .rules_of(predicate)
                .flat_map(|rule| rule.body.predicates()),
        );
    }
    false
}
