//! What a peer holds at one moment: memory of its process, tables and indexes in its database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dejima_testbed::World;
use futures::future::try_join_all;
use tokio_postgres::Client;

use crate::Result;

/// Every table and index of schema `dejima` with what belongs to it (for a table: its TOAST, maps, not its indexes).
const SIZES: &str =
    "SELECT relname, CASE relkind WHEN 'i' THEN pg_relation_size(oid) ELSE pg_table_size(oid) END
     FROM pg_class WHERE relnamespace = 'dejima'::regnamespace AND relkind IN ('r', 'i')";
/// The tables that get a row for a transaction, and must lose it.
const ROWS: &str =
    "SELECT (SELECT count(*) FROM dejima.transaction) + (SELECT count(*) FROM dejima.participant)
     + (SELECT count(*) FROM dejima.delta) + (SELECT count(*) FROM dejima.pending)";

/// One look at all peers.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Since the sampling began.
    pub(crate) at: Duration,
    /// Transactions that have ended, however.
    pub(crate) ended: u64,
    /// Those of them that were refused.
    pub(crate) refused: u64,
    /// In the order of the peers' names.
    pub(crate) peers: Vec<PeerSample>,
}

/// One look at one peer.
#[derive(Clone, Debug)]
pub(crate) struct PeerSample {
    /// Resident memory now, in KiB.
    pub(crate) rss_kib: u64,
    /// The most that it ever was, in KiB.
    pub(crate) rss_kib_max: u64,
    /// Open files and sockets.
    pub(crate) files: usize,
    /// Bytes of each table and index in schema `dejima`.
    pub(crate) relations: BTreeMap<String, u64>,
    /// Rows of the tables that are empty when nothing is in flight.
    pub(crate) rows: i64,
}

impl PeerSample {
    /// Bytes of schema `dejima`.
    pub(crate) fn bytes(&self) -> u64 {
        self.relations.values().sum()
    }
}

/// Looks at peers.
pub(crate) struct Sampler {
    begun: Instant,
    peers: Vec<(u32, Client)>,
}

impl Sampler {
    /// Connects to the databases; the peers must run and go on running.
    pub(crate) async fn connect(world: &World, names: &[&str]) -> Result<Self> {
        let connect = |name: &&str| {
            let name = (*name).to_owned();
            async move {
                let pid = world.member(&name).process.pid();
                let pid = pid.ok_or_else(|| format!("peer {name} was not started"))?;
                Result::Ok((pid, world.superuser(&name).await?))
            }
        };
        Ok(Self {
            begun: Instant::now(),
            peers: try_join_all(names.iter().map(connect)).await?,
        })
    }

    /// Looks at all peers.
    pub(crate) async fn take(&self, ended: u64, refused: u64) -> Result<Sample> {
        let looks = self
            .peers
            .iter()
            .map(|(pid, database)| look(*pid, database));
        Ok(Sample {
            at: self.begun.elapsed(),
            ended,
            refused,
            peers: try_join_all(looks).await?,
        })
    }
}

async fn look(pid: u32, database: &Client) -> Result<PeerSample> {
    let sizes = database.query(SIZES, &[]).await?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(PeerSample {
        rss_kib: status_kib(&status, "VmRSS:")?,
        rss_kib_max: status_kib(&status, "VmHWM:")?,
        files: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        relations: sizes
            .iter()
            .map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs()))
            .collect(),
        rows: database.query_one(ROWS, &[]).await?.get(0),
    })
}

/// A line of /proc/PID/status.
fn status_kib(status: &str, field: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let value = line.and_then(|value| value.trim().strip_suffix(" kB"));
    let value = value.ok_or_else(|| format!("/proc says nothing of {field}"))?;
    Ok(value.trim().parse()?)
}
