//! Which values are worth trying in which column.
//!
//! Columns that are compared with each other form a class. A class tries the constants that it is compared with, their
//! neighbours where order matters, and a few values that nothing speaks about; for a program that only compares, no other value
//! could behave differently.

use std::collections::{BTreeMap, BTreeSet};

use crate::strategy::language::syntax::{BinaryOperator, UnaryOperator};
use crate::strategy::program::{Argument, Body, Expr, Predicate, Program, RelationId, Step};
use crate::strategy::value::{Decimal, Sort, Value};

/// The values to try, for each column of each stored relation.
#[derive(Clone, Debug)]
pub struct Domain(BTreeMap<RelationId, Vec<Vec<Value>>>);

impl Domain {
    /// Finds the values for a program.
    pub fn of(program: &Program) -> Self {
        let mut classes = Classes::default();
        for rule in &program.rules {
            let variables = classes.body(&rule.body);
            classes.row(rule.head, &rule.arguments, &variables);
        }
        for constraint in &program.constraints {
            classes.body(&constraint.body);
        }
        let stored = program.sources().chain([program.view]);
        Self(
            stored
                .map(|relation| (relation, classes.of_relation(program, relation)))
                .collect(),
        )
    }

    /// The values for each column of a relation.
    pub fn columns(&self, relation: RelationId) -> &[Vec<Value>] {
        self.0.get(&relation).map(Vec::as_slice).unwrap_or_default()
    }

    /// The number of different rows of a relation, as far as it can be counted.
    pub fn rows(&self, relation: RelationId) -> usize {
        let sizes = self.columns(relation).iter().map(Vec::len);
        sizes.fold(1, usize::saturating_mul)
    }

    /// The row of a number below [`Self::rows`].
    pub fn row(&self, relation: RelationId, mut number: usize) -> Vec<Value> {
        let digit = |values: &Vec<Value>| {
            let value = values[number % values.len()].clone();
            number /= values.len();
            value
        };
        self.columns(relation).iter().map(digit).collect()
    }
}

/// A column of a predicate.
type Place = (Predicate, usize);

#[derive(Default)]
struct Classes {
    /// Each node points to another one of its class, or to itself.
    parent: Vec<usize>,
    places: BTreeMap<Place, usize>,
    constants: Vec<BTreeSet<Value>>,
    ordered: Vec<bool>,
}

impl Classes {
    fn node(&mut self) -> usize {
        self.parent.push(self.parent.len());
        self.constants.push(BTreeSet::new());
        self.ordered.push(false);
        self.parent.len() - 1
    }

    fn place(&mut self, place: Place) -> usize {
        if let Some(&node) = self.places.get(&place) {
            return node;
        }
        let node = self.node();
        self.places.insert(place, node);
        node
    }

    fn root(&self, mut node: usize) -> usize {
        while self.parent[node] != node {
            node = self.parent[node];
        }
        node
    }

    fn unite(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        if left != right {
            self.parent[right] = left;
            let constants = std::mem::take(&mut self.constants[right]);
            self.constants[left].extend(constants);
            self.ordered[left] |= self.ordered[right];
        }
    }

    fn add(&mut self, node: usize, value: &Value) {
        let root = self.root(node);
        self.constants[root].insert(value.clone());
    }

    /// Takes a body in; says the nodes of its variables.
    fn body(&mut self, body: &Body) -> Vec<usize> {
        let variables: Vec<usize> = body.variables.iter().map(|_| self.node()).collect();
        let sort = |variable: usize| &body.variables[variable].sort;
        for step in &body.steps {
            match step {
                Step::Match(predicate, arguments) | Step::Absent(predicate, arguments) => {
                    self.row(*predicate, arguments, &variables);
                }
                Step::Define(variable, expr) => {
                    for value in expr.constants() {
                        self.add(variables[*variable], value);
                    }
                    for other in expr.variables() {
                        if sort(other) == sort(*variable) {
                            self.unite(variables[*variable], variables[other]);
                        }
                    }
                }
                Step::Test(condition) => self.condition(condition, &variables, body),
            }
        }
        variables
    }

    fn row(&mut self, predicate: Predicate, arguments: &[Argument], variables: &[usize]) {
        for (column, argument) in arguments.iter().enumerate() {
            let place = self.place((predicate, column));
            match argument {
                Argument::Any => {}
                Argument::Constant(value) => self.add(place, value),
                Argument::Variable(variable) => self.unite(place, variables[*variable]),
            }
        }
        // What is inserted and deleted are rows of the same base table.
        if let Predicate::Insert(relation) | Predicate::Delete(relation) = predicate {
            for column in 0..arguments.len() {
                let (left, right) = (
                    self.place((predicate, column)),
                    self.place((Predicate::Rows(relation), column)),
                );
                self.unite(left, right);
            }
        }
    }

