//! What hangs on one base row: captured as it is shown, and put by one UPDATE where no rule asks for more.

use std::time::{Duration, Instant};

use dejima_core::database::Database;
use dejima_core::delta::PutRow;
use dejima_core::strategy::TableDeclaration;
use dejima_core::transaction::Answer;
use serde_json::json;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::bed::{Bed, Told, apply, bed, cells, declared, images, programmed, refused, row, said};

/// How long a session may take until it waits for another one.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

const FLEET: &str = "CREATE TABLE bus (id integer PRIMARY KEY, seats integer, note text CHECK (note <> 'bad'));
    CREATE TABLE taxi (id integer PRIMARY KEY, seats integer, note text);
    CREATE VIEW \"Fleet\" AS SELECT 'bus' AS kind, id, seats, note FROM bus WHERE seats > 0 UNION ALL SELECT 'taxi', id, seats, note FROM taxi";

const SALES: &str = "CREATE TABLE client (id integer PRIMARY KEY, name text NOT NULL);
    CREATE TABLE sale (id integer PRIMARY KEY, client integer NOT NULL REFERENCES client, pieces integer, note varchar(9), hidden text);
    -- put: read client
    CREATE VIEW \"Sales\" AS SELECT s.id, s.client, c.name, s.pieces, s.note FROM sale s JOIN client c ON s.client = c.id";

/// The tables of a strategy.
fn tables(strategy: &str) -> &str {
    let end = strategy.find("CREATE VIEW").expect("a view");
    &strategy[..end]
}

async fn shared(name: &'static str, strategies: &[&str], rows: &str) -> (Bed, Database) {
    let all: String = strategies.iter().map(|strategy| tables(strategy)).collect();
    let bed = bed(name, &format!("{all}\n;{rows}")).await;
    let database = bed.connect().await;
    let declared: Vec<TableDeclaration> = strategies.iter().map(|text| programmed(text)).collect();
    database.declare(&declared).await.expect("they fit");
    (bed, database)
}

/// Rows returned, and how many rows the last statement says that it changed.
async fn run(client: &Client, sql: &str) -> (Vec<String>, u64) {
    let messages = client.simple_query(sql).await;
    let (mut rows, mut count) = (vec![], 0);
    for message in messages.unwrap_or_else(|e| panic!("{sql}: {e:?}")) {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
            SimpleQueryMessage::CommandComplete(number) => count = number,
            _ => {}
        }
    }
    (rows, count)
}

fn told(table: &str, old: &[&str], new: &[&str]) -> Told {
    let side = |cells: &[&str]| if cells.is_empty() { None } else { row(cells) };
    (table.to_owned(), side(old), side(new))
}

fn update(key: &[&str], old: &[(&str, &str)], new: &[(&str, &str)]) -> PutRow {
    PutRow::Update {
        key: key.iter().map(|&cell| cell.into()).collect(),
        old: cells(old),
        new: cells(new),
    }
}

/// From here on only the short way is there.
fn forget_the_general_way(bed: &Bed) {
    bed.admin(
        "DO $$ DECLARE f regprocedure; BEGIN
           FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace AND proname ~ '^(put_[0-9]+_rows|through_[0-9]+_log)$'
           LOOP EXECUTE format('DROP FUNCTION %s', f); END LOOP;
         END $$",
    );
}

