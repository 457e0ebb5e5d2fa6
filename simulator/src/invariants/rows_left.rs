//! Decision rows and participant rows are forgotten when everybody named in them has committed.

use dejima_core::transaction::Decision;

use crate::world::World;

/// No row of a committed transaction is left anywhere.
pub(super) fn check(world: &World) -> Option<String> {
    left(world, Decision::Commit)
}

/// A row of a transaction that ended so, if one is left anywhere.
pub(super) fn left(world: &World, end: Decision) -> Option<String> {
    (0..world.scenario.peers.len()).find_map(|peer| {
        let ended = |gid| world.history.decisions.get(gid) == Some(&end);
        let gid = world.database(peer).remembered().find(|gid| ended(gid))?;
        let name = &world.scenario.peers[peer];
        Some(format!("{gid}: a row of it is left at {name}"))
    })
}
