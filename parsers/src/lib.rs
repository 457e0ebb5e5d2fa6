//! What must hold of everything that reads bytes from outside: it does not panic, what it takes in it can say again, and
//! what goes on to a database, a terminal or a log is fit for it.
//!
//! A [`Target`] feeds bytes to one of these readers and panics if its property fails. `tests/mutated.rs` feeds them what it makes
//! of the seeds at random, in every run of the tests; the fuzzer in `fuzz/` looks for more, for as long as it is let.

mod delta;
mod fact;
mod frames;
mod groups;
mod local;
mod names;
mod refusal;
mod text;
mod transactions;

/// A reader with its property.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the name of the fuzzer's program and of the corpus.
    pub name: &'static str,
    /// Reads the bytes; panics if the property fails.
    pub run: fn(&[u8]),
    /// Inputs that get far, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! target {
    ($module:ident :: $name:ident) => {
        Target {
            name: stringify!($name),
            run: $module::$name,
            seeds: $module::seeds,
        }
    };
}

/// All of them.
pub const TARGETS: [Target; 11] = [
    target!(names::names),
    target!(delta::delta),
    target!(delta::capture),
    target!(fact::exchange),
    target!(fact::stored_fact),
    target!(refusal::refusal),
    target!(local::helper),
    target!(text::config),
    target!(text::statement),
    target!(transactions::transactions),
    target!(groups::groups),
];

/// Feeds bytes to the target of that name.
///
/// # Panics
///
/// If the target's property fails, or if there is none of that name.
pub fn feed(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target is fed by its own name");
    (target.run)(bytes);
}
