//! Three organisations: the office, whose clients write, and two that share with it, one with the other too.

use dejima_core::strategy::{identifier, literal};
use dejima_testbed::{Organisation, Share};

use crate::schema::{BASE_TABLES, VIEWS};
use crate::value::Kind;

/// The peer at which the SQL runs.
pub(crate) const OFFICE: &str = "office";
/// The others.
pub(crate) const OTHERS: [&str; 2] = ["depot", "agency"];

/// A Dejima table, in all that the members agree on.
struct DejimaTable {
    name: &'static str,
    /// The office's base table (an index into [`BASE_TABLES`]).
    base: usize,
    /// Column here, column of the office's base table; those of the key first.
    columns: &'static [(&'static str, &'static str)],
    /// Which rows the office shows.
    condition: Option<&'static str>,
    /// The members, the founder first, with the names of their base tables.
    members: &'static [(&'static str, &'static str)],
}

const OFFICE_HAS: &str = "";

const DEJIMA_TABLES: [DejimaTable; 8] = [
    DejimaTable {
        name: "People",
        base: 0,
        columns: &[
            ("id", "id"),
            ("name", "name"),
            ("balance", "balance"),
            ("born", "born"),
            ("active", "active"),
            ("tags", "tags"),
            ("info", "info"),
        ],
        condition: None,
        members: &[(OFFICE, OFFICE_HAS), ("depot", "person")],
    },
    DejimaTable {
        name: "North",
        base: 0,
        columns: &[
            ("id", "id"),
            ("name", "name"),
            ("region", "region"),
            ("info", "info"),
        ],
        condition: Some("region = 'north'"),
        members: &[(OFFICE, OFFICE_HAS), ("agency", "client")],
    },
    // The depot tells further what it is told.
    DejimaTable {
        name: "Names",
        base: 0,
        columns: &[("id", "id"), ("name", "name")],
        condition: None,
        members: &[("depot", "person"), ("agency", "known_name")],
    },
    DejimaTable {
        name: "Orders",
        base: 1,
        columns: &[
            ("Region", "Region"),
            ("No", "No"),
            ("person", "person"),
            ("helper", "help\"er"),
            ("Total", "Total"),
            ("Placed \"At\"", "Placed At"),
        ],
        condition: None,
        members: &[
            (OFFICE, OFFICE_HAS),
            ("depot", "order"),
            ("agency", "order"),
        ],
    },
    DejimaTable {
        name: "Items",
        base: 2,
        columns: &[
            ("region", "region"),
            ("no", "no"),
            ("line", "line"),
            ("qty", "qty"),
            ("price", "price"),
            ("label", "label"),
        ],
        condition: None,
        members: &[(OFFICE, OFFICE_HAS), ("depot", "item")],
    },
    DejimaTable {
        name: "Tickets",
        base: 3,
        columns: &[
            ("id", "id"),
            ("owner", "owner"),
            ("title", "title"),
            ("parent", "parent"),
            ("weight", "weight"),
            ("data", "data"),
            ("span", "span"),
        ],
        condition: None,
        members: &[(OFFICE, OFFICE_HAS), ("agency", "ticket")],
    },
    DejimaTable {
        name: "Rates",
        base: 4,
        columns: &[
            ("code", "code"),
            ("factor", "factor"),
            ("at", "at"),
            ("note", "note"),
        ],
        condition: Some("factor > 0 OR at IS NULL"),
        members: &[(OFFICE, OFFICE_HAS), ("agency", "rate")],
    },
    DejimaTable {
        name: "Tallies",
        base: 5,
        columns: &[("subject", "subject"), ("changes", "changes")],
        condition: None,
        members: &[(OFFICE, OFFICE_HAS), ("depot", "tally")],
    },
];

impl DejimaTable {
    fn key(&self) -> &'static [(&'static str, &'static str)] {
        &self.columns[..BASE_TABLES[self.base].key]
    }

    fn kind(&self, base_column: &str) -> Kind {
        let columns = BASE_TABLES[self.base].columns;
        let found = columns.iter().find(|column| column.name == base_column);
        found.expect("it shows columns of its base table").kind
    }

    fn view(&self) -> String {
        format!("dejima_tables.{}", identifier(self.name))
    }

    /// The view over the office's base table, made by hand.
    fn create_view(&self) -> String {
        let columns = self
            .columns
            .iter()
            .map(|(name, base)| format!("{} AS {}", identifier(base), identifier(name)));
        let condition = self.condition.map_or(String::new(), |condition| {
            format!(" WHERE {condition} WITH CASCADED CHECK OPTION")
        });
        format!(
            "CREATE VIEW {} AS SELECT {} FROM {}{condition};\n",
            self.view(),
            columns.collect::<Vec<_>>().join(", "),
            BASE_TABLES[self.base].name,
        )
    }

    /// The base table of one of the others: the columns of this Dejima table.
    fn create_base(&self, name: &str) -> String {
        let columns = self
            .columns
            .iter()
            .map(|(name, base)| format!("{} {}", identifier(name), self.kind(base).sql_type()));
        let key = self.key().iter().map(|(name, _)| identifier(name));
        let noted = self.key().iter().map(|(name, _)| literal(name));
        format!(
            "CREATE TABLE {table} ({}, PRIMARY KEY ({}));
             CREATE TRIGGER note AFTER INSERT OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION note({});\n",
            columns.collect::<Vec<_>>().join(", "),
            key.collect::<Vec<_>>().join(", "),
            noted.collect::<Vec<_>>().join(", "),
            table = identifier(name),
        )
    }

    /// What one of the members writes into its configuration.
    fn declaration(&self, peer: &str, base: &str) -> String {
        let at_office = peer == OFFICE;
        let base_table = if at_office {
            BASE_TABLES[self.base].name.to_owned()
        } else {
            format!("public.{}", identifier(base))
        };
        let columns = self.columns.iter().map(|(name, base)| {
            let base = if at_office { base } else { name };
            format!("{{ name = {}, column = {} }}", toml(name), toml(base))
        });
        let key = self.key().iter().map(|(name, _)| toml(name));
        let condition = self.condition.filter(|_| at_office);
        let condition = condition.map_or(String::new(), |condition| {
            format!("where = {}\n", toml(condition))
        });
        format!(
            "[[dejima_table]]\nname = {}\nbase_table = {}\nkey = [{}]\ncolumns = [{}]\n{condition}\n",
            toml(self.name),
            toml(&base_table),
            key.collect::<Vec<_>>().join(", "),
            columns.collect::<Vec<_>>().join(", "),
        )
    }
}

