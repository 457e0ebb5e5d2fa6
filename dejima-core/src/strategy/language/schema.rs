//! What the database says of base tables that put rules declare: keys, foreign keys, NOT NULL and CHECKs.

use super::syntax::{Document, RelationKind, Statement};
use crate::strategy::derive::{Table, table_statements};

/// Adds the keys and constraints of tables that the document declares as sources.
pub(super) fn add(document: &mut Document, tables: &[Table]) {
    let mut declared = Vec::new();
    for statement in &mut document.statements {
        let Statement::Relation(relation) = statement else {
            continue;
        };
        let table = tables
            .iter()
            .find(|table| table.name.text == relation.name.text);
        if let Some(table) = table.filter(|_| relation.kind == RelationKind::Source) {
            for column in &mut relation.columns {
                if let Some(position) = table.column(&column.name.text) {
                    column.nullable = table.columns[position].nullable;
                }
            }
            let names: Vec<&str> = relation
                .columns
                .iter()
                .map(|column| column.name.text.as_str())
                .collect();
            let is_whole = table
                .columns
                .iter()
                .map(|column| column.name.text.as_str())
                .eq(names);
            declared.push((table, is_whole));
        }
    }
    let is_declared = |name: &str| declared.iter().any(|(table, _)| table.name.text == name);
    for (table, is_whole) in &declared {
        for statement in table_statements(table, tables) {
            let fits = match &statement {
                Statement::Relation(_) => false,
                Statement::ForeignKey(key) => is_declared(&key.target.text),
                // A CHECK is written over all columns in their order.
                Statement::Constraint(_) => *is_whole,
                _ => true,
            };
            if fits
                && !document
                    .statements
                    .iter()
                    .any(|known| known.to_string() == statement.to_string())
            {
                document.statements.push(statement);
            }
        }
    }
}
