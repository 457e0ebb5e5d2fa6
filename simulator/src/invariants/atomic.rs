//! Invariant 1: a transaction becomes visible at all the peers that it touched or at none.

use crate::world::World;

/// Whatever a participant had prepared ended as the client's own transaction did.
pub(super) fn check(world: &World) -> Option<String> {
    let odd = |finish: &&crate::history::Finish| {
        world
            .history
            .decisions
            .get(&finish.gid)
            .is_some_and(|decision| *decision != finish.decision)
    };
    let finish = world.history.finishes.iter().find(odd)?;
    let decision = world.history.decisions[&finish.gid];
    let peer = &world.scenario.peers[finish.peer];
    Some(format!(
        "{}: the client's transaction ended with {decision:?}, {peer} with {:?}",
        finish.gid, finish.decision
    ))
}
