//! Counterexamples by trying: all small cases first, so that what is found is smallest; then random ones.
//!
//! The size of a case is the number of rows in the base tables plus the number of rows by which the wanted Dejima table
//! differs from what it shows.

use std::collections::{BTreeMap, BTreeSet};

use super::Obligation;
use super::case::{Case, State};
use super::domain::Domain;
use super::sample::Sample;
use super::shrink::shrunk;
use crate::strategy::evaluate::{Database, Row, Rows};
use crate::strategy::program::{Program, RelationId};

/// How much to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Seed of what is random.
    pub seed: u64,
    /// A size is tried exhaustively if it has at most so many cases.
    pub cases_a_size_max: usize,
    /// Random databases to try afterwards, each with several changes.
    pub random_databases: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            seed: 1,
            cases_a_size_max: 20_000,
            random_databases: 3_000,
        }
    }
}

/// The largest size that is tried exhaustively.
const SIZE_MAX: usize = 4;
/// Changes tried on each random database.
const CHANGES: usize = 4;

/// What trying has found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The smallest case found against each obligation.
    pub against: BTreeMap<Obligation, Case>,
    /// A wanted Dejima table that has a row and that the constraints accept.
    pub accepted: Option<Case>,
    /// Databases tried.
    pub databases: usize,
    /// All cases up to this size were tried.
    pub exhausted_size: Option<usize>,
}

/// Tries to refute the obligations that are open.
pub fn search(program: &Program, open: &BTreeSet<Obligation>, effort: Effort) -> Found {
    let mut search = Search {
        program,
        domain: Domain::of(program),
        open: open.clone(),
        sample: Sample::new(program, effort.seed),
        found: Found::default(),
    };
    for size in 0..=SIZE_MAX {
        if search.is_done() {
            return search.found;
        }
        if search.cases(size) > effort.cases_a_size_max {
            break;
        }
        search.all_of(size);
        search.found.exhausted_size = Some(size);
    }
    for _ in 0..effort.random_databases {
        if search.is_done() {
            break;
        }
        search.any();
    }
    search.found
}

struct Search<'a> {
    program: &'a Program,
    domain: Domain,
    sample: Sample<'a>,
    open: BTreeSet<Obligation>,
    found: Found,
}

impl Search<'_> {
    fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// How many cases of a size there are, at most.
    fn cases(&self, size: usize) -> usize {
        let possible: usize = self
            .sources()
            .map(|source| self.domain.rows(source))
            .fold(0, usize::saturating_add);
        let view = self.domain.rows(self.program.view);
        let of_split =
            |rows: usize| choices(possible, rows).saturating_mul(choices(view, size - rows));
        (0..=size).map(of_split).fold(0, usize::saturating_add)
    }

    fn sources(&self) -> impl Iterator<Item = RelationId> + use<'_> {
        self.program.sources()
    }

    /// Tries all cases of a size, those with the fewest rows in base tables first.
    fn all_of(&mut self, size: usize) {
        for rows in 0..=size {
            let all: Vec<(RelationId, usize)> = self
                .sources()
                .flat_map(|source| {
                    (0..self.domain.rows(source)).map(move |number| (source, number))
                })
                .collect();
            let mut chosen = Vec::new();
            self.databases(&all, 0, rows, &mut chosen, size - rows);
        }
    }

    fn databases(
        &mut self,
        all: &[(RelationId, usize)],
        from: usize,
        rows: usize,
        chosen: &mut Vec<(RelationId, usize)>,
        changes: usize,
    ) {
        if self.is_done() {
            return;
        }
        if rows == 0 {
            let mut database = Database::default();
            for &(source, number) in &*chosen {
                database
                    .0
                    .entry(source)
                    .or_default()
                    .insert(self.domain.row(source, number));
            }
            return self.with_all_changes(&database, changes);
        }
        for at in from..all.len() {
            chosen.push(all[at]);
            self.databases(all, at + 1, rows - 1, chosen, changes);
            chosen.pop();
        }
    }

    fn with_all_changes(&mut self, database: &Database, changes: usize) {
        let program = self.program;
        let Some(state) = State::new(program, database) else {
            return;
        };
        self.found.databases += 1;
        if changes == 0 {
            self.steady(&state);
            return self.put(&state, &state.shown);
        }
        let view = program.view;
        let all: Vec<Row> = (0..self.domain.rows(view))
            .map(|number| self.domain.row(view, number))
            .collect();
        let shown = state.shown.iter().filter(|row| !all.contains(row)).cloned();
        let all: Vec<Row> = shown.chain(all.iter().cloned()).collect();
        self.changes(&state, &all, 0, changes, &mut state.shown.clone());
    }

    fn changes(
        &mut self,
        state: &State<'_>,
        all: &[Row],
        from: usize,
        changes: usize,
        wanted: &mut Rows,
    ) {
        if changes == 0 {
            return self.put(state, wanted);
        }
        for at in from..all.len() {
            toggle(wanted, &all[at]);
            self.changes(state, all, at + 1, changes - 1, wanted);
            toggle(wanted, &all[at]);
        }
    }

    /// Tries a random database that keeps the constraints, and some random changes.
    fn any(&mut self) {
        let database = self.sample.database();
        let Some(state) = State::new(self.program, &database) else {
            return;
        };
        self.found.databases += 1;
        self.steady(&state);
        for _ in 0..CHANGES {
            let wanted = self.sample.wanted(&state.shown);
            self.put(&state, &wanted);
        }
    }

    fn steady(&mut self, state: &State<'_>) {
        if let Ok(failed) = state.unsteady() {
            self.note(state, &state.shown.clone(), failed);
        }
    }

    fn put(&mut self, state: &State<'_>, wanted: &Rows) {
        if let Ok(Some(failed)) = state.unput(wanted) {
            if !wanted.is_empty() && self.open.remove(&Obligation::Fulfillable) {
                self.found.accepted = Some(case(state, wanted));
            }
            self.note(state, wanted, failed);
        }
    }

    fn note(&mut self, state: &State<'_>, wanted: &Rows, failed: Vec<Obligation>) {
        for obligation in failed {
            if self.open.remove(&obligation) {
                let case = shrunk(self.program, &self.domain, case(state, wanted), obligation);
                self.found.against.insert(obligation, case);
            }
        }
    }
}

fn case(state: &State<'_>, wanted: &Rows) -> Case {
    Case {
        before: state.before.clone(),
        wanted: wanted.clone(),
    }
}

fn toggle(rows: &mut Rows, row: &Row) {
    if !rows.remove(row) {
        rows.insert(row.clone());
    }
}

/// In how many ways `taken` of `all` can be chosen.
fn choices(all: usize, taken: usize) -> usize {
    let step =
        |ways: usize, number: usize| ways.saturating_mul(all.saturating_sub(number)) / (number + 1);
    (0..taken).fold(1, step)
}
