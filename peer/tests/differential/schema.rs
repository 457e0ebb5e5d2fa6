//! The tables that statements name.

use dejima_core::strategy::identifier;

use crate::value::Kind;

/// A table, or a Dejima table, that statements may name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// As SQL writes it, with its schema.
    pub(crate) name: &'static str,
    /// All columns that can be written, those of the key first.
    pub(crate) columns: &'static [Column],
    /// How many columns are the key.
    pub(crate) key: usize,
    /// A Dejima table: not everything can be done with a view.
    pub(crate) is_view: bool,
}

/// A column that can be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

impl Table {
    /// The columns of the key.
    pub(crate) fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }
}

impl Column {
    /// As SQL writes it.
    pub(crate) fn sql(&self) -> String {
        identifier(self.name)
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const fn table(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
    Table {
        name,
        columns,
        key,
        is_view: false,
    }
}

/// The base tables of the office (office.sql), without generated columns; parents first.
pub(crate) static BASE_TABLES: [Table; 6] = [
    table(
        "public.person",
        1,
        &[
            column("id", Kind::Id),
            column("name", Kind::Text),
            column("region", Kind::Region),
            column("balance", Kind::Numeric),
            column("born", Kind::Date),
            column("active", Kind::Boolean),
            column("tags", Kind::Tags),
            column("info", Kind::Json),
            column("secret", Kind::Text),
        ],
    ),
    table(
        "public.\"Order\"",
        2,
        &[
            column("Region", Kind::Region),
            column("No", Kind::Line),
            column("person", Kind::Reference),
            column("help\"er", Kind::Reference),
            column("Total", Kind::Money),
            column("Placed At", Kind::Time),
            column("note", Kind::Text),
        ],
    ),
    table(
        "public.item",
        3,
        &[
            column("region", Kind::Region),
            column("no", Kind::Line),
            column("line", Kind::Line),
            column("qty", Kind::Quantity),
            column("price", Kind::Float),
            column("label", Kind::Text),
        ],
    ),
    table(
        "public.ticket",
        1,
        &[
            column("id", Kind::Id),
            column("owner", Kind::Reference),
            column("title", Kind::Text),
            column("parent", Kind::Reference),
            column("weight", Kind::Float),
            column("data", Kind::Bytes),
            column("span", Kind::Interval),
        ],
    ),
    table(
        "public.rate",
        1,
        &[
            column("code", Kind::Numeric),
            column("factor", Kind::Float),
            column("at", Kind::Time),
            column("note", Kind::Text),
        ],
    ),
    table(
        "public.tally",
        1,
        &[column("subject", Kind::Text), column("changes", Kind::Line)],
    ),
];

/// The Dejima tables of the office that statements write to: those over persons and rates.
pub(crate) static VIEWS: [Table; 3] = [
    Table {
        name: "dejima_tables.\"People\"",
        key: 1,
        columns: &[
            column("id", Kind::Id),
            column("name", Kind::Text),
            column("balance", Kind::Numeric),
            column("active", Kind::Boolean),
            column("info", Kind::Json),
        ],
        is_view: true,
    },
    Table {
        name: "dejima_tables.\"North\"",
        key: 1,
        columns: &[
            column("id", Kind::Id),
            column("name", Kind::Text),
            column("region", Kind::Region),
            column("info", Kind::Json),
        ],
        is_view: true,
    },
    Table {
        name: "dejima_tables.\"Orders\"",
        key: 2,
        columns: &[
            column("Region", Kind::Region),
            column("No", Kind::Line),
            column("helper", Kind::Reference),
            column("Total", Kind::Money),
            column("Placed \"At\"", Kind::Time),
        ],
        is_view: true,
    },
];
