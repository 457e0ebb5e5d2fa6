//! `dejima strategy sql`: the SQL that a strategy becomes, for review.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use dejima_core::name::TableName;
use dejima_core::strategy::program::Program;
use dejima_core::strategy::{Bound, Part, PartKind, divided, parts};
use serde_json::{Value, json};

use super::{UNREADABLE, readings};
use crate::output::{Output, print, print_json};

/// Prints the SQL of one file; says the exit status.
pub(super) fn sql(file: &Path, schema: Option<&Path>, output: Output) -> anyhow::Result<u8> {
    let mut status = 0;
    let mut documents = Vec::new();
    for reading in readings(file, schema)? {
        let Some(program) = reading.program else {
            status = UNREADABLE;
            for finding in &reading.findings {
                eprintln!("{}", finding.render(&reading.sources));
            }
            continue;
        };
        let bound = bound(program)?;
        match output {
            Output::Table => print_parts(&bound)?,
            Output::Json => documents.push(parts_json(&bound)),
        }
    }
    if output == Output::Json {
        print_json(&json!({ "strategies": documents }))?;
    }
    Ok(status)
}

fn bound(program: Program) -> anyhow::Result<Bound> {
    let name = &program.view().name;
    let table = TableName::new(name).with_context(|| format!("{name} cannot be shared"))?;
    Ok(Bound::as_declared(table, Arc::new(program))?)
}

/// As a database that serves this strategy alone would have it.
fn parts_of(bound: &Bound) -> Vec<Part> {
    let (strategies, programs) = divided(vec![bound.clone()]);
    parts(&strategies, &programs)
}

fn print_parts(bound: &Bound) -> anyhow::Result<()> {
    print(format_args!(
        "-- Dejima table \"{}\", over base tables as the strategy declares them. A database gives the numbers in the names of\n\
         -- functions itself: here the Dejima table is 1, and base tables are counted from 1.",
        bound.table
    ))?;
    for part in parts_of(bound) {
        let purpose = purpose(&part.kind);
        print(format_args!("\n-- {purpose}\n{};", part.create))?;
    }
    Ok(())
}

fn parts_json(bound: &Bound) -> Value {
    let parts = parts_of(bound);
    let parts = parts.iter().map(|part| {
        json!({ "part": part.name, "purpose": purpose(&part.kind), "create": part.create, "remove": part.remove })
    });
    json!({ "view": bound.table.as_str(), "parts": parts.collect::<Vec<_>>() })
}

fn purpose(kind: &PartKind) -> &'static str {
    match kind {
        PartKind::View(_) => "What the Dejima table shows.",
        PartKind::Derive => {
            "At the end of a transaction: finds what its changes of base tables changed in the Dejima table, and logs that."
        }
        PartKind::Put => {
            "Writes changed rows of the Dejima table into base tables: for the peer, and where there are triggers on the view for its clients."
        }
        PartKind::Capture(_) => "Triggers of a base table: log the rows that came and went.",
        PartKind::Dispatcher => {
            "What a peer calls to put: it chooses by the name of the Dejima table."
        }
    }
}