    fn condition(&mut self, condition: &Expr, nodes: &[usize], body: &Body) {
        match condition {
            Expr::Binary(BinaryOperator::And | BinaryOperator::Or, left, right) => {
                self.condition(left, nodes, body);
                self.condition(right, nodes, body);
            }
            Expr::Unary(UnaryOperator::Not | UnaryOperator::IsTrue, inner) => {
                self.condition(inner, nodes, body);
            }
            _ => {
                use BinaryOperator::{Greater, GreaterOrEqual, Less, LessOrEqual};
                let variables = condition.variables();
                for &variable in &variables {
                    let root = self.root(nodes[variable]);
                    if let Expr::Binary(Less | LessOrEqual | Greater | GreaterOrEqual, ..) =
                        condition
                    {
                        self.ordered[root] = true;
                    }
                    for value in condition.constants() {
                        self.add(nodes[variable], value);
                    }
                    let first = variables[0];
                    if body.variables[first].sort == body.variables[variable].sort {
                        self.unite(nodes[first], nodes[variable]);
                    }
                }
            }
        }
    }

    fn of_relation(&mut self, program: &Program, relation: RelationId) -> Vec<Vec<Value>> {
        let columns = program.relation(relation).columns.iter().enumerate();
        columns
            .map(|(position, column)| {
                let root = self.place((Predicate::Rows(relation), position));
                let root = self.root(root);
                let mut values = values(&column.sort, &self.constants[root], self.ordered[root]);
                if column.nullable {
                    values.push(Value::Null);
                }
                values
            })
            .collect()
    }
}

/// Fresh values first, which are the simplest to read, then constants and their neighbours.
fn values(sort: &Sort, constants: &BTreeSet<Value>, is_ordered: bool) -> Vec<Value> {
    if *sort == Sort::Boolean {
        return vec![Value::Boolean(true), Value::Boolean(false)];
    }
    let mut known: Vec<Value> = constants
        .iter()
        .filter_map(|value| converted(value, sort))
        .collect();
    if is_ordered {
        let neighbours: Vec<Value> = known.iter().flat_map(neighbours).collect();
        known.extend(neighbours);
    }
    let mut values: Vec<Value> = fresh(sort)
        .filter(|value| !known.contains(value))
        .take(if is_ordered { 3 } else { 2 })
        .collect();
    for value in known {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// A constant as a value of the column's sort; one of another sort was not compared with this column itself.
fn converted(value: &Value, sort: &Sort) -> Option<Value> {
    match (value, sort) {
        (Value::Integer(_), Sort::Integer)
        | (Value::Numeric(_), Sort::Numeric | Sort::Float)
        | (Value::Date(_), Sort::Date)
        | (Value::Timestamp(_), Sort::Timestamp)
        | (Value::Opaque(_), Sort::Opaque(_)) => Some(value.clone()),
        // A pattern, too, is worth trying without its wildcards.
        (Value::Text(text), Sort::Text) => Some(Value::Text(text.replace(['%', '\\'], "").into())),
        (Value::Integer(number), Sort::Numeric | Sort::Float) => {
            Some(Value::Numeric(Decimal::whole(*number)))
        }
        (Value::Numeric(number), Sort::Integer) => number.as_whole().map(Value::Integer),
        _ => None,
    }
}

fn neighbours(value: &Value) -> Vec<Value> {
    let one = Decimal::whole(1);
    match value {
        Value::Integer(number) => vec![Value::Integer(number - 1), Value::Integer(number + 1)],
        Value::Numeric(number) => {
            let lower = one.negated().and_then(|one| number.plus(one));
            lower
                .into_iter()
                .chain(number.plus(one))
                .map(Value::Numeric)
                .collect()
        }
        Value::Date(day) => vec![Value::Date(day - 1), Value::Date(day + 1)],
        Value::Timestamp(at) => vec![
            Value::Timestamp(at - 1_000_000),
            Value::Timestamp(at + 1_000_000),
        ],
        _ => Vec::new(),
    }
}

/// A value of a type that is only copied and compared, as far as it is known how its values look.
fn of_type(name: &str, number: u8, letter: &str) -> String {
    match name {
        "uuid" => format!("00000000-0000-0000-0000-{number:012x}"),
        "json" | "jsonb" => format!("{{\"{letter}\": {number}}}"),
        "timestamptz" | "timestamp with time zone" => {
            format!("2024-01-{:02} 12:00:00+00", 1 + number % 28)
        }
        "time" | "time without time zone" => format!("12:00:{:02}", number % 60),
        "interval" if number == 1 => "1 day".to_owned(),
        "interval" => format!("{number} days"),
        "int4range" | "int8range" => format!("[{number},{})", number + 1),
        "bytea" => format!("\\x{number:02x}"),
        "inet" | "cidr" => format!("10.0.0.{number}"),
        array if array.ends_with("[]") => match Sort::of_type(array.trim_end_matches("[]")) {
            Sort::Text => format!("{{{letter}}}"),
            _ => format!("{{{number}}}"),
        },
        _ => letter.to_owned(),
    }
}

/// Values that no program is likely to speak about.
fn fresh(sort: &Sort) -> impl Iterator<Item = Value> + use<> {
    let sort = sort.clone();
    (1..100_u8).map(move |number| {
        let letter = || char::from(b'a' + (number - 1) % 26).to_string();
        let day = 19_722 + i64::from(number);
        match sort {
            Sort::Integer | Sort::Boolean => Value::Integer(number.into()),
            Sort::Numeric | Sort::Float => Value::Numeric(Decimal::whole(number.into())),
            Sort::Text => Value::Text(letter().into()),
            Sort::Opaque(ref name) => Value::Opaque(of_type(name, number, &letter()).into()),
            Sort::Date => Value::Date(day),
            Sort::Timestamp => Value::Timestamp(day * 86_400_000_000),
        }
    })
}
