//! Values: few enough to meet again, odd enough to be changed on the way.

use dejima_core::strategy::literal;
use dejima_simulator::random::Random;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A small integer that names a row.
    Id,
    /// The same of another row: most of them exist.
    Reference,
    /// A part of a key that few rows differ in.
    Region,
    /// Another part of a key.
    Line,
    /// A number with a CHECK, and one value that a trigger drops.
    Quantity,
    Text,
    /// Also as a key: equal values have different texts.
    Numeric,
    /// `numeric(10,2)`: rounds, and overflows.
    Money,
    Float,
    Date,
    Time,
    Boolean,
    Tags,
    Json,
    Bytes,
    Interval,
}

impl Kind {
    /// The type's name.
    pub(crate) fn sql_type(self) -> &'static str {
        match self {
            Self::Id | Self::Reference | Self::Line | Self::Quantity => "integer",
            Self::Region | Self::Text => "text",
            Self::Numeric | Self::Money => "numeric",
            Self::Float => "double precision",
            Self::Date => "date",
            Self::Time => "timestamptz",
            Self::Boolean => "boolean",
            Self::Tags => "text[]",
            Self::Json => "jsonb",
            Self::Bytes => "bytea",
            Self::Interval => "interval",
        }
    }

    /// The texts of some values.
    pub(crate) fn texts(self) -> &'static [&'static str] {
        match self {
            Self::Id => &[
                "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
                "16",
            ],
            Self::Reference => &["1", "2", "3", "4", "5", "6", "7", "8"],
            Self::Region => &["north", "south", "", "Ünï \"q\" \\"],
            Self::Line => &["1", "2", "3"],
            Self::Quantity => &["0", "1", "2", "3", "4", "5", "13", "-1"],
            Self::Text => &[
                "Ada",
                "Bob",
                "",
                "it's",
                "a\\b",
                "C:\\N",
                "two\nlines",
                "tab\there",
                "\r",
                "🦀 é e\u{301}",
                "NULL",
                "kept",
                "\\N",
                "\"quoted\"",
                "{1,2}",
                "$$",
                "$1",
                "\u{10FFFF}",
                " padded ",
            ],
            Self::Numeric => &[
                "0",
                "1",
                "1.0",
                "1.00",
                "2",
                "2.50",
                "-0.5",
                "4",
                "NaN",
                "Infinity",
                "1e40",
                "123456789012345678901234567890.1234567890123456789",
            ],
            Self::Money => &[
                "0",
                "1.005",
                "2.5",
                "-3.333",
                "99999999.99",
                "100000000",
                "NaN",
                "7",
                "0.01",
                "12345.678",
                "10",
                "11",
            ],
            Self::Float => &[
                "0",
                "-0",
                "0.1",
                "1",
                "2.5",
                "1e-300",
                "1e300",
                "NaN",
                "-Infinity",
            ],
            Self::Date => &[
                "2024-02-29",
                "0044-03-15 BC",
                "infinity",
                "-infinity",
                "99999-12-31",
                "2000-01-02",
            ],
            Self::Time => &[
                "2024-03-31 02:30:00+01",
                "0001-01-01 00:00:00+00",
                "4713-01-01 00:00:00+00 BC",
                "infinity",
                "20000-01-01 00:00:00.000001+00",
                "2020-06-01 00:00:00-11",
            ],
            Self::Boolean => &["true", "false"],
            Self::Tags => &[
                "{}",
                "{a,b}",
                "{NULL,\"NULL\",\"\"}",
                "{{1,2},{3,4}}",
                "[0:1]={a,b}",
                "{\"a b\",\"\\\"\",\"\\\\\"}",
            ],
            Self::Json => &[
                "{\"b\": 1, \"a\": [null, \"\\u00e9\"]}",
                "null",
                "[]",
                "1.0",
                "1.00",
                "{\"a\": {\"b\": \"it's \\\\ \\\"\"}}",
                "\"\"",
            ],
            Self::Bytes => &["\\x", "\\x00", "\\x00ff5c27", "\\x6162"],
            Self::Interval => &[
                "1 mon -1 days",
                "-00:00:01",
                "1 day",
                "24:00:00",
                "-178000000 years",
            ],
        }
    }

    /// Expressions over a column of this kind; `$` stands for the column. Those of keys move rows to keys that none
    /// has, whatever the order of the rows.
    pub(crate) fn changes(self) -> &'static [&'static str] {
        match self {
            Self::Id => &["$ + 20", "- $", "$ * 1000", "$", "1 + $ - 1", "1 / ($ - 3)"],
            Self::Reference => &["$ + 1", "$", "nullif($, 3)"],
            Self::Line => &["$ + 20", "- $", "$"],
            Self::Quantity => &["$ + 1", "$ - 1", "$", "1 / ($ - 1)"],
            Self::Region => &["left($ || '!', 9)", "upper($)", "$", "lower($)"],
            Self::Text => &[
                "left($ || '!', 12)",
                "upper($)",
                "$",
                "reverse($)",
                "nullif($, 'Ada')",
            ],
            Self::Numeric | Self::Money => &[
                "$ + 1",
                "- $",
                "$",
                "round($, 1)",
                "$ * 1.00",
                "trim_scale($)",
            ],
            Self::Float => &["$ + 1", "- $", "$", "1 / $"],
            Self::Date => &["$ + 1", "$", "date_trunc('year', $)::date"],
            Self::Time => &["$ + interval '1 day'", "$", "$ - interval '1 month'"],
            Self::Boolean => &["NOT $", "$", "$ IS NOT TRUE"],
            Self::Tags => &["$ || 'x'::text", "$", "array_append($, NULL)", "$[1:1]"],
            Self::Json => &["$ || '{\"z\": 1}'", "$", "$ -> 'a'", "to_jsonb($::text)"],
            Self::Bytes => &["$ || '\\x00'", "$"],
            Self::Interval => &["$ * 2", "$", "- $", "justify_hours($)"],
        }
    }

    /// Any value; in three of forty NULL.
    pub(crate) fn choose(self, random: &mut Random) -> Value {
        if random.chance(75) {
            return Value {
                kind: self,
                text: None,
            };
        }
        self.choose_known(random)
    }

    /// Any value but NULL.
    pub(crate) fn choose_known(self, random: &mut Random) -> Value {
        Value {
            kind: self,
            text: Some(random.one_of(self.texts())),
        }
    }
}

/// A value; `None` is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    kind: Kind,
    text: Option<&'static str>,
}

impl Value {
    /// As an expression in SQL.
    pub(crate) fn sql(self) -> String {
        let text = self.text.map_or_else(|| "NULL".to_owned(), literal);
        format!("{text}::{}", self.kind.sql_type())
    }

    /// As a field in COPY's text format.
    pub(crate) fn copy_text(self) -> String {
        let Some(text) = self.text else {
            return "\\N".to_owned();
        };
        let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
        escaped.replace('\t', "\\t").replace('\r', "\\r")
    }
}
