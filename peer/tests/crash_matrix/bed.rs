//! A world of three organisations with crash points and a load. Many cells use it, one after the other.

use std::time::Duration;

use dejima_testbed::{
    Counts, CrashPoints, Error, Load, LoadOptions, World, WorldOptions, worked_example,
};

const CLIENTS: usize = 8;
/// The machine has to do other things than this load, recovery among them.
const THINK: Duration = Duration::from_millis(20);

pub(crate) struct Bed {
    pub(crate) world: World,
    pub(crate) points: CrashPoints,
    pub(crate) load: Load,
}

impl Bed {
    pub(crate) async fn make(seed: u64) -> Result<Self, Error> {
        let options = WorldOptions {
            crash_points: true,
            ..WorldOptions::default()
        };
        let world = World::start(worked_example(Counts::default()), options).await?;
        let points = CrashPoints::new(&world).await?;
        let options = LoadOptions {
            seed,
            clients: CLIENTS,
            think: THINK,
        };
        let load = Load::new(&world, options).await?;
        Ok(Self {
            world,
            points,
            load,
        })
    }

    /// Organisations, in a fixed order.
    pub(crate) fn names(&self) -> Vec<String> {
        let members = self.world.members().iter();
        members.map(|member| member.name().to_owned()).collect()
    }
}
