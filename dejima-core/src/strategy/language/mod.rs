//! The strategy language: from the text that a user writes to a [`Program`](super::program::Program).
//!
//! Three ways lead in ([`read`]): Datalog put rules, an SQL view, and declarations. The latter two become the first: what is derived
//! from a view is a [`Document`](syntax::Document) that one can print, read and change. [`resolve`] then finds out what the
//! names mean, and everything that can be wrong without any row.

mod cursor;
mod declared;
mod diagnostic;
mod expression;
#[cfg(test)]
mod laws;
mod parse;
mod print;
mod reading;
mod resolve;
mod schema;
mod source;
mod sql;
pub mod syntax;
mod token;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use parse::parse;
pub use reading::{File, Format, Reading, read};
pub use resolve::{Resolved, resolve};
pub use source::{Position, Source, Sources, Span};
