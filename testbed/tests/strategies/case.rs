//! One random database of a strategy, and what is changed in it.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::ops::Add;

use dejima_core::strategy::check::{Case, Sample, picture};
use dejima_core::strategy::evaluate::{Database, Row, Rows, get};
use dejima_core::strategy::identifier;
use dejima_core::strategy::program::RelationId;
use dejima_core::strategy::value::Value;
use serde_json::{Map, json};

use crate::database::{Bed, Outcome, Text, sql_value};
use crate::shrink::{shrunk, shrunk_changes};

/// How much was tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    databases: usize,
    derived: usize,
    put: usize,
    refused: usize,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            databases: self.databases + other.databases,
            derived: self.derived + other.derived,
            put: self.put + other.put,
            refused: self.refused + other.refused,
        }
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} databases, {} changes derived, {} put, {} refused",
            self.databases, self.derived, self.put, self.refused
        )
    }
}

/// A change of one base table by a client.
#[derive(Clone, Debug)]
pub(crate) enum BaseChange {
    Insert(RelationId, Row),
    Delete(RelationId, Row),
    Update(RelationId, Row, Row),
}

/// Tries one database.
pub(crate) async fn one(bed: &mut Bed<'_>, seed: u64) -> Outcome<Tally> {
    let program = std::sync::Arc::clone(&bed.program);
    let mut sample = Sample::new(&program, seed);
    let before = sample.database();
    let mut tally = Tally {
        databases: 1,
        ..Tally::default()
    };
    let changes: Vec<BaseChange> = (0..=sample.random.below(4))
        .map(|_| base_change(bed, &mut sample, &before))
        .collect();
    match derived(bed, &before, &changes).await {
        Ok(happened) => tally.derived += usize::from(happened),
        Err(why) => {
            let (before, changes) = shrunk_changes(bed, before, changes).await;
            let why = derived(bed, &before, &changes).await.err().unwrap_or(why);
            return Err(format!(
                "seed {seed}: derived otherwise than compared\n{}{changes:?}\n{why}",
                state(bed, &before)
            ));
        }
    }
    let Ok(shown) = get(&program, &before) else {
        return Ok(tally);
    };
    let case = Case {
        wanted: sample.wanted(&shown),
        before,
    };
    for way in [Way::Peer, Way::View] {
        match put(bed, &case, way).await {
            Ok(Done::Put) => tally.put += 1,
            Ok(Done::Refused) => tally.refused += 1,
            Ok(Done::Nothing) => {}
            Err(why) => {
                let case = shrunk(bed, case, way).await;
                let why = put(bed, &case, way).await.err().unwrap_or(why);
                let picture =
                    picture(&program, &case).unwrap_or_else(|failure| failure.to_string());
                return Err(format!("seed {seed}, by {way:?}: {why}\n{picture}"));
            }
        }
    }
    Ok(tally)
}

fn state(bed: &Bed<'_>, database: &Database) -> String {
    let tables = database.0.iter().map(|(&relation, rows)| {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| format!("  {}\n", texts(row)))
            .collect();
        format!("{}\n{}", bed.program.relation(relation).name, rows.concat())
    });
    tables.collect()
}

