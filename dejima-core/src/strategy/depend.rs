//! What depends on what: the base columns that each column of a Dejima table hangs on, the columns of several Dejima tables that
//! hang on the same one, and which Dejima tables a change of one can change (the update propagation graph of Asano et al.,
//! section 3).

use std::collections::{BTreeMap, BTreeSet};

use crate::strategy::program::{
    Argument, Body, Predicate, Program, RelationId, Role, Step, VariableId,
};

/// A column of a base table, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseColumn {
    /// The base table.
    pub table: String,
    /// Its column.
    pub column: String,
}

/// A column of a Dejima table, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewColumn {
    /// The Dejima table.
    pub table: String,
    /// Its column.
    pub column: String,
}

/// What a Dejima table hangs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependence {
    /// For each of its columns, in order, the base columns whose values it shows.
    pub shows: Vec<BTreeSet<BaseColumn>>,
    /// Base columns that decide which rows there are.
    pub decides: BTreeSet<BaseColumn>,
    /// Base tables that put writes.
    pub writes: BTreeSet<String>,
}

impl Dependence {
    /// Finds out what a program's Dejima table hangs on.
    pub fn of(program: &Program) -> Self {
        let mut dependence = Self {
            shows: vec![BTreeSet::new(); program.view().columns.len()],
            ..Self::default()
        };
        for rule in program.rules_of(Predicate::Rows(program.view)) {
            for (position, argument) in rule.arguments.iter().enumerate() {
                if let Argument::Variable(variable) = argument {
                    dependence.shows[position].extend(origins(program, &rule.body, *variable));
                }
            }
            dependence.decides.extend(deciding(program, &rule.body));
        }
        let written = program
            .written()
            .map(|source| program.relation(source).name.clone());
        dependence.writes = written.collect();
        dependence
    }

    /// The base tables that it reads.
    fn reads(&self) -> BTreeSet<&str> {
        let all = self.shows.iter().flatten().chain(&self.decides);
        all.map(|column| column.table.as_str()).collect()
    }
}

/// The columns of Dejima tables that show the same base column, for each base column that more than one shows.
pub fn links(programs: &[&Program]) -> BTreeMap<BaseColumn, BTreeSet<ViewColumn>> {
    let mut shown: BTreeMap<BaseColumn, BTreeSet<ViewColumn>> = BTreeMap::new();
    for program in programs {
        let view = program.view();
        let dependence = Dependence::of(program);
        for (column, origins) in view.columns.iter().zip(dependence.shows) {
            for origin in origins {
                shown.entry(origin).or_default().insert(ViewColumn {
                    table: view.name.clone(),
                    column: column.name.clone(),
                });
            }
        }
    }
    shown.retain(|_, columns| columns.len() > 1);
    shown
}

/// The base tables through which a change of one Dejima table can change another, for each pair of which one can.
pub fn propagation(programs: &[&Program]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let all: Vec<(String, Dependence)> = programs
        .iter()
        .map(|program| (program.view().name.clone(), Dependence::of(program)))
        .collect();
    let mut edges = BTreeMap::new();
    for (from, changed) in &all {
        for (to, other) in all.iter().filter(|(to, _)| to != from) {
            let reads = other.reads();
            let through: BTreeSet<String> = changed
                .writes
                .iter()
                .filter(|table| reads.contains(table.as_str()))
                .cloned()
                .collect();
            if !through.is_empty() {
                edges.insert((from.clone(), to.clone()), through);
            }
        }
    }
    edges
}

/// The base columns from which a variable has its value.
fn origins(program: &Program, body: &Body, variable: VariableId) -> BTreeSet<BaseColumn> {
    let mut found = BTreeSet::new();
    for step in &body.steps {
        match step {
            Step::Match(predicate, arguments) => {
                for (column, argument) in arguments.iter().enumerate() {
                    if *argument == Argument::Variable(variable) {
                        found.extend(column_origins(program, predicate.relation(), column));
                    }
                }
            }
            Step::Define(defined, expr) if *defined == variable => {
                for other in expr.variables() {
                    found.extend(origins(program, body, other));
                }
            }
            _ => {}
        }
    }
    found
}

/// The base columns from which a column of a relation has its values.
fn column_origins(program: &Program, relation: RelationId, column: usize) -> BTreeSet<BaseColumn> {
    let declared = program.relation(relation);
    if declared.role != Role::Helper {
        return BTreeSet::from([BaseColumn {
            table: declared.name.clone(),
            column: declared.columns[column].name.clone(),
        }]);
    }
    let mut found = BTreeSet::new();
    for rule in program.rules_of(Predicate::Rows(relation)) {
        if let Argument::Variable(variable) = rule.arguments[column] {
            found.extend(origins(program, &rule.body, variable));
        }
    }
    found
}

