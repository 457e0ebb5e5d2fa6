//! A clause as the FROM and WHERE of one SELECT.

use super::expression::{Known, condition, expression, typed};
use super::unfold::{Clause, Item};
use crate::strategy::bound::Bound;
use crate::strategy::identifier;
use crate::strategy::program::{Argument, RelationId, Variable};
use crate::strategy::value::Sort;

/// Where the rows of relations are taken from.
pub(super) trait Tables {
    /// What stands in FROM for a row of the relation with these values, where they are known.
    fn rows(&self, relation: RelationId, known: &[Option<String>], names: &mut Names) -> String;

    /// The same in parts, each for a SELECT of its own: PostgreSQL joins a part by a hash where it would look through a union for each
    /// row. If nothing is to be learnt of the row, it need only be asked for.
    fn parts(
        &self,
        relation: RelationId,
        known: &[Option<String>],
        _is_only_asked_for: bool,
        names: &mut Names,
    ) -> Vec<Taken> {
        vec![Taken::Rows(self.rows(relation, known, names))]
    }

    /// What must hold beside of the row of that name. A condition inside of FROM would keep PostgreSQL from looking rows up in
    /// indexes.
    fn condition(&self, _: RelationId, _: &str) -> Option<String> {
        None
    }
}

/// How a row of a relation is found.
pub(super) enum Taken {
    /// It is one of what stands in FROM.
    Rows(String),
    /// There is one if this holds.
    If(String),
}

/// Gives every table of a statement a name of its own.
#[derive(Default)]
pub(super) struct Names(usize);

impl Names {
    pub(super) fn next(&mut self) -> String {
        self.0 += 1;
        format!("t{}", self.0)
    }
}

/// A SELECT in the making.
#[derive(Clone)]
pub(super) struct Select<'a> {
    pub(super) bound: &'a Bound,
    pub(super) variables: &'a [Variable],
    pub(super) known: Known,
    /// Values that variables are to have, once a row gives them one.
    pub(super) asked: Known,
    pub(super) from: Vec<String>,
    pub(super) conditions: Vec<String>,
}

