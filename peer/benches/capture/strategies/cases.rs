//! The strategies that are measured.

use dejima_core::name::TableName;
use dejima_core::strategy::language::{File, Format, read};
use dejima_core::strategy::{Declaration, TableDeclaration, TableProgram};
use serde_json::json;

use super::tables::SCHEMA;
use crate::measure::Result;

/// A strategy, and what is changed.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The view in SQL; a declaration of the same as `OPEN` if there is none.
    view: Option<&'static str>,
    /// The Dejima table.
    pub(super) shown: &'static str,
    pub(super) changes: &'static [Change],
    /// The plain view that shows the same, if PostgreSQL does not write one over one table by itself.
    pub(super) plain_view: Option<&'static str>,
}

/// An update of one integer, or of a text made of one.
pub(super) struct Change {
    pub(super) table: &'static str,
    /// The column, and its value made of the parameter `$1`; the same in the base table and in the Dejima table.
    pub(super) column: &'static str,
    pub(super) value: &'static str,
    /// Of the Dejima table's key, what finds row `$2`.
    pub(super) shown_key: &'static str,
    /// The Dejima table takes the change.
    pub(super) is_put: bool,
}

const AMOUNT: Change = Change {
    table: "orders",
    column: "amount",
    value: "$1::int",
    shown_key: "id = $2::int",
    is_put: true,
};
const NAME: Change = Change {
    table: "customer",
    column: "name",
    value: "'name ' || $1::int",
    shown_key: "id = $2::int",
    is_put: true,
};
const LOOKED_UP: Change = Change {
    is_put: false,
    ..NAME
};
const SEATS: Change = Change {
    table: "bus",
    column: "seats",
    value: "$1::int",
    shown_key: "kind = 'bus' AND id = $2::int",
    is_put: true,
};

pub(super) const CASES: [Case; 5] = [
    Case {
        name: "declaration",
        view: None,
        shown: "open",
        changes: &[AMOUNT],
        plain_view: None,
    },
    Case {
        name: "selection, projection",
        view: Some(
            "CREATE VIEW open AS SELECT id, customer, amount FROM orders WHERE state = 'new';",
        ),
        shown: "open",
        changes: &[AMOUNT],
        plain_view: None,
    },
    Case {
        name: "join by key",
        view: Some(
            "-- put: write customer\nCREATE VIEW sale AS SELECT o.id, o.customer, c.name, o.amount FROM orders o JOIN customer c ON o.customer = c.id;",
        ),
        shown: "sale",
        changes: &[AMOUNT, NAME],
        plain_view: Some("plain_sale"),
    },
    Case {
        name: "lookup",
        view: Some(
            "-- put: read customer\nCREATE VIEW sale AS SELECT o.id, o.customer, c.name, o.amount FROM orders o JOIN customer c ON o.customer = c.id;",
        ),
        shown: "sale",
        changes: &[AMOUNT, LOOKED_UP],
        plain_view: Some("plain_sale"),
    },
    Case {
        name: "union by discriminator",
        view: Some(
            "CREATE VIEW fleet AS SELECT 'bus' AS kind, id, seats FROM bus UNION ALL SELECT 'taxi', id, seats FROM taxi;",
        ),
        shown: "fleet",
        changes: &[SEATS],
        plain_view: Some("plain_fleet"),
    },
];

impl Case {
    pub(super) fn declaration(&self) -> Result<TableDeclaration> {
        let Some(view) = self.view else {
            let declaration: Declaration = serde_json::from_value(json!({
                "name": self.shown, "base_table": "public.orders", "key": ["id"], "columns": ["id", "customer", "amount"],
                "where": "state = 'new'", "defaults": [{"column": "state", "value": "new"}]
            }))?;
            return Ok(declaration.into());
        };
        let (name, schema) = ("view.sql", "schema.sql");
        let view = File { name, text: view };
        let schema = File {
            name: schema,
            text: SCHEMA,
        };
        let reading = read(view, Format::Sql, Some(schema)).pop();
        let program = reading.and_then(|reading| reading.program);
        Ok(TableDeclaration::Program(TableProgram {
            table: TableName::new(self.shown)?,
            program: program
                .ok_or_else(|| format!("{} is not well formed", self.name))?
                .into(),
        }))
    }
}
