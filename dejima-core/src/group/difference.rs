//! In which way two declarations of one Dejima table differ, in words for the operators of both peers.

use crate::delta::{Column, Schema};

/// The differences between this peer's schema and another's, or `None` if they are equal.
pub fn difference(here: &Schema, there: &Schema) -> Option<String> {
    if here == there {
        return None;
    }
    let mut parts = Vec::new();
    parts.extend(missing(here, there).map(|c| format!("column \"{}\" is missing there", c.name)));
    parts.extend(missing(there, here).map(|c| format!("column \"{}\" is missing here", c.name)));
    parts.extend(types(here, there));
    if key(here) != key(there) {
        parts.push(format!(
            "the key is ({}) here and ({}) there",
            key(here).join(", "),
            key(there).join(", ")
        ));
    }
    if parts.is_empty() {
        parts.push(format!(
            "the order of the columns is ({}) here and ({}) there",
            names(here),
            names(there)
        ));
    }
    Some(parts.join("; "))
}

fn missing<'a>(all: &'a Schema, some: &'a Schema) -> impl Iterator<Item = &'a Column> {
    all.columns
        .iter()
        .filter(|column| find(some, &column.name).is_none())
}

fn types(here: &Schema, there: &Schema) -> Vec<String> {
    let other =
        |column: &Column| find(there, &column.name).filter(|c| c.type_name != column.type_name);
    let differing = here
        .columns
        .iter()
        .filter_map(|column| other(column).map(|c| (column, c)));
    differing
        .map(|(a, b)| {
            format!(
                "column \"{}\" is {} here and {} there",
                a.name, a.type_name, b.type_name
            )
        })
        .collect()
}

fn find<'a>(schema: &'a Schema, name: &str) -> Option<&'a Column> {
    schema.columns.iter().find(|column| column.name == name)
}

fn names(schema: &Schema) -> String {
    let names: Vec<_> = schema.columns.iter().map(|c| c.name.as_str()).collect();
    names.join(", ")
}

fn key(schema: &Schema) -> Vec<&str> {
    schema
        .key
        .iter()
        .map(|&column| schema.column_name(column))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, &str)], key: &[u16]) -> Schema {
        let column = |(name, type_name): &(&str, &str)| Column {
            name: (*name).into(),
            type_name: (*type_name).into(),
        };
        Schema {
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
        }
    }

    #[test]
    fn each_difference_is_named() {
        let here = schema(&[("a", "text"), ("b", "text"), ("c", "integer")], &[0]);
        let there = schema(&[("a", "text"), ("c", "bigint"), ("d", "text")], &[0, 1]);
        assert_eq!(
            difference(&here, &there).as_deref(),
            Some(
                "column \"b\" is missing there; column \"d\" is missing here; \
                 column \"c\" is integer here and bigint there; the key is (a) here and (a, c) there"
            )
        );
    }

    #[test]
    fn order_is_a_difference() {
        let here = schema(&[("a", "text"), ("b", "text")], &[0]);
        let there = schema(&[("b", "text"), ("a", "text")], &[1]);
        let said = difference(&here, &there);
        assert_eq!(
            said.as_deref(),
            Some("the order of the columns is (a, b) here and (b, a) there")
        );
        assert_eq!(difference(&here, &here), None);
    }
}
