//! Families: two transactions that each see not yet what the other changed could both miss a row that only both together make. So
//! each locks the families that it touches (Asano et al., section 4.1, lock the family of a record): values by which rows are joined,
//! and keys, as numbers in `dejima.family`. Who had to wait looks again, at what the other has left.

use std::collections::BTreeSet;

use super::before::{Ever, changes, net};
use super::derive::logged;
use super::get::{Now, get_clauses, key_columns};
use super::keys::{Seen, keys};
use super::occurrence::{Atom, join_variables, ways};
use super::select::{Names, Tables, comparable};
use super::unfold::Clause;
use super::{Size, alone};
use crate::strategy::bound::Bound;
use crate::strategy::program::{RelationId, VariableId};

/// How many families a Dejima table has. Transactions that share none by chance, but have the same number, wait for each other.
pub(super) const FAMILIES: u32 = 1024;

/// Whether several base rows, or several rules, can have a part in one row.
pub(super) fn needs_families(bound: &Bound) -> bool {
    let clauses = get_clauses(bound);
    let is_joined = clauses.iter().any(|clause| Atom::all(clause).len() > 1);
    // Clauses of one row each whose rows are never the same have nothing to do with each other.
    is_joined || clauses.len() > 1 && alone::tables(bound).len() < bound.sources.len()
}

/// The variables of what locks.
pub(super) const DECLARED: &str = "DECLARE
  asked integer[];
  held integer[] := '{}';
  before text;
";

/// Locks the families of all that changed, and again if it had to wait, for then there may be others.
fn lock(bound: &Bound, size: Size, logged: &str) -> String {
    let changes = changes(bound, None, logged);
    let hashes = hashes(bound, &Ever(bound, size), &|_, _, changed| {
        Some(net(changed.relation))
    });
    let mut hashes = selects(hashes);
    hashes.push(hash_of_keys(bound));
    lock_all(
        bound,
        &format!(
            "WITH {changes}, keys AS MATERIALIZED ({})",
            keys(bound, size)
        ),
        &hashes,
    )
}

/// The same if only one base table changed, and in place (`in_place`): these rows of it, or this one. With its variables.
pub(super) fn lock_in_place(
    bound: &Bound,
    relation: RelationId,
    rows: &str,
    is_one: bool,
) -> (&'static str, String) {
    let of_changed = |clause: &Clause, atoms: &[Atom], changed: &Atom| {
        let is_meant =
            changed.relation == relation && !alone::stands(bound, clause, atoms, changed);
        is_meant.then(|| rows.to_owned())
    };
    let hashes = hashes(bound, &Now(bound), &of_changed);
    match &hashes[..] {
        [] => ("", String::new()),
        // Nobody can make it another number: it is the same after a wait.
        [hash] if is_one && hash.is_of_row => {
            let lock = format!(
                "UPDATE dejima.family AS f SET touched = f.touched + 1
WHERE f.dejima_table = {} AND f.number = (SELECT (h.hash & {})::integer FROM ({}) AS h(hash));",
                bound.id,
                FAMILIES - 1,
                hash.select
            );
            ("", lock)
        }
        _ => (DECLARED, lock_all(bound, "", &selects(hashes))),
    }
}

/// The same if only one base table changed (`alone`): who changes a row of the Dejima table's at the same time shares with it what
/// its rows are joined by, or the row of the base table.
pub(super) fn lock_alone(bound: &Bound, relation: RelationId) -> String {
    // Of what did not change there is no other row than now.
    let hashes = hashes(bound, &Now(bound), &|clause, atoms, changed| {
        (changed.relation == relation).then(|| alone::matters(bound, clause, atoms, changed))
    });
    if hashes.is_empty() {
        return String::new();
    }
    let changes = changes(bound, Some(relation), &logged(bound));
    lock_all(bound, &format!("WITH {changes}"), &selects(hashes))
}