fn texts(row: &Row) -> String {
    row.iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn base_change(bed: &Bed<'_>, sample: &mut Sample<'_>, database: &Database) -> BaseChange {
    let sources: Vec<RelationId> = bed.program.sources().collect();
    let relation = *sample.random.of(&sources);
    let rows: Vec<Row> = database.rows(relation).iter().cloned().collect();
    let kind = sample.random.below(3);
    if rows.is_empty() || kind == 0 {
        return BaseChange::Insert(relation, sample.row(relation));
    }
    let row = sample.random.of(&rows).clone();
    if kind == 1 {
        return BaseChange::Delete(relation, row);
    }
    BaseChange::Update(relation, row.clone(), sample.changed(relation, row))
}

/// What was captured of base tables and Dejima tables so far.
const FORGET: &str = "DELETE FROM dejima.delta WHERE xid = pg_current_xact_id(); DELETE FROM dejima.pending WHERE xid = pg_current_xact_id()";

/// Begins a transaction in which these are the base tables, and nothing was captured.
async fn begin(bed: &Bed<'_>, database: &Database) -> Outcome<()> {
    let inserts = database.0.iter().flat_map(|(&relation, rows)| {
        let of_row = move |row: &Row| insert(bed, relation, row) + "; ";
        rows.iter().map(of_row)
    });
    let inserts: String = inserts.collect();
    bed.run(&format!(
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; {inserts}SET CONSTRAINTS ALL IMMEDIATE; {FORGET}"
    ))
    .await
}

fn insert(bed: &Bed<'_>, relation: RelationId, row: &Row) -> String {
    let values: Vec<_> = row
        .iter()
        .zip(bed.column_types(relation))
        .map(|(value, type_name)| sql_value(value, &type_name))
        .collect();
    format!(
        "INSERT INTO {} VALUES ({})",
        name_of(bed, relation),
        values.join(", ")
    )
}

fn name_of(bed: &Bed<'_>, relation: RelationId) -> String {
    if relation == bed.program.view {
        bed.view_name()
    } else {
        bed.table_name(relation)
    }
}

fn is_row(bed: &Bed<'_>, relation: RelationId, row: &Row) -> String {
    let columns = &bed.program.relation(relation).columns;
    let types = bed.column_types(relation);
    let of = |((value, column), type_name): (
        (&Value, &dejima_core::strategy::program::Column),
        &String,
    )| {
        format!(
            "{} IS NOT DISTINCT FROM {}",
            identifier(&column.name),
            sql_value(value, type_name)
        )
    };
    row.iter()
        .zip(columns)
        .zip(&types)
        .map(of)
        .collect::<Vec<_>>()
        .join(" AND ")
}

fn update(bed: &Bed<'_>, relation: RelationId, old: &Row, new: &Row) -> String {
    let columns = &bed.program.relation(relation).columns;
    let types = bed.column_types(relation);
    let assignments: Vec<_> = columns
        .iter()
        .enumerate()
        .filter(|(at, _)| old[*at] != new[*at])
        .map(|(at, column)| {
            format!(
                "{} = {}",
                identifier(&column.name),
                sql_value(&new[at], &types[at])
            )
        })
        .collect();
    let assignments = if assignments.is_empty() {
        let first = identifier(&columns[0].name);
        format!("{first} = {first}")
    } else {
        assignments.join(", ")
    };
    format!(
        "UPDATE {} SET {assignments} WHERE {}",
        name_of(bed, relation),
        is_row(bed, relation, old)
    )
}

fn base_sql(bed: &Bed<'_>, change: &BaseChange) -> String {
    match change {
        BaseChange::Insert(relation, row) => insert(bed, *relation, row),
        BaseChange::Delete(relation, row) => format!(
            "DELETE FROM {} WHERE {}",
            bed.table_name(*relation),
            is_row(bed, *relation, row)
        ),
        BaseChange::Update(relation, old, new) => update(bed, *relation, old, new),
    }
}

/// Whether what is derived from changes of base tables is what comparing the views says. Changes that break a constraint of the
/// strategy do not count.
pub(crate) async fn derived(
    bed: &Bed<'_>,
    before: &Database,
    changes: &[BaseChange],
) -> Outcome<bool> {
    let found = derived_in(bed, before, changes).await;
    bed.run("ROLLBACK").await?;
    found
}

async fn derived_in(bed: &Bed<'_>, before: &Database, changes: &[BaseChange]) -> Outcome<bool> {
    let case = Case {
        before: before.clone(),
        wanted: Rows::new(),
    };
    if !case.is_possible(&bed.program) {
        return Ok(false);
    }
    begin(bed, before).await?;
    check_shown(bed).await?;
    let old = bed.view_texts().await?;
    for change in changes {
        bed.run("SAVEPOINT change").await?;
        if bed.run(&base_sql(bed, change)).await.is_err() {
            bed.run("ROLLBACK TO SAVEPOINT change").await?;
        }
    }
    let after = bed.base_tables().await?;
    if !(Case {
        before: after,
        wanted: Rows::new(),
    })
    .is_possible(&bed.program)
    {
        return Ok(false);
    }
    check_shown(bed).await?;
    let new = bed.view_texts().await?;
    check_captured(bed, &old, &new).await?;
    Ok(true)
}

async fn check_shown(bed: &Bed<'_>) -> Outcome<()> {
    let database = bed.base_tables().await?;
    let expected = get(&bed.program, &database).map_err(|failure| failure.to_string())?;
    let shown = bed.shown().await?;
    if shown == expected {
        Ok(())
    } else {
        Err(format!("the view shows {shown:?}\ninstead of {expected:?}"))
    }
}

async fn check_captured(bed: &Bed<'_>, old: &[Text], new: &[Text]) -> Outcome<()> {
    let (old_set, new_set): (BTreeSet<_>, BTreeSet<_>) =
        (old.iter().collect(), new.iter().collect());
    let went: Vec<Text> = old_set
        .difference(&new_set)
        .map(|&row| row.clone())
        .collect();
    let came: Vec<Text> = new_set
        .difference(&old_set)
        .map(|&row| row.clone())
        .collect();
    let captured = bed.captured().await?;
    if captured == (went.clone(), came.clone()) {
        Ok(())
    } else {
        Err(format!(
            "captured {captured:?}\ninstead of {:?}",
            (went, came)
        ))
    }
}

/// Who wants the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Another peer: `dejima.put`.
    Peer,
    /// A client, by SQL on the view.
    View,
}

