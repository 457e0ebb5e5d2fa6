//! The contract of sql/README.md, on a real PostgreSQL: what is captured, what the hook does, what puts do, what
//! the machine's requests do, and every mistake that a user can make. The cases in `contract` run on the
//! simulator's model of the database as well.

mod apply;
mod bed;
mod capture;
mod constraints;
mod contract;
mod copies;
mod declare;
mod execute;
mod guard;
mod hook;
mod immediate;
mod known_failures;
mod partitions;
mod programs;
mod put;
mod put_many;
mod put_order;
mod sessions;
mod short_ways;
mod view;
