//! From a file to a program, whatever it is written in.

use super::diagnostic::{Diagnostic, Severity};
use super::parse::parse;
use super::resolve::resolve;
use super::source::Sources;
use super::syntax::Document;
use crate::strategy::program::Program;

/// What a strategy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Put rules, and perhaps get rules: `.dl`.
    Datalog,
}

impl Format {
    /// By the ending of a file's name.
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "dl" => Some(Self::Datalog),
            _ => None,
        }
    }
}

/// What a file says.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The files that were read.
    pub sources: Sources,
    /// The strategy as put rules, as far as it could be read.
    pub document: Document,
    /// What it means, if there is no error.
    pub program: Option<Program>,
    /// What is to be said of it.
    pub findings: Vec<Diagnostic>,
}

/// Reads a strategy.
pub fn read(name: &str, text: &str, format: Format) -> Reading {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let (document, mut findings) = match format {
        Format::Datalog => parse(file, text),
    };
    let is_read = !findings.iter().any(|finding| finding.severity == Severity::Error);
    let mut program = None;
    if is_read {
        let (resolved, more) = resolve(&document);
        program = resolved;
        findings.extend(more);
    }
    Reading {
        sources,
        document,
        program,
        findings,
    }
}
