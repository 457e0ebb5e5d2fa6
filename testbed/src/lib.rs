//! Throw-away PostgreSQL clusters and peers, for the demo, the tests and the benchmarks.
