//! The keys under which the Dejima table can have changed, found from the base rows that did.

use std::collections::BTreeSet;

use super::Size;
use super::before::{Ever, net};
use super::expression::{condition, expression};
use super::get::{get_clauses, key_columns};
use super::occurrence::{Atom, ways};
use super::select::{Names, Select, Tables, Taken, variables};
use super::unfold::{Clause, Item};
use crate::strategy::bound::Bound;
use crate::strategy::program::{Argument, Expr, VariableId};

/// A clause seen from one of its atoms that changed.
#[derive(Clone)]
pub(super) struct Seen<'a> {
    clause: &'a Clause,
    atoms: &'a [Atom],
    pub(super) select: Select<'a>,
}

impl<'a> Seen<'a> {
    pub(super) fn from(
        bound: &'a Bound,
        clause: &'a Clause,
        atoms: &'a [Atom],
        changed: &Atom,
        names: &mut Names,
    ) -> Self {
        Self::of(bound, clause, atoms, changed, &net(changed.relation), names)
    }

    /// From these rows of the changed one.
    pub(super) fn of(
        bound: &'a Bound,
        clause: &'a Clause,
        atoms: &'a [Atom],
        changed: &Atom,
        rows: &str,
        names: &mut Names,
    ) -> Self {
        let mut select = Select::new(bound, &clause.variables);
        select.row(changed.relation, &changed.arguments, rows, names);
        Self {
            clause,
            atoms,
            select,
        }
    }

    /// Joined to these atoms: once for each way to take their rows from the parts of their relations.
    pub(super) fn along(
        self,
        numbers: impl IntoIterator<Item = usize>,
        tables: &dyn Tables,
        names: &mut Names,
    ) -> Vec<Self> {
        let mut all = vec![self];
        for number in numbers {
            let before = std::mem::take(&mut all);
            for seen in before {
                all.extend(seen.joined(number, tables, names));
            }
        }
        all
    }

    fn joined(&self, number: usize, tables: &dyn Tables, names: &mut Names) -> Vec<Self> {
        let atom = &self.atoms[number];
        let parts = tables.parts(atom.relation, &[], false, names);
        let mut with = |part: &Taken| {
            let mut seen = self.clone();
            match part {
                Taken::Rows(rows) => {
                    let select = &mut seen.select;
                    select.row(atom.relation, &atom.arguments, rows, names);
                }
                Taken::If(condition) => seen.select.conditions.push(condition.clone()),
            }
            seen
        };
        parts.iter().map(&mut with).collect()
    }

    /// Takes in the equations and conditions of the clause whose variables are known.
    fn compute(&mut self) {
        for item in &self.clause.items {
            match item {
                Item::Define(variable, expr) if self.knows(expr) => {
                    let value = expression(expr, self.select.variables, &self.select.known);
                    self.select.known.entry(*variable).or_insert(value);
                }
                Item::Test(test) if self.knows(test) => {
                    let test = condition(test, self.select.variables, &self.select.known);
                    self.select.conditions.push(test);
                }
                _ => {}
            }
        }
    }

    fn knows(&self, expr: &Expr) -> bool {
        expr.variables()
            .iter()
            .all(|variable| self.select.known.contains_key(variable))
    }
}

/// The keys under which the Dejima table can have changed.
pub(super) fn keys(bound: &Bound, size: Size) -> String {
    let view = bound.program.view;
    let names = &mut Names::default();
    let columns = key_columns(bound);
    let mut selects = Vec::new();
    for clause in &get_clauses(bound) {
        let atoms = Atom::all(clause);
        for changed in &atoms {
            let seen = Seen::from(bound, clause, &atoms, changed, names);
            let joined = needed(&atoms, changed, &key_variables(bound, clause));
            for mut seen in seen.along(joined, &Ever(bound, size), names) {
                seen.compute();
                let values = seen.select.values(view, &clause.head);
                let values: Vec<_> = bound
                    .key()
                    .into_iter()
                    .zip(&columns)
                    .map(|(at, name)| format!("{} AS {name}", values[at]))
                    .collect();
                selects.push(format!(
                    "SELECT {}{}",
                    values.join(", "),
                    seen.select.rest()
                ));
            }
        }
    }
    format!(
        "SELECT DISTINCT * FROM ({}) AS k",
        selects.join("\nUNION ALL\n")
    )
}

/// The variables that the key of a row is made of.
fn key_variables(bound: &Bound, clause: &Clause) -> BTreeSet<VariableId> {
    let key: Vec<Argument> = bound
        .key()
        .into_iter()
        .map(|at| clause.head[at].clone())
        .collect();
    let mut needed: BTreeSet<VariableId> = variables(&key).collect();
    // An equation needs what it is made of.
    for item in clause.items.iter().rev() {
        if let Item::Define(variable, expr) = item
            && needed.contains(variable)
        {
            needed.extend(expr.variables());
        }
    }
    needed
}

/// The atoms to join to a changed one so that these variables are known.
fn needed(atoms: &[Atom], changed: &Atom, wanted: &BTreeSet<VariableId>) -> Vec<usize> {
    let ways = ways(atoms, changed.number);
    let mut joined: Vec<usize> = Vec::new();
    let mut known = changed.variables();
    for variable in wanted {
        if known.contains(variable) {
            continue;
        }
        let leads = |way: &&Vec<usize>| {
            way.last()
                .is_some_and(|&last| atoms[last].variables().contains(variable))
        };
        // What hangs together with nothing that changed may be any row.
        let any = atoms
            .iter()
            .find(|atom| atom.depth == 0 && atom.variables().contains(variable));
        let way = match (ways.iter().find(leads), any) {
            (Some(way), _) => way.clone(),
            (None, Some(atom)) => vec![atom.number],
            (None, None) => continue,
        };
        for number in way {
            if number != changed.number && !joined.contains(&number) {
                joined.push(number);
                known.extend(atoms[number].variables());
            }
        }
    }
    joined
}
