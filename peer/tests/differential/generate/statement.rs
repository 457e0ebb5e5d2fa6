//! Random statements.

use dejima_simulator::random::Random;

use super::part::{
    assignments, base_table, by_key, column, columns, condition, rows_named_s, same_key, table,
    text, value,
};
use crate::schema::{BASE_TABLES, Column, Table};
use crate::statement::{
    Attempt, Conflict, Copy, Cursor, Delete, Insert, Merge, Prepared, Source, Statement, Truncate,
    Update, With,
};
use crate::value::Kind;

/// What fills empty tables, parents first.
pub(super) fn filling(random: &mut Random) -> Vec<Statement> {
    let parents = [
        "INSERT INTO public.person (id, name, region)
         SELECT i, 'person ' || i, CASE i % 2 WHEN 0 THEN 'north' END FROM generate_series(1, 9) AS i",
        "INSERT INTO public.\"Order\" (\"Region\", \"No\", person)
         SELECT r, n, n FROM (VALUES ('north'), ('south'), ('')) AS r(r), generate_series(1, 3) AS n",
    ];
    let mut made = parents.map(|sql| Statement::Plain(sql.to_owned())).to_vec();
    for table in &BASE_TABLES {
        for _ in 0..3 {
            let insert = Insert {
                table,
                conflict: Conflict::Nothing,
                returning: false,
                ..insert_values(random, table, 6)
            };
            made.push(Statement::Insert(insert));
        }
    }
    made
}

/// Any statement.
pub(super) fn any(random: &mut Random) -> Statement {
    match random.below(100) {
        0..=29 => Statement::Insert(insert(random)),
        30..=54 => Statement::Update(update(random)),
        55..=64 => Statement::Delete(delete(random)),
        65..=72 => Statement::Merge(merge(random)),
        73..=76 => Statement::Copy(copy(random)),
        77 => Statement::Truncate(truncate(random)),
        78..=85 => with(random),
        86..=90 => Statement::Do((0..=random.below(3)).map(|_| attempt(random)).collect()),
        91..=93 => Statement::Cursor(cursor(random)),
        94..=96 => Statement::Prepared(prepared(random)),
        _ => Statement::Plain(plain(random)),
    }
}

fn insert(random: &mut Random) -> Insert {
    let table = table(random);
    let rows = if random.chance(600) {
        1
    } else {
        1 + random.below(5)
    };
    let mut insert = insert_values(random, table, rows);
    if random.chance(150) {
        insert.source = Source::Query(query(random, table, &insert.columns));
    } else if table.key == 1 && random.chance(if has_identity(table) { 200 } else { 5 }) {
        insert.source = Source::DefaultValues;
    }
    insert.conflict = match random.below(3) {
        0 => Conflict::Nothing,
        1 => Conflict::Update(on_conflict(random, table, &insert.columns)),
        _ => Conflict::Error,
    };
    insert.returning = random.chance(300);
    insert
}

fn insert_values(random: &mut Random, table: &'static Table, rows: u64) -> Insert {
    let mut columns = columns(random, table);
    // An identity, sometimes.
    if has_identity(table) && columns.len() > 1 && random.chance(300) {
        columns.remove(0);
    }
    let row = |random: &mut Random| {
        let one = |column: &&Column| match random.chance(30) {
            true if !table.is_view
                && (has_identity(table) || !table.key_columns().contains(column)) =>
            {
                "DEFAULT".to_owned()
            }
            _ => value(random, table, column),
        };
        columns.iter().map(one).collect::<Vec<_>>()
    };
    let rows = (0..rows).map(|_| row(random)).collect();
    Insert {
        table,
        columns,
        source: Source::Values(rows),
        conflict: Conflict::Error,
        returning: false,
    }
}

fn has_identity(table: &Table) -> bool {
    table.columns.iter().any(|column| column.name == "owner")
}

/// Rows made of rows that are there: in an order, because an error may end it, and numbers are given out.
fn query(random: &mut Random, table: &Table, columns: &[&Column]) -> String {
    let moved = |column: &&Column| {
        let name = column.sql();
        let is_key = table.key_columns().contains(column);
        match (is_key, column.kind) {
            (true, Kind::Id | Kind::Line) => format!("t.{name} + 12"),
            _ => format!("t.{name}"),
        }
    };
    let values: Vec<String> = columns.iter().map(moved).collect();
    let order: Vec<String> = table
        .key_columns()
        .iter()
        .map(|c| format!("t.{}", c.sql()))
        .collect();
    let limit = 1 + random.below(4);
    format!(
        "SELECT {} FROM {} AS t ORDER BY {} LIMIT {limit}",
        values.join(", "),
        table.name,
        order.join(", ")
    )
}