#[tokio::test]
async fn invariant_6_what_is_captured_as_it_is_shown_is_each_change_of_it() {
    let (bed, _database) = shared("short_capture", &[FLEET], "").await;
    let client = bed.client().await;
    for (sql, expected) in [
        (
            "INSERT INTO bus VALUES (1, 40, NULL), (2, 0, 'out of order')",
            vec![told("Fleet", &[], &["bus", "1", "40", "NULL"])],
        ),
        (
            "BEGIN; INSERT INTO taxi VALUES (1, 4, ''); UPDATE bus SET seats = seats + 1; COMMIT",
            vec![
                told("Fleet", &[], &["taxi", "1", "4", ""]),
                told(
                    "Fleet",
                    &["bus", "1", "40", "NULL"],
                    &["bus", "1", "41", "NULL"],
                ),
                told("Fleet", &[], &["bus", "2", "1", "out of order"]),
            ],
        ),
        // Invariant 8, of the key, too.
        (
            "UPDATE taxi SET id = 7, note = 'x'",
            vec![told(
                "Fleet",
                &["taxi", "1", "4", ""],
                &["taxi", "7", "4", "x"],
            )],
        ),
        ("UPDATE bus SET note = note", vec![]),
        (
            "UPDATE bus SET seats = -1 WHERE id = 2",
            vec![told("Fleet", &["bus", "2", "1", "out of order"], &[])],
        ),
        ("UPDATE bus SET note = 'hidden' WHERE id = 2", vec![]),
        (
            "TRUNCATE bus, taxi",
            vec![
                told("Fleet", &["bus", "1", "41", "NULL"], &[]),
                told("Fleet", &["taxi", "7", "4", "x"], &[]),
            ],
        ),
    ] {
        client.batch_execute(sql).await.expect(sql);
        assert_eq!(bed.told(0), expected, "{sql}");
        assert_eq!(bed.admin("SELECT count(*) FROM dejima.pending"), "0");
    }
    let derived = "SELECT count(*) FROM dejima.generated WHERE part LIKE 'derive %'";
    assert_eq!(bed.admin(derived), "0");
    // A statement's triggers change what it left: the order is put right as for a declaration.
    bed.admin(
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.taxi SET seats = seats + 1; RETURN NULL; END $$;
         CREATE TRIGGER more AFTER INSERT ON taxi FOR EACH STATEMENT EXECUTE FUNCTION more()",
    );
    let sql = "INSERT INTO taxi VALUES (1, 4)";
    client.batch_execute(sql).await.expect(sql);
    assert_eq!(
        bed.told(0),
        [
            told("Fleet", &[], &["taxi", "1", "4", "NULL"]),
            told(
                "Fleet",
                &["taxi", "1", "4", "NULL"],
                &["taxi", "1", "5", "NULL"]
            ),
        ]
    );
}

