//! What detection is for: the peer groups, as a function of facts.

use std::collections::{BTreeMap, BTreeSet};

use super::components::Components;
use super::{Attribute, Fact, Shape};
use crate::name::{PeerName, TableName};

/// Dejima tables that depend on each other by the same attributes, and all peers that share one of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerGroup {
    /// The Dejima tables.
    pub tables: BTreeSet<TableName>,
    /// The attributes: columns of these tables that come from the same base columns, by whatever name a table
    /// calls them.
    pub attributes: BTreeSet<Attribute>,
    /// All peers that share one of the tables.
    pub peers: BTreeSet<PeerName>,
}

impl PeerGroup {
    /// The names that the attributes go by.
    pub fn attribute_names(&self) -> BTreeSet<&str> {
        let names = self
            .attributes
            .iter()
            .map(|attribute| attribute.column.as_str());
        names.collect()
    }
}

/// The peer groups: attributes that come from the same base column at some peer hang together; those that hang together
/// over the same set of Dejima tables are one group. A function of the set of facts, so their order cannot matter. Each
/// attribute of each Dejima table is in exactly one group.
pub fn peer_groups<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<PeerGroup> {
    let mut by_peer: BTreeMap<&PeerName, Vec<&Shape>> = BTreeMap::new();
    let facts = facts.into_iter().filter(|fact| !fact.shape.has_left);
    for fact in facts {
        by_peer.entry(&fact.peer).or_default().push(&fact.shape);
    }
    // Most peers hold their Dejima tables in the same shapes as others do.
    let mut kinds: BTreeMap<Vec<&Shape>, Vec<&PeerName>> = BTreeMap::new();
    for (peer, shapes) in by_peer {
        kinds.entry(shapes).or_default().push(peer);
    }
    let mut components = Components::default();
    for shapes in kinds.keys() {
        components.add_all(shapes);
    }
    let mut groups: BTreeMap<BTreeSet<TableName>, PeerGroup> = BTreeMap::new();
    let tables = |component| components.tables(component).clone();
    for (attribute, component) in components.iter() {
        let tables = tables(component);
        let group = groups.entry(tables.clone()).or_insert_with(|| PeerGroup {
            tables,
            attributes: BTreeSet::new(),
            peers: BTreeSet::new(),
        });
        group.attributes.insert(attribute.clone());
    }
    for (shapes, peers) in kinds {
        let attributes = shapes.iter().flat_map(|shape| shape.attributes());
        let found: BTreeSet<_> = attributes
            .filter_map(|attribute| components.of(&attribute))
            .collect();
        let found: BTreeSet<_> = found.into_iter().map(tables).collect();
        for tables in found {
            if let Some(group) = groups.get_mut(&tables) {
                group.peers.extend(peers.iter().map(|&peer| peer.clone()));
            }
        }
    }
    groups.into_values().collect()
}