fn on_conflict(random: &mut Random, table: &'static Table, inserted: &[&Column]) -> Vec<String> {
    if random.chance(500) {
        return assignments(random, table, None);
    }
    let of_row = |column: &&Column| format!("{0} = excluded.{0}", column.sql());
    let all: Vec<String> = inserted
        .iter()
        .filter(|c| !table.key_columns().contains(c))
        .map(of_row)
        .collect();
    if all.is_empty() {
        assignments(random, table, None)
    } else {
        all
    }
}

fn update(random: &mut Random) -> Update {
    let table = table(random);
    let joined = random.chance(200);
    let source = joined.then(|| source(random, table));
    let condition = condition(random, table);
    Update {
        table,
        assignments: assignments(random, table, joined.then_some("s")),
        condition: if joined {
            format!("{} AND {condition}", same_key(table))
        } else {
            condition
        },
        from: source,
        returning: random.chance(300),
    }
}

/// The table itself, or rows of values, as `s`.
fn source(random: &mut Random, table: &'static Table) -> String {
    if random.chance(500) {
        return format!("{} AS s", table.name);
    }
    let columns: Vec<&Column> = table.columns.iter().collect();
    // Two with one key: which of them counts is not said.
    rows_named_s(random, table, &columns, 1)
}

fn delete(random: &mut Random) -> Delete {
    let table = table(random);
    let joined = random.chance(200);
    let condition = if random.chance(900) {
        by_key(random, table)
    } else {
        condition(random, table)
    };
    Delete {
        table,
        using: joined.then(|| source(random, table)),
        condition: if joined {
            format!("{} AND {condition}", same_key(table))
        } else {
            condition
        },
        returning: random.chance(300),
    }
}