/// Beside it over the same base tables, one of them partitioned: a declaration, and a strategy whose changes are derived.
#[tokio::test]
async fn what_is_captured_as_it_is_shown_goes_beside_all_else() {
    let bed = bed(
        "short_beside",
        "CREATE TABLE bus (id integer PRIMARY KEY, seats integer, note text) PARTITION BY RANGE (id);
         CREATE TABLE bus_low PARTITION OF bus FOR VALUES FROM (0) TO (100);
         CREATE TABLE bus_high PARTITION OF bus FOR VALUES FROM (100) TO (200);
         CREATE TABLE taxi (id integer PRIMARY KEY, seats integer, note text)",
    )
    .await;
    let database = bed.connect().await;
    let base = tables(FLEET).replace(" CHECK (note <> 'bad')", "");
    let view = FLEET.replace(tables(FLEET), "");
    let paired = "CREATE VIEW \"Paired\" AS SELECT id, note FROM bus WHERE EXISTS (SELECT FROM taxi WHERE taxi.id = bus.id)";
    let mut all = declared(
        json!([{"name": "Bus", "base_table": "public.bus", "key": ["id"], "columns": ["id", "seats"]}]),
    );
    all.push(programmed(&format!("{base}{view}")));
    all.push(programmed(&format!("{base}{paired}")));
    database.declare(&all).await.expect("they fit");
    let client = bed.client().await;
    for (sql, expected) in [
        (
            "BEGIN; INSERT INTO bus_low VALUES (1, 40, 'a'); INSERT INTO taxi VALUES (1, 4, 'b'), (101, 4, 'c'); COMMIT",
            vec![
                told("Bus", &[], &["1", "40"]),
                told("Fleet", &[], &["bus", "1", "40", "a"]),
                told("Fleet", &[], &["taxi", "1", "4", "b"]),
                told("Fleet", &[], &["taxi", "101", "4", "c"]),
                told("Paired", &[], &["1", "a"]),
            ],
        ),
        // From one partition into another.
        (
            "UPDATE bus SET id = 101",
            vec![
                told("Bus", &["1", "40"], &["101", "40"]),
                told(
                    "Fleet",
                    &["bus", "1", "40", "a"],
                    &["bus", "101", "40", "a"],
                ),
                told("Paired", &["1", "a"], &[]),
                told("Paired", &[], &["101", "a"]),
            ],
        ),
        (
            "TRUNCATE bus_high",
            vec![
                told("Bus", &["101", "40"], &[]),
                told("Fleet", &["bus", "101", "40", "a"], &[]),
                told("Paired", &["101", "a"], &[]),
            ],
        ),
    ] {
        client.batch_execute(sql).await.expect(sql);
        let mut found = bed.told(0);
        found.sort();
        let mut expected = expected;
        expected.sort();
        assert_eq!(found, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_put_of_direct_columns_is_one_update() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h'), (2, 1, 6, 'y', 'i')";
    let (bed, database) = shared("short_put", &[SALES, FLEET], rows).await;
    bed.admin(
        "INSERT INTO taxi VALUES (1, 4, 'x');
         CREATE TABLE seen (columns text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (TG_ARGV[0]); RETURN NULL; END $$;
         CREATE TRIGGER pieces AFTER UPDATE OF pieces ON sale FOR EACH ROW EXECUTE FUNCTION see('pieces');
         CREATE TRIGGER note AFTER UPDATE OF note ON sale FOR EACH ROW EXECUTE FUNCTION see('note');
         GRANT ALL ON seen TO dejima",
    );
    forget_the_general_way(&bed);
    let gid = bed.gid(1);
    for (table, put, expected) in [
        (
            "Sales",
            update(&["1"], &[("pieces", "5")], &[("pieces", "7")]),
            told(
                "Sales",
                &["1", "1", "Ann", "5", "x"],
                &["1", "1", "Ann", "7", "x"],
            ),
        ),
        (
            "Sales",
            update(
                &["1"],
                &[("name", "Ann"), ("note", "x")],
                &[("note", "NULL")],
            ),
            told(
                "Sales",
                &["1", "1", "Ann", "7", "x"],
                &["1", "1", "Ann", "7", "NULL"],
            ),
        ),
        (
            "Sales",
            update(
                &["2"],
                &[("pieces", "6"), ("note", "y")],
                &[("pieces", "NULL"), ("note", "'")],
            ),
            told(
                "Sales",
                &["2", "1", "Ann", "6", "y"],
                &["2", "1", "Ann", "NULL", "'"],
            ),
        ),
        (
            "Fleet",
            update(&["taxi", "1"], &[("seats", "4")], &[("seats", "5")]),
            told("Fleet", &["taxi", "1", "4", "x"], &["taxi", "1", "5", "x"]),
        ),
    ] {
        let answer = database.execute(apply(&gid, table, vec![put])).await;
        let Some(Answer::Applied { captured, .. }) = answer else {
            panic!("{table}: {answer:?}");
        };
        assert_eq!(images(captured), [expected]);
    }
    let parent = bed.peer.clone();
    let prepare = dejima_core::transaction::Request::Prepare {
        gid: gid.clone(),
        parent: parent.clone(),
        children: vec![],
    };
    database.execute(prepare).await;
    let finish = dejima_core::transaction::Request::Finish {
        gid,
        parent,
        decision: dejima_core::transaction::Decision::Commit,
        asks_children: false,
    };
    database.execute(finish).await;
    assert_eq!(
        bed.admin("SELECT string_agg(columns, ' ') FROM seen"),
        "pieces note note pieces",
        "a column that does not change is not written"
    );
    assert_eq!(bed.admin("SELECT string_agg(hidden, '') FROM sale"), "hi");
}

#[tokio::test]
async fn what_a_direct_put_does_not_find_or_lose_is_refused_as_ever() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'), (2, 'Bo'); INSERT INTO sale SELECT i, 1, 5, 'x', 'h' FROM generate_series(1, 3) AS i";
    let (bed, database) = shared("short_refused", &[SALES, FLEET], rows).await;
    bed.admin(
        "INSERT INTO bus VALUES (1, 40, 'x');
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           CASE NEW.note WHEN 'drop' THEN RETURN NULL; WHEN 'move' THEN NEW.id := 9; WHEN 'other' THEN NEW.client := 2; WHEN 'LOUD' THEN NEW.note := 'quiet'; ELSE END CASE;
           RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION f();
         CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.note = 'gone' THEN DELETE FROM public.sale WHERE id = NEW.id; END IF; RETURN NULL; END $$;
         CREATE TRIGGER g AFTER UPDATE ON sale FOR EACH ROW EXECUTE FUNCTION g()",
    );
    let note = |new: &str| update(&["1"], &[("note", "x")], &[("note", new)]);
    let conflict = "conflict in Dejima table \"Sales\" at peer \"bank\"";
    let lost = "peer \"bank\" does not show in Dejima table \"Sales\" what was put into it";
    for (number, table, put, sqlstate, message) in [
        (
            1,
            "Sales",
            update(&["1"], &[("note", "y")], &[("note", "z")]),
            "40001",
            conflict,
        ),
        (
            2,
            "Sales",
            update(&["1"], &[("name", "Bo"), ("note", "x")], &[("note", "z")]),
            "40001",
            conflict,
        ),
        (
            3,
            "Sales",
            update(&["8"], &[("note", "x")], &[("note", "z")]),
            "40001",
            conflict,
        ),
        (
            4,
            "Sales",
            note("drop"),
            "44000",
            "peer \"bank\" did not take a change of Dejima table \"Sales\"",
        ),
        (5, "Sales", note("move"), "44000", lost),
        (6, "Sales", note("gone"), "44000", lost),
        (
            7,
            "Sales",
            note("longer than 9"),
            "22001",
            "cannot take the change",
        ),
        (
            8,
            "Sales",
            update(&["1"], &[("n", "x")], &[("note", "z")]),
            "42703",
            "Dejima table \"Sales\" at peer \"bank\" has no column \"n\"",
        ),
        (
            9,
            "Fleet",
            update(&["bus", "1"], &[("note", "x")], &[("note", "bad")]),
            "23514",
            "the strategy of peer \"bank\" refuses the change of Dejima table \"Fleet\"",
        ),
    ] {
        let answer = database
            .execute(apply(&bed.gid(number), table, vec![put]))
            .await;
        let (found, said) = refused(answer);
        assert_eq!(found, sqlstate, "{number}: {said}");
        assert!(said.contains(message), "{number}: {said}");
    }
    // What a trigger makes of a row that is still shown is told.
    for (number, id, new, expected) in [
        (10, "2", "LOUD", ["2", "1", "Ann", "5", "quiet"]),
        (11, "3", "other", ["3", "2", "Bo", "5", "other"]),
    ] {
        let put = update(&[id], &[("note", "x")], &[("note", new)]);
        let answer = database
            .execute(apply(&bed.gid(number), "Sales", vec![put]))
            .await;
        let Some(Answer::Applied { captured, .. }) = answer else {
            panic!("{answer:?}");
        };
        let old = [id, "1", "Ann", "5", "x"];
        assert_eq!(images(captured), [told("Sales", &old, &expected)]);
    }
}

#[tokio::test]
async fn direct_columns_are_written_through_the_dejima_table_at_once() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h'), (2, 1, 6, 'y', 'i')";
    let (bed, _database) = shared("short_view", &[SALES], rows).await;
    forget_the_general_way(&bed);
    let owner = bed.session("postgres").await;
    let t = "dejima_tables.\"Sales\"";
    let sql = format!("UPDATE {t} SET pieces = pieces + 1 RETURNING id, name, pieces");
    let (mut returned, count) = run(&owner, &sql).await;
    returned.sort();
    assert_eq!(
        (returned, count),
        (vec!["1|Ann|6".into(), "2|Ann|7".into()], 2)
    );
    let mut found = bed.told(0);
    found.sort();
    assert_eq!(
        found,
        [
            told(
                "Sales",
                &["1", "1", "Ann", "5", "x"],
                &["1", "1", "Ann", "6", "x"]
            ),
            told(
                "Sales",
                &["2", "1", "Ann", "6", "y"],
                &["2", "1", "Ann", "7", "y"]
            ),
        ]
    );
    let sql = format!(
        "UPDATE {t} SET pieces = NULL, note = note || '!', name = 'Ann' WHERE id = 1 RETURNING *"
    );
    assert_eq!(run(&owner, &sql).await, (vec!["1|1|Ann|NULL|x!".into()], 1));
    assert_eq!(
        bed.told(0),
        [told(
            "Sales",
            &["1", "1", "Ann", "6", "x"],
            &["1", "1", "Ann", "NULL", "x!"]
        )]
    );
    let sql = format!("UPDATE {t} SET note = note, name = name");
    assert_eq!(
        run(&owner, &sql).await.1,
        2,
        "what stays as it is costs nothing"
    );
    assert_eq!(bed.told(0), []);
}

#[tokio::test]
async fn one_statement_may_have_rows_of_both_kinds() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'), (2, 'Bo'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h'), (2, 1, 6, 'y', 'i')";
    let (bed, _database) = shared("short_mixed", &[SALES, FLEET], rows).await;
    let owner = bed.session("postgres").await;
    let t = "dejima_tables.\"Sales\"";
    let mixed = format!(
        "UPDATE {t} SET pieces = 9, client = id, name = CASE id WHEN 1 THEN 'Ann' ELSE 'Bo' END RETURNING id, client, name, pieces"
    );
    let (mut returned, count) = run(&owner, &mixed).await;
    returned.sort();
    assert_eq!(
        (returned, count),
        (vec!["1|1|Ann|9".into(), "2|2|Bo|9".into()], 2)
    );
    let mut found = bed.told(0);
    found.sort();
    assert_eq!(
        found,
        [
            told(
                "Sales",
                &["1", "1", "Ann", "5", "x"],
                &["1", "1", "Ann", "9", "x"]
            ),
            told(
                "Sales",
                &["2", "1", "Ann", "6", "y"],
                &["2", "2", "Bo", "9", "y"]
            ),
        ]
    );
    assert_eq!(
        bed.admin("SELECT string_agg(s::text, ' ' ORDER BY id) FROM sale AS s"),
        "(1,1,9,x,h) (2,2,9,y,i)"
    );
    // One row that is refused takes the others with it; so does one that is asked for twice.
    for (sql, sqlstate) in [
        (
            format!("UPDATE {t} SET pieces = 1, name = CASE id WHEN 1 THEN 'Ann' ELSE 'Cy' END"),
            "23514",
        ),
        (
            format!("UPDATE {t} AS t SET pieces = n FROM (VALUES (1), (2)) AS v(n) WHERE id = 1"),
            "40001",
        ),
        (
            format!("UPDATE {t} SET note = 'longer than 9' WHERE id = 1"),
            "22001",
        ),
    ] {
        let error = owner.batch_execute(&sql).await.expect_err(&sql);
        assert_eq!(said(error).0, sqlstate, "{sql}");
    }
    assert_eq!(
        bed.admin("SELECT string_agg(pieces::text, ' ') FROM sale"),
        "9 9"
    );
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.pending"), "0");
    // What a constraint asks for goes the general way.
    bed.admin("INSERT INTO bus VALUES (1, 40, 'x')");
    let bad = "UPDATE dejima_tables.\"Fleet\" SET seats = 41, note = 'bad'";
    let (sqlstate, message, _) = said(owner.batch_execute(bad).await.expect_err(bad));
    assert_eq!(sqlstate, "23514");
    assert!(message.starts_with("the strategy of peer"), "{message}");
}

