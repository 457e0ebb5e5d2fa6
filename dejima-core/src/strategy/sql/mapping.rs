//! Programs that say no more than a declaration could: columns of some rows of one base table, put as it follows from that. They are
//! run as that declaration is, which costs less: the view is one that PostgreSQL writes through, the rows that a statement changes are
//! logged as the Dejima table shows them, and there is nothing to derive.

use super::expression::{Known, condition, typed};
use super::get::get_clauses;
use super::select::same;
use super::unfold::{Clause, Item};
use crate::strategy::bound::{Bound, Source};
use crate::strategy::program::{Argument, Predicate, RelationId, Rule};
use crate::strategy::value::Value;
use crate::strategy::{HiddenColumn, Strategy, UniqueKey, identifier};

/// The program as a declaration would be meant, if it is one of these.
pub(in crate::strategy) fn mapping(bound: &Bound) -> Option<Strategy> {
    if !bound.program.from_view.as_ref()?.is_mapping {
        return None;
    }
    let clauses = get_clauses(bound);
    let [clause] = clauses.as_slice() else {
        return None;
    };
    let (relation, row, tests) = of_one_table(clause)?;
    let source = bound.source(relation);
    let shown: Vec<usize> = clause
        .head
        .iter()
        .map(|argument| row.iter().position(|value| value == argument))
        .collect::<Option<_>>()?;
    let columns = || shown.iter().map(|&at| source.columns[at].clone());
    Some(Strategy {
        table: bound.table.clone(),
        id: bound.id,
        schema: bound.schema.clone(),
        base: source.base.clone(),
        columns: columns().collect(),
        condition: rows_shown(bound, relation, clause, row, tests),
        key: key(bound, source, &shown)?,
        hidden: hidden(bound, relation, &shown)?,
        known: bound.known.get(&relation).cloned().unwrap_or_default(),
    })
}

/// The base table, its row in the clause, and the conditions.
fn of_one_table(clause: &Clause) -> Option<(RelationId, &[Argument], &[Item])> {
    match clause.items.split_first()? {
        (Item::Row(relation, row), tests) => Some((*relation, row, tests)),
        _ => None,
    }
}

/// In SQL over the base table's columns.
fn rows_shown(
    bound: &Bound,
    relation: RelationId,
    clause: &Clause,
    row: &[Argument],
    tests: &[Item],
) -> Option<String> {
    let source = bound.source(relation);
    let mut known = Known::new();
    let mut conditions = Vec::new();
    for (argument, column) in row.iter().zip(&source.columns) {
        let name = identifier(&column.name);
        match argument {
            Argument::Any => {}
            Argument::Constant(value) if value.is_null() => {
                conditions.push(format!("{name} IS NULL"));
            }
            Argument::Constant(value) => {
                conditions.push(format!("{name} = {}", typed(value, &column.base_type)));
            }
            Argument::Variable(variable) => match known.get(variable) {
                Some(other) => {
                    conditions.push(same(&name, other, clause.variables[*variable].nullable));
                }
                None => {
                    known.insert(*variable, name);
                }
            },
        }
    }
    conditions.extend(tests.iter().filter_map(|item| match item {
        Item::Test(test) => Some(condition(test, &clause.variables, &known)),
        _ => None,
    }));
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

/// The base table's index on the Dejima table's key.
fn key(bound: &Bound, source: &Source, shown: &[usize]) -> Option<UniqueKey> {
    let columns: Vec<_> = bound
        .key()
        .into_iter()
        .map(|at| &source.columns[shown[at]])
        .collect();
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let found = source.base.unique_key(&names)?;
    let is_key = !found.deferrable && columns.iter().all(|column| column.not_null);
    is_key.then(|| found.clone())
}

/// What new rows have in columns that are not shown: what the rule says by which a row comes that is not there.
fn hidden(bound: &Bound, relation: RelationId, shown: &[usize]) -> Option<Vec<HiddenColumn>> {
    let program = &bound.program;
    let looks_for_row = |rule: &&Rule| {
        let rows = Predicate::Rows(relation);
        rule.body
            .steps
            .iter()
            .any(|step| matches!(step, crate::strategy::program::Step::Match(found, _) if *found == rows))
    };
    let mut rules = program
        .rules_of(Predicate::Insert(relation))
        .filter(|rule| !looks_for_row(rule));
    let (rule, None) = (rules.next()?, rules.next()) else {
        return None;
    };
    let columns = rule.arguments.iter().zip(&bound.source(relation).columns);
    let unseen = columns.enumerate().filter(|(at, _)| !shown.contains(at));
    unseen
        .map(|(_, (argument, column))| match argument {
            Argument::Constant(value) => Some(HiddenColumn {
                column: column.clone(),
                value: text(value),
            }),
            _ => None,
        })
        .collect()
}

/// A value's text; nothing for NULL.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) | Value::Opaque(text) => Some(text.to_string()),
        other => Some(other.to_string().trim_matches('\'').to_owned()),
    }
}
