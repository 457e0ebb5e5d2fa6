//! Along which trees a fact reaches a peer. Several trees lead to one peer, and not all of them bring it everything: all
//! compute from the facts alike which one brings what.

use std::collections::{BTreeMap, BTreeSet};

use super::Fact;
use super::knowledge::Knowledge;
use super::members::Members;
use crate::name::{PeerName, TableName};

/// How a fact comes to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way<'a> {
    /// Along the tree of this Dejima table.
    along: &'a TableName,
    /// And into that from the tree of this one, unless whom it is about is in the former itself.
    from: Option<&'a TableName>,
}

/// Whether `me` is to tell a fact to a neighbour in the trees of the Dejima tables `along`. The neighbour shares the tables
/// `there`, as far as is known.
pub(super) fn is_due(
    knowledge: &Knowledge,
    members: &Members,
    fact: &Fact,
    me: &PeerName,
    to: &PeerName,
    there: &BTreeSet<TableName>,
    along: &BTreeSet<TableName>,
) -> bool {
    let ways = ways(knowledge, members, fact, there);
    let mut ways = ways.into_iter().filter(|way| along.contains(way.along));
    ways.any(|way| {
        let entry = way.from.and_then(|from| members.bridge(from, way.along));
        match entry.filter(|entry| !members.is_known_away(entry)) {
            Some(entry) => members.leads_away(way.along, entry, me, to),
            None => true,
        }
    })
}

/// A member of the Dejima table is told along the tree of that, and others along the tree that the news reach first.
fn ways<'a>(
    knowledge: &'a Knowledge,
    members: &Members,
    fact: &'a Fact,
    there: &BTreeSet<TableName>,
) -> BTreeSet<Way<'a>> {
    if there.contains(fact.table()) {
        return [Way {
            along: fact.table(),
            from: None,
        }]
        .into();
    }
    let sources: BTreeSet<_> = knowledge
        .of_peer(&fact.peer)
        .map(|other| other.table())
        .collect();
    let components = fact
        .shape
        .attributes()
        .filter_map(|attribute| knowledge.component(&attribute));
    let components: BTreeSet<_> = components.collect();
    let way = |component| {
        let mut before = order(members, component, &sources).into_iter();
        let (along, from) = before.find(|(table, _)| there.contains(*table))?;
        Some(Way { along, from })
    };
    components.into_iter().filter_map(way).collect()
}

/// The Dejima tables of a component in the order in which news from `sources` reach them, from one table to the next by
/// peers that share both, each with the one before it; of those that are equally far the first by name.
fn order<'a>(
    members: &Members,
    component: &'a BTreeSet<TableName>,
    sources: &BTreeSet<&TableName>,
) -> Vec<(&'a TableName, Option<&'a TableName>)> {
    let reached = component.iter().filter(|table| sources.contains(table));
    let mut reached: Vec<_> = reached.map(|table| (table, None)).collect();
    let mut done = 0;
    while done < reached.len() {
        let end = reached.len();
        let mut next: BTreeMap<&TableName, Option<&TableName>> = BTreeMap::new();
        for table in component
            .iter()
            .filter(|table| reached.iter().all(|(known, _)| known != table))
        {
            let before = reached[done..end]
                .iter()
                .find(|(known, _)| members.bridge(known, table).is_some());
            if let Some((before, _)) = before {
                next.insert(table, Some(before));
            }
        }
        reached.extend(next);
        done = end;
    }
    reached
}
