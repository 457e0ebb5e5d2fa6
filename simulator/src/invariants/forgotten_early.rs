//! Decision rows and participant rows are not forgotten before everybody named in them has committed, durably.

use crate::world::World;

/// No row went too early.
pub(super) fn check(world: &World) -> Option<String> {
    world.history.forgotten_early.first().cloned()
}
