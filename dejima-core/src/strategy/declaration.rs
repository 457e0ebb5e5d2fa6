//! What an operator writes about a Dejima table in the configuration.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::program::Program;
use crate::name::TableName;

/// A Dejima table as its operator declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableDeclaration {
    /// Columns of one base table, named in the configuration itself.
    Columns(Declaration),
    /// A program of the strategy language, from a file of its own.
    Program(TableProgram),
}

/// A Dejima table and the program that says what it shows and how it is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProgram {
    /// The Dejima table.
    pub table: TableName,
    /// Its program.
    pub program: Arc<Program>,
}

impl TableDeclaration {
    /// The Dejima table's name.
    pub fn name(&self) -> &TableName {
        match self {
            Self::Columns(declaration) => &declaration.name,
            Self::Program(program) => &program.table,
        }
    }
}

impl From<Declaration> for TableDeclaration {
    fn from(declaration: Declaration) -> Self {
        Self::Columns(declaration)
    }
}

/// A Dejima table as declared: a base table, a mapping of columns, a key, perhaps a WHERE and defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// The Dejima table's name, the same at every member.
    pub name: TableName,
    /// The base table as `schema.table`, quoted as in SQL where needed.
    pub base_table: String,
    /// Columns of the Dejima table that identify a row, at least one.
    pub key: Vec<String>,
    /// Columns of the Dejima table, in order.
    pub columns: Vec<ColumnMapping>,
    /// Which rows of the base table are shown; SQL over its columns. The operator's own text: trusted.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Values for base columns that the Dejima table does not show, used by its inserts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<ColumnDefault>,
}

/// A column of a Dejima table and the base column that it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnMapping {
    /// Its name in the Dejima table.
    pub name: String,
    /// Its name in the base table.
    pub column: String,
}

/// A value for a base column that is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDefault {
    /// The base column.
    pub column: String,
    /// The value in its text form.
    pub value: DefaultValue,
}

/// A value as the configuration writes it; numbers and booleans may stand without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DefaultValue(pub String);

impl<'de> Deserialize<'de> for DefaultValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a default is a text, a number, true or false")]
        enum Written {
            Bool(bool),
            Integer(i64),
            Float(f64),
            Text(String),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Bool(value) => value.to_string(),
            Written::Integer(value) => value.to_string(),
            Written::Float(value) => value.to_string(),
            Written::Text(value) => value,
        }))
    }
}

impl<'de> Deserialize<'de> for ColumnMapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a column is \"name\" or { name = \"...\", column = \"...\" }"
        )]
        enum Written {
            Same(String),
            Renamed { name: String, column: String },
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Same(name) => Self {
                column: name.clone(),
                name,
            },
            Written::Renamed { name, column } => Self { name, column },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_name_or_a_pair() {
        let declaration: Declaration = serde_json::from_str(
            r#"{"name": "ShareGovBank", "base_table": "public.bank_users", "key": ["id"],
                "columns": ["id", {"name": "address", "column": "addr"}],
                "defaults": [{"column": "kind", "value": 1}]}"#,
        )
        .expect("well formed");
        assert_eq!(
            declaration.columns[0],
            ColumnMapping {
                name: "id".into(),
                column: "id".into()
            }
        );
        assert_eq!(declaration.columns[1].column, "addr");
        assert_eq!(declaration.defaults[0].value.0, "1");
        assert!(
            serde_json::from_str::<Declaration>(
                r#"{"name": "A", "base_table": "b", "key": [], "columns": [], "wher": ""}"#
            )
            .is_err()
        );
    }
}
