//! `dejima strategy explain`: the put rules, whatever a strategy was written in, and what hangs on what.

use std::path::Path;

use dejima_core::strategy::depend::Dependence;
use dejima_core::strategy::language::Reading;
use dejima_core::strategy::program::Program;
use serde_json::{Value, json};

use super::{UNREADABLE, readings};
use crate::output::{Output, print, print_json, table};

/// Explains one file; says the exit status.
pub(super) fn explain(file: &Path, schema: Option<&Path>, output: Output) -> anyhow::Result<u8> {
    let mut status = 0;
    let mut documents = Vec::new();
    for reading in readings(file, schema)? {
        match (&reading.program, output) {
            (Some(program), Output::Table) => print_explained(&reading, program)?,
            (Some(program), Output::Json) => documents.push(explained_json(&reading, program)),
            (None, _) => {
                status = UNREADABLE;
                for finding in &reading.findings {
                    eprintln!("{}", finding.render(&reading.sources));
                }
            }
        }
    }
    if output == Output::Json {
        print_json(&json!({ "strategies": documents }))?;
    }
    Ok(status)
}

fn print_explained(reading: &Reading, program: &Program) -> anyhow::Result<()> {
    print(reading.document.to_string().trim_end())?;
    if program.get_is_derived {
        print(format_args!(
            "\nWhat {} shows is not written; it follows from the put rules.",
            program.view().name
        ))?;
    }
    let dependence = Dependence::of(program);
    let mut rows = table(&["column", "shows"]);
    for (column, origins) in program.view().columns.iter().zip(&dependence.shows) {
        rows.add_row([column.name.clone(), names(origins)]);
    }
    print(format_args!("\n{rows}"))?;
    print(format_args!(
        "Which rows there are depends on: {}",
        names(&dependence.decides)
    ))?;
    let writes: Vec<&str> = dependence.writes.iter().map(String::as_str).collect();
    Ok(print(format_args!(
        "A change of it writes: {}",
        writes.join(", ")
    ))?)
}

fn names<'a>(
    columns: impl IntoIterator<Item = &'a dejima_core::strategy::depend::BaseColumn>,
) -> String {
    let names = columns
        .into_iter()
        .map(|column| format!("{}.{}", column.table, column.column));
    let text = names.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}

fn explained_json(reading: &Reading, program: &Program) -> Value {
    let dependence = Dependence::of(program);
    let columns = program.view().columns.iter().zip(&dependence.shows);
    let columns = columns.map(|(column, origins)| {
        let shows = origins
            .iter()
            .map(|origin| json!({ "table": origin.table, "column": origin.column }));
        json!({ "name": column.name, "type": column.type_name, "shows": shows.collect::<Vec<_>>() })
    });
    let decides = dependence.decides.iter();
    let decides = decides.map(|origin| json!({ "table": origin.table, "column": origin.column }));
    json!({
        "view": program.view().name, "rules": reading.document.to_string(),
        "columns": columns.collect::<Vec<_>>(), "decides": decides.collect::<Vec<_>>(),
        "writes": dependence.writes, "get_is_derived": program.get_is_derived,
    })
}