fn lock_all(bound: &Bound, with: &str, hashes: &[String]) -> String {
    format!(
        "LOOP
  before := pg_current_snapshot()::text;
  {with}
  SELECT array_agg(DISTINCT f.number ORDER BY f.number) INTO asked
  FROM (SELECT (hash & {mask})::integer FROM ({hashes}) AS h(hash)) AS f(number) WHERE f.number <> ALL (held);
  EXIT WHEN asked IS NULL;
  UPDATE dejima.family AS f SET touched = f.touched + 1 WHERE f.dejima_table = {id} AND f.number = ANY (asked);
  held := held || asked;
  EXIT WHEN pg_current_snapshot()::text = before;
END LOOP;",
        mask = FAMILIES - 1,
        hashes = hashes.join("\nUNION ALL\n"),
        id = bound.id,
    )
}

/// The same for all that derive looks at.
pub(super) fn lock_derived(bound: &Bound, size: Size) -> String {
    if needs_families(bound) {
        lock(bound, size, &logged(bound))
    } else {
        String::new()
    }
}

/// What put does when it has written: nobody else changes what it looks at from then on. It wrote what was logged later than
/// this number. (What was before it is locked at the end of the transaction; it may be much.)
pub(super) fn lock_since(bound: &Bound, size: Size, number: &str) -> Option<String> {
    let logged = format!("{} AND p.statement > {number}", logged(bound));
    needs_families(bound).then(|| lock(bound, size, &logged))
}

/// For all keys that can have changed, a number.
fn hash_of_keys(bound: &Bound) -> String {
    let key = key_columns(bound)
        .iter()
        .map(|column| format!("k.{column}"))
        .collect::<Vec<_>>();
    format!(
        "SELECT hash_record_extended(ROW(-1, {}), 0) FROM keys AS k",
        key.join(", ")
    )
}

/// The rows of an atom that changed, if they are meant.
type OfChanged<'a> = dyn Fn(&Clause, &[Atom], &Atom) -> Option<String> + 'a;

/// Numbers of values by which changed rows are joined.
struct Hash {
    select: String,
    /// One of each changed row, by itself.
    is_of_row: bool,
}

fn selects(hashes: Vec<Hash>) -> Vec<String> {
    hashes.into_iter().map(|hash| hash.select).collect()
}

/// For all values by which changed rows are joined, a number.
fn hashes(bound: &Bound, tables: &dyn Tables, of_changed: &OfChanged<'_>) -> Vec<Hash> {
    let names = &mut Names::default();
    let mut found = Vec::new();
    for (rule, clause) in get_clauses(bound).iter().enumerate() {
        let atoms = Atom::all(clause);
        let joins = join_variables(&atoms);
        for changed in &atoms {
            let Some(rows) = of_changed(clause, &atoms, changed) else {
                continue;
            };
            let mut told = BTreeSet::new();
            for way in ways(&atoms, changed.number) {
                let Some(&last) = way.last() else { continue };
                let new: Vec<VariableId> = atoms[last]
                    .variables()
                    .into_iter()
                    .filter(|variable| joins.contains(variable) && told.insert(*variable))
                    .collect();
                if new.is_empty() {
                    continue;
                }
                let is_of_row = way.len() == 1 && new.len() == 1;
                let seen = Seen::of(bound, clause, &atoms, changed, &rows, names);
                let others = way.into_iter().filter(|&number| number != changed.number);
                for seen in seen.along(others, tables, names) {
                    let select = hash_of(rule, clause, &new, &seen);
                    found.push(Hash { select, is_of_row });
                }
            }
        }
    }
    found
}

/// The numbers of the values that these variables have.
fn hash_of(rule: usize, clause: &Clause, variables: &[VariableId], seen: &Seen<'_>) -> String {
    let values: Vec<_> = variables
        .iter()
        .map(|variable| {
            let value = &seen.select.known[variable];
            // Equal values of several types have one hash.
            let value = comparable(value, &clause.variables[*variable].sort);
            format!("(hash_record_extended(ROW({rule}, {variable}, {value}), 0))")
        })
        .collect();
    let named = values.iter().enumerate();
    let named = named.map(|(at, value)| format!("{value} AS h{at}"));
    let names = (0..values.len()).map(|at| format!("(h.h{at})"));
    format!(
        "SELECT v.hash FROM (SELECT {} {}) AS h, LATERAL (VALUES {}) AS v(hash)",
        named.collect::<Vec<_>>().join(", "),
        seen.select.rest(),
        names.collect::<Vec<_>>().join(", "),
    )
}
