//! Which programs go which short way: what is captured as it is shown, which columns are updated where they stand.

use crate::name::TableName;
use crate::strategy::Bound;
use crate::strategy::language::{File, Format, read};

fn bound(format: Format, text: &str) -> Bound {
    let file = File { name: "test", text };
    let reading = read(file, format, None).remove(0);
    let program = reading
        .program
        .unwrap_or_else(|| panic!("{text}: {:?}", reading.findings));
    let table = TableName::new(&program.view().name).expect("a name");
    Bound::as_declared(table, program.into()).expect("types that exist")
}

/// Whether it is captured as it is shown, and the direct columns of each base table of each clause that has any, with what shares
/// its row.
fn ways(bound: &Bound) -> (bool, Vec<String>) {
    let direct = super::direct::all(bound);
    let list = |positions: Vec<usize>| {
        let names = positions.iter();
        let names = names.map(|&at| bound.schema.columns[at].name.as_str());
        names.collect::<Vec<_>>().join(" ")
    };
    let names = direct.iter().map(|direct| {
        let columns = list(direct.columns.iter().map(|&(at, _)| at).collect());
        match &direct.shared_by {
            None => columns,
            Some(by) => format!("{columns} by {}", list(by.clone())),
        }
    });
    (!super::is_derived(bound), names.collect())
}

const UNION: &str = "SELECT 'bus' AS kind, id, seats, note FROM bus UNION ALL SELECT 'taxi', id, seats, note FROM taxi";
const JOIN: &str = "SELECT o.id, o.customer, c.name, o.amount, o.note FROM orders o JOIN customer c ON o.customer = c.id";

fn bus_and_taxi(of_bus: &str) -> String {
    format!(
        "CREATE TABLE depot (id int PRIMARY KEY);
         CREATE TABLE bus (id int PRIMARY KEY, seats int, note text{of_bus}); CREATE TABLE taxi (id int PRIMARY KEY, seats int, note text);"
    )
}

fn orders(treatment: &str) -> String {
    format!(
        "CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
         CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount int, note text);
         -- put: {treatment} customer\n"
    )
}

