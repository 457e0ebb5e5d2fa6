//! Which columns the `where` of a declaration may ask for. It is the operator's own SQL, and is searched as text.

use crate::strategy::BaseTable;

/// The columns of the base table on which it may depend whether a row is shown.
pub(super) fn columns<'a>(condition: &str, base: &'a BaseTable) -> Vec<&'a str> {
    // A condition that says the table's name may mean whole rows.
    let all = mentions(condition, &base.name);
    let columns = base.columns.iter().map(|column| column.name.as_str());
    columns
        .filter(|column| all || mentions(condition, column))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::BaseColumn;

    fn stock(columns: &[&str]) -> BaseTable {
        let column = |name: &&str| BaseColumn {
            name: (*name).into(),
            type_name: "text".into(),
            not_null: false,
            has_default: false,
            generated: false,
            base_type: "text".into(),
            keeps_spaces: false,
            local_type: None,
            is_foreign_type: false,
            blind_collation: None,
        };
        BaseTable {
            oid: 1,
            schema: "public".into(),
            name: "stock".into(),
            columns: columns.iter().map(column).collect(),
            is_partitioned: false,
            toast: None,
            unique_keys: vec![],
        }
    }

    #[test]
    fn a_condition_asks_for_the_columns_that_it_names() {
        let base = stock(&["id", "x", "is_open"]);
        let asked = |condition| columns(condition, &base);
        assert_eq!(asked("x > 0"), ["x"]);
        assert_eq!(asked("status = 'on' AND (X IS NULL)"), ["x"]);
        assert_eq!(asked("y = 'x'"), ["x"], "a literal counts too");
        assert_eq!(asked("is_open AND id > 1"), ["id", "is_open"]);
        assert_eq!(asked("xx > 0 AND max_x < 1 AND x1 = 2"), [""; 0]);
    }

    #[test]
    fn what_may_mean_any_column_means_all() {
        let base = stock(&["id", "x"]);
        let asked = |condition| columns(condition, &base);
        assert_eq!(asked("stock IS NOT NULL"), ["id", "x"], "the whole row");
        assert_eq!(asked(r#"U&"\0078" > 0"#), ["id", "x"], "spelt by number");
    }

    #[test]
    fn names_that_need_quoting_are_found() {
        assert!(mentions(r#""a""b" > 0"#, r#"a"b"#));
        assert!(mentions(r#""ä b" IS NULL"#, "ä b"));
        assert!(!mentions(r#""ä bc" IS NULL"#, "ä b"));
        assert!(!mentions("straße > 0", "stra"));
    }
}
