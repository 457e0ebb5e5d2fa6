//! One state of the base tables and one change of the Dejima table, and what does not hold there.

use crate::strategy::check::Obligation;
use crate::strategy::evaluate::{Change, Database, Evaluation, Failure, Row, Rows, get};
use crate::strategy::program::{Program, RelationId, Scope};

/// Base tables before, and the rows that the Dejima table is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The base tables.
    pub before: Database,
    /// The Dejima table as it is wanted.
    pub wanted: Rows,
}

/// A state of the base tables that keeps their constraints, and what it shows.
pub(super) struct State<'a> {
    program: &'a Program,
    pub(super) before: &'a Database,
    pub(super) shown: Rows,
}

/// The rows by which a constraint is broken, if it is.
type Broken = Option<Vec<(RelationId, Row)>>;

impl<'a> State<'a> {
    /// The state, if its constraints hold and nothing in it fails.
    pub(super) fn new(program: &'a Program, before: &'a Database) -> Option<Self> {
        if !is_typed(program, before) || broken_source(program, before).ok()?.is_some() {
            return None;
        }
        let shown = get(program, before).ok()?;
        Some(Self {
            program,
            before,
            shown,
        })
    }

    /// What does not hold although nothing changes.
    pub(super) fn unsteady(&self) -> Result<Vec<Obligation>, Failure> {
        let program = self.program;
        let mut failed = Vec::new();
        let columns = program.view().columns.iter().enumerate();
        for (position, _) in columns.filter(|(_, column)| !column.nullable) {
            if self.shown.iter().any(|row| row[position].is_null()) {
                failed.push(Obligation::ShownNotNull(position));
            }
        }
        let evaluation = Evaluation::of(program, self.before, &self.shown)?;
        for (position, constraint) in program.constraints.iter().enumerate() {
            if constraint.scope == Scope::View && evaluation.witness(&constraint.body)?.is_some() {
                failed.push(Obligation::Shown(position));
            }
        }
        if evaluation.change().applied_to(self.before) != *self.before {
            failed.push(Obligation::GetPut);
        }
        Ok(failed)
    }

    /// What does not hold when the Dejima table is to have these rows; `None` if its constraints refuse them.
    pub(super) fn unput(&self, wanted: &Rows) -> Result<Option<Vec<Obligation>>, Failure> {
        let program = self.program;
        let Some(change) = accepted(program, self.before, wanted)? else {
            return Ok(None);
        };
        // The database refuses such a change, whatever else it would do.
        let nulls = nulls(program, &change);
        if !nulls.is_empty() {
            return Ok(Some(nulls));
        }
        let mut failed = clashes(&change);
        let after = change.applied_to(self.before);
        let after_evaluation = Evaluation::of(program, &after, &Rows::new())?;
        for (position, constraint) in program.constraints.iter().enumerate() {
            if constraint.scope == Scope::Sources
                && after_evaluation.witness(&constraint.body)?.is_some()
            {
                failed.push(Obligation::Kept(position));
            }
        }
        if get(program, &after)? != *wanted {
            failed.push(Obligation::PutGet);
        }
        Ok(Some(failed))
    }
}

/// What put writes so that the Dejima table shows the wanted rows; nothing if its constraints refuse them.
fn accepted(
    program: &Program,
    before: &Database,
    wanted: &Rows,
) -> Result<Option<Change>, Failure> {
    let evaluation = Evaluation::of(program, before, wanted)?;
    for constraint in &program.constraints {
        if constraint.scope == Scope::View && evaluation.witness(&constraint.body)?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(evaluation.change()))
}

impl Case {
    /// What put writes here; nothing if the constraints of the Dejima table refuse what is wanted.
    pub fn accepted(&self, program: &Program) -> Result<Option<Change>, Failure> {
        accepted(program, &self.before, &self.wanted)
    }

    /// Whether its base tables keep their constraints.
    pub fn is_possible(&self, program: &Program) -> bool {
        State::new(program, &self.before).is_some()
    }

    /// Whether the obligation does not hold here.
    pub fn refutes(&self, program: &Program, obligation: Obligation) -> bool {
        let Some(state) = State::new(program, &self.before) else {
            return false;
        };
        let is_steady = matches!(
            obligation,
            Obligation::GetPut | Obligation::Shown(_) | Obligation::ShownNotNull(_)
        );
        let failed = if is_steady {
            if self.wanted != state.shown {
                return false;
            }
            state.unsteady()
        } else {
            state.unput(&self.wanted).map(Option::unwrap_or_default)
        };
        failed.is_ok_and(|failed| failed.contains(&obligation))
    }

    /// What put writes here.
    pub fn change(&self, program: &Program) -> Result<Change, Failure> {
        Ok(Evaluation::of(program, &self.before, &self.wanted)?.change())
    }

    /// The rows of the base tables after the change, or of the Dejima table as shown, by which a constraint is broken.
    pub fn broken_by(&self, program: &Program, position: usize) -> Result<Broken, Failure> {
        let constraint = &program.constraints[position];
        match constraint.scope {
            Scope::Sources => {
                let after = self.change(program)?.applied_to(&self.before);
                Evaluation::of(program, &after, &Rows::new())?.witness(&constraint.body)
            }
            Scope::View => {
                let shown = get(program, &self.before)?;
                Evaluation::of(program, &self.before, &shown)?.witness(&constraint.body)
            }
        }
    }
}

/// The first constraint of the base tables that is broken: the rows.
pub(super) fn broken_source(program: &Program, database: &Database) -> Result<Broken, Failure> {
    let evaluation = Evaluation::of(program, database, &Rows::new())?;
    for constraint in &program.constraints {
        if constraint.scope == Scope::Sources
            && let Some(rows) = evaluation.witness(&constraint.body)?
        {
            return Ok(Some(rows));
        }
    }
    Ok(None)
}

/// Whether NULL stands only where it may.
fn is_typed(program: &Program, database: &Database) -> bool {
    database.0.iter().all(|(&relation, rows)| {
        let columns = &program.relation(relation).columns;
        let fits = |row: &Row| {
            row.iter()
                .zip(columns)
                .all(|(value, column)| column.nullable || !value.is_null())
        };
        rows.iter().all(fits)
    })
}

/// Base tables of which a row is inserted and deleted at once.
fn clashes(change: &Change) -> Vec<Obligation> {
    let none = Rows::new();
    let inserted = |relation| change.inserted.get(relation).unwrap_or(&none);
    let clashing = change
        .deleted
        .iter()
        .filter(|(relation, rows)| !rows.is_disjoint(inserted(relation)));
    clashing
        .map(|(&relation, _)| Obligation::Disjoint(relation))
        .collect()
}

/// Columns that refuse the NULL that is written into them.
fn nulls(program: &Program, change: &Change) -> Vec<Obligation> {
    let mut failed = Vec::new();
    for (&relation, rows) in &change.inserted {
        for (position, column) in program.relation(relation).columns.iter().enumerate() {
            if !column.nullable && rows.iter().any(|row| row[position].is_null()) {
                failed.push(Obligation::NotNull(relation, position));
            }
        }
    }
    failed
}
