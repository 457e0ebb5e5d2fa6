//! `dejima tables`: the Dejima tables of a peer and how they lie over its base tables.

use dejima_proto::v1::{BaseColumn, DejimaTable, MappedColumn, TablesRequest};
use serde_json::{Value, json};

use crate::inspect::{bounded, operator, unanswered};
use crate::output::{Output, Rows, print, print_json};

/// Shows all of them.
pub(crate) async fn tables(address: &str, output: Output) -> anyhow::Result<()> {
    let answer = operator(address)?.tables(bounded(TablesRequest {})).await;
    let tables = answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner()
        .tables;
    if output == Output::Json {
        let tables: Vec<Value> = tables.iter().map(table_json).collect();
        return Ok(print_json(&json!({ "tables": tables }))?);
    }
    let mut rows = Rows::new(&[
        "table",
        "column",
        "type",
        "key",
        "base table",
        "base column",
        "where",
    ]);
    for table in &tables {
        for (at, column) in table.columns.iter().enumerate() {
            let once = |text: String| if at == 0 { text } else { String::new() };
            let is_key = table.key.contains(&column.name);
            rows.add_row([
                once(table.name.clone()),
                column.name.clone(),
                column.r#type.clone(),
                (if is_key { "yes" } else { "" }).to_owned(),
                once(base_tables(table)),
                base_columns(table, column),
                once(condition(table)),
            ]);
        }
    }
    Ok(print(rows)?)
}

fn base_tables(table: &DejimaTable) -> String {
    let text = |used: &dejima_proto::v1::BaseTable| {
        let name = &used.name;
        if used.is_written {
            name.clone()
        } else {
            format!("{name} (only read)")
        }
    };
    let names: Vec<_> = table.base_tables.iter().map(text).collect();
    names.join(", ")
}

/// Without the table where there is only one.
fn base_columns(table: &DejimaTable, column: &MappedColumn) -> String {
    let name = |origin: &BaseColumn| match table.base_tables.len() {
        1 => origin.column.clone(),
        _ => qualified(origin),
    };
    let names: Vec<_> = column.shows.iter().map(name).collect();
    names.join(", ")
}

/// As the declaration says it, or what a strategy makes it depend on.
fn condition(table: &DejimaTable) -> String {
    if !table.condition.is_empty() || table.decides.is_empty() {
        return table.condition.clone();
    }
    let names: Vec<_> = table.decides.iter().map(qualified).collect();
    format!("by {}", names.join(", "))
}

fn qualified(origin: &BaseColumn) -> String {
    format!("{}.{}", origin.base_table, origin.column)
}

fn table_json(table: &DejimaTable) -> Value {
    let columns = table.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.r#type, "base_column": column.base_column,
            "shows": column.shows.iter().map(origin_json).collect::<Vec<_>>(),
        })
    });
    let used = table.base_tables.iter();
    let used = used.map(|used| json!({ "name": used.name, "is_written": used.is_written }));
    json!({
        "name": table.name, "base_table": table.base_table, "columns": columns.collect::<Vec<_>>(),
        "key": table.key, "condition": table.condition, "base_tables": used.collect::<Vec<_>>(),
        "decides": table.decides.iter().map(origin_json).collect::<Vec<_>>(),
    })
}

fn origin_json(origin: &BaseColumn) -> Value {
    json!({ "base_table": origin.base_table, "column": origin.column })
}
