//! From a bound program to the SQL that runs it.
//!
//! One way leads from rules to SELECTs: `unfold` replaces helpers, `occurrence` finds where a relation stands in a rule and how to get
//! from there to its variables, `select` writes FROM and WHERE. `get` is what the Dejima table shows; `derive` finds what a transaction
//! changed in it: under which `keys`, from what was `before`, with shorter ways if one base table changed `alone`, or `in_place`, and
//! then `shown_in_place`; `family` locks, `sections` logs. `put` finds what a change of it writes, `write` writes it; `through` lets
//! clients write the view itself.
//! There are shorter ways for some programs: `mapping` finds those that are no more than a declaration, `as_shown` those of which
//! nothing is to be derived; `direct` finds columns that are updated where they stand, `put_one` puts a row of which only these
//! change, `through_one` and `through_many` are that for rows that clients write.
//!
//! Each function that does work exists twice, with one body: for few rows PostgreSQL is left no choice but to look rows up in
//! indexes, whatever its statistics say of tables that have grown since; for many it may choose.

mod alone;
mod as_shown;
mod before;
mod derive;
mod direct;
mod expression;
mod family;
mod get;
mod in_place;
mod keys;
mod mapping;
mod occurrence;
mod put;
mod put_one;
mod row_condition;
mod sections;
mod select;
mod shown_in_place;
#[cfg(test)]
mod tests;
mod through;
mod through_many;
mod through_one;
mod unfold;
mod write;

use std::collections::BTreeMap;

use super::bound::Bound;
use super::capture::Logged;
use super::literal;
use super::plan::{Part, PartKind};
use super::program::RelationId;

pub(super) use mapping::mapping;
pub use row_condition::RowCondition;

/// Rows that are few.
const FEW_ROWS_MAX: u32 = 128;

/// How many rows a function is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// PostgreSQL is left no choice but to look each row up in an index.
    Few,
    /// It may choose.
    Many,
}

impl Size {
    /// Ends the function's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Few => "few",
            Self::Many => "many",
        }
    }

    /// Plans are kept: arrays of other lengths say nothing new, and to plan takes longer than to run.
    fn settings(self) -> &'static str {
        match self {
            Self::Few => {
                "SET enable_nestloop = on SET enable_indexscan = on SET enable_seqscan = off SET enable_bitmapscan = off \
                 SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off SET jit = off SET plan_cache_mode = force_generic_plan"
            }
            // Whoever calls it may have left PostgreSQL less choice. Pages of the rows in question have been read a moment ago, one by
            // one: PostgreSQL is told so, or it reads a table of 100,000 rows from end to end for 1,000 of them, and a small one for
            // each. What is gathered by the section stays in memory, up to a quarter of a million narrow rows.
            Self::Many => {
                "SET enable_nestloop = on SET enable_indexscan = on SET enable_seqscan = on SET enable_bitmapscan = on \
                 SET enable_hashjoin = on SET enable_mergejoin = on SET enable_material = on SET enable_memoize = off SET random_page_cost = 0.1 SET work_mem = '64MB' SET jit = off SET plan_cache_mode = force_generic_plan"
            }
        }
    }

    /// The rows of an array. Of few PostgreSQL is told that there is one: of more it may think that a base table read from end
    /// to end in the order of an index is cheaper.
    fn members(self, array: &str) -> String {
        match self {
            Self::Few => format!("dejima.few_members({array})"),
            Self::Many => format!("dejima.members({array})"),
        }
    }
}

/// The rows of an array of which it is only asked, by a hash, whether one is among them. The hash is made once; PostgreSQL adds what it
/// costs to each row that is looked up and then asked about, and would sooner read the whole table.
fn asked_among(array: &str) -> String {
    Size::Few.members(array)
}

