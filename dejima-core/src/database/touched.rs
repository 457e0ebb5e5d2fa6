//! What a change of a base table touches of the Dejima tables over it.

use std::collections::BTreeSet;

use super::DeclaredTable;
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
        if table.base_table != self.base_table {
            return BTreeSet::new();
        }
        let is_whole = self.may_move_rows(table);
        let touched = table
            .attributes()
            .filter(|(_, base)| is_whole || self.columns.contains(*base));
        touched.map(|(attribute, _)| attribute).collect()
    }

    /// Whether rows may enter or leave the Dejima table, or change their key there: that concerns all its columns.
    fn may_move_rows(&self, table: &DeclaredTable) -> bool {
        let mut key = table.schema.key.iter();
        let is_key = key.any(|&at| self.columns.contains(&table.base_columns[usize::from(at)]));
        let is_condition = |condition: &String| {
            let mut columns = self.columns.iter();
            mentions(condition, &table_name(&self.base_table))
                || columns.any(|column| mentions(condition, column))
        };
        self.columns.is_empty() || is_key || table.condition.as_ref().is_some_and(is_condition)
    }
}

/// Whether SQL text may mean a column or table by its name. A conservative search for the text, which takes a name in a
/// literal or a comment for the column too: too wide a scope costs nothing, one that is too narrow leaves peers out.
fn mentions(condition: &str, name: &str) -> bool {
    let text = condition.replace("\"\"", "\"").to_lowercase();
    let name = name.to_lowercase();
    let continues = |neighbour: Option<char>| neighbour.is_some_and(is_part_of_name);
    let mut found = text.match_indices(&name);
    // Such an identifier may spell any character by its number.
    text.contains("u&\"")
        || found.any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + name.len()..]);
            !continues(before.chars().next_back()) && !continues(after.chars().next())
        })
}

fn is_part_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// The bare name of a quoted and qualified table: a condition that says it may mean whole rows.
fn table_name(quoted: &str) -> String {
    // No name holds the character NUL.
    let marked = quoted.replace("\"\"", "\0");
    let name = marked.rsplit_once("\".\"").map_or("", |(_, name)| name);
    name.trim_end_matches('"').replace('\0', "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{Column, Schema};
    use crate::name::TableName;

    const BASE: &str = r#""public"."stock""#;

    /// A Dejima table over [`BASE`] with columns named D_BASE and the first one for a key.
    fn declared(name: &str, base_columns: &[&str], condition: Option<&str>) -> DeclaredTable {
        let column = |base: &&str| Column {
            name: format!("d_{base}"),
            type_name: "text".into(),
        };
        DeclaredTable {
            name: TableName::new(name).unwrap(),
            schema: Schema {
                columns: base_columns.iter().map(column).collect(),
                key: vec![0],
            },
            base_table: BASE.into(),
            base_columns: base_columns.iter().map(|&base| base.to_owned()).collect(),
            condition: condition.map(str::to_owned),
        }
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
            declared("A", &["id", "x", "y"], None),
            declared("B", &["id", "x", "z"], None),
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
            declared("A", &["id", "x"], None),
            declared("B", &["number", "x"], None),
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
        let shown = |condition| {
            let tables = [declared("A", &["id", "x", "y"], Some(condition))];
            touched(&tables, BASE, &["x"])
        };
        let all = ["A.d_id", "A.d_x", "A.d_y"];
        assert_eq!(shown("x > 0"), all);
        assert_eq!(shown("status = 'on' AND (X IS NULL)"), all);
        assert_eq!(shown("y = 'x'"), all, "a literal counts too");
        assert_eq!(shown("stock IS NOT NULL"), all, "the whole row");
        assert_eq!(shown(r#"U&"\0078" > 0"#), all, "spelt by number");
        assert_eq!(shown("xx > 0 AND max_x < 1 AND x1 = 2"), ["A.d_x"]);
    }

    #[test]
    fn a_hidden_column_may_decide_too() {
        let tables = [declared("A", &["id", "x"], Some("is_open"))];
        assert_eq!(touched(&tables, BASE, &["is_open"]), ["A.d_id", "A.d_x"]);
        assert_eq!(touched(&tables, BASE, &["opened"]), [""; 0]);
    }

    #[test]
    fn names_that_need_quoting_are_found() {
        assert!(mentions(r#""a""b" > 0"#, r#"a"b"#));
        assert!(mentions(r#""ä b" IS NULL"#, "ä b"));
        assert!(!mentions(r#""ä bc" IS NULL"#, "ä b"));
        assert!(!mentions("straße > 0", "stra"));
        assert_eq!(table_name(r#""public"."stock""#), "stock");
        assert_eq!(table_name(r#""a"""".""b"."c"".""d""#), r#"c"."d"#);
    }
}
