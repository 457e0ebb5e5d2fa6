//! Two organisations that share a column of every type, and the ways that a value takes between them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dejima_testbed::{Layout, Organisation, Share, World, WorldOptions};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::Client;

use super::kinds::{GROUPS, Group, Kind, USER_TYPES};
use crate::fixture::{explain, run};

/// One of the two organisations.
struct End {
    name: &'static str,
    /// What CREATE DATABASE says of its collation.
    database: &'static str,
    /// The settings of its database, which the peer's own sessions get, too.
    settings: &'static [&'static str],
}

const ENDS: [End; 2] = [
    End {
        name: "north",
        database: "TEMPLATE template0 LOCALE 'C'",
        settings: &[
            "TimeZone = 'Asia/Kathmandu'",
            "DateStyle = 'SQL, DMY'",
            "IntervalStyle = 'sql_standard'",
            "extra_float_digits = -15",
            "bytea_output = 'escape'",
            "lc_monetary = 'C.UTF-8'",
            "xmloption = 'document'",
            "array_nulls = off",
        ],
    },
    End {
        name: "south",
        database: "TEMPLATE template0 LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
        settings: &[
            "TimeZone = 'America/St_Johns'",
            "DateStyle = 'German'",
            "IntervalStyle = 'iso_8601'",
            "extra_float_digits = 0",
            "bytea_output = 'escape'",
            "xmloption = 'document'",
            "array_nulls = off",
            "standard_conforming_strings = off",
            "quote_all_identifiers = on",
        ],
    },
];

/// What a client's own session says; the rest is its database's.
const CLIENT: &str = "SET TimeZone = 'Pacific/Chatham'; SET DateStyle = 'Postgres, MDY'; SET bytea_output = 'escape';
    SET extra_float_digits = -3; SET array_nulls = on; SET xmloption = content; SET standard_conforming_strings = on";

/// The two organisations, for one test at a time.
pub(super) struct Exchange {
    pub(super) world: MutexGuard<'static, World>,
    /// For each type, what was found to differ.
    found: BTreeMap<&'static str, Vec<String>>,
    /// For each type its send function, and the cast to what that takes; without a length, which would cut.
    senders: BTreeMap<&'static str, Option<(String, String)>>,
}

/// Values of a table: rows, in them columns.
type Cells = Vec<Vec<Option<Vec<u8>>>>;

impl Exchange {
    pub(super) async fn open() -> Self {
        static WORLD: OnceCell<Mutex<World>> = OnceCell::const_new();
        let options = WorldOptions {
            layout: Layout::OneCluster,
            database_options: &[
                (ENDS[0].name, ENDS[0].database),
                (ENDS[1].name, ENDS[1].database),
            ],
            ..WorldOptions::default()
        };
        let start = async || {
            let world = World::start(ENDS.iter().map(organisation).collect(), options).await;
            Mutex::new(world.expect("the world starts"))
        };
        Self {
            world: WORLD.get_or_init(start).await.lock().await,
            found: BTreeMap::new(),
            senders: BTreeMap::new(),
        }
    }

    pub(super) async fn superuser(&self, end: &str) -> Client {
        self.world.superuser(end).await.expect("a connection")
    }

    async fn client(&self, end: &str) -> Client {
        let client = self.world.client(end).await.expect("a connection");
        run(&client, CLIENT).await;
        client
    }

    /// A row of each table, in one transaction.
    pub(super) async fn insert(&self, end: &str, row: usize, shift: usize) {
        let inserts = GROUPS.iter().filter(|group| row < rows(group));
        let inserts = inserts.map(|group| insert(end, group, &table(end, group), row, Some(shift)));
        self.write(end, inserts.collect()).await;
    }

    /// All columns of a row of each table, in one transaction.
    pub(super) async fn update_row(&self, end: &str, row: usize, shift: usize) {
        let updates = GROUPS.iter().filter(|group| row < rows(group));
        let updates = updates.map(|group| update(end, group, row, Some(shift)));
        self.write(end, updates.collect()).await;
    }

    /// All columns of all rows, in one transaction.
    pub(super) async fn update_all(&self, end: &str, shift: Option<usize>) {
        let updates = GROUPS
            .iter()
            .flat_map(|group| (0..rows(group)).map(move |row| update(end, group, row, shift)));
        self.write(end, updates.collect()).await;
    }

    /// One column after the other of one row, each in a transaction of its own.
    pub(super) async fn update_columns(&self, end: &str, row: usize, shift: usize) {
        let columns = GROUPS.iter().map(|group| group.kinds.len()).max();
        for at in 0..columns.unwrap_or(0) {
            let updates = GROUPS.iter().filter(|group| at < group.kinds.len());
            let updates = updates.map(|group| {
                let value = value(&group.kinds[at], row, Some(shift));
                format!(
                    "UPDATE {} SET {} = {value} WHERE id = {row}",
                    table(end, group),
                    column(end, at)
                )
            });
            self.write(end, updates.collect()).await;
        }
    }

