//! Why a program does not fit a database.

use super::identifier;
use crate::name::TableName;

/// Why a program does not fit a database. Each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbound {
    /// A base table is not there.
    #[error(
        "Dejima table \"{table}\": there is no base table {base_table}; create it, or write its schema: schema.table"
    )]
    UnknownTable {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
    },
    /// A column is not there.
    #[error(
        "Dejima table \"{table}\": base table {base_table} has no column \"{column}\"; its columns are {known}"
    )]
    UnknownColumn {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// As the strategy calls it.
        column: String,
        /// What there is.
        known: String,
    },
    /// A column has another type.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} is {found}, and its strategy says {said}; correct the strategy"
    )]
    OtherType {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
        /// In the strategy.
        said: String,
        /// In the database.
        found: String,
    },
    /// What was proved for a column without NULL does not hold for one with it.
    #[error("Dejima table \"{table}\": column \"{column}\" of {base_table} may be NULL, and its strategy relies on it that it is not; write `null` behind its type there, or run: ALTER TABLE {base_table} ALTER COLUMN {quoted} SET NOT NULL", quoted = identifier(column))]
    Nullable {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
    },
    /// Put could write a NULL that the database refuses.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} is NOT NULL, and its strategy says that it may be NULL; take `null` away behind its type there"
    )]
    NotNullable {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
    },
    /// Nothing keeps the key.
    #[error(
        "Dejima table \"{table}\": its strategy relies on ({columns}) being a key of {base_table}, and nothing keeps it unique there; run: ALTER TABLE {base_table} ADD UNIQUE ({columns})"
    )]
    KeyNotUnique {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// Quoted.
        columns: String,
    },
    /// PostgreSQL computes the column.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} is GENERATED, and its strategy writes {base_table}; leave the column out of the strategy"
    )]
    Generated {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
    },
    /// Values that mean nothing elsewhere.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} holds {type_name}, whose values mean nothing in another database; leave it out of the strategy"
    )]
    LocalType {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
        /// Its type, or the part of it that is so.
        type_name: String,
    },
    /// Values that PostgreSQL has no `=` for.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} is {type_name}, whose values PostgreSQL cannot compare; leave it out of the strategy, or store it as another type (jsonb for json)"
    )]
    NotComparable {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// Generated SQL finds the operators of `pg_catalog` alone: it would compare citext as text, and others not at all.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} is {type_name}, a type that PostgreSQL itself does not know: its values would be compared in another way than in {base_table}, or not at all; leave it out of the strategy, or store it as a type of PostgreSQL's (text with CHECK ({quoted} = lower({quoted})) for citext)",
        quoted = identifier(column)
    )]
    ForeignType {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// What the checks take for two values is one to the database.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} has the collation {collation}, under which different texts are equal: such a change of it would be lost; leave it out of the strategy, or give it a collation that is deterministic"
    )]
    BlindCollation {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
        /// Its collation.
        collation: String,
    },
    /// An insert could not say what the column holds.
    #[error("Dejima table \"{table}\": its strategy inserts into {base_table} and does not name column \"{column}\", which is NOT NULL and has no default; name the column, or run: ALTER TABLE {base_table} ALTER COLUMN {quoted} SET DEFAULT ...", quoted = identifier(column))]
    NotNullUnnamed {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
    },
    /// A row could not be told from another that differs in what is not named.
    #[error(
        "Dejima table \"{table}\": its strategy writes {base_table} without a key and does not name column \"{column}\": rows that differ there alone would be one to it; name the column, or a key: PK({base_table}, [...])"
    )]
    Unnamed {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// The column.
        column: String,
    },
    /// Peers could not speak about such a row.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" belongs to its key and may be NULL; give it another key: PK({table}, [...])"
    )]
    NullableKey {
        /// The Dejima table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// A name that PostgreSQL would cut, or a type that it has not.
    #[error("Dejima table \"{table}\": {what} of column \"{column}\" cannot be; {cure}")]
    Column {
        /// The Dejima table.
        table: TableName,
        /// The column.
        column: String,
        /// Its name or its type.
        what: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// What was proved relies on a foreign key or a CHECK that the database has not.
    #[error(
        "Dejima table \"{table}\": its strategy relies on {rule} of {base_table}, and nothing keeps it there; run: ALTER TABLE {base_table} {cure}"
    )]
    NotKept {
        /// The Dejima table.
        table: TableName,
        /// Quoted and qualified.
        base_table: String,
        /// As in SQL.
        rule: String,
        /// What ALTER TABLE is to do.
        cure: String,
    },
}
