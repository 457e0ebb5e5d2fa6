//! Invariant 4: the copies of a Dejima table at any two members are the same set of rows.

use crate::world::World;

/// Compares the members' copies of each Dejima table.
pub(super) fn check(world: &World) -> Option<String> {
    for table in &world.scenario.tables {
        let (first, others) = table.members.split_first()?;
        let rows = world.database(*first).view(table);
        for other in others {
            let copy = world.database(*other).view(table);
            if let Some(row) = rows.symmetric_difference(&copy).next() {
                let (a, b) = (&world.scenario.peers[*first], &world.scenario.peers[*other]);
                return Some(format!(
                    "\"{}\" differs between {a} and {b} in {row:?}",
                    table.name
                ));
            }
        }
    }
    None
}