    /// All rows; nothing may be left at the other end.
    pub(super) async fn delete_all(&self, end: &str) {
        let deletes = GROUPS
            .iter()
            .map(|group| format!("DELETE FROM {}", table(end, group)));
        self.write(end, deletes.collect()).await;
        for End { name: end, .. } in ENDS {
            let superuser = self.superuser(end).await;
            for group in GROUPS {
                let sql = format!("SELECT id FROM {}", table(end, group));
                let left = superuser
                    .query(&sql, &[])
                    .await
                    .expect("the table is there");
                assert!(left.is_empty(), "{} at {end}", group.name);
            }
        }
    }

    async fn write(&self, end: &str, statements: Vec<String>) {
        let client = self.client(end).await;
        run(&client, &statements.join(";\n")).await;
        self.world.await_quiet().await.expect("peers answer");
    }

    /// Both ends must hold what a table that nobody shares holds after the same values were written to it.
    pub(super) async fn compare(
        &mut self,
        step: &str,
        writer: &str,
        shift: impl Fn(usize) -> Option<usize>,
    ) {
        self.learn_senders().await;
        let client = self.client(writer).await;
        for group in GROUPS {
            let alone = format!("alone_{}", group.name);
            let inserts =
                (0..rows(group)).map(|row| insert(writer, group, &alone, row, shift(row)));
            let inserts: Vec<String> = inserts.collect();
            run(
                &client,
                &format!("TRUNCATE {alone};\n{}", inserts.join(";\n")),
            )
            .await;
            let expected = self.cells(writer, group, &alone, &shift).await;
            for End { name: end, .. } in ENDS {
                let cells = self.cells(end, group, &table(end, group), &shift).await;
                assert_eq!(
                    cells.len(),
                    rows(group),
                    "{step}: rows of {} at {end}",
                    group.name
                );
                for (at, kind) in group.kinds.iter().enumerate() {
                    for row in 0..rows(group) {
                        let (is, should) = (&cells[row][at], &expected[row][at]);
                        if is != should {
                            let value = value(kind, row, shift(row));
                            let difference = format!(
                                "{step}, {} at {end}: {value} is {}, should be {}",
                                kind.type_name,
                                show(is),
                                show(should)
                            );
                            self.found
                                .entry(kind.type_name)
                                .or_default()
                                .push(difference);
                        }
                    }
                }
            }
        }
    }

    /// All columns but the first, row by row: in binary form where that can be compared.
    async fn cells(
        &self,
        end: &str,
        group: &Group,
        table: &str,
        shift: impl Fn(usize) -> Option<usize>,
    ) -> Cells {
        let superuser = self.superuser(end).await;
        let columns = group.kinds.iter().enumerate().map(|(at, kind)| {
            let column = column(end, at);
            let text = format!("convert_to({column}::text, 'UTF8')");
            let Some((sender, cast)) = &self.senders[kind.type_name] else {
                return text;
            };
            let is_by_text = |row: &usize| kind.by_text.contains(&value(kind, *row, shift(*row)));
            let by_text: Vec<String> = (0..rows(group))
                .filter(is_by_text)
                .map(|row| row.to_string())
                .collect();
            let by_text = by_text.join(", ");
            format!(
                "CASE WHEN id = ANY ('{{{by_text}}}') THEN {text} ELSE {sender}({column}{cast}) END"
            )
        });
        let columns: Vec<String> = columns.collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY id", columns.join(", "));
        let rows = superuser
            .query(&sql, &[])
            .await
            .unwrap_or_else(|e| panic!("{sql}: {}", explain(&e)));
        let types = types_of_users(&superuser).await;
        let cell = |bytes: Option<&[u8]>| bytes.map(|bytes| without_oids(bytes, &types));
        let row = |row: &tokio_postgres::Row| (0..row.len()).map(|at| cell(row.get(at))).collect();
        rows.iter().map(row).collect()
    }

    async fn learn_senders(&mut self) {
        let superuser = self.superuser(ENDS[0].name).await;
        for group in GROUPS {
            let sql = "SELECT s.oid::regproc::text, CASE WHEN i.typtype = 'p' THEN '' ELSE format('::%I', i.typname) END
                FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
                LEFT JOIN pg_proc AS s ON s.oid = t.typsend LEFT JOIN pg_type AS i ON i.oid = s.proargtypes[0]
                WHERE a.attrelid = to_regclass($1) AND a.attnum > 1 ORDER BY a.attnum";
            let rows = superuser.query(sql, &[&table(ENDS[0].name, group)]).await;
            let rows = rows.expect("the table is there");
            for (kind, row) in group.kinds.iter().zip(&rows) {
                let sender: Option<String> = row.get(0);
                let sender = sender.map(|sender| (sender, row.get(1)));
                self.senders.insert(kind.type_name, sender);
            }
        }
    }

    /// The function whose output is compared; a few types have none.
    pub(super) fn sender(&self, kind: &Kind) -> Option<&str> {
        let sender = self.senders[kind.type_name].as_ref();
        sender.map(|(sender, _)| sender.as_str())
    }

    /// Whether each value of a type was the same everywhere after each step.
    pub(super) fn is_identical(&self, kind: &Kind) -> bool {
        !self.found.contains_key(kind.type_name)
    }

