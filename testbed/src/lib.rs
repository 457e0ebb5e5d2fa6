//! Throw-away PostgreSQL clusters and peers, for the demo, the tests and the benchmarks.
//!
//! Everything lives in one [`Scratch`] folder and every process that is started belongs to it: when it is
//! dropped, or when this process dies in whatever way, the processes are stopped and the folder is removed.
//!
//! [`Cluster`] is a PostgreSQL of one's own, [`PeerProcess`] a running `dejima-peer`, and [`World`] a set of
//! organisations with both, ready to share; [`World::start`] with [`worked_example`] is the example that the
//! README tells of. [`Load`] lets clients loose on such a world, and knows what must be found afterwards.

mod address;
mod agreement;
mod binaries;
mod caller;
mod child;
mod cluster;
mod corpus;
mod crash_points;
mod cuts;
mod detection;
mod error;
mod helpers;
mod load;
mod organisation;
mod packages;
mod peer_process;
mod rides;
mod scratch;
mod solver;
mod waits;
mod wire;
mod world;

pub use address::{InvalidAddress, connect_channel};
pub use agreement::{Agreement, Difference, SharedTable};
pub use binaries::Binaries;
pub use cluster::{Cluster, ClusterOptions, Shutdown};
pub use corpus::{CorpusFile, Expectation, Head};
pub use crash_points::{CrashPoints, Hit};
pub use detection::Detected;
pub use error::Error;
pub use load::{Counters, Load, LoadOptions, Wrong};
pub use organisation::{Counts, Organisation, Share, worked_example};
pub use packages::Packages;
pub use peer_process::{PeerFiles, PeerProcess};
pub use rides::ride_sharing;
pub use scratch::Scratch;
pub use solver::solver;
pub use waits::until_somebody_waits;
pub use wire::Wire;
pub use world::{Layout, Member, World, WorldOptions, connect};
