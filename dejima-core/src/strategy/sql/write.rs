//! Writes what put has found: rows under one key are an UPDATE of the columns that change, the rest is inserted and deleted.
//!
//! The order lets foreign keys hold at every step: what nothing refers to goes first and makes room, then what is referred to
//! comes before what refers to it, and at last goes what other rows referred to.

use std::collections::BTreeSet;

use super::get::{is_among, source_columns, source_pairs};
use super::select::{compared, same};
use super::{Size, asked_among};
use crate::strategy::bound::Bound;
use crate::strategy::program::{ConstraintKind, RelationId};
use crate::strategy::{identifier, literal};

/// The statements that write all base tables.
pub(super) fn all(bound: &Bound, size: Size, written: &[RelationId]) -> String {
    let ordered = referred_first(bound, written);
    let is_referred = |relation: &RelationId| {
        refers_to_itself(bound, *relation) || references(bound).any(|(_, to)| to == *relation)
    };
    let mut text = String::new();
    for relation in ordered
        .iter()
        .rev()
        .filter(|relation| !is_referred(relation))
    {
        text += &delete(bound, size, *relation);
    }
    for &relation in &ordered {
        // An update may refer to what is inserted, or make room for it.
        let mut steps = [update(bound, size, relation), insert(bound, size, relation)];
        if refers_to_itself(bound, relation) {
            steps.reverse();
        }
        text += &steps.concat();
    }
    for relation in ordered
        .iter()
        .rev()
        .filter(|relation| is_referred(relation))
    {
        text += &delete(bound, size, *relation);
    }
    text
}

fn refers_to_itself(bound: &Bound, table: RelationId) -> bool {
    let mut kinds = bound
        .program
        .constraints
        .iter()
        .map(|constraint| &constraint.kind);
    kinds.any(|kind| {
        matches!(kind, ConstraintKind::ForeignKey { relation, target, .. } if *relation == table && *target == table)
    })
}

/// Foreign keys from one base table to another.
fn references(bound: &Bound) -> impl Iterator<Item = (RelationId, RelationId)> {
    let kinds = bound
        .program
        .constraints
        .iter()
        .map(|constraint| &constraint.kind);
    kinds.filter_map(|kind| match kind {
        ConstraintKind::ForeignKey {
            relation, target, ..
        } if relation != target => Some((*relation, *target)),
        _ => None,
    })
}

/// What is referred to before what refers to it; in a circle, in order.
fn referred_first(bound: &Bound, written: &[RelationId]) -> Vec<RelationId> {
    let mut open: Vec<RelationId> = written.to_vec();
    let mut ordered = Vec::new();
    let edges: BTreeSet<(RelationId, RelationId)> = references(bound).collect();
    while !open.is_empty() {
        let is_free = |relation: &RelationId| {
            !edges
                .iter()
                .any(|(from, to)| from == relation && open.contains(to))
        };
        let next = open.iter().position(is_free).unwrap_or(0);
        ordered.push(open.remove(next));
    }
    ordered
}

/// Rows of the array that have no partner under the same key in the other one.
fn alone(bound: &Bound, relation: RelationId, name: &str, other: &str) -> String {
    match &bound.source(relation).key {
        Some(key) => format!(
            "NOT {}",
            is_among(
                name,
                &source_pairs(bound, relation, key),
                &asked_among(&format!("{other}_{relation}"))
            )
        ),
        None => "true".to_owned(),
    }
}

/// Two rows are the same in these columns; if they have a key, it finds one by the other.
pub(super) fn alike(
    bound: &Bound,
    relation: RelationId,
    left: &str,
    right: &str,
    positions: &[usize],
) -> String {
    let key = bound.source(relation).key.as_deref();
    let is_beside = |at: &usize| key.is_some_and(|key| !key.contains(at));
    let pairs = source_pairs(bound, relation, positions);
    let pairs = pairs.iter().zip(positions);
    let conditions = pairs.map(|((column, may_be_null), at)| {
        let same = same(
            &format!("{left}.{column}"),
            &format!("{right}.{column}"),
            *may_be_null,
        );
        if is_beside(at) { compared(&same) } else { same }
    });
    let text = conditions.collect::<Vec<_>>().join(" AND ");
    if text.is_empty() {
        "true".to_owned()
    } else {
        text
    }
}

pub(super) fn all_columns(bound: &Bound, relation: RelationId) -> Vec<usize> {
    (0..bound.source(relation).columns.len()).collect()
}

fn texts(bound: &Bound, relation: RelationId) -> (String, String) {
    let base = bound.source(relation).base.sql_name();
    (literal(bound.table.as_str()), base)
}

fn delete(bound: &Bound, size: Size, relation: RelationId) -> String {
    let (table, base) = texts(bound, relation);
    let deleted = format!("deleted_{relation}");
    let rows = size.members(&deleted);
    let concerned = format!(
        "{} AND {}",
        alike(bound, relation, "t", "d", &all_columns(bound, relation)),
        alone(bound, relation, "d", "inserted")
    );
    // Without a key rows alike are one row, however many there are.
    let count = match bound.source(relation).key {
        Some(_) => format!(
            "    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> expected THEN
      IF EXISTS (SELECT FROM {base} AS t, {rows} AS d WHERE {concerned}) THEN
        PERFORM dejima.refuse_dropped({table}, {});
      END IF;
      PERFORM dejima.refuse_stale({table});
    END IF;\n",
            literal(&base),
        ),
        None => String::new(),
    };
    format!(
        "IF cardinality({deleted}) > 0 THEN
  expected := (SELECT count(*) FROM {rows} AS d WHERE {});
  IF expected > 0 THEN
    DELETE FROM {base} AS t USING {rows} AS d WHERE {concerned};
{count}  END IF;
END IF;\n",
        alone(bound, relation, "d", "inserted"),
    )
}

