//! Invariant 2: only the origin's local commit decides.

use dejima_core::transaction::Decision;

use crate::world::World;

/// Nobody has committed before the decision row was visible.
pub(super) fn check(world: &World) -> Option<String> {
    let early = |finish: &&crate::history::Finish| {
        finish.decision == Decision::Commit && finish.decided != Some(Decision::Commit)
    };
    let finish = world.history.finishes.iter().find(early)?;
    Some(format!(
        "{}: {} committed before the client did",
        finish.gid, world.scenario.peers[finish.peer]
    ))
}