fn merge(random: &mut Random) -> Merge {
    let table = base_table(random);
    let columns = columns(random, table);
    let names: Vec<String> = columns.iter().map(|column| column.sql()).collect();
    let values: Vec<String> = names.iter().map(|name| format!("s.{name}")).collect();
    let insert = format!(
        "WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    );
    let mut branches = Vec::new();
    if random.chance(400) {
        branches.push(format!(
            "WHEN MATCHED AND {} THEN DELETE",
            condition(random, table)
        ));
    }
    if random.chance(200) {
        branches.push(format!(
            "WHEN MATCHED AND {} THEN DO NOTHING",
            condition(random, table)
        ));
    }
    if random.chance(700) {
        branches.push(format!(
            "WHEN MATCHED THEN UPDATE SET {}",
            assignments(random, table, None).join(", ")
        ));
    }
    if branches.is_empty() || random.chance(700) {
        branches.push(insert);
    }
    let rows = 1 + random.below(4);
    Merge {
        table,
        source: rows_named_s(random, table, &columns, rows),
        condition: same_key(table),
        branches,
    }
}

fn copy(random: &mut Random) -> Copy {
    let table = base_table(random);
    let columns = columns(random, table);
    let row = |random: &mut Random| {
        let field = |column: &&Column| match table.key_columns().contains(column) {
            true => column.kind.choose_known(random),
            false => column.kind.choose(random),
        };
        columns.iter().map(field).collect()
    };
    let rows = (0..=random.below(2)).map(|_| row(random)).collect();
    Copy {
        table,
        columns,
        rows,
    }
}

fn truncate(random: &mut Random) -> Truncate {
    let tables = match random.below(3) {
        0 => vec![&BASE_TABLES[4]],
        1 => vec![base_table(random)],
        _ => vec![&BASE_TABLES[1], &BASE_TABLES[2]],
    };
    Truncate {
        tables,
        cascade: random.chance(300),
    }
}

/// Several statements in one; or rows taken out of a table and put back changed.
fn with(random: &mut Random) -> Statement {
    let parts: Vec<Statement> = (0..=random.below(2)).map(|_| returning(random)).collect();
    let last = if random.chance(400) {
        let counts: Vec<String> = (0..parts.len())
            .map(|at| format!("(SELECT count(*) FROM w{at})"))
            .collect();
        Statement::Plain(format!("SELECT {}", counts.join(", ")))
    } else if random.chance(300) {
        return moved(random);
    } else {
        writing(random)
    };
    Statement::With(With {
        parts,
        last: Box::new(last),
    })
}

fn moved(random: &mut Random) -> Statement {
    let table = base_table(random);
    let columns: Vec<&Column> = table.columns.iter().collect();
    let names: Vec<String> = columns.iter().map(|column| column.sql()).collect();
    let delete = Delete {
        table,
        using: None,
        condition: by_key(random, table),
        returning: true,
    };
    let changed = column(random, table);
    let values: Vec<String> = columns
        .iter()
        .map(|column| {
            if *column == changed {
                value(random, table, column)
            } else {
                format!("w0.{}", column.sql())
            }
        })
        .collect();
    let insert = Insert {
        table,
        columns,
        source: Source::Query(format!(
            "SELECT {} FROM w0 ORDER BY {}",
            values.join(", "),
            names[..table.key].join(", ")
        )),
        conflict: Conflict::Error,
        returning: random.chance(300),
    };
    Statement::With(With {
        parts: vec![Statement::Delete(delete)],
        last: Box::new(Statement::Insert(insert)),
    })
}

fn returning(random: &mut Random) -> Statement {
    match writing(random) {
        Statement::Insert(insert) => Statement::Insert(Insert {
            returning: true,
            ..insert
        }),
        Statement::Update(update) => Statement::Update(Update {
            returning: true,
            ..update
        }),
        Statement::Delete(delete) => Statement::Delete(Delete {
            returning: true,
            ..delete
        }),
        other => other,
    }
}

/// INSERT, UPDATE or DELETE.
fn writing(random: &mut Random) -> Statement {
    match random.below(3) {
        0 => Statement::Insert(insert(random)),
        1 => Statement::Update(update(random)),
        _ => Statement::Delete(delete(random)),
    }
}

/// What plpgsql runs must not return rows.
fn silent(random: &mut Random) -> Statement {
    match random.below(4) {
        0 => Statement::Insert(Insert {
            returning: false,
            ..insert(random)
        }),
        1 => Statement::Update(Update {
            returning: false,
            ..update(random)
        }),
        2 => Statement::Delete(Delete {
            returning: false,
            ..delete(random)
        }),
        _ => Statement::Merge(merge(random)),
    }
}

fn attempt(random: &mut Random) -> Attempt {
    Attempt {
        statements: (0..=random.below(2)).map(|_| silent(random)).collect(),
        raises: random.chance(300),
    }
}

fn cursor(random: &mut Random) -> Cursor {
    let table = base_table(random);
    let skipped = usize::try_from(random.below(2)).unwrap_or_default();
    let assignments = if random.chance(700) {
        assignments(random, table, None)
    } else {
        Vec::new()
    };
    let condition = if random.chance(500) {
        "true".to_owned()
    } else {
        condition(random, table)
    };
    Cursor {
        table,
        condition,
        skipped,
        assignments,
    }
}

/// The key of the row is the parameter.
fn prepared(random: &mut Random) -> Prepared {
    let table = table(random);
    let key = &table.columns[0];
    let condition = format!("t.{} = $1", key.sql());
    let statement = if random.chance(700) {
        let assignments = assignments(random, table, None);
        Statement::Update(Update {
            table,
            assignments,
            from: None,
            condition,
            returning: random.chance(300),
        })
    } else {
        Statement::Delete(Delete {
            table,
            using: None,
            condition,
            returning: random.chance(300),
        })
    };
    let arguments = (0..=random.below(7))
        .map(|_| vec![key.kind.choose_known(random).sql()])
        .collect();
    Prepared {
        types: vec![key.kind.sql_type()],
        statement: Box::new(statement),
        arguments,
    }
}

fn plain(random: &mut Random) -> String {
    match random.below(12) {
        0 | 1 => "SET CONSTRAINTS ALL DEFERRED".to_owned(),
        2 => "SELECT 1 / 0".to_owned(),
        3 => "SET LOCAL DateStyle = 'SQL, DMY'".to_owned(),
        4 => "SET LOCAL search_path = decoy, public".to_owned(),
        5 => "SELECT * FROM public.person ORDER BY id FOR UPDATE".to_owned(),
        6 => "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM public.person".to_owned(),
        _ => format!(
            "SELECT public.put_person({}, {})",
            Kind::Id.choose_known(random).sql(),
            text(random)
        ),
    }
}