#[test]
fn views_go_the_ways_that_say_the_same() {
    let cases: &[(&str, String, &str, bool, &[&str])] = &[
        ("a constant in the key", bus_and_taxi(""), UNION, true, &["seats note", "seats note"]),
        ("a unique column", bus_and_taxi(", UNIQUE (seats)"), UNION, true, &["note", "note"]),
        ("a CHECK", bus_and_taxi(", CHECK (seats > 0)"), UNION, true, &["note", "note"]),
        (
            "a foreign key; nothing of the other table is shown",
            bus_and_taxi(", FOREIGN KEY (seats) REFERENCES depot (id)"),
            UNION,
            true,
            &["note", "note"],
        ),
        (
            "WHERE on a shown column",
            bus_and_taxi(""),
            "SELECT 'bus' AS kind, id, seats, note FROM bus WHERE seats > 4 UNION SELECT 'taxi', id, seats, note FROM taxi",
            true,
            &["note", "note"],
        ),
        (
            "no constant tells the parts apart, so all columns are the key",
            bus_and_taxi(""),
            "SELECT id, seats, note FROM bus WHERE seats > 4 UNION SELECT id, seats, note FROM taxi WHERE seats <= 4",
            false,
            &[],
        ),
        (
            "a column shown twice",
            bus_and_taxi(""),
            "SELECT id, seats, seats AS places, note FROM bus",
            true,
            &["note"],
        ),
        (
            "computed from a shown column",
            bus_and_taxi(""),
            "SELECT id, seats, note, seats + 1 AS more FROM bus",
            true,
            &["note"],
        ),
        (
            "another table decides by the column",
            bus_and_taxi(""),
            "SELECT id, seats, note FROM bus WHERE NOT EXISTS (SELECT FROM taxi WHERE taxi.id = bus.seats)",
            false,
            &["note"],
        ),
        ("a join that reads", orders("read"), JOIN, false, &["amount note"]),
        ("a join that writes", orders("write"), JOIN, false, &["amount note", "name by customer"]),
        (
            "two rows of a table that is written",
            orders("write").replace("amount int", "amount int, payer int NOT NULL REFERENCES customer"),
            "SELECT o.id, o.customer, c.name, o.payer, p.name AS payer_name, o.amount FROM orders o JOIN customer c ON o.customer = c.id JOIN customer p ON o.payer = p.id",
            false,
            &["amount"],
        ),
        (
            "a table that one part writes and another reads",
            orders("write") + "CREATE TABLE offers (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount int);",
            "SELECT 'order' AS kind, o.id, o.customer, c.name, o.amount FROM orders o JOIN customer c ON o.customer = c.id UNION ALL SELECT 'offer', f.id, f.customer, c.name, f.amount FROM offers f JOIN customer c ON f.customer = c.id",
            false,
            &["amount", "amount"],
        ),
        (
            "a row that is found by an array",
            "CREATE TABLE customer (id int[] PRIMARY KEY, name text NOT NULL);
             CREATE TABLE orders (id int PRIMARY KEY, customer int[] NOT NULL REFERENCES customer, amount int);\n-- put: write customer\n".into(),
            "SELECT o.id, o.customer, c.name, o.amount FROM orders o JOIN customer c ON o.customer = c.id",
            false,
            &["amount"],
        ),
        (
            "a left join, found or not",
            orders("read"),
            "SELECT o.id, o.customer, c.name, o.amount FROM orders o LEFT JOIN customer c ON o.customer = c.id",
            false,
            &["amount", "amount"],
        ),
        (
            "one key for two tables: the other one is only read",
            bus_and_taxi("") + "-- put: read taxi\n",
            "SELECT b.id, b.note, t.seats FROM bus b JOIN taxi t ON b.id = t.id",
            false,
            &["note"],
        ),
        (
            "a table that is shown in one part and read in another",
            bus_and_taxi("") + "-- put: read taxi\n",
            "SELECT 'a' AS part, b.id, t.seats FROM bus b JOIN taxi t ON b.id = t.id UNION SELECT 'b', id, seats FROM taxi",
            false,
            &[],
        ),
        (
            "a table that is joined to itself",
            "CREATE TABLE emp (id int PRIMARY KEY, name text NOT NULL, boss int NOT NULL);\n-- put: read emp\n".into(),
            "SELECT e.id, e.name, e.boss, b.name AS boss_name FROM emp e JOIN emp b ON e.boss = b.id",
            false,
            &[],
        ),
        (
            "a column that another part of the same table chooses by",
            "CREATE TABLE t (id int PRIMARY KEY, kind text NOT NULL DEFAULT 'a', x int DEFAULT 9, y int);".into(),
            "SELECT 'a' AS part, id, x FROM t WHERE kind = 'a' UNION SELECT 'b', id, y FROM t WHERE kind = 'b' AND x > 5",
            true,
            &["x"],
        ),
        (
            "no key",
            "CREATE TABLE a (x int NOT NULL, y int); CREATE TABLE b (x int NOT NULL, y int);\n-- put: insert into a\n".into(),
            "SELECT x, y FROM a UNION SELECT x, y FROM b",
            false,
            &[],
        ),
    ];
    for (what, tables, view, as_shown, direct) in cases {
        let text = format!("{tables}\nCREATE VIEW v AS {view}");
        let direct: Vec<_> = direct.iter().map(ToString::to_string).collect();
        assert_eq!(
            ways(&bound(Format::Sql, &text)),
            (*as_shown, direct),
            "{what}"
        );
    }
}

/// What somebody wrote may put anything anywhere; what is shown is known.
#[test]
fn rules_by_hand_are_captured_as_they_are_shown_and_never_put_directly() {
    let rules = |get: &str| {
        format!(
            "source t(id: int, x: int). PK(t, [id]). view v(id: int, x: int). PK(v, [id]).
             {get}
             -t(I, X) :- t(I, X), not v(I, X). +t(I, X) :- v(I, X), not t(I, X)."
        )
    };
    for (get, as_shown) in [
        ("v(I, X) :- t(I, X).", true),
        ("v(I, X) :- t(I, X), X > 1.", true),
        (
            "v(I, X) :- t(I, X), X > 1. v(I, X) :- t(I, X), X < 5.",
            false,
        ),
        ("v(I, X) :- t(I, X), not t(X, _).", false),
    ] {
        let program = bound(Format::Datalog, &rules(get));
        assert_eq!(ways(&program), (as_shown, vec![]), "{get}");
    }
}