/// The office, and those that share with it.
pub(crate) fn organisations() -> Vec<Organisation> {
    [OFFICE]
        .into_iter()
        .chain(OTHERS)
        .map(organisation)
        .collect()
}

fn organisation(peer: &str) -> Organisation {
    let mut made = Organisation {
        name: peer.to_owned(),
        kind: peer.to_owned(),
        base_sql: String::new(),
        base_tables: Vec::new(),
        declarations: String::new(),
        shares: Vec::new(),
        strategies: vec![],
        more_configuration: String::new(),
    };
    if peer == OFFICE {
        made.base_sql.push_str(OFFICE_SQL);
        made.base_tables
            .extend(BASE_TABLES.iter().map(|table| table.name.to_owned()));
    } else {
        made.base_sql.push_str(OTHERS_SQL);
    }
    for table in &DEJIMA_TABLES {
        let Some((_, base)) = table.members.iter().find(|(member, _)| *member == peer) else {
            continue;
        };
        let name = format!("public.{}", identifier(base));
        if peer != OFFICE && !made.base_tables.contains(&name) {
            made.base_sql.push_str(&table.create_base(base));
            made.base_tables.push(name);
        }
        made.declarations.push_str(&table.declaration(peer, base));
        let founder = table.members[0].0;
        made.shares.push(Share {
            table: table.name.to_owned(),
            seeds: if founder == peer {
                vec![]
            } else {
                vec![founder.to_owned()]
            },
        });
    }
    made
}

/// What makes the plain database, once the office's client exists.
pub(crate) fn plain_sql() -> String {
    let views: String = DEJIMA_TABLES.iter().map(DejimaTable::create_view).collect();
    let tables: Vec<&str> = BASE_TABLES.iter().map(|table| table.name).collect();
    format!(
        "{OFFICE_SQL}
         CREATE SCHEMA dejima_tables;
         {views}
         GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {} TO {OFFICE};
         GRANT USAGE ON SCHEMA dejima_tables TO {OFFICE};
         {}",
        tables.join(", "),
        view_grants(),
    )
}

/// Lets the office's client write through the Dejima tables.
pub(crate) fn view_grants() -> String {
    let views: Vec<&str> = VIEWS.iter().map(|view| view.name).collect();
    format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {OFFICE}, stranger;
         GRANT USAGE ON SCHEMA dejima_tables TO stranger;
         GRANT stranger TO {OFFICE};",
        views.join(", ")
    )
}

/// Empties all tables of a peer, or of the plain database, behind the back of everything that captures (as superuser).
pub(crate) fn reset_sql(peer: &str) -> String {
    let tables = organisation(peer).base_tables.join(", ");
    let noted = if OTHERS.contains(&peer) {
        ", noted"
    } else {
        ""
    };
    format!("SET session_replication_role = replica; TRUNCATE {tables}{noted} RESTART IDENTITY")
}

/// Everything in the office's base tables, and in the plain ones: rows of a table's name and a row's text.
pub(crate) fn base_rows_sql() -> String {
    union(BASE_TABLES.iter().map(|table| table.name.to_owned()))
}

/// Everything in the Dejima tables of a peer (in the plain database: what should be there).
pub(crate) fn dejima_rows_sql(peer: &str) -> String {
    let shown = DEJIMA_TABLES
        .iter()
        .filter(|table| table.members.iter().any(|(member, _)| *member == peer));
    union(shown.map(DejimaTable::view))
}

fn union(tables: impl Iterator<Item = String>) -> String {
    let one = |table: String| {
        format!(
            "SELECT {}, t::text COLLATE \"C\" FROM {table} AS t",
            literal(&table)
        )
    };
    format!(
        "{} ORDER BY 1, 2",
        tables.map(one).collect::<Vec<_>>().join(" UNION ALL ")
    )
}

const OFFICE_SQL: &str = include_str!("office.sql");
const OTHERS_SQL: &str = include_str!("others.sql");

/// Rows of depot or agency that went and came back under their keys in one transaction: table and key.
pub(crate) const REPLACED_SQL: &str =
    "SELECT base_table, key FROM noted GROUP BY xid, base_table, key
    HAVING bool_or(is_there) AND NOT bool_and(is_there) ORDER BY 1, 2";

/// A text as a TOML string; JSON's escapes are all known to TOML.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
