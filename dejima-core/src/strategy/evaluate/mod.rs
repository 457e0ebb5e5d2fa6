//! Programs carried out over databases in memory: what PostgreSQL would do, row by row, for a few rows.
//!
//! This is the meaning of a program. What the solver proves is compared with it, and every counterexample is confirmed by it.

mod expression;
mod like;

use std::collections::{BTreeMap, BTreeSet};

use crate::strategy::program::{Argument, Body, Predicate, Program, RelationId, Role, Rule, Step};
use crate::strategy::value::Value;

pub use expression::{Failure, value};

/// The values of a row, in column order.
pub type Row = Vec<Value>;
/// A set of rows.
pub type Rows = BTreeSet<Row>;

/// The rows of the base tables; a relation that is not in it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Database(pub BTreeMap<RelationId, Rows>);

static NONE: Rows = Rows::new();

impl Database {
    /// The rows of a base table.
    pub fn rows(&self, relation: RelationId) -> &Rows {
        self.0.get(&relation).unwrap_or(&NONE)
    }

    /// The number of rows in all.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What put writes into base tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Rows to delete.
    pub deleted: BTreeMap<RelationId, Rows>,
    /// Rows to insert, after that.
    pub inserted: BTreeMap<RelationId, Rows>,
}

impl Change {
    /// The base tables after the change.
    pub fn applied_to(&self, database: &Database) -> Database {
        let mut after = database.clone();
        for (relation, rows) in &self.deleted {
            after
                .0
                .entry(*relation)
                .or_default()
                .retain(|row| !rows.contains(row));
        }
        for (relation, rows) in &self.inserted {
            after
                .0
                .entry(*relation)
                .or_default()
                .extend(rows.iter().cloned());
        }
        after
    }
}

/// All that follows from a state of the base tables and a wanted state of the Dejima table.
#[derive(Clone, Debug)]
pub struct Evaluation<'a> {
    program: &'a Program,
    tables: BTreeMap<Predicate, Rows>,
}

/// The rows that the Dejima table shows.
pub fn get(program: &Program, database: &Database) -> Result<Rows, Failure> {
    let mut evaluation = Evaluation::start(program, database);
    let view = Predicate::Rows(program.view);
    let mut shown = Rows::new();
    for rule in &program.rules {
        match rule.head {
            head if head == view => evaluation.add(rule, &mut shown)?,
            Predicate::Rows(_) => evaluation.define(rule)?,
            Predicate::Insert(_) | Predicate::Delete(_) => {}
        }
    }
    Ok(shown)
}

/// What put writes so that the Dejima table shows the wanted rows.
pub fn put(program: &Program, database: &Database, wanted: &Rows) -> Result<Change, Failure> {
    Ok(Evaluation::of(program, database, wanted)?.change())
}

impl<'a> Evaluation<'a> {
    /// Works off all rules but those of the Dejima table itself.
    pub fn of(program: &'a Program, database: &Database, wanted: &Rows) -> Result<Self, Failure> {
        let mut evaluation = Self::start(program, database);
        let view = Predicate::Rows(program.view);
        evaluation.tables.insert(view, wanted.clone());
        for rule in program.rules.iter().filter(|rule| rule.head != view) {
            evaluation.define(rule)?;
        }
        Ok(evaluation)
    }

    fn start(program: &'a Program, database: &Database) -> Self {
        let rows = database.0.iter();
        let tables = rows.map(|(&relation, rows)| (Predicate::Rows(relation), rows.clone()));
        Self {
            program,
            tables: tables.collect(),
        }
    }

    fn define(&mut self, rule: &Rule) -> Result<(), Failure> {
        let mut rows = self.tables.remove(&rule.head).unwrap_or_default();
        let added = self.add(rule, &mut rows);
        self.tables.insert(rule.head, rows);
        added
    }

    fn add(&self, rule: &Rule, rows: &mut Rows) -> Result<(), Failure> {
        self.each(&rule.body, &mut |bindings| {
            let of_argument = |argument: &Argument| match argument {
                Argument::Constant(value) => value.clone(),
                Argument::Variable(variable) => bindings[*variable].clone().unwrap_or(Value::Null),
                Argument::Any => Value::Null,
            };
            rows.insert(rule.arguments.iter().map(of_argument).collect());
            Search::On
        })?;
        Ok(())
    }