pub(crate) enum Done {
    Put,
    Refused,
    /// The case does not go that way.
    Nothing,
}

/// Whether put does what the evaluator says.
pub(crate) async fn put(bed: &Bed<'_>, case: &Case, way: Way) -> Outcome<Done> {
    let found = put_in(bed, case, way).await;
    bed.run("ROLLBACK").await?;
    found
}

async fn put_in(bed: &Bed<'_>, case: &Case, way: Way) -> Outcome<Done> {
    if !case.is_possible(&bed.program) {
        return Ok(Done::Nothing);
    }
    begin(bed, &case.before).await?;
    let before = bed.base_tables().await?;
    let case = Case {
        before,
        wanted: case.wanted.clone(),
    };
    if !case.is_possible(&bed.program) {
        return Ok(Done::Nothing);
    }
    let Ok(expected) = case.accepted(&bed.program) else {
        return Ok(Done::Nothing);
    };
    let shown = get(&bed.program, &case.before).map_err(|failure| failure.to_string())?;
    let Some(sql) = put_sql(bed, &shown, &case.wanted, way) else {
        return Ok(Done::Nothing);
    };
    let old = bed.view_texts().await?;
    bed.run("SAVEPOINT put").await?;
    match (bed.run(&sql).await, expected) {
        (Err(_), None) => return Ok(Done::Refused),
        (Err(why), Some(_)) => return Err(format!("{why}\n{sql}")),
        (Ok(()), None) => return Err(format!("it is put, though a constraint refuses it\n{sql}")),
        (Ok(()), Some(change)) => {
            let after = bed.base_tables().await?;
            let expected = change.applied_to(&case.before);
            let is_same = bed
                .program
                .sources()
                .all(|source| after.rows(source) == expected.rows(source));
            if !is_same {
                return Err(format!(
                    "the base tables are\n{}instead of\n{}{sql}",
                    state(bed, &after),
                    state(bed, &expected)
                ));
            }
        }
    }
    let shown = bed.shown().await?;
    if shown != case.wanted {
        return Err(format!(
            "then the view shows {shown:?}\ninstead of {:?}\n{sql}",
            case.wanted
        ));
    }
    let new = bed.view_texts().await?;
    check_captured(bed, &old, &new).await?;
    Ok(Done::Put)
}

