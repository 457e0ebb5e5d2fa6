//! Real peers, real databases: what a client at psql sees.

mod away;
mod contention;
mod doctor;
mod fixture;
mod large;
mod privacy;
mod refusals;
mod resolve;
mod start;
mod statements;
mod transactions;
