//! The daemon beside one organisation's database.
