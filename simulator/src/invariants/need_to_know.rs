//! Invariant 5: a peer receives only what it shares. Values carry the name of their attribute, so a value that is
//! where it must not be is seen; and a refusal carries none.

use std::collections::BTreeMap;

use dejima_core::delta::{Cell, Change, ColumnIndex, Value};
use dejima_core::refusal::Refusal;
use dejima_core::transaction::Message;

use crate::client::MARK;
use crate::scenario::{Scenario, SharedTable};
use crate::world::World;

/// No message has told more.
pub(super) fn check(world: &World) -> Option<String> {
    world.history.leaks.first().cloned()
}

/// What a message tells a peer that is not for it.
pub(crate) fn leak(
    scenario: &Scenario,
    from: usize,
    to: usize,
    message: &Message,
) -> Option<String> {
    let receiver = &scenario.peers[to];
    if !scenario.are_acquainted(from, to) {
        return Some(format!("{receiver}, a stranger, was told {message:?}"));
    }
    match message {
        Message::Propagate {
            gid, table, delta, ..
        } => {
            let mut shared = scenario.tables_of(to);
            let Some(table) = shared.find(|shared| shared.name == *table) else {
                return Some(format!("{gid}: \"{table}\" was told to {receiver}"));
            };
            let change = delta.rows.values().find(|change| !is_of(table, change))?;
            Some(format!(
                "{gid}: {receiver} was told {change:?} as of \"{}\"",
                table.name
            ))
        }
        Message::Propagated {
            gid,
            result: Err(refusal),
            ..
        }
        | Message::Voted {
            gid,
            result: Err(refusal),
            ..
        }
        | Message::Terminate {
            gid,
            cause: Some(refusal),
            ..
        } => quotes(refusal).then(|| format!("{gid}: {receiver} was told {refusal:?}")),
        _ => None,
    }
}

/// True if the change speaks of columns of this table, and of nothing else.
fn is_of(table: &SharedTable, change: &Change) -> bool {
    let is_own = |column: ColumnIndex, value: &Value| {
        let attribute = table.attributes.get(usize::from(column));
        attribute.is_some_and(|attribute| may_hold(attribute, value))
    };
    let cells = |new: &BTreeMap<ColumnIndex, Cell>| {
        new.iter()
            .all(|(column, cell)| is_own(*column, &cell.value))
    };
    let values = |old: &BTreeMap<ColumnIndex, Value>| {
        old.iter().all(|(column, value)| is_own(*column, value))
    };
    match change {
        Change::Insert { new } => cells(new),
        Change::Update { old, new } => values(old) && cells(new),
        Change::Delete { old } => values(old),
    }
}

fn may_hold(attribute: &str, value: &Value) -> bool {
    let value = value.as_deref().and_then(|value| value.split_once(MARK));
    value.is_none_or(|(origin, _)| origin.eq_ignore_ascii_case(attribute))
}

fn quotes(refusal: &Refusal) -> bool {
    [&refusal.message, &refusal.detail, &refusal.hint]
        .into_iter()
        .any(|text| text.contains(MARK))
}