/// A unique key that the strategy does not know may be checked at the end of a statement: of one statement, not of one for each row.
#[tokio::test]
async fn unique_values_may_be_exchanged_by_one_statement() {
    let strategy = FLEET;
    let bed = bed("short_unique", tables(strategy)).await;
    bed.admin(
        "ALTER TABLE taxi ADD UNIQUE (seats) DEFERRABLE; INSERT INTO taxi VALUES (1, 1), (2, 2)",
    );
    let database = bed.connect().await;
    database
        .declare(&[programmed(strategy)])
        .await
        .expect("it fits");
    let owner = bed.session("postgres").await;
    let sql = "UPDATE dejima_tables.\"Fleet\" SET seats = 3 - seats WHERE kind = 'taxi'";
    owner.batch_execute(sql).await.expect(sql);
    assert_eq!(bed.told(0).len(), 2);
    assert_eq!(
        bed.admin("SELECT string_agg(t::text, ' ' ORDER BY id) FROM taxi AS t"),
        "(1,2,) (2,1,)"
    );
}

/// A writer that waits for another looks at the row that the other has left.
#[tokio::test]
async fn who_waited_sees_what_the_other_left() {
    let rows = "INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h')";
    let (bed, _database) = shared("short_wait", &[SALES], rows).await;
    for (other, expected, left) in [
        ("hidden = 'k'", Ok(()), "(1,1,6,x,k)"),
        ("note = 'z'", Err("40001"), "(1,1,6,z,k)"),
    ] {
        let (one, two) = (bed.session("postgres").await, bed.session("postgres").await);
        one.batch_execute(&format!("BEGIN; UPDATE sale SET {other}"))
            .await
            .expect("nobody else is there");
        let waiting = tokio::spawn(async move {
            two.batch_execute("UPDATE dejima_tables.\"Sales\" SET pieces = pieces + 1 WHERE id = 1")
                .await
        });
        until_somebody_waits(&bed).await;
        one.batch_execute("COMMIT").await.expect("it was first");
        let found = waiting.await.expect("it ends").map_err(|e| said(e).0);
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|e| *e),
            "{other}"
        );
        assert_eq!(bed.admin("SELECT s::text FROM sale AS s"), left);
    }
}

async fn until_somebody_waits(bed: &Bed) {
    let deadline = Instant::now() + PATIENCE;
    let waits = "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE NOT l.granted AND a.datname = current_database()";
    while bed.admin(waits) == "0" {
        assert!(Instant::now() < deadline, "nobody waits");
        // Nothing but the server can tell.
        tokio::time::sleep(POLL).await;
    }
}