/// The SQL that asks for the wanted rows; nothing if that way cannot ask for it.
fn put_sql(bed: &Bed<'_>, shown: &Rows, wanted: &Rows, way: Way) -> Option<String> {
    let key: Vec<usize> = bed
        .table
        .schema
        .key
        .iter()
        .map(|&at| usize::from(at))
        .collect();
    let key_of = |row: &Row| -> Row { key.iter().map(|&at| row[at].clone()).collect() };
    let mut gone: Vec<&Row> = shown.difference(wanted).collect();
    let mut changes: Vec<(Option<&Row>, Option<&Row>)> = Vec::new();
    for row in wanted.difference(shown) {
        let partner = gone.iter().position(|gone| key_of(gone) == key_of(row));
        changes.push((partner.map(|at| gone.remove(at)), Some(row)));
    }
    changes.extend(gone.into_iter().map(|row| (Some(row), None)));
    match way {
        Way::Peer => peer_sql(bed, &changes, &key),
        // A statement of its own for each row: what lies between could be refused.
        Way::View if changes.len() == 1 => {
            let view = bed.program.view;
            Some(match changes[0] {
                (None, Some(new)) => insert(bed, view, new),
                (Some(old), None) => format!(
                    "DELETE FROM {} WHERE {}",
                    bed.view_name(),
                    is_row(bed, view, old)
                ),
                (Some(old), Some(new)) => update(bed, view, old, new),
                (None, None) => return None,
            })
        }
        Way::View => None,
    }
}

fn peer_sql(
    bed: &Bed<'_>,
    changes: &[(Option<&Row>, Option<&Row>)],
    key: &[usize],
) -> Option<String> {
    let names: Vec<&str> = bed
        .table
        .schema
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let cell = |value: &Value| match value {
        Value::Null => json!(null),
        Value::Text(text) | Value::Opaque(text) => json!(&**text),
        other => json!(other.to_string().trim_matches('\'')),
    };
    let mut rows = Vec::new();
    for change in changes {
        let mut of_key = Vec::new();
        if let (Some(old), _) = change {
            for &at in key {
                if old[at].is_null() {
                    return None;
                }
                of_key.push(cell(&old[at]));
            }
        }
        let whole = |row: &Row| -> Map<String, serde_json::Value> {
            names
                .iter()
                .zip(row)
                .map(|(name, value)| ((*name).to_owned(), cell(value)))
                .collect()
        };
        // A decimal number has several texts, and the evaluator knows but one of them.
        let known = |old: &Row| -> Map<String, serde_json::Value> {
            let mut cells = whole(old);
            cells.retain(|name, _| {
                let at = names.iter().position(|known| known == name);
                at.is_some_and(|at| !matches!(old[at], Value::Numeric(_)))
            });
            cells
        };
        rows.push(match change {
            (None, Some(new)) => json!({"op": "insert", "new": whole(new)}),
            (Some(old), None) => json!({"op": "delete", "key": of_key, "old": known(old)}),
            (Some(old), Some(new)) => {
                let (mut old_cells, mut new_cells) = (Map::new(), Map::new());
                for (at, name) in names
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| old[*at] != new[*at])
                {
                    if !matches!(old[at], Value::Numeric(_)) {
                        old_cells.insert((*name).to_owned(), cell(&old[at]));
                    }
                    new_cells.insert((*name).to_owned(), cell(&new[at]));
                }
                json!({"op": "update", "key": of_key, "old": old_cells, "new": new_cells})
            }
            (None, None) => return None,
        });
    }
    let puts = json!([{"table": bed.table.name.as_str(), "rows": rows}]);
    Some(format!(
        "SELECT dejima.put({}::jsonb)",
        dejima_core::strategy::literal(&puts.to_string())
    ))
}
