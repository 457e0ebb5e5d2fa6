//! What the catalogue says of a base table.

use super::quote::identifier;

/// A base table as a strategy needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseTable {
    /// PostgreSQL's id of the table; names the capture functions.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<BaseColumn>,
    /// It is partitioned: its rows are in other tables, which clients may write to as well.
    pub is_partitioned: bool,
    /// PostgreSQL's id of the table that keeps its wide values apart, if it has one itself.
    pub toast: Option<u32>,
    /// Its unique indexes that could serve as the key of a Dejima table.
    pub unique_keys: Vec<UniqueKey>,
}

/// A column of a base table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseColumn {
    /// Its name.
    pub name: String,
    /// Its type without length or precision, so that assignment enforces these and no cast cuts silently.
    pub type_name: String,
    /// It refuses NULL.
    pub not_null: bool,
    /// The base table gives it a value if an INSERT does not.
    pub has_default: bool,
    /// PostgreSQL computes it; nobody can write it.
    pub generated: bool,
    /// What its type stands on if that is a domain, else the type; without length or precision. Values are cast to this:
    /// a cast to a domain cuts what is too long, the assignment that follows refuses it.
    pub base_type: String,
    /// It is a `bpchar` without a length, where trailing spaces are part of the value.
    pub keeps_spaces: bool,
    /// The type, its own or a part of it, whose values mean nothing in another database.
    pub local_type: Option<String>,
    /// Its base type is none of PostgreSQL's own: what compares its values stands in another schema than `pg_catalog`.
    pub is_foreign_type: bool,
    /// The collation, qualified and quoted, under which different texts of the column are equal.
    pub blind_collation: Option<String>,
}

/// A unique, immediate index over plain columns of all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    /// Its columns.
    pub columns: Vec<String>,
    /// For each column the operator by which the index compares, quoted, as `OPERATOR(schema.=)`.
    pub operators: Vec<String>,
    /// Checked at the end of each statement or later: of no use for ON CONFLICT.
    pub deferrable: bool,
}

impl BaseTable {
    /// The quoted, qualified name.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&BaseColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The unique index on exactly these columns, in any order.
    pub fn unique_key(&self, columns: &[&str]) -> Option<&UniqueKey> {
        let fits = |key: &&UniqueKey| {
            key.columns.len() == columns.len()
                && key.columns.iter().all(|c| columns.contains(&c.as_str()))
        };
        let mut fitting: Vec<_> = self.unique_keys.iter().filter(fits).collect();
        fitting.sort_by_key(|key| key.deferrable);
        fitting.first().copied()
    }
}

impl UniqueKey {
    /// The operator that compares a column.
    pub(super) fn operator(&self, column: &str) -> &str {
        let at = self.columns.iter().position(|c| c == column);
        at.and_then(|at| self.operators.get(at))
            .map_or("OPERATOR(pg_catalog.=)", String::as_str)
    }
}
