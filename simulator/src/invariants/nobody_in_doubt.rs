//! After the heal phase nobody is in doubt: no transaction, lock or question is left anywhere.

use crate::world::World;

/// Every peer has come to rest.
pub(super) fn check(world: &World) -> Option<String> {
    let restless = (0..world.scenario.peers.len()).find(|&peer| !world.is_quiet(peer))?;
    let prepared: Vec<_> = world.database(restless).in_doubt().collect();
    Some(format!(
        "{} has not come to rest; prepared there: {prepared:?}",
        world.scenario.peers[restless]
    ))
}