/// The SQL of a program's Dejima table, in the order in which it must be created.
pub(super) fn parts(bound: &Bound) -> Vec<Part> {
    let part = |name: &str, kind: PartKind, create: String, remove: String| Part {
        name: format!("{name} {}", bound.id),
        kind,
        create,
        remove,
    };
    let view = get::view_name(bound);
    let mut parts = vec![
        part(
            "view",
            PartKind::View(view.clone()),
            get::create_view(bound),
            format!("DROP VIEW IF EXISTS {view}"),
        ),
        part(
            "put",
            PartKind::Put,
            format!("{};\n{}", put::create(bound), through::create(bound)),
            format!("{};\n{}", through::remove(bound), put::remove(bound)),
        ),
    ];
    if is_derived(bound) {
        let derive = part(
            "derive",
            PartKind::Derive,
            derive::create(bound),
            derive::remove(bound),
        );
        parts.insert(1, derive);
    }
    parts
}

/// Whether it takes more than one row of a base table to say what it changes in the Dejima table.
pub(super) fn is_derived(bound: &Bound) -> bool {
    as_shown::as_shown(bound).is_none()
}

/// What is logged of each base table.
pub(super) fn logged(bound: &Bound) -> BTreeMap<RelationId, Vec<Logged<'_>>> {
    let mut logged: BTreeMap<_, Vec<_>> = BTreeMap::new();
    match as_shown::as_shown(bound) {
        Some(clauses) => {
            for (relation, shown) in clauses {
                let of_table = logged.entry(relation).or_default();
                of_table.push(Logged::Shown(shown));
            }
        }
        None => {
            for (&relation, source) in &bound.sources {
                let columns = get::logged_columns(bound, relation).into_iter();
                let columns = columns.map(|at| source.columns[at].clone()).collect();
                logged.insert(relation, vec![Logged::Source(bound, relation, columns)]);
            }
        }
    }
    logged
}

/// Creates `dejima.derive`, which finds what the rows logged of base tables change in the Dejima tables of programs, and logs
/// that in their place.
pub(super) fn create_dispatcher(programs: &[Bound]) -> String {
    let derived: Vec<_> = programs.iter().filter(|bound| is_derived(bound)).collect();
    let derive = |bound: &Bound| format!("PERFORM {}();\n", derive_function(bound));
    let case = |bound: &&Bound| format!("WHEN {} THEN {}", bound.id, derive(bound));
    let (settings, body) = match &derived[..] {
        [] => ("", "\nBEGIN\nEND\n".to_owned()),
        [one] => (
            Size::Few.settings(),
            format!("\nBEGIN\n{}END\n", derive(one)),
        ),
        // In one order, as each locks what others may lock.
        _ => (
            Size::Few.settings(),
            format!(
                "\nDECLARE\n  changed integer;\nBEGIN\nFOR changed IN SELECT DISTINCT p.dejima_table FROM dejima.pending AS p \
                 WHERE p.xid = pg_current_xact_id() ORDER BY 1 LOOP\nCASE changed\n{}END CASE;\nEND LOOP;\nEND\n",
                derived.iter().map(case).collect::<String>()
            ),
        ),
    };
    format!(
        "CREATE OR REPLACE FUNCTION dejima.derive() RETURNS void LANGUAGE plpgsql {settings} AS {};\n\
         REVOKE ALL ON FUNCTION dejima.derive() FROM PUBLIC",
        literal(&body)
    )
}

/// What `dejima.put` calls.
pub(super) fn put_function(bound: &Bound) -> String {
    format!("dejima.put_{}", bound.id)
}

/// What `dejima.derive` calls.
fn derive_function(bound: &Bound) -> String {
    format!("dejima.derive_{}", bound.id)
}

/// Trailing spaces are part of the values of a `bpchar` without a length, and only of these.
fn keeps_spaces(bound: &Bound, column: usize) -> bool {
    let declared = &bound.program.view().columns[column].type_name;
    bound.schema.columns[column].type_name == "bpchar" && !declared.contains('(')
}
