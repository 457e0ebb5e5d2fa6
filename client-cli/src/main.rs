//! The command `dejima`.

fn main() {}
