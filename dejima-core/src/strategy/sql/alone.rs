//! Changes of one base table alone, which most transactions are. If each row of the Dejima table hangs on one row of that table at
//! most, what changed is what the rules make of the rows that went, and of those that came, beside the other base tables as they are:
//! nothing else needs to be looked at. What does not change which rows are joined or shown needs no lock either, if nobody else can
//! change that without a change of the same row: whoever changes another column beside it at the same time says so under the same key.

use std::collections::BTreeSet;

use super::before::net;
use super::get::{Now, get_clauses, logged_columns, source_columns};
use super::occurrence::Atom;
use super::select::{Names, Select, variables};
use super::unfold::{Clause, Item};
use crate::strategy::bound::Bound;
use crate::strategy::program::{Argument, ConstraintKind, RelationId, VariableId};

/// The base tables of which it is so.
pub(super) fn tables(bound: &Bound) -> Vec<RelationId> {
    let clauses = get_clauses(bound);
    if !are_disjoint(bound, &clauses) {
        return Vec::new();
    }
    let is_determined = |clause: &Clause| {
        let key = bound.key().into_iter().map(|at| &clause.head[at]);
        Select::determines(bound, clause, key.flat_map(variable).collect())
    };
    if !clauses.iter().all(is_determined) {
        return Vec::new();
    }
    let is_simple = |relation: &RelationId| {
        let of_table = |clause: &Clause| {
            let atoms = Atom::all(clause);
            let found: Vec<_> = atoms
                .into_iter()
                .filter(|atom| atom.relation == *relation)
                .collect();
            found.len() <= 1 && found.iter().all(|atom| atom.depth == 0)
        };
        bound.source(*relation).key.is_some() && clauses.iter().all(of_table)
    };
    bound.sources.keys().copied().filter(is_simple).collect()
}

fn variable(argument: &Argument) -> Option<VariableId> {
    match argument {
        Argument::Variable(variable) => Some(*variable),
        Argument::Constant(_) | Argument::Any => None,
    }
}

/// Whether the rows of each two clauses differ in a constant of the key.
fn are_disjoint(bound: &Bound, clauses: &[Clause]) -> bool {
    let differ = |left: &Clause, right: &Clause| {
        bound
            .key()
            .into_iter()
            .any(|at| match (&left.head[at], &right.head[at]) {
                (Argument::Constant(left), Argument::Constant(right)) => left != right,
                _ => false,
            })
    };
    let mut rest = clauses;
    while let Some((clause, others)) = rest.split_first() {
        if !others.iter().all(|other| differ(clause, other)) {
            return false;
        }
        rest = others;
    }
    true
}

/// The rows that the Dejima table shows no more, and those that it shows now: for each clause the values of a row, whether it
/// went, and the rest of a SELECT.
pub(super) fn shown<'a>(
    bound: &'a Bound,
    clauses: &'a [Clause],
    relation: RelationId,
    names: &mut Names,
) -> Vec<(Vec<String>, String, String)> {
    let mut found = Vec::new();
    for clause in clauses {
        let mut select = Select::new(bound, &clause.variables);
        let mut changed = None;
        let is_changed = |item: &&Item| matches!(item, Item::Row(of, _) if *of == relation);
        if let Some(Item::Row(_, arguments)) = clause.items.iter().find(is_changed) {
            changed = Some(select.row(relation, arguments, &net(relation), names));
        }
        let Some(changed) = changed else { continue };
        let others = clause.items.iter().filter(|item| !is_changed(item));
        let others: Vec<Item> = others.cloned().collect();
        for select in select.items(&others, &Now(bound), names) {
            let values = select.values(bound.program.view, &clause.head);
            let went = format!("{changed}.\"dejima count\" < 0");
            found.push((values, went, select.rest()));
        }
    }
    found
}

/// In place of what came and went of a base table: what concerns others who change the rows beside it.
pub(super) fn matters(bound: &Bound, clause: &Clause, atoms: &[Atom], changed: &Atom) -> String {
    if !stands(bound, clause, atoms, changed) {
        return net(changed.relation);
    }
    let free = free(bound, clause, changed);
    let columns: Vec<usize> = logged_columns(bound, changed.relation)
        .into_iter()
        .filter(|&at| variable(&changed.arguments[at]).is_none_or(|v| !free.contains(&v)))
        .collect();
    let columns = source_columns(bound.source(changed.relation), &columns).join(", ");
    format!(
        "(SELECT {columns} FROM {} GROUP BY {columns} HAVING sum(\"dejima count\") <> 0)",
        net(changed.relation)
    )
}

