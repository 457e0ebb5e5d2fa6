//! Parts of statements: tables, columns, values, assignments, conditions.

use dejima_core::strategy::literal;
use dejima_simulator::random::Random;

use crate::schema::{BASE_TABLES, Column, Table, VIEWS};
use crate::value::Kind;

/// A base table.
pub(super) fn base_table(random: &mut Random) -> &'static Table {
    // Persons are what most hangs on; nobody but triggers writes much to the last.
    &BASE_TABLES[random.one_of(&[0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5])]
}

/// A base table, or a Dejima table.
pub(super) fn table(random: &mut Random) -> &'static Table {
    if random.chance(120) {
        return &VIEWS[random.index(VIEWS.len())];
    }
    base_table(random)
}

/// The key and some other columns.
pub(super) fn columns(random: &mut Random, table: &'static Table) -> Vec<&'static Column> {
    let is_chosen = |(at, _): &(usize, &Column)| *at < table.key || random.chance(700);
    let chosen = table.columns.iter().enumerate().filter(is_chosen);
    chosen.map(|(_, column)| column).collect()
}

/// A column, rarely one of the key.
pub(super) fn column(random: &mut Random, table: &'static Table) -> &'static Column {
    if random.chance(150) {
        return &table.columns[random.index(table.key)];
    }
    &table.columns[table.key + random.index(table.columns.len() - table.key)]
}

/// A value for a column; the key's is seldom NULL.
pub(super) fn value(random: &mut Random, table: &Table, column: &Column) -> String {
    let is_key = table.key_columns().contains(column);
    if is_key && !random.chance(5) || column.name == "name" && !random.chance(200) {
        return column.kind.choose_known(random).sql();
    }
    column.kind.choose(random).sql()
}

/// Assignments to different columns; `from` is the alias of another table of the same columns, if there is one.
pub(super) fn assignments(
    random: &mut Random,
    table: &'static Table,
    from: Option<&str>,
) -> Vec<String> {
    let mut columns: Vec<&Column> = Vec::new();
    for _ in 0..=random.below(3) {
        let column = column(random, table);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
        .into_iter()
        .map(|column| {
            format!(
                "{} = {}",
                column.sql(),
                assigned(random, table, column, from)
            )
        })
        .collect()
}

fn assigned(random: &mut Random, table: &Table, column: &Column, from: Option<&str>) -> String {
    let is_key = table.key_columns().contains(column);
    if let Some(from) = from
        && !is_key
        && random.chance(500)
    {
        return format!("{from}.{}", column.sql());
    }
    match random.below(10) {
        0 if !table.is_view => "DEFAULT".to_owned(),
        // One value for all rows is no key for many.
        1..=4 if !is_key || random.chance(300) => value(random, table, column),
        _ => change(random, column.kind, &format!("t.{}", column.sql())),
    }
}

fn change(random: &mut Random, kind: Kind, column: &str) -> String {
    random.one_of(kind.changes()).replace('$', column)
}

/// Which rows of `t`: one by its key, some, or all.
pub(super) fn condition(random: &mut Random, table: &'static Table) -> String {
    match random.below(20) {
        0 => "true".to_owned(),
        1 => "t IS DISTINCT FROM NULL AND false".to_owned(),
        2 | 3 => {
            let column = column(random, table);
            format!("t.{} IS NULL", column.sql())
        }
        4..=6 => {
            let column = column(random, table);
            format!(
                "t.{} = {}",
                column.sql(),
                column.kind.choose_known(random).sql()
            )
        }
        7..=9 => comparison(random, &table.columns[0]),
        _ => by_key(random, table),
    }
}

/// The rows of some keys.
pub(super) fn by_key(random: &mut Random, table: &'static Table) -> String {
    let one = |column: &Column| {
        let known = |random: &mut Random| column.kind.choose_known(random).sql();
        let name = format!("t.{}", column.sql());
        match column.kind {
            Kind::Id | Kind::Numeric | Kind::Text => {
                let values: Vec<String> = (0..=random.below(3)).map(|_| known(random)).collect();
                format!("{name} IN ({})", values.join(", "))
            }
            _ if random.chance(300) => format!("{name} <> {}", known(random)),
            _ => format!("{name} = {}", known(random)),
        }
    };
    table
        .key_columns()
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(" AND ")
}

fn comparison(random: &mut Random, column: &Column) -> String {
    let operator = random.one_of(&["<", ">", "<>", "<="]);
    format!(
        "t.{} {operator} {}",
        column.sql(),
        column.kind.choose_known(random).sql()
    )
}

/// A list of rows of values for a FROM, named `s`, whose columns are called like the table's, those of the key first. No
/// two have one key: which error that is would depend on the order of rows.
pub(super) fn rows_named_s(
    random: &mut Random,
    table: &Table,
    columns: &[&'static Column],
    rows: u64,
) -> String {
    let mut keys: Vec<Vec<String>> = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..rows {
        let columns = columns.iter();
        let values: Vec<String> = columns.map(|column| value(random, table, column)).collect();
        let key = values[..table.key]
            .iter()
            .map(|value| whole(value))
            .collect();
        if !keys.contains(&key) {
            keys.push(key);
            lines.push(format!("({})", values.join(", ")));
        }
    }
    let names: Vec<String> = columns.iter().map(|column| column.sql()).collect();
    format!("(VALUES {}) AS s({})", lines.join(", "), names.join(", "))
}

/// A number without zeros after the point.
fn whole(number: &str) -> String {
    number.replace(".00'", "'").replace(".0'", "'")
}

/// Rows of `t` and `s` with the same key.
pub(super) fn same_key(table: &Table) -> String {
    let one = |column: &Column| format!("t.{0} = s.{0}", column.sql());
    table
        .key_columns()
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// A text.
pub(super) fn text(random: &mut Random) -> String {
    literal(random.one_of(Kind::Text.texts()))
}
