//! What the Dejima table shows: its view, and its rows under given keys.

use super::alone::all_variables;
use super::occurrence::Atom;
use super::select::{Names, Select, Tables, variables};
use super::unfold::{Clause, clauses};
use crate::strategy::bound::{Bound, Source};
use crate::strategy::identifier;
use crate::strategy::program::{Argument, Predicate, RelationId};

/// The base tables as they are.
pub(super) struct Now<'a>(pub(super) &'a Bound);

impl Tables for Now<'_> {
    fn rows(&self, relation: RelationId, _: &[Option<String>], _: &mut Names) -> String {
        self.0.source(relation).base.sql_name()
    }
}

/// The quoted and qualified name of the view; also the type of its rows.
pub(super) fn view_name(bound: &Bound) -> String {
    format!("dejima_tables.{}", identifier(bound.table.as_str()))
}

/// Creates or replaces the view.
pub(super) fn create_view(bound: &Bound) -> String {
    let asked = vec![None; bound.schema.columns.len()];
    let selects = shown(bound, &asked, &Now(bound), &mut Names::default());
    format!(
        "CREATE OR REPLACE VIEW {} AS\n{}",
        view_name(bound),
        united(&selects)
    )
}

/// Rows once each.
pub(super) fn united(selects: &[String]) -> String {
    selects.join("\nUNION\n")
}

/// A SELECT for each clause of what the Dejima table shows, of the rows that have these values.
pub(super) fn shown(
    bound: &Bound,
    asked: &[Option<String>],
    tables: &dyn Tables,
    names: &mut Names,
) -> Vec<String> {
    let view = bound.program.view;
    let clauses = get_clauses(bound);
    let is_one = clauses.len() == 1;
    let of = |clause: &Clause, select: &Select<'_>| {
        // UNION makes several clauses distinct.
        let distinct = if is_one && !Select::is_single(bound, clause) {
            "DISTINCT "
        } else {
            ""
        };
        let values = select.values(view, &clause.head);
        let columns: Vec<_> = values
            .iter()
            .zip(&bound.schema.columns)
            .map(|(value, column)| format!("{value} AS {}", identifier(&column.name)))
            .collect();
        format!("SELECT {distinct}{}{}", columns.join(", "), select.rest())
    };
    let mut found = Vec::new();
    for clause in &clauses {
        let mut select = Select::new(bound, &clause.variables);
        select.ask(view, &clause.head, asked);
        let selects = select.items(&clause.items, tables, names);
        found.extend(selects.iter().map(|select| of(clause, select)));
    }
    found
}

/// What the Dejima table shows, without helpers.
pub(super) fn get_clauses(bound: &Bound) -> Vec<Clause> {
    clauses(&bound.program, Predicate::Rows(bound.program.view))
}

/// The columns of the Dejima table, for each column its value under a name of FROM, if the key has it.
pub(super) fn asked_by_key(bound: &Bound, name: &str) -> Vec<Option<String>> {
    let key = bound.key();
    let columns = bound.schema.columns.iter().enumerate();
    columns
        .map(|(at, column)| {
            key.contains(&at)
                .then(|| format!("{name}.{}", identifier(&column.name)))
        })
        .collect()
}

/// Quoted names of a source's columns, at all these positions.
pub(super) fn source_columns(source: &Source, positions: &[usize]) -> Vec<String> {
    positions
        .iter()
        .map(|&at| identifier(&source.columns[at].name))
        .collect()
}

/// Quoted names of the Dejima table's columns.
pub(super) fn view_columns(bound: &Bound) -> Vec<String> {
    bound
        .schema
        .columns
        .iter()
        .map(|column| identifier(&column.name))
        .collect()
}

/// Quoted names of its key.
pub(super) fn key_columns(bound: &Bound) -> Vec<String> {
    let columns = view_columns(bound);
    bound
        .key()
        .into_iter()
        .map(|at| columns[at].clone())
        .collect()
}

/// The columns of a base table, by their positions, on which it hangs what the Dejima table shows: those that mean something in a
/// rule, and the key, which tells rows apart. Without a key only all columns do.
pub(super) fn logged_columns(bound: &Bound, relation: RelationId) -> Vec<usize> {
    let source = bound.source(relation);
    let Some(key) = &source.key else {
        return (0..source.columns.len()).collect();
    };
    let clauses = get_clauses(bound);
    let means_something = |at: &usize| clauses.iter().any(|clause| names(clause, relation, *at));
    let all = 0..source.columns.len();
    all.filter(|at| key.contains(at) || means_something(at))
        .collect()
}

/// Whether a clause asks for a value of the column, or takes it from there.
fn names(clause: &Clause, relation: RelationId, column: usize) -> bool {
    let atoms = Atom::all(clause).into_iter();
    let mut atoms = atoms.filter(|atom| atom.relation == relation);
    atoms.any(|atom| match &atom.arguments[column] {
        Argument::Any => false,
        Argument::Constant(_) => true,
        Argument::Variable(variable) => {
            let in_items = clause.items.iter().flat_map(all_variables);
            let all = in_items.chain(variables(&clause.head));
            all.filter(|other| other == variable).count() > 1
        }
    })
}

/// Rows of a set of which one is the same in these columns: SQL over the two names that a hash can answer, whatever the set's
/// size. Between NULLs there is no `=`, so what may be NULL is compared as a text beside whether it is NULL.
pub(super) fn is_among(name: &str, columns: &[(String, bool)], set: &str) -> String {
    let values = |name: &str| {
        let of = |(column, may_be_null): &(String, bool)| {
            if *may_be_null {
                format!("{name}.{column} IS NULL, coalesce({name}.{column}::text, '')")
            } else {
                format!("{name}.{column}")
            }
        };
        columns.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    // Not a condition of its own: a planner that makes it a join may choose one that takes the square of the time.
    format!(
        "(({}) IN (SELECT {} FROM {set} AS among)) IS TRUE",
        values(name),
        values("among")
    )
}

/// The Dejima table's key columns, and which may be NULL.
pub(super) fn key_pairs(bound: &Bound) -> Vec<(String, bool)> {
    let view = bound.program.view();
    let columns = view_columns(bound);
    let pair = |at: usize| (columns[at].clone(), view.columns[at].nullable);
    bound.key().into_iter().map(pair).collect()
}

/// A source's columns at these positions, and which may be NULL.
pub(super) fn source_pairs(
    bound: &Bound,
    relation: RelationId,
    positions: &[usize],
) -> Vec<(String, bool)> {
    let declared = bound.program.relation(relation);
    let columns = source_columns(bound.source(relation), positions);
    let nullable = positions.iter().map(|&at| declared.columns[at].nullable);
    columns.into_iter().zip(nullable).collect()
}
