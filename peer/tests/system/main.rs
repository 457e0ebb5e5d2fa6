//! Real peers, real databases: what a client at psql sees.

mod away;
mod batches;
mod contention;
mod detection;
mod doctor;
mod fixture;
mod gate;
mod hostile;
mod hung_client;
mod joining;
mod large;
mod lengths;
mod partition;
mod privacy;
mod refusals;
mod resolve;
mod start;
mod statements;
mod strategies;
mod transactions;
mod values;
