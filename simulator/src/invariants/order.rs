//! Invariant 3: the order of messages does not matter. Whatever it was, every peer ends with the effects of the
//! committed transactions, one after the other, in the columns that it shares.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dejima_core::delta::Key;

use crate::database::BaseRow;
use crate::world::World;

/// What everybody together knows: rows by key, values by attribute.
type Universe = BTreeMap<Key, BTreeMap<usize, Arc<str>>>;

/// Compares each base table with what the clients' statements mean for it.
pub(super) fn check(world: &World) -> Option<String> {
    let spheres = Spheres::of(world);
    let universe = universe(world, &spheres);
    (0..world.scenario.peers.len()).find_map(|peer| {
        let expected = spheres.seen_by(world, peer, &universe);
        let rows = world.database(peer).rows();
        let differs = |key: &&Key| rows.get(*key) != expected.get(*key);
        let key = rows.keys().chain(expected.keys()).find(differs)?;
        let name = &world.scenario.peers[peer];
        Some(format!(
            "{name} holds {:?} under {key:?}, expected {:?}",
            rows.get(key),
            expected.get(key)
        ))
    })
}

/// Sets of (peer, attribute) that are one thing: linked by Dejima tables that show the attribute.
struct Spheres {
    of: BTreeMap<(usize, String), usize>,
}

impl Spheres {
    fn of(world: &World) -> Self {
        let peers = 0..world.scenario.peers.len();
        let places = peers.flat_map(|peer| {
            world
                .scenario
                .attributes_of(peer)
                .into_iter()
                .map(move |a| (peer, a))
        });
        let mut of: BTreeMap<_, _> = places.zip(0..).collect();
        for table in &world.scenario.tables {
            for attribute in &table.attributes[1..] {
                let linked: BTreeSet<usize> = table
                    .members
                    .iter()
                    .map(|&member| of[&(member, attribute.clone())])
                    .collect();
                let first = linked.first().copied();
                for sphere in of.values_mut().filter(|sphere| linked.contains(sphere)) {
                    *sphere = first.unwrap_or(*sphere);
                }
            }
        }
        Self { of }
    }

    fn seen_by(&self, world: &World, peer: usize, universe: &Universe) -> BTreeMap<Key, BaseRow> {
        let attributes = world.scenario.attributes_of(peer);
        let value = |values: &BTreeMap<usize, Arc<str>>, attribute: &String| {
            Some((
                attribute.clone(),
                values.get(&self.of[&(peer, attribute.clone())])?.clone(),
            ))
        };
        let row = |values| {
            attributes
                .iter()
                .filter_map(|attribute| value(values, attribute))
                .collect()
        };
        universe
            .iter()
            .map(|(key, values)| (key.clone(), row(values)))
            .collect()
    }

    /// True if a member's trigger writes this thing in upper case.
    fn is_upper(&self, world: &World, sphere: usize) -> bool {
        let mut places = self.of.iter().filter(|(_, found)| **found == sphere);
        places.any(|((peer, attribute), _)| {
            world.scenario.characters[*peer]
                .upper_case
                .contains(attribute)
        })
    }
}

fn universe(world: &World, spheres: &Spheres) -> Universe {
    let mut universe = Universe::new();
    for (peer, effect) in &world.history.effects {
        let Some(values) = &effect.values else {
            universe.remove(&effect.key);
            continue;
        };
        let row = universe.entry(effect.key.clone()).or_default();
        for (attribute, value) in values {
            let sphere = spheres.of[&(*peer, attribute.clone())];
            match value {
                Some(value) if spheres.is_upper(world, sphere) => {
                    row.insert(sphere, value.to_uppercase().into())
                }
                Some(value) => row.insert(sphere, value.clone()),
                None => row.remove(&sphere),
            };
        }
    }
    universe
}