fn insert(bound: &Bound, size: Size, relation: RelationId) -> String {
    let (table, base) = texts(bound, relation);
    let inserted = format!("inserted_{relation}");
    let rows = size.members(&inserted);
    let columns = source_columns(bound.source(relation), &all_columns(bound, relation));
    let values: Vec<_> = columns.iter().map(|column| format!("i.{column}")).collect();
    let is_alone = alone(bound, relation, "i", "deleted");
    format!(
        "IF cardinality({inserted}) > 0 THEN
  expected := (SELECT count(*) FROM {rows} AS i WHERE {is_alone});
  IF expected > 0 THEN
    INSERT INTO {base} ({columns}) SELECT {values} FROM {rows} AS i WHERE {is_alone};
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> expected THEN
      PERFORM dejima.refuse_dropped({table}, {});
    END IF;
  END IF;
END IF;\n",
        literal(&base),
        columns = columns.join(", "),
        values = values.join(", "),
    )
}

/// One UPDATE for each set of changed columns, so that a base table's UPDATE OF triggers see the truth.
fn update(bound: &Bound, size: Size, relation: RelationId) -> String {
    let Some(key) = &bound.source(relation).key else {
        return String::new();
    };
    let (table, base) = texts(bound, relation);
    let source = bound.source(relation);
    let declared = bound.program.relation(relation);
    let free: Vec<usize> = all_columns(bound, relation)
        .into_iter()
        .filter(|at| !key.contains(at))
        .collect();
    let changes: Vec<_> = free
        .iter()
        .map(|&at| {
            let name = identifier(&source.columns[at].name);
            let is_same = same(
                &format!("d.{name}"),
                &format!("i.{name}"),
                declared.columns[at].nullable,
            );
            (literal(&source.columns[at].name), name, is_same)
        })
        .collect();
    if changes.is_empty() {
        return String::new();
    }
    let changed: Vec<_> = changes
        .iter()
        .map(|(text, _, is_same)| format!("CASE WHEN NOT ({is_same}) THEN {text} END"))
        .collect();
    let changed = format!("array_remove(ARRAY[{}], NULL)", changed.join(", "));
    let pairs = |deleted: &str, inserted: &str| {
        format!(
            "{} AS d JOIN {} AS i ON {}",
            size.members(deleted),
            size.members(inserted),
            alike(bound, relation, "d", "i", key)
        )
    };
    let here = pairs(
        &format!("deleted_{relation}"),
        &format!("inserted_{relation}"),
    );
    let update = |assignments: &str, pairs: &str, set: &str| {
        format!(
            "UPDATE {base} AS t SET {assignments} FROM {pairs} WHERE {} AND {changed} = {set}",
            alike(bound, relation, "t", "d", &all_columns(bound, relation))
        )
    };
    let branches: String = changes
        .iter()
        .map(|(text, name, _)| {
            format!(
                "IF changed = ARRAY[{text}] THEN\n    {};\n    GET DIAGNOSTICS done = ROW_COUNT;\n  ELS",
                update(&format!("{name} = i.{name}"), &here, "changed")
            )
        })
        .collect();
    let assignments: Vec<_> = changes
        .iter()
        .map(|(text, name, _)| format!("({text}, {})", literal(&format!("{name} = i.{name}"))))
        .collect();
    let there = pairs("$1", "$2");
    let (head, tail) = (update("\u{0}", &there, "$3"), String::new());
    let (head, rest) = head.split_once('\u{0}').unwrap_or((&head, &tail));
    format!(
        "IF cardinality(deleted_{relation}) > 0 AND cardinality(inserted_{relation}) > 0 THEN
FOR changed, expected IN SELECT {changed}, count(*) FROM {here} GROUP BY 1 LOOP
  {branches}E
    EXECUTE {head} || (SELECT string_agg(a.assignment, ', ') FROM (VALUES {assignments}) AS a(name, assignment) WHERE a.name = ANY (changed)) || {rest}
    USING deleted_{relation}, inserted_{relation}, changed;
    GET DIAGNOSTICS done = ROW_COUNT;
  END IF;
  IF done <> expected THEN
    IF EXISTS (SELECT FROM {base} AS t, {deleted} AS d WHERE {still}) THEN
      PERFORM dejima.refuse_dropped({table}, {base_text});
    END IF;
    PERFORM dejima.refuse_stale({table});
  END IF;
END LOOP;
END IF;\n",
        deleted = size.members(&format!("deleted_{relation}")),
        head = literal(head),
        rest = literal(rest),
        assignments = assignments.join(", "),
        still = alike(bound, relation, "t", "d", &all_columns(bound, relation)),
        base_text = literal(&base),
    )
}
