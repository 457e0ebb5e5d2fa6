//! What a change of a base table touches of the Dejima tables over it.

use std::collections::BTreeSet;

use super::declared::{DeclaredTable, Origin, UsedTable};
use crate::group::Attribute;

/// A change of one base table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseTableChange {
    /// The base table, quoted and qualified.
    pub base_table: String,
    /// The base columns that an UPDATE sets; none: whole rows are inserted or deleted.
    pub columns: BTreeSet<String>,
}

impl BaseTableChange {
    /// The attributes of these Dejima tables that may change.
    pub fn touched(&self, tables: &[DeclaredTable]) -> BTreeSet<Attribute> {
        let touched = tables.iter().flat_map(|table| self.touched_of(table));
        touched.collect()
    }

    fn touched_of(&self, table: &DeclaredTable) -> BTreeSet<Attribute> {
        let uses = |used: &UsedTable| used.name == self.base_table;
        if !table.base_tables.iter().any(uses) {
            return BTreeSet::new();
        }
        let is_whole = self.may_move_rows(table);
        let touched = table
            .attributes()
            .filter(|(_, origins)| is_whole || self.changes(origins));
        touched.map(|(attribute, _)| attribute).collect()
    }

    /// Whether rows may enter or leave the Dejima table, or change their key there: that concerns all its columns.
    fn may_move_rows(&self, table: &DeclaredTable) -> bool {
        let mut key = table.schema.key.iter();
        self.columns.is_empty()
            || self.changes(&table.decides)
            || key.any(|&at| self.changes(&table.shows[usize::from(at)]))
    }

    fn changes(&self, origins: &BTreeSet<Origin>) -> bool {
        let mut origins = origins.iter();
        origins.any(|origin| {
            origin.base_table == self.base_table && self.columns.contains(&origin.column)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::declared::tests::{of_view, over};
    use super::*;

    const BASE: &str = r#""public"."stock""#;

    fn declared(name: &str, base_columns: &[&str], decides: &[&str]) -> DeclaredTable {
        over(name, BASE, base_columns, decides)
    }

    fn touched(tables: &[DeclaredTable], base_table: &str, columns: &[&str]) -> Vec<String> {
        let change = BaseTableChange {
            base_table: base_table.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        };
        let touched = change.touched(tables);
        let text = |attribute: Attribute| format!("{}.{}", attribute.table, attribute.column);
        touched.into_iter().map(text).collect()
    }

    #[test]
    fn a_column_touches_the_dejima_tables_that_show_it() {
        let tables = [
            declared("A", &["id", "x", "y"], &[]),
            declared("B", &["id", "x", "z"], &[]),
        ];
        assert_eq!(touched(&tables, BASE, &["y"]), ["A.d_y"]);
        assert_eq!(touched(&tables, BASE, &["x"]), ["A.d_x", "B.d_x"]);
        assert_eq!(touched(&tables, BASE, &["y", "z"]), ["A.d_y", "B.d_z"]);
        assert_eq!(touched(&tables, BASE, &["hidden"]), [""; 0]);
        assert_eq!(touched(&tables, r#""other"."stock""#, &["x"]), [""; 0]);
    }

    #[test]
    fn a_key_and_whole_rows_touch_all_columns() {
        let tables = [
            declared("A", &["id", "x"], &[]),
            declared("B", &["number", "x"], &[]),
        ];
        assert_eq!(touched(&tables, BASE, &["id"]), ["A.d_id", "A.d_x"]);
        let all = ["A.d_id", "A.d_x", "B.d_number", "B.d_x"];
        assert_eq!(touched(&tables, BASE, &[]), all);
        assert_eq!(
            touched(&tables, BASE, &["x", "number"]),
            ["A.d_x", "B.d_number", "B.d_x"]
        );
    }

    #[test]
    fn a_column_that_decides_which_rows_are_shown_touches_all_columns() {
        let tables = [declared("A", &["id", "x", "y"], &["x", "is_open"])];
        let all = ["A.d_id", "A.d_x", "A.d_y"];
        assert_eq!(touched(&tables, BASE, &["x"]), all);
        assert_eq!(
            touched(&tables, BASE, &["is_open"]),
            all,
            "a hidden one, too"
        );
        assert_eq!(touched(&tables, BASE, &["y"]), ["A.d_y"]);
        assert_eq!(touched(&tables, BASE, &["opened"]), [""; 0]);
    }

    #[test]
    fn a_program_is_touched_through_each_of_its_base_tables() {
        let tables = [of_view(
            "CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL UNIQUE, mayor text);
             CREATE TABLE client (id int PRIMARY KEY, name text, city int NOT NULL REFERENCES city, kind text);
             -- put: read city
             CREATE VIEW v AS SELECT c.id, c.name, t.name AS town FROM client c JOIN city t ON c.city = t.id WHERE c.kind = 'a'",
        )];
        let all = ["v.id", "v.name", "v.town"];
        let (city, client) = (r#""public"."city""#, r#""public"."client""#);
        assert_eq!(touched(&tables, city, &["name"]), ["v.town"]);
        assert_eq!(touched(&tables, city, &["mayor"]), [""; 0]);
        assert_eq!(touched(&tables, city, &[]), all);
        assert_eq!(touched(&tables, client, &["name"]), ["v.name"]);
        assert_eq!(touched(&tables, client, &["city"]), all);
        assert_eq!(touched(&tables, client, &["kind"]), all);
    }
}