    /// The rows of a predicate.
    pub fn rows(&self, predicate: Predicate) -> &Rows {
        self.tables.get(&predicate).unwrap_or(&NONE)
    }

    /// The rows that one rule gives.
    pub fn rows_by(&self, rule: &Rule) -> Result<Rows, Failure> {
        let mut rows = Rows::new();
        self.add(rule, &mut rows)?;
        Ok(rows)
    }

    /// What put writes.
    pub fn change(&self) -> Change {
        let of = |predicate: fn(RelationId) -> Predicate| {
            let sources = self.program.sources();
            let rows = sources.map(|source| (source, self.rows(predicate(source)).clone()));
            rows.filter(|(_, rows)| !rows.is_empty()).collect()
        };
        Change {
            deleted: of(Predicate::Delete),
            inserted: of(Predicate::Insert),
        }
    }

    /// The stored rows by which a body holds, if it does.
    pub fn witness(&self, body: &Body) -> Result<Option<Vec<(RelationId, Row)>>, Failure> {
        let mut found = None;
        self.each(body, &mut |bindings| {
            found = Some(self.matched(body, bindings));
            Search::End
        })?;
        Ok(found)
    }

    /// Rows of base tables and of the Dejima table that bindings have matched.
    fn matched(&self, body: &Body, bindings: &Bindings) -> Vec<(RelationId, Row)> {
        let mut matched = Vec::new();
        for step in &body.steps {
            if let Step::Match(Predicate::Rows(relation), arguments) = step
                && self.program.relation(*relation).role != Role::Helper
            {
                let rows = self.rows(Predicate::Rows(*relation)).iter();
                let row = rows.into_iter().find(|row| fits(arguments, row, bindings));
                matched.extend(row.map(|row| (*relation, row.clone())));
            }
        }
        matched
    }

    /// Every way to make a body hold.
    fn each(
        &self,
        body: &Body,
        found: &mut dyn FnMut(&Bindings) -> Search,
    ) -> Result<Search, Failure> {
        let mut bindings = vec![None; body.variables.len()];
        self.from(&body.steps, &mut bindings, found)
    }

    fn from(
        &self,
        steps: &[Step],
        bindings: &mut Bindings,
        found: &mut dyn FnMut(&Bindings) -> Search,
    ) -> Result<Search, Failure> {
        let Some((step, rest)) = steps.split_first() else {
            return Ok(found(bindings));
        };
        match step {
            Step::Match(predicate, arguments) => {
                for row in self.rows(*predicate) {
                    let before = bindings.clone();
                    if bind(arguments, row, bindings)
                        && self.from(rest, bindings, found)? == Search::End
                    {
                        return Ok(Search::End);
                    }
                    *bindings = before;
                }
                Ok(Search::On)
            }
            Step::Absent(predicate, arguments) => {
                let mut rows = self.rows(*predicate).iter();
                if rows.any(|row| fits(arguments, row, bindings)) {
                    return Ok(Search::On);
                }
                self.from(rest, bindings, found)
            }
            Step::Define(variable, expr) => {
                bindings[*variable] = Some(value(expr, bindings)?);
                self.from(rest, bindings, found)
            }
            Step::Test(condition) => {
                if !value(condition, bindings)?.is_true() {
                    return Ok(Search::On);
                }
                self.from(rest, bindings, found)
            }
        }
    }
}

/// The values of variables, as far as they have one.
pub type Bindings = Vec<Option<Value>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    On,
    End,
}

/// Whether a row is the one meant; NULL is the same as NULL here.
fn fits(arguments: &[Argument], row: &Row, bindings: &Bindings) -> bool {
    arguments
        .iter()
        .zip(row)
        .all(|(argument, value)| match argument {
            Argument::Any => true,
            Argument::Constant(constant) => constant == value,
            Argument::Variable(variable) => bindings[*variable].as_ref() == Some(value),
        })
}

/// Takes a row's values for the variables that have none, if the row fits.
fn bind(arguments: &[Argument], row: &Row, bindings: &mut Bindings) -> bool {
    arguments
        .iter()
        .zip(row)
        .all(|(argument, value)| match argument {
            Argument::Any => true,
            Argument::Constant(constant) => constant == value,
            Argument::Variable(variable) => match &bindings[*variable] {
                Some(bound) => bound == value,
                None => {
                    bindings[*variable] = Some(value.clone());
                    true
                }
            },
        })
}

#[cfg(test)]
mod tests;