/// Whether no row of the clause comes or goes but by a change of the changed one: foreign keys lead from it to all rows beside it,
/// and nothing else is asked of them.
pub(super) fn stands(bound: &Bound, clause: &Clause, atoms: &[Atom], changed: &Atom) -> bool {
    let own = changed.variables();
    let in_rows: BTreeSet<VariableId> = atoms.iter().flat_map(Atom::variables).collect();
    let asks_own = |item: &Item| match item {
        Item::Row(..) => true,
        Item::Test(expr) => expr.variables().iter().all(|v| own.contains(v)),
        // What is computed is only shown, if no row has it and no test asks for it.
        Item::Define(variable, _) => !in_rows.contains(variable),
        Item::None(_) => false,
    };
    if !clause.items.iter().all(asks_own) {
        return false;
    }
    let mut reached = vec![changed];
    let mut open: Vec<&Atom> = atoms
        .iter()
        .filter(|atom| atom.number != changed.number)
        .collect();
    loop {
        let before = open.len();
        open.retain(|atom| {
            let is_led_to = reached.iter().any(|from| leads(bound, atoms, from, atom));
            if is_led_to {
                reached.push(atom);
            }
            !is_led_to
        });
        if open.is_empty() {
            return true;
        }
        if open.len() == before {
            return false;
        }
    }
}

/// Whether a foreign key leads from one row to the other, and says all that is asked of that.
fn leads(bound: &Bound, atoms: &[Atom], from: &Atom, to: &Atom) -> bool {
    let target_of = |kind: &ConstraintKind| match kind {
        ConstraintKind::ForeignKey {
            relation,
            columns,
            target,
            target_columns,
        } if *relation == from.relation && *target == to.relation => {
            let mut pairs = columns.iter().zip(target_columns);
            let is_this = pairs.all(|(&column, &other)| {
                let variable = variable(&to.arguments[other]);
                variable.is_some() && variable == self::variable(&from.arguments[column])
            });
            is_this.then(|| target_columns.clone())
        }
        _ => None,
    };
    let mut constraints = bound.program.constraints.iter();
    let Some(target) = constraints.find_map(|constraint| target_of(&constraint.kind)) else {
        return false;
    };
    let columns = &bound.program.relation(to.relation).columns;
    let all: Vec<VariableId> = atoms.iter().flat_map(|a| variables(&a.arguments)).collect();
    let is_once = |v: &VariableId| all.iter().filter(|other| *other == v).count() == 1;
    let mut arguments = to.arguments.iter().enumerate();
    arguments.all(|(at, argument)| match argument {
        _ if target.contains(&at) => !columns[at].nullable,
        Argument::Any => true,
        Argument::Constant(_) => false,
        Argument::Variable(variable) => is_once(variable),
    })
}

/// Variables that are shown and mean nothing else: no row is found by them, none is tested by them.
pub(super) fn free(bound: &Bound, clause: &Clause, changed: &Atom) -> BTreeSet<VariableId> {
    let key = bound.key().into_iter().map(|at| &clause.head[at]);
    let own_key = bound.source(changed.relation).key.iter().flatten();
    let own_key = own_key.map(|&at| &changed.arguments[at]);
    let mut taken: BTreeSet<VariableId> = key.chain(own_key).filter_map(variable).collect();
    for atom in Atom::all(clause) {
        if atom.number != changed.number {
            taken.extend(atom.variables());
        }
    }
    for item in &clause.items {
        match item {
            Item::Define(_, expr) | Item::Test(expr) => taken.extend(expr.variables()),
            Item::None(alternatives) => {
                taken.extend(alternatives.iter().flatten().flat_map(all_variables))
            }
            Item::Row(..) => {}
        }
    }
    let mut once = BTreeSet::new();
    for variable in variables(&changed.arguments) {
        if !once.insert(variable) {
            taken.insert(variable);
        }
    }
    changed.variables().difference(&taken).copied().collect()
}

/// All variables of an item, with repetitions.
pub(super) fn all_variables(item: &Item) -> Vec<VariableId> {
    match item {
        Item::Row(_, arguments) => variables(arguments).collect(),
        Item::None(alternatives) => alternatives
            .iter()
            .flatten()
            .flat_map(all_variables)
            .collect(),
        Item::Define(variable, expr) => [vec![*variable], expr.variables()].concat(),
        Item::Test(expr) => expr.variables(),
    }
}