impl<'a> Select<'a> {
    pub(super) fn new(bound: &'a Bound, variables: &'a [Variable]) -> Self {
        Self {
            bound,
            variables,
            known: Known::new(),
            asked: Known::new(),
            from: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// A part of its WHERE that looks for rows of its own.
    fn inner(&self) -> Self {
        Self {
            known: self.known.clone(),
            ..Self::new(self.bound, self.variables)
        }
    }

    /// Follows the items: one SELECT for each way to take rows from the parts of their relations.
    pub(super) fn items(self, items: &[Item], tables: &dyn Tables, names: &mut Names) -> Vec<Self> {
        let mut selects = vec![self];
        for item in items {
            let before = std::mem::take(&mut selects);
            for select in before {
                selects.extend(select.item(item, tables, names));
            }
        }
        selects
    }

    fn item(mut self, item: &Item, tables: &dyn Tables, names: &mut Names) -> Vec<Self> {
        match item {
            Item::Row(relation, arguments) => {
                let known: Vec<_> = arguments
                    .iter()
                    .enumerate()
                    .map(|(column, argument)| self.value(*relation, column, argument))
                    .collect();
                let is_only_asked_for = arguments.iter().all(|argument| match argument {
                    Argument::Any | Argument::Constant(_) => true,
                    Argument::Variable(variable) => self.known.contains_key(variable),
                });
                let parts = tables.parts(*relation, &known, is_only_asked_for, names);
                let mut with = |part: &Taken| {
                    let mut select = self.clone();
                    let condition = match part {
                        Taken::Rows(rows) => {
                            let name = select.row(*relation, arguments, rows, names);
                            tables.condition(*relation, &name)
                        }
                        Taken::If(condition) => Some(condition.clone()),
                    };
                    select.conditions.extend(condition);
                    select
                };
                return parts.iter().map(&mut with).collect();
            }
            Item::None(alternatives) => {
                for alternative in alternatives {
                    for inner in self.inner().items(alternative, tables, names) {
                        self.conditions.push(format!("NOT {}", inner.exists()));
                    }
                }
            }
            Item::Define(variable, expr) => {
                let value = expression(expr, self.variables, &self.known);
                for other in [self.known.get(variable), self.asked.get(variable)]
                    .into_iter()
                    .flatten()
                {
                    self.conditions.push(same(&value, other, true));
                }
                self.known.entry(*variable).or_insert(value);
            }
            Item::Test(test) => {
                self.conditions
                    .push(condition(test, self.variables, &self.known));
            }
        }
        vec![self]
    }

    /// Joins rows of a relation; what is known of them already must be so. Returns their name.
    pub(super) fn row(
        &mut self,
        relation: RelationId,
        arguments: &[Argument],
        rows: &str,
        names: &mut Names,
    ) -> String {
        let name = names.next();
        self.from.push(format!("{rows} AS {name}"));
        self.cells(relation, arguments, &format!("{name}."));
        name
    }

    /// Takes in a row that is there already, its columns under their names after this prefix.
    pub(super) fn cells(&mut self, relation: RelationId, arguments: &[Argument], prefix: &str) {
        let key = self.known_key(relation, arguments);
        for (column, argument) in arguments.iter().enumerate() {
            let cell = format!("{prefix}{}", self.column(relation, column));
            let condition = match argument {
                Argument::Any => None,
                Argument::Constant(value) if value.is_null() => Some(format!("{cell} IS NULL")),
                Argument::Constant(value) => {
                    let value = typed(value, self.column_type(relation, column));
                    Some(format!("{cell} = {value}"))
                }
                Argument::Variable(variable) => {
                    let may_be_null = self.variables[*variable].nullable
                        && self.bound.program.relation(relation).columns[column].nullable;
                    let known = self.known.get(variable);
                    let known = known.or_else(|| self.asked.get(variable));
                    let condition = known.map(|value| same(&cell, value, may_be_null));
                    self.known.entry(*variable).or_insert(cell);
                    condition
                }
            };
            // Of rows in an array PostgreSQL takes any value for rare.
            let is_in_array =
                relation == self.bound.program.view && matches!(argument, Argument::Constant(_));
            let is_beside = key.is_some_and(|key| !key.contains(&column));
            self.conditions.extend(condition.map(|condition| {
                if is_beside || is_in_array {
                    compared(&condition)
                } else {
                    condition
                }
            }));
        }
    }

    /// The relation's key, if what is known of a row has all of it.
    fn known_key(&self, relation: RelationId, arguments: &[Argument]) -> Option<&'a [usize]> {
        let bound: &'a Bound = self.bound;
        let key = bound.program.relation(relation).key.as_deref()?;
        let is_known = |&column: &usize| match &arguments[column] {
            Argument::Any => false,
            Argument::Constant(value) => !value.is_null(),
            Argument::Variable(variable) => {
                self.known.contains_key(variable) || self.asked.contains_key(variable)
            }
        };
        key.iter().all(is_known).then_some(key)
    }

    /// The value of an argument, if it is known; as a value of its column.
    fn value(&self, relation: RelationId, column: usize, argument: &Argument) -> Option<String> {
        match argument {
            Argument::Any => None,
            Argument::Variable(variable) => {
                let known = self.known.get(variable);
                known.or_else(|| self.asked.get(variable)).cloned()
            }
            Argument::Constant(value) => Some(typed(value, self.column_type(relation, column))),
        }
    }

    /// Asks for rows whose head has these values, where there are any.
    pub(super) fn ask(
        &mut self,
        relation: RelationId,
        head: &[Argument],
        values: &[Option<String>],
    ) {
        for (column, (argument, value)) in head.iter().zip(values).enumerate() {
            let Some(value) = value else { continue };
            match argument {
                Argument::Any => {}
                Argument::Constant(constant) => {
                    let constant = typed(constant, self.column_type(relation, column));
                    self.conditions.push(same(&constant, value, true));
                }
                Argument::Variable(variable) => match self.asked.get(variable) {
                    None => {
                        self.asked.insert(*variable, value.clone());
                    }
                    Some(other) => self.conditions.push(same(other, value, true)),
                },
            }
        }
    }

    /// The quoted name of a column.
    fn column(&self, relation: RelationId, column: usize) -> String {
        identifier(&self.bound.program.relation(relation).columns[column].name)
    }

    fn column_type(&self, relation: RelationId, column: usize) -> &str {
        self.bound.column_type(relation, column)
    }

    /// The values of a row, each as a value of that relation's column.
    pub(super) fn values(&self, relation: RelationId, row: &[Argument]) -> Vec<String> {
        let of = |(column, argument): (usize, &Argument)| {
            let type_name = self.column_type(relation, column);
            match argument {
                Argument::Any => format!("NULL::{type_name}"),
                Argument::Constant(value) => typed(value, type_name),
                Argument::Variable(variable) => match self.known.get(variable) {
                    Some(value) => format!("{value}::{type_name}"),
                    None => format!("NULL::{type_name}"),
                },
            }
        };
        row.iter().enumerate().map(of).collect()
    }

    /// Its FROM and WHERE.
    pub(super) fn rest(&self) -> String {
        let mut text = String::new();
        if !self.from.is_empty() {
            text += &format!("\nFROM {}", self.from.join(", "));
        }
        if !self.conditions.is_empty() {
            text += &format!("\nWHERE {}", self.conditions.join(" AND "));
        }
        text
    }

    pub(super) fn exists(&self) -> String {
        format!("EXISTS (SELECT{})", self.rest())
    }

    /// Whether a row of what the clause gives comes only once: what its head says determines all rows that it is made of.
    pub(super) fn is_single(bound: &Bound, clause: &Clause) -> bool {
        Self::determines(bound, clause, variables(&clause.head).collect())
    }

    /// Whether these variables determine all rows that a row is made of.
    pub(super) fn determines(bound: &Bound, clause: &Clause, mut determined: Vec<usize>) -> bool {
        let mut open: Vec<(&RelationId, &Vec<Argument>)> = Vec::new();
        for item in &clause.items {
            if let Item::Row(relation, arguments) = item {
                open.push((relation, arguments));
            }
        }
        loop {
            let before = open.len();
            open.retain(|(relation, arguments)| {
                let key = &bound.program.relation(**relation).key;
                let is_found = key.as_ref().is_some_and(|key| {
                    key.iter().all(|&column| match &arguments[column] {
                        Argument::Any => false,
                        Argument::Constant(_) => true,
                        Argument::Variable(variable) => determined.contains(variable),
                    })
                });
                if is_found {
                    determined.extend(variables(arguments));
                }
                !is_found
            });
            if open.is_empty() {
                return true;
            }
            if open.len() == before {
                return false;
            }
        }
    }
}

pub(super) fn variables(arguments: &[Argument]) -> impl Iterator<Item = usize> {
    arguments.iter().filter_map(|argument| match argument {
        Argument::Variable(variable) => Some(*variable),
        _ => None,
    })
}

/// Two values are the same; only `=` can be looked up in an index.
pub(super) fn same(left: &str, right: &str, may_be_null: bool) -> String {
    if may_be_null {
        format!("{left} IS NOT DISTINCT FROM {right}")
    } else {
        format!("{left} = {right}")
    }
}

/// A condition by which nothing is looked for: on a row that its key finds, say. PostgreSQL would look for the row by it, in an index of
/// many rows alike, or take it for as rare as if the key said nothing: it then plans for a single row, where any plan will do.
pub(super) fn compared(condition: &str) -> String {
    format!("coalesce({condition}, false)")
}

/// The value in the one type to which all types of its sort can be compared.
pub(super) fn comparable(value: &str, sort: &Sort) -> String {
    match sort {
        Sort::Integer | Sort::Numeric => format!("{value}::numeric"),
        Sort::Float => format!("{value}::double precision"),
        Sort::Text => format!("{value}::text"),
        _ => value.to_owned(),
    }
}

/// Types that PostgreSQL compares and does not hash. Values of one of them are equal if their texts are.
const UNHASHED: [&str; 6] = [
    "bit",
    "bit varying",
    "varbit",
    "money",
    "tsvector",
    "tsquery",
];

/// What is equal if, and only if, two values of that sort are the same, and can be hashed. If they may be NULL, an array of the value, for
/// two NULLs in arrays are equal. An array in an array of one would lose whether it is NULL or empty, and might have a dimension too
/// many. Nothing for the types that are arrays in all but name.
pub(super) fn hashable(value: &str, sort: &Sort, may_be_null: bool) -> Option<String> {
    let (name, is_array) = match sort {
        Sort::Opaque(name) => (name.trim_end_matches("[]"), name.ends_with("[]")),
        _ => ("", false),
    };
    if UNHASHED.contains(&name) {
        return Some(format!("ARRAY[{value}::text]"));
    }
    if !may_be_null {
        return Some(value.to_owned());
    }
    if is_array {
        return Some(format!("{value} IS NULL, coalesce({value}, '{{}}')"));
    }
    let is_array_by_itself = matches!(name, "int2vector" | "oidvector");
    (!is_array_by_itself).then(|| format!("ARRAY[{}]", comparable(value, sort)))
}