    pub(super) fn differences(&self) -> Vec<String> {
        self.found.values().flatten().cloned().collect()
    }
}

fn organisation(end: &End) -> Organisation {
    let name = end.name;
    let mut base_sql = USER_TYPES.to_owned();
    for setting in end.settings {
        writeln!(base_sql, "ALTER DATABASE {name} SET {setting};").expect("a string takes all");
    }
    let mut declarations = String::new();
    for group in GROUPS {
        let columns = group.kinds.iter().enumerate();
        let columns = columns.map(|(at, kind)| format!("{} {}", column(name, at), kind.type_name));
        let columns: Vec<String> = columns.collect();
        for table in [table(name, group), format!("alone_{}", group.name)] {
            let columns = columns.join(", ");
            writeln!(
                base_sql,
                "CREATE TABLE {table} (id integer PRIMARY KEY, {columns});"
            )
            .expect("a string takes all");
        }
        declarations.push_str(&declaration(name, group));
    }
    let tables = |group: &Group| [table(name, group), format!("alone_{}", group.name)];
    let share = |group: &Group| Share {
        table: group.name.to_owned(),
        seeds: if name == ENDS[0].name {
            vec![]
        } else {
            vec![ENDS[0].name.to_owned()]
        },
    };
    Organisation {
        name: name.to_owned(),
        kind: name.to_owned(),
        base_sql,
        base_tables: GROUPS.iter().flat_map(tables).collect(),
        declarations,
        shares: GROUPS.iter().map(share).collect(),
        strategies: vec![],
        more_configuration: String::new(),
    }
}

fn declaration(end: &str, group: &Group) -> String {
    let columns = (0..group.kinds.len()).map(|at| {
        format!(
            ", {{ name = \"value_{at}\", column = \"{}\" }}",
            column(end, at)
        )
    });
    let columns: String = columns.collect();
    format!(
        "[[dejima_table]]\nname = \"{}\"\nbase_table = \"public.{}\"\nkey = [\"id\"]\ncolumns = [\"id\"{columns}]\n\n",
        group.name,
        table(end, group)
    )
}

fn table(end: &str, group: &Group) -> String {
    format!("{end}_{}", group.name)
}

fn column(end: &str, at: usize) -> String {
    format!("{end}_{at}")
}

/// As many as the longest list of values of a column has, with NULL.
pub(super) fn rows(group: &Group) -> usize {
    group.kinds.iter().map(values).max().unwrap_or(0)
}

fn values(kind: &Kind) -> usize {
    kind.values.len() + usize::from(!kind.is_not_null)
}

/// Each row holds another value of each type; a shift gives each the next. Without a shift it is NULL.
fn value(kind: &Kind, row: usize, shift: Option<usize>) -> &'static str {
    match shift {
        None if kind.is_not_null => kind.values[0],
        None => "NULL",
        Some(shift) => {
            let at = (row + shift) % values(kind);
            kind.values.get(at).copied().unwrap_or("NULL")
        }
    }
}

fn insert(end: &str, group: &Group, table: &str, row: usize, shift: Option<usize>) -> String {
    let kinds = group.kinds.iter();
    let values: Vec<&str> = kinds.map(|kind| value(kind, row, shift)).collect();
    let columns: Vec<String> = (0..values.len()).map(|at| column(end, at)).collect();
    format!(
        "INSERT INTO {table} (id, {}) VALUES ({row}, {})",
        columns.join(", "),
        values.join(", ")
    )
}

fn update(end: &str, group: &Group, row: usize, shift: Option<usize>) -> String {
    let kinds = group.kinds.iter().enumerate();
    let set = kinds.map(|(at, kind)| format!("{} = {}", column(end, at), value(kind, row, shift)));
    let set: Vec<String> = set.collect();
    format!(
        "UPDATE {} SET {} WHERE id = {row}",
        table(end, group),
        set.join(", ")
    )
}

/// The oids of types of users, which differ between databases, with their names.
async fn types_of_users(superuser: &Client) -> Vec<([u8; 4], String)> {
    let sql = "SELECT oid, typname::text FROM pg_type WHERE oid >= 16384";
    let rows = superuser
        .query(sql, &[])
        .await
        .expect("the catalogue is there");
    let pair = |row: &tokio_postgres::Row| (row.get::<_, u32>(0).to_be_bytes(), row.get(1));
    rows.iter().map(pair).collect()
}

/// The binary form of arrays and composites holds the oids of their parts' types: the names stand for them here. Where
/// such bytes are by chance a part of a value, both ends have the same oid there, and it stays the same value.
fn without_oids(bytes: &[u8], types: &[([u8; 4], String)]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, others)) = rest.split_first() {
        match types.iter().find(|(oid, _)| rest.starts_with(oid)) {
            Some((_, name)) => {
                masked.extend_from_slice(name.as_bytes());
                rest = &rest[4..];
            }
            None => {
                masked.push(first);
                rest = others;
            }
        }
    }
    masked
}

fn show(value: &Option<Vec<u8>>) -> String {
    let Some(bytes) = value else {
        return "NULL".to_owned();
    };
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    format!("{shown:?} ({} bytes)", bytes.len())
}
