//! Random states and changes of a program, the same for the same seed.

use super::case::broken_source;
use super::domain::Domain;
use super::random::Random;
use crate::strategy::evaluate::{Database, Row, Rows};
use crate::strategy::program::{Program, RelationId};

/// Rows of a base table in a random state, at most.
const ROWS_MAX: usize = 3;

/// Makes states and changes of one program out of the values that matter to it.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    program: &'a Program,
    domain: Domain,
    /// Where the choices come from.
    pub random: Random,
}

impl<'a> Sample<'a> {
    /// Starts at a seed.
    pub fn new(program: &'a Program, seed: u64) -> Self {
        Self {
            program,
            domain: Domain::of(program),
            random: Random::new(seed),
        }
    }

    /// Base tables that keep their constraints.
    pub fn database(&mut self) -> Database {
        let mut database = Database::default();
        let sources: Vec<RelationId> = self.program.sources().collect();
        for source in sources {
            for _ in 0..self.random.below(ROWS_MAX + 1) {
                let row = self.row(source);
                database.0.entry(source).or_default().insert(row);
            }
        }
        self.mend(&mut database);
        database
    }

    /// A row that a relation could have.
    pub fn row(&mut self, relation: RelationId) -> Row {
        let columns = self.domain.columns(relation);
        columns
            .iter()
            .map(|values| self.random.of(values).clone())
            .collect()
    }

    /// The row with another value in one column, or the same.
    pub fn changed(&mut self, relation: RelationId, mut row: Row) -> Row {
        let column = self.random.below(row.len());
        row[column] = self
            .random
            .of(&self.domain.columns(relation)[column])
            .clone();
        row
    }

    /// A Dejima table as somebody could want it, who sees these rows.
    pub fn wanted(&mut self, shown: &Rows) -> Rows {
        let mut wanted = shown.clone();
        for _ in 0..=self.random.below(3) {
            self.change(&mut wanted);
        }
        wanted
    }

    /// Takes rows out until no constraint of the base tables is broken.
    fn mend(&mut self, database: &mut Database) {
        while let Ok(Some(rows)) = broken_source(self.program, database) {
            if rows.is_empty() {
                return;
            }
            let (relation, row) = self.random.of(&rows).clone();
            database.0.entry(relation).or_default().remove(&row);
        }
    }

    /// Deletes, inserts, or changes one value.
    fn change(&mut self, wanted: &mut Rows) {
        let view = self.program.view;
        // Two strategies that are checked together have a Dejima table without columns, of which nobody wants anything.
        if self.domain.columns(view).is_empty() {
            return;
        }
        let rows: Vec<Row> = wanted.iter().cloned().collect();
        let kind = self.random.below(4);
        if rows.is_empty() || kind == 0 {
            let row = self.row(view);
            wanted.insert(row);
            return;
        }
        let row = self.random.of(&rows).clone();
        if kind == 1 {
            wanted.remove(&row);
            return;
        }
        // Two rows alike but for one value are what keys are about.
        if kind == 2 {
            wanted.remove(&row);
        }
        let changed = self.changed(view, row);
        wanted.insert(changed);
    }
}
