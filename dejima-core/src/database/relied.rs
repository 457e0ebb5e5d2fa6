//! What the generated SQL relies on in base tables, as `dejima.shape` calls it (sql/070_guard.sql).

use std::collections::BTreeMap;

use crate::strategy::program::RelationId;
use crate::strategy::{BaseColumn, BaseRule, BaseTable, Bound, Known, Plan, Source, Strategy};

/// What the generated SQL relies on.
pub(super) struct Relied {
    /// The base tables, by PostgreSQL's ids.
    pub(super) base_tables: Vec<u32>,
    /// Of what is noted only where something relies on it, what does: the base table, and what `dejima.shape` calls it.
    pub(super) chosen: Vec<String>,
}

impl Relied {
    pub(super) fn on(plan: &Plan) -> Self {
        let sources = plan.programs.iter().flat_map(|p| p.sources.values());
        let base_tables = plan.strategies.iter().map(|s| s.base.oid);
        let strategies = plan.strategies.iter().flat_map(of_strategy);
        let programs = plan.programs.iter().flat_map(of_program);
        Self {
            base_tables: base_tables.chain(sources.map(|s| s.base.oid)).collect(),
            chosen: strategies.chain(programs).chain(of_takers(plan)).collect(),
        }
    }
}

/// What a declaration relies on in its base table: the key, and the columns that puts write and its view does not show. What
/// another Dejima table shows its inserts write as NULL.
fn of_strategy(strategy: &Strategy) -> Vec<String> {
    let base = &strategy.base;
    let hidden = strategy.hidden.iter().map(|hidden| &hidden.column);
    let unset = strategy.hidden.iter().filter(|h| h.value.is_none());
    let key = &strategy.key.columns;
    let what = hidden
        .map(hidden_column)
        .chain([unique_key(key)])
        .chain(key.iter().map(not_null))
        .chain(unset.map(|hidden| nullable(&hidden.column.name)))
        .chain(said(&strategy.known, base));
    chosen(base, what)
}

/// What a program relies on in its base tables: all columns that it names, and the constraints that it says.
fn of_program(bound: &Bound) -> Vec<String> {
    let of = |(relation, source): (&RelationId, &Source)| {
        let base = &source.base;
        let known = bound.known.get(relation).into_iter();
        let said = known.flat_map(|known| said(known, base));
        chosen(base, source.columns.iter().map(hidden_column).chain(said))
    };
    bound.sources.iter().flat_map(of).collect()
}

/// What a strategy says of the base table: constraints, and which columns may be NULL, as far as it would be refused otherwise.
fn said(known: &Known, base: &BaseTable) -> Vec<String> {
    let own = base.sql_name();
    let constraints = known.said.iter().filter(|said| said.table == own);
    let constraints = constraints.map(|said| match &said.rule {
        BaseRule::Key { columns, .. } => unique_key(columns),
        _ => format!("constraint {}", said.definition),
    });
    let is_written = known.inserts || known.deletes;
    let nulls =
        known
            .nulls
            .iter()
            .filter_map(|(column, may_be_null)| match (may_be_null, is_written) {
                (false, _) => Some(not_null(column)),
                (true, true) => Some(nullable(column)),
                (true, false) => None,
            });
    constraints.chain(nulls).collect()
}

/// What inserts rows into a base table, and the columns to which it gives a value.
type Takers<'a> = BTreeMap<u32, (&'a BaseTable, Vec<Vec<&'a BaseColumn>>)>;

/// What inserts rely on: a column that one of them does not name is NULL, or gets a default; a column that all of them name
/// needs neither.
fn of_takers(plan: &Plan) -> Vec<String> {
    let mut takers = Takers::new();
    for strategy in &plan.strategies {
        let hidden = strategy.hidden.iter().map(|hidden| &hidden.column);
        let taken = takers.entry(strategy.base.oid);
        let (_, named) = taken.or_insert((&strategy.base, vec![]));
        named.push(strategy.columns.iter().chain(hidden).collect());
    }
    for bound in &plan.programs {
        for (relation, source) in &bound.sources {
            if bound.known.get(relation).is_some_and(|known| known.inserts) {
                let taken = takers.entry(source.base.oid);
                let (_, named) = taken.or_insert((&source.base, vec![]));
                named.push(source.columns.iter().collect());
            }
        }
    }
    let of = |(base, named): &(&BaseTable, Vec<Vec<&BaseColumn>>)| {
        let is_named = |column: &BaseColumn| {
            let mut named = named.iter();
            named.all(|columns| columns.iter().any(|named| named.name == column.name))
        };
        let written = base.columns.iter().filter(|column| !column.generated);
        let columns = written.map(|column| match is_named(column) {
            true => format!("given column {}", column.name),
            false => format!("NULL or a default in column {}", column.name),
        });
        chosen(base, columns.chain(["rows put".to_owned()]))
    };
    takers.values().flat_map(of).collect()
}

// As dejima.shape_of calls them.

fn unique_key(columns: &[String]) -> String {
    format!("unique key ({})", columns.join(", "))
}

fn hidden_column(column: &BaseColumn) -> String {
    format!("hidden column {}", column.name)
}

fn nullable(column: &String) -> String {
    format!("NULL in column {column}")
}

fn not_null(column: &String) -> String {
    format!("NOT NULL of column {column}")
}

fn chosen(base: &BaseTable, what: impl IntoIterator<Item = String>) -> Vec<String> {
    let what = what.into_iter();
    what.map(|what| format!("{} {what}", base.oid)).collect()
}
