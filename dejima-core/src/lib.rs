//! The Dejima algorithms, apart from any network and any clock.
//!
//! [`transaction`] and [`group`] are pure state machines, [`delta`] is what they exchange, [`strategy`] turns
//! declarations into SQL, [`examine`] judges what they hold. Only `database` (feature `postgres`) does IO, and it decides nothing.

pub mod crash_point;
pub mod delta;
pub mod examine;
pub mod group;
pub mod name;
pub mod plain;
pub mod refusal;
pub mod strategy;
pub mod transaction;

#[cfg(feature = "postgres")]
pub mod database;
