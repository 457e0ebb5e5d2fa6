//! Aborted transactions leave no decision row and no participant row.

use dejima_core::transaction::Decision;

use super::rows_left;
use crate::world::World;

/// No row of an aborted transaction is left anywhere.
pub(super) fn check(world: &World) -> Option<String> {
    rows_left::left(world, Decision::Abort)
}
