//! Invariant 1: a transaction becomes visible at all the peers that it touched or at none.

use dejima_core::transaction::Decision;

use crate::world::World;

/// Whatever a participant had prepared ended as the client's own transaction did, and everybody who is named in a
/// row that says "committed" has committed.
pub(super) fn check(world: &World) -> Option<String> {
    odd_end(world).or_else(|| absent(world))
}

fn odd_end(world: &World) -> Option<String> {
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

fn absent(world: &World) -> Option<String> {
    let (named, committed) = (&world.history.named, &world.history.committed);
    let (gid, peer) = named.difference(committed).next()?;
    debug_assert_ne!(world.history.decisions.get(gid), Some(&Decision::Abort));
    let peer = &world.scenario.peers[*peer];
    Some(format!("{gid}: committed, but never at {peer}"))
}
