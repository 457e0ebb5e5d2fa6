//! What can happen to a world, at random: deaths, hangs and partitions, and how each one ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dejima_simulator::random::Random;
use dejima_testbed::World;

use crate::{PEERS, Result};

/// A helper lives for milliseconds: under load one is met soon.
const HELPER_SEARCH_MAX: Duration = Duration::from_millis(500);

/// Something that happens, at one organisation or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9 of a peer.
    PeerKilled(&'static str),
    /// kill -9 of a database server and all its processes.
    ServerKilled(&'static str),
    /// kill -9 of a client's session; the server ends all others and recovers by itself.
    SessionKilled(&'static str),
    /// kill -9 of a helper at work.
    HelperKilled(&'static str),
    /// SIGSTOP of a peer.
    PeerFrozen(&'static str),
    /// SIGSTOP of a client's session.
    SessionFrozen(&'static str),
    /// What the first sends to the second is dropped.
    OneWayCut(&'static str, &'static str),
    /// What either sends to the other is dropped.
    Cut(&'static str, &'static str),
}

/// What is left to do when a fault ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Nothing,
    StartPeer(&'static str),
    StartServer(&'static str),
    ThawPeer(&'static str),
    ThawSession(&'static str, u32),
    Heal,
}

impl Fault {
    /// One of all.
    pub(crate) fn choose(random: &mut Random) -> Self {
        let at = random.index(PEERS.len());
        let peer = PEERS[at];
        let other = PEERS[(at + 1 + random.index(PEERS.len() - 1)) % PEERS.len()];
        match random.below(8) {
            0 => Self::PeerKilled(peer),
            1 => Self::ServerKilled(peer),
            2 => Self::SessionKilled(peer),
            3 => Self::HelperKilled(peer),
            4 => Self::PeerFrozen(peer),
            5 => Self::SessionFrozen(peer),
            6 => Self::OneWayCut(peer, other),
            _ => Self::Cut(peer, other),
        }
    }

    /// Its kind, for the count.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::PeerKilled(_) => "peers killed",
            Self::ServerKilled(_) => "servers killed",
            Self::SessionKilled(_) => "sessions killed",
            Self::HelperKilled(_) => "helpers killed",
            Self::PeerFrozen(_) => "peers frozen",
            Self::SessionFrozen(_) => "sessions frozen",
            Self::OneWayCut(..) => "one-way cuts",
            Self::Cut(..) => "cuts",
        }
    }

    /// Makes it happen; `None` if there was nothing that it could have happened to.
    pub(crate) async fn strike(self, world: &mut World) -> Result<Option<Ending>> {
        Ok(match self {
            Self::PeerKilled(peer) => {
                world.member_mut(peer).process.kill();
                Some(Ending::StartPeer(peer))
            }
            Self::ServerKilled(peer) => {
                tokio::task::block_in_place(|| world.cluster_mut(peer).kill());
                Some(Ending::StartServer(peer))
            }
            Self::SessionKilled(peer) => {
                let session = session_of(world, peer).await;
                let killed = session.filter(|pid| world.cluster(peer).kill_session(*pid));
                killed.map(|_| Ending::Nothing)
            }
            Self::HelperKilled(peer) => kill_helper(world, peer).await.then_some(Ending::Nothing),
            Self::PeerFrozen(peer) => {
                world.member_mut(peer).process.freeze();
                Some(Ending::ThawPeer(peer))
            }
            Self::SessionFrozen(peer) => {
                let session = session_of(world, peer).await;
                let frozen = session.filter(|pid| world.cluster(peer).freeze_session(*pid));
                frozen.map(|pid| Ending::ThawSession(peer, pid))
            }
            Self::OneWayCut(from, to) => {
                world.cut(from, to);
                Some(Ending::Heal)
            }
            Self::Cut(one, other) => {
                world.cut(one, other);
                world.cut(other, one);
                Some(Ending::Heal)
            }
        })
    }
}

impl Ending {
    /// Does what is left to do.
    pub(crate) fn carry_out(self, world: &mut World) -> Result<()> {
        match self {
            Self::Nothing => {}
            Self::StartPeer(peer) => world.member_mut(peer).process.start()?,
            Self::StartServer(peer) => {
                tokio::task::block_in_place(|| world.cluster_mut(peer).start_again())?;
            }
            Self::ThawPeer(peer) => world.member_mut(peer).process.thaw(),
            // If its server has died meanwhile, it is gone.
            Self::ThawSession(peer, pid) => drop(world.cluster(peer).thaw_session(pid)),
            Self::Heal => world.heal(),
        }
        Ok(())
    }
}

/// Any session of a client; `None` also if the database cannot be asked now.
async fn session_of(world: &World, peer: &str) -> Option<u32> {
    let superuser = world.superuser(peer).await.ok()?;
    let sql = "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY random() LIMIT 1";
    let found = superuser.query_opt(sql, &[&peer]).await.ok()??;
    Some(found.get::<_, i32>(0).unsigned_abs())
}

async fn kill_helper(world: &World, peer: &str) -> bool {
    let until = Instant::now() + HELPER_SEARCH_MAX;
    while Instant::now() < until {
        if world.cluster(peer).kill_helper() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

/// How many of each kind.
pub(crate) type Kinds = BTreeMap<&'static str, u32>;
