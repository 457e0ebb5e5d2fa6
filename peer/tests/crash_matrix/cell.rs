//! One cell: a point, a victim, a side.

use std::fmt;
use std::time::Duration;

use dejima_core::crash_point::{CrashPoint, Role, Step};
use dejima_testbed::{Error, Hit};
use tokio::time::{Instant, sleep};

use crate::bed::Bed;
use crate::rest::await_rest;

/// How long it may take until somebody reaches the point.
const HIT_MAX: Duration = Duration::from_secs(10);
/// How long the load goes on without the victim.
const WITHOUT_VICTIM: Duration = Duration::from_millis(200);
/// After the victim's start everything must be resolved within this time.
const RESOLVED_MAX: Duration = Duration::from_secs(10);
/// After a failure the next cell needs a world at rest all the same.
const HEALED_MAX: Duration = Duration::from_secs(50);

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Peer,
    /// The postmaster and all processes of the cluster.
    Database,
    /// Not started again: each COMMIT has its own.
    Helper,
}

impl Victim {
    pub(crate) const ALL: [Self; 3] = [Self::Peer, Self::Database, Self::Helper];
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// At the organisation that stands at the point.
    There,
    /// For a point of the origin a participant, for a point of a participant the origin.
    Opposite,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::There, Self::Opposite];
}

/// A cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) point: CrashPoint,
    pub(crate) victim: Victim,
    pub(crate) side: Side,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            point,
            victim,
            side,
        } = self;
        let (point, victim, side) = (
            point.to_string(),
            format!("{victim:?}"),
            format!("{side:?}"),
        );
        let text = format!("{point:<28} {victim:<8} {side:<8}").to_ascii_lowercase();
        f.write_str(&text)
    }
}

/// What has come of a cell.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// From the arming.
    pub(crate) reached: Option<Duration>,
    /// How many processes, or clusters, were killed.
    pub(crate) killed: usize,
    /// From the victim's start (a helper's death).
    pub(crate) resolved: Option<Duration>,
    pub(crate) committed: usize,
    pub(crate) refused: u64,
    pub(crate) broken: u64,
    pub(crate) failures: Vec<String>,
}

impl Cell {
    /// Runs the cell with the point at this organisation. An error: the world is of no use any more.
    pub(crate) async fn run(
        self,
        bed: &mut Bed,
        organisation: &str,
        report: &mut Report,
    ) -> Result<(), Error> {
        let before = bed.load.counters();
        bed.load.work();
        bed.points.arm(&bed.world, organisation, self.point).await?;
        let armed = Instant::now();
        let hit = bed.points.hit(HIT_MAX).await;
        report.reached = hit.as_ref().map(|_| armed.elapsed());
        let began = match &hit {
            None => {
                report.failures.push("the point was not reached".into());
                bed.points.disarm(&bed.world).await;
                Instant::now()
            }
            Some(hit) => {
                let victim = self.victim_at(bed, organisation, hit);
                report.killed = self.kill(bed, &victim, hit);
                let killed = Instant::now();
                bed.points.disarm(&bed.world).await;
                sleep(WITHOUT_VICTIM).await;
                self.start_again(bed, &victim).await?.unwrap_or(killed)
            }
        };
        bed.load.rest().await?;
        match await_rest(&bed.world, began + RESOLVED_MAX).await {
            Ok(()) => report.resolved = Some(began.elapsed()),
            Err(left) => {
                let after = began.elapsed().as_millis();
                report.failures.push(format!("after {after} ms: {left}"));
                let healed = await_rest(&bed.world, Instant::now() + HEALED_MAX).await;
                healed.map_err(|what| Error::Hung {
                    what: format!("the end of {what}"),
                    waited: HEALED_MAX,
                })?;
                let after = began.elapsed().as_millis();
                report.failures.push(format!("resolved after {after} ms"));
            }
        }
        self.check(bed, report).await?;
        let after = bed.load.counters();
        report.committed = after.succeeded() - before.succeeded();
        report.refused = after.refusals() - before.refusals();
        report.broken = after.broken + after.unknown - before.broken - before.unknown;
        Ok(())
    }

    /// The organisation whose process is killed.
    fn victim_at(self, bed: &Bed, organisation: &str, hit: &Hit) -> String {
        let origin = hit.gid.as_deref().and_then(|gid| gid.split(':').next());
        match (self.side, self.point.role, origin) {
            (Side::There, ..) => organisation.to_owned(),
            (Side::Opposite, Role::Participant, Some(origin)) => origin.to_owned(),
            // Each of them shares every person, so all others take part in each transaction.
            (Side::Opposite, ..) => {
                let names = bed.names();
                let at = names.iter().position(|name| name == organisation);
                names[(at.unwrap_or_default() + 1) % names.len()].clone()
            }
        }
    }

    fn kill(self, bed: &mut Bed, victim: &str, hit: &Hit) -> usize {
        match self.victim {
            Victim::Peer => bed.world.member_mut(victim).process.kill(),
            Victim::Database => bed.world.cluster_mut(victim).kill(),
            Victim::Helper => {
                let at_point = self.side == Side::There && self.point.step == Step::Callback;
                let only = at_point.then_some(hit.pid);
                return bed.world.kill_helpers(victim, only);
            }
        }
        1
    }

    /// When the victim was started again; a helper never is.
    async fn start_again(self, bed: &mut Bed, victim: &str) -> Result<Option<Instant>, Error> {
        let began = Instant::now();
        match self.victim {
            Victim::Peer => {
                let process = &mut bed.world.member_mut(victim).process;
                process.start()?;
                process.wait_until_ready().await?;
            }
            Victim::Database => {
                bed.world.cluster_mut(victim).start_again()?;
                bed.points.disarm(&bed.world).await;
            }
            Victim::Helper => return Ok(None),
        }
        Ok(Some(began))
    }

    async fn check(self, bed: &mut Bed, report: &mut Report) -> Result<(), Error> {
        let agreement = bed.world.compare().await?;
        let differences = agreement.differences.iter();
        let differences = differences.map(|difference| {
            format!(
                "{} of {} is at {} and not at {}",
                difference.row, difference.table, difference.there, difference.missing
            )
        });
        report.failures.extend(differences);
        let wrong = bed.load.check(&bed.world).await?;
        report
            .failures
            .extend(wrong.iter().map(ToString::to_string));
        Ok(())
    }
}
