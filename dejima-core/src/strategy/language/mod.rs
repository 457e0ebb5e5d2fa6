//! The strategy language: from the text that a user writes to a [`Program`](super::program::Program).
//!
//! Three ways lead in: Datalog put rules ([`parse`]), an SQL view ([`sql`]) and a declaration ([`toml`]). The latter two
//! become the first: what is derived from a view is a [`Document`](syntax::Document) that one can print, read and change.
//! [`resolve`] then finds out what the names mean.

mod cursor;
mod diagnostic;
mod expression;
mod parse;
mod print;
mod reading;
mod resolve;
mod source;
pub mod syntax;
mod token;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use parse::parse;
pub use reading::{Format, Reading, read};
pub use resolve::{Resolved, resolve};
pub use source::{Position, Source, Sources, Span};