/// The base columns that decide whether a body holds: compared with each other, with constants, or in conditions.
fn deciding(program: &Program, body: &Body) -> BTreeSet<BaseColumn> {
    let mut found = BTreeSet::new();
    let mut uses: BTreeMap<VariableId, usize> = BTreeMap::new();
    for step in &body.steps {
        match step {
            Step::Match(predicate, arguments) | Step::Absent(predicate, arguments) => {
                let relation = predicate.relation();
                for (column, argument) in arguments.iter().enumerate() {
                    match argument {
                        Argument::Variable(variable) => *uses.entry(*variable).or_default() += 1,
                        Argument::Constant(_) => {
                            found.extend(column_origins(program, relation, column))
                        }
                        Argument::Any => {}
                    }
                }
                // That there is a row at all decides, too.
                if program.relation(relation).role == Role::Helper {
                    for rule in program.rules_of(Predicate::Rows(relation)) {
                        found.extend(deciding(program, &rule.body));
                    }
                }
            }
            Step::Test(condition) => {
                let variables = condition.variables().into_iter();
                found.extend(variables.flat_map(|variable| origins(program, body, variable)));
            }
            Step::Define(..) => {}
        }
    }
    let joined = uses.into_iter().filter(|(_, times)| *times > 1);
    for (variable, _) in joined {
        found.extend(origins(program, body, variable));
        found.extend(absent_origins(program, body, variable));
    }
    found
}

/// The base columns with which a variable is compared in negations.
fn absent_origins(program: &Program, body: &Body, variable: VariableId) -> BTreeSet<BaseColumn> {
    let mut found = BTreeSet::new();
    for step in &body.steps {
        if let Step::Absent(predicate, arguments) = step {
            for (column, argument) in arguments.iter().enumerate() {
                if *argument == Argument::Variable(variable) {
                    found.extend(column_origins(program, predicate.relation(), column));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::language::{File, Format, read};

    fn program(text: &str) -> Program {
        let file = File {
            name: "test.sql",
            text,
        };
        let reading = read(file, Format::Sql, None).remove(0);
        reading.program.expect("well formed")
    }

    fn base(table: &str, column: &str) -> BaseColumn {
        BaseColumn {
            table: table.into(),
            column: column.into(),
        }
    }

    const TABLES: &str =
        "CREATE TABLE person (id int PRIMARY KEY, name text, address text, kind text);
        CREATE TABLE city (name text PRIMARY KEY, zip text); -- put: read city\n";

    #[test]
    fn columns_hang_on_what_they_show_and_rows_on_what_decides() {
        let program = program(&format!(
            "{TABLES} CREATE VIEW v AS SELECT p.id, p.name || '!' AS loud, p.name, c.zip, p.address
             FROM person p JOIN city c ON p.address = c.name WHERE p.kind = 'client'"
        ));
        let found = Dependence::of(&program);
        assert_eq!(found.shows[1], [base("person", "name")].into());
        assert_eq!(found.shows[3], [base("city", "zip")].into());
        let decides = [
            base("city", "name"),
            base("person", "address"),
            base("person", "kind"),
        ];
        assert_eq!(found.decides, decides.into());
        assert_eq!(found.writes, ["person".to_owned()].into());
    }

    #[test]
    fn tables_over_one_base_column_are_linked_and_change_each_other() {
        let first = program(&format!(
            "{TABLES} CREATE VIEW a AS SELECT id, address FROM person"
        ));
        let second = program(&format!(
            "{TABLES} CREATE VIEW b AS SELECT id AS number, address FROM person"
        ));
        let other = program(&format!(
            "{TABLES} CREATE VIEW c AS SELECT name, zip FROM city"
        ));
        let programs = [&first, &second, &other];
        let links = links(&programs);
        let view = |table: &str, column: &str| ViewColumn {
            table: table.into(),
            column: column.into(),
        };
        assert_eq!(
            links[&base("person", "id")],
            [view("a", "id"), view("b", "number")].into()
        );
        assert_eq!(links.len(), 2);
        let edges = propagation(&programs);
        let pairs: Vec<_> = edges
            .keys()
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .collect();
        assert_eq!(pairs, [("a", "b"), ("b", "a")]);
    }
}
