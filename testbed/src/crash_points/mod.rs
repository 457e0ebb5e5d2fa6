//! Stops a process at a named crash point, so that a test can kill it, or another one, exactly then.
//!
//! The points of peers and helpers are in the programs (feature `crash-points`) and ask at a unix socket; those of
//! backends are made by triggers and settings of the test's own. Only one point of one organisation is armed at a time.

mod backend;
mod program;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use dejima_core::crash_point::{CrashPoint, Role, Step};

use crate::error::Error;
use crate::scratch::Scratch;
use crate::world::{World, WorldOptions};
use backend::Backends;
use program::Programs;

/// The variable by which a program is told its socket.
const SOCKET_VARIABLE: &str = "DEJIMA_CRASH_POINTS";

/// What the processes of an organisation are told, if the world has crash points.
pub(crate) fn environment(
    scratch: &Scratch,
    organisation: &str,
    options: WorldOptions,
) -> Vec<(String, OsString)> {
    let socket = || socket(scratch, organisation).into_os_string();
    let variable = || (SOCKET_VARIABLE.to_owned(), socket());
    options.crash_points.then(variable).into_iter().collect()
}

/// The socket at which the programs of an organisation ask.
fn socket(scratch: &Scratch, organisation: &str) -> PathBuf {
    let name: &OsStr = organisation.as_ref();
    scratch.folder().join(name).with_extension("crash")
}

/// A process that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The process.
    pub pid: u32,
    /// The transaction that it is at, if it knows that.
    pub gid: Option<String>,
}

/// The crash points of a world that was made with [`WorldOptions::crash_points`](crate::WorldOptions::crash_points).
#[derive(Debug)]
pub struct CrashPoints {
    programs: Programs,
    backends: Backends,
}

impl CrashPoints {
    /// Listens to the programs, and puts the triggers into the databases.
    pub async fn new(world: &World) -> Result<Self, Error> {
        Ok(Self {
            programs: Programs::listen(world)?,
            backends: Backends::install(world).await?,
        })
    }

    /// From now on whoever reaches the point at this organisation stands still there.
    pub async fn arm(
        &mut self,
        world: &World,
        organisation: &str,
        point: CrashPoint,
    ) -> Result<(), Error> {
        if is_in_backend(point) {
            return self.backends.arm(world, organisation, point).await;
        }
        self.programs.arm(organisation, point);
        Ok(())
    }

    /// Waits until somebody stands at the armed point; `None` if that takes longer than it may.
    pub async fn hit(&mut self, at_most: Duration) -> Option<Hit> {
        let hit = async {
            tokio::select! {
                hit = self.programs.hit() => hit,
                hit = self.backends.hit() => hit,
            }
        };
        tokio::time::timeout(at_most, hit).await.ok()
    }

    /// Whoever stands at a point goes on, if he lives; nobody stops any more. To be called once more after the start
    /// of a database that was killed at a point of its own.
    pub async fn disarm(&mut self, world: &World) {
        self.programs.disarm();
        self.backends.disarm(world).await;
    }
}

fn is_in_backend(point: CrashPoint) -> bool {
    let steps = [Step::Capture, Step::Hook, Step::Decision];
    point.role == Role::Origin && steps.contains(&point.step)
}
