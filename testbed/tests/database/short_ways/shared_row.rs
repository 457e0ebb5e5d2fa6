//! Columns of a base row that several rows of the Dejima table share: updated where they stand if all of them say the same.

use std::collections::BTreeMap;
use std::time::Duration;

use dejima_core::strategy::check::random::Random;
use dejima_core::transaction::Answer;
use dejima_testbed::until_somebody_waits;

use super::{SALES, forget_the_general_way, run, shared, tables, told, update};
use crate::bed::{Bed, apply, bed, commit, images, programmed, refused, said};

const PATIENCE: Duration = Duration::from_secs(20);

const DEALS: &str = "CREATE TABLE buyer (id integer PRIMARY KEY, name text NOT NULL, town varchar(9), hidden text DEFAULT 'h');
    CREATE TABLE deal (id integer PRIMARY KEY, buyer integer NOT NULL REFERENCES buyer, price integer DEFAULT 0);
    CREATE INDEX ON deal (buyer);
    -- put: write buyer
    CREATE VIEW \"Deals\" AS SELECT d.id, d.buyer, b.name, b.town, d.price FROM deal d JOIN buyer b ON d.buyer = b.id";

const T: &str = "dejima_tables.\"Deals\"";

/// Each way that an UPDATE took, by the columns it assigned and how many rows it changed.
const WATCHED: &str = "CREATE TABLE way (way text, rows integer);
    GRANT ALL ON way TO PUBLIC;
    CREATE FUNCTION way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.way SELECT TG_TABLE_NAME, count(*) FROM new; RETURN NULL; END $$;
    CREATE TRIGGER way AFTER UPDATE ON buyer REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION way();
    CREATE TRIGGER way AFTER UPDATE ON deal REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION way();
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'town was written'; END $$;
    CREATE TRIGGER town BEFORE UPDATE OF town ON buyer FOR EACH ROW EXECUTE FUNCTION no()";

/// Buyers 1 to `buyers` with `deals` deals each: deal 101 is the first of buyer 1, 102 the second, 201 the first of buyer 2.
fn sold(buyers: u32, deals: u32) -> String {
    format!(
        "INSERT INTO buyer SELECT i, 'n' || i, 't' FROM generate_series(1, {buyers}) AS i;
         INSERT INTO deal SELECT i * 100 + j, i, 5 FROM generate_series(1, {buyers}) AS i, generate_series(1, {deals}) AS j"
    )
}

fn ways(bed: &Bed) -> String {
    let ways = bed.admin("SELECT string_agg(way || ' ' || rows, ', ' ORDER BY ctid) FROM way");
    bed.admin("TRUNCATE way");
    ways
}

#[tokio::test]
async fn a_row_that_nobody_shares_is_written_at_once() {
    let (bed, database) = shared("short_shared_one", &[DEALS], &sold(3, 1)).await;
    bed.admin(WATCHED);
    forget_the_general_way(&bed);
    let owner = bed.session("postgres").await;
    let sql = format!(
        "UPDATE {T} SET name = name || '!', town = town WHERE id = 101 RETURNING name, town"
    );
    assert_eq!(run(&owner, &sql).await, (vec!["n1!|t".into()], 1));
    let after = ["101", "1", "n1!", "t", "5"];
    let expected = [told("Deals", &["101", "1", "n1", "t", "5"], &after)];
    assert_eq!(bed.told(0), expected);
    assert_eq!(ways(&bed), "buyer 1");
    let gid = bed.gid(1);
    let put = update(&["101"], &[("name", "n1!")], &[("name", "n1?")]);
    let answer = database.execute(apply(&gid, "Deals", vec![put])).await;
    let Some(Answer::Applied { captured, .. }) = answer else {
        panic!("{answer:?}");
    };
    let changed = told("Deals", &after, &["101", "1", "n1?", "t", "5"]);
    assert_eq!(images(captured), [changed]);
    commit(&database, &gid).await;
    bed.admin("DROP TRIGGER town ON buyer");
    let both = format!("UPDATE {T} SET name = 'x', town = NULL WHERE id = 101");
    assert_eq!(run(&owner, &both).await.1, 1);
    assert_eq!(
        bed.admin("SELECT string_agg(b::text, ' ' ORDER BY id) FROM buyer AS b"),
        "(1,x,,h) (2,n2,t,h) (3,n3,t,h)"
    );
}

#[tokio::test]
async fn rows_that_share_one_write_it_once_for_all() {
    let (bed, _database) = shared("short_shared_all", &[DEALS], &sold(50, 3)).await;
    bed.admin(WATCHED);
    forget_the_general_way(&bed);
    let owner = bed.session("postgres").await;
    let sql = format!("UPDATE {T} SET name = 'of ' || buyer, town = town WHERE buyer <= 20");
    assert_eq!(run(&owner, &sql).await.1, 60);
    assert_eq!(bed.told(0).len(), 60);
    // The first row is tried by itself, the others are not.
    assert_eq!(ways(&bed), "buyer 0, buyer 20");
    assert_eq!(
        bed.admin("SELECT count(*) FROM buyer WHERE name = CASE WHEN id <= 20 THEN 'of ' ELSE 'n' END || id"),
        "50"
    );
    // One deal is that of a buyer of its own: it is the first row, and the others are not.
    bed.admin("DELETE FROM deal WHERE id IN (4902, 4903)");
    let sql = format!("UPDATE {T} SET name = 'z' WHERE buyer >= 49");
    assert_eq!(run(&owner, &sql).await.1, 4);
    assert_eq!(ways(&bed), "buyer 1, buyer 1");
}

/// The shared row leads to another one, which is only read; it is found by two columns.
#[tokio::test]
async fn a_shared_row_may_lead_to_another() {
    const TOURS: &str = "CREATE TABLE town (id integer PRIMARY KEY, mayor text NOT NULL);
        CREATE TABLE guide (land text, id integer, name text NOT NULL, town integer NOT NULL REFERENCES town, PRIMARY KEY (land, id));
        CREATE TABLE tour (id integer PRIMARY KEY, land text NOT NULL, guide integer NOT NULL, FOREIGN KEY (land, guide) REFERENCES guide);
        -- put: write guide
        -- put: read town
        CREATE VIEW \"Tours\" AS SELECT u.id, u.land, u.guide, g.name, g.town, t.mayor FROM tour u
          JOIN guide g ON u.land = g.land AND u.guide = g.id JOIN town t ON g.town = t.id";
    let rows = "INSERT INTO town SELECT i, 'm' FROM generate_series(1, 3) AS i;
        INSERT INTO guide SELECT l, i, 'n', 1 + i % 3 FROM (VALUES ('a'), ('b')) AS v(l), generate_series(1, 4) AS i;
        INSERT INTO tour SELECT row_number() OVER (), land, id FROM guide, generate_series(1, 2)";
    let (bed, _database) = shared("short_shared_leads", &[TOURS], rows).await;
    forget_the_general_way(&bed);
    let owner = bed.session("postgres").await;
    let sql =
        "UPDATE dejima_tables.\"Tours\" SET name = land || guide WHERE land = 'a' OR guide = 4";
    assert_eq!(run(&owner, sql).await.1, 10);
    assert_eq!(bed.told(0).len(), 10);
    assert_eq!(
        bed.admin("SELECT count(*) FROM guide WHERE name = CASE WHEN land = 'a' OR id = 4 THEN land || id ELSE 'n' END"),
        "8"
    );
}

#[tokio::test]
async fn what_rows_do_not_say_alike_is_refused() {
    let (bed, database) = shared("short_shared_refused", &[DEALS], &sold(9, 3)).await;
    let owner = bed.session("postgres").await;
    let constraint = "one row of buyer cannot be two things";
    for (sql, sqlstate, expected) in [
        ("SET name = 'x' WHERE id = 101", "23514", constraint),
        ("SET name = 'x' WHERE id IN (101, 102)", "23514", constraint),
        ("SET name = 'x' || id WHERE buyer = 1", "23514", constraint),
        (
            "SET name = 'x' WHERE buyer = 1 AND id < 103 OR buyer = 2",
            "23514",
            constraint,
        ),
        // Somebody comes to a buyer who gets another name from the others.
        (
            "SET buyer = 1, name = CASE buyer WHEN 1 THEN 'x' ELSE 'n1' END WHERE buyer = 1 OR id = 201",
            "23514",
            constraint,
        ),
        // Three times for three rows, and one of them twice.
        (
            "AS t SET name = 'x' FROM (VALUES (101), (101), (102)) AS v(n) WHERE id = n",
            "23505",
            "would have one key",
        ),
        ("SET name = NULL WHERE buyer <= 2", "23502", "name"),
        (
            "SET town = 'longer than 9' WHERE buyer <= 2",
            "22001",
            "too long",
        ),
        (
            "SET town = 'longer than 9' WHERE id = 101 AND price = 5",
            "23514",
            constraint,
        ),
    ] {
        let error = owner.batch_execute(&format!("UPDATE {T} {sql}")).await;
        let (found, message, detail) = said(error.expect_err(sql));
        assert_eq!(found, sqlstate, "{sql}: {message}");
        assert!(
            format!("{message} {detail}").contains(expected),
            "{sql}: {message} {detail}"
        );
    }
    let one = update(&["101"], &[("name", "n1")], &[("name", "x")]);
    let answer = database
        .execute(apply(&bed.gid(1), "Deals", vec![one]))
        .await;
    assert_eq!(refused(answer).0, "23514");
    assert_eq!(
        bed.admin("SELECT count(*) FROM buyer WHERE name = 'n' || id AND town = 't'"),
        "9"
    );
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.pending"), "0");
    // Who goes to another buyer leaves the others alone to be renamed.
    let moved = "SET buyer = CASE WHEN id < 200 THEN 1 ELSE 3 END, name = CASE WHEN id < 200 THEN 'x' ELSE 'n3' END WHERE buyer = 1 OR id = 201";
    assert_eq!(run(&owner, &format!("UPDATE {T} {moved}")).await.1, 4);
    let left = format!(
        "SELECT count(*) FROM {T} WHERE buyer = 1 AND name = 'x' OR id = 201 AND name = 'n3'"
    );
    assert_eq!(bed.admin(&left), "4");
}

/// A unique key that the strategy does not know may be checked at the end of a statement.
#[tokio::test]
async fn a_unique_value_is_exchanged_by_one_statement() {
    let more = "ALTER TABLE buyer ADD UNIQUE (town) DEFERRABLE; INSERT INTO buyer VALUES (1, 'a', 't1'), (2, 'b', 't2'); INSERT INTO deal VALUES (101, 1), (201, 2)";
    let bed = bed("short_shared_unique", &format!("{}; {more}", tables(DEALS))).await;
    let database = bed.connect().await;
    let declared = database.declare(&[programmed(DEALS)]).await;
    declared.expect("it fits");
    let owner = bed.session("postgres").await;
    let sql = format!("UPDATE {T} SET town = 't' || 3 - buyer");
    assert_eq!(run(&owner, &sql).await.1, 2);
    assert_eq!(bed.told(0).len(), 2);
    assert_eq!(
        bed.admin("SELECT string_agg(town, ' ' ORDER BY id) FROM buyer"),
        "t2 t1"
    );
}

#[tokio::test]
async fn what_the_owner_makes_of_it_is_looked_at() {
    let (bed, _database) = shared("short_shared_owner", &[DEALS], &sold(5, 3)).await;
    let owner = bed.session("postgres").await;
    let rename = format!("UPDATE {T} SET name = 'x' || buyer");
    for (body, expected) in [
        (
            "IF NEW.id = 4 THEN RETURN NULL; END IF",
            "did not take a change of",
        ),
        ("DELETE FROM public.deal WHERE id = 403", "does not show in"),
    ] {
        bed.admin(&format!(
            "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$;
             CREATE TRIGGER f BEFORE UPDATE ON buyer FOR EACH ROW EXECUTE FUNCTION f()"
        ));
        let (_, message, _) = said(owner.batch_execute(&rename).await.expect_err(body));
        assert!(message.contains(expected), "{body}: {message}");
        bed.admin("DROP TRIGGER f ON buyer");
    }
    bed.admin("CREATE TABLE seen (id integer); GRANT ALL ON seen TO PUBLIC; CREATE RULE h AS ON UPDATE TO buyer DO ALSO INSERT INTO seen VALUES (OLD.id)");
    assert_eq!(run(&owner, &rename).await.1, 15);
    assert_eq!(
        bed.admin("SELECT count(*) FROM buyer WHERE name = 'x' || id"),
        "5"
    );
    assert_eq!(bed.admin("SELECT count(DISTINCT id) FROM seen"), "5");
}

/// A writer that waits for another looks at the row that the other has left, be it alone or for many.
#[tokio::test]
async fn who_waited_for_a_shared_row_sees_what_the_other_left() {
    let (bed, _database) = shared("short_shared_wait", &[DEALS], &sold(9, 1)).await;
    let observer = bed.session("postgres").await;
    for which in ["id = 501", "id > 0"] {
        for (other, expected) in [
            ("hidden = 'k'", None),
            ("name = 'z'", Some("40001")),
            ("town = 'y'", Some("40001")),
        ] {
            let (one, two) = (bed.session("postgres").await, bed.session("postgres").await);
            let sql = format!("BEGIN; UPDATE buyer SET {other} WHERE id = 5");
            one.batch_execute(&sql).await.expect("nobody else is there");
            let rename = format!("UPDATE {T} SET name = name || '!' WHERE {which}");
            let waiting = tokio::spawn(async move { two.batch_execute(&rename).await });
            let waits = until_somebody_waits(&observer, PATIENCE).await;
            waits.expect("the other one is first");
            one.batch_execute("COMMIT").await.expect("it was first");
            let found = waiting.await.expect("it ends").map_err(|e| said(e).0);
            assert_eq!(found.err().as_deref(), expected, "{which}: {other}");
            bed.admin("UPDATE buyer SET name = 'n' || id, town = 't'");
        }
    }
}

/// Who renames a buyer through the Dejima table and who sells to the same one at the same time: neither misses the other.
#[tokio::test]
async fn a_new_row_meets_the_new_name() {
    let (bed, _database) = shared("short_shared_meet", &[DEALS], &sold(2, 1)).await;
    let observer = bed.session("postgres").await;
    let (one, two) = (bed.session("postgres").await, bed.session("postgres").await);
    let sql = format!("BEGIN; UPDATE {T} SET name = 'x' WHERE id = 101; SELECT dejima.derive()");
    one.batch_execute(&sql).await.expect("nobody else is there");
    let waiting =
        tokio::spawn(async move { two.batch_execute("INSERT INTO deal VALUES (102, 1)").await });
    let waits = until_somebody_waits(&observer, PATIENCE).await;
    waits.expect("both concern buyer 1");
    one.batch_execute("COMMIT").await.expect("it was first");
    waiting.await.expect("it ends").expect("it was the second");
    let all: Vec<_> = (0..2).flat_map(|round| bed.told(round)).collect();
    let new = told("Deals", &[], &["102", "1", "x", "t", "0"]);
    assert!(all.contains(&new), "{all:?}");
}

/// What one transaction changes of several Dejima tables is derived for each.
#[tokio::test]
async fn several_dejima_tables_change_in_one_transaction() {
    let rows = format!(
        "{}; INSERT INTO client VALUES (1, 'Ann'); INSERT INTO sale VALUES (1, 1, 5, 'x', 'h')",
        sold(1, 1)
    );
    let (bed, _database) = shared("short_shared_several", &[DEALS, SALES], &rows).await;
    let owner = bed.session("postgres").await;
    let sql = format!("BEGIN; UPDATE {T} SET name = 'x'; UPDATE sale SET pieces = 6; COMMIT");
    owner.batch_execute(&sql).await.expect("it is shared");
    let mut told_of: Vec<_> = bed.told(0).into_iter().map(|(table, ..)| table).collect();
    told_of.sort();
    assert_eq!(told_of, ["Deals", "Sales"]);
    owner
        .batch_execute("UPDATE sale SET hidden = 'y'")
        .await
        .expect("it concerns nobody");
    assert_eq!(bed.told(0), []);
}

/// Random statements against what they say: an UPDATE is taken if all rows of a buyer say the same of him in the end, and is then what
/// the Dejima table shows; otherwise nothing changes.
#[tokio::test]
async fn a_statement_means_what_it_says_or_nothing() {
    type Rows = BTreeMap<String, (String, String, String, String)>;
    fn read(bed: &Bed) -> Rows {
        let text = bed.admin(&format!(
            "SELECT string_agg(format('%s|%s|%s|%s|%s', id, buyer, name, town, price), E'\\n') FROM {T}"
        ));
        let row = |line: &str| {
            let mut cells = line.split('|').map(String::from);
            let mut next = || cells.next().expect("five cells");
            (next(), (next(), next(), next(), next()))
        };
        text.lines().map(row).collect()
    }
    let (bed, _database) = shared("short_shared_random", &[DEALS], &sold(4, 3)).await;
    let owner = bed.session("postgres").await;
    let mut random = Random::new(20_261_124);
    let (mut taken, mut refused_ones) = (0, 0);
    let mut now = read(&bed);
    for number in 0..300 {
        let mut pick = |texts: &[&str]| texts[random.below(texts.len())].to_owned();
        let set: Vec<String> = ["name", "town", "price", "buyer"]
            .iter()
            .map(|column| match *column {
                "buyer" => pick(&["buyer", "buyer", "buyer", "buyer", "1", "buyer % 4 + 1"]),
                "price" => pick(&["price", "price", "price + 1"]),
                "name" => pick(&[
                    "name",
                    "'a'",
                    "'b' || buyer",
                    "'c' || id % 2",
                    "name || '+'",
                ]),
                _ => pick(&["town", "town", "'u'", "'v' || buyer"]),
            })
            .collect();
        let filter = pick(&[
            "true",
            "buyer = 2",
            "buyer < 3",
            "id % 2 = 0",
            "id = 101",
            "buyer = 2 AND id <> 201",
            "buyer IN (2, 4)",
        ]);
        let wanted = bed.admin(&format!(
            "SELECT string_agg(format('%s|%s|%s|%s|%s', id, {buyer}, {name}, {town}, {price}), E'\\n') FROM {T} WHERE {filter}",
            name = set[0], town = set[1], price = set[2], buyer = set[3],
        ));
        let mut then = now.clone();
        for line in wanted.lines() {
            let cells: Vec<String> = line.split('|').map(String::from).collect();
            let [id, buyer, name, town, price] =
                <[String; 5]>::try_from(cells).expect("five cells");
            then.insert(id, (buyer, name, town, price));
        }
        let mut said_of = BTreeMap::new();
        let agrees = then.values().all(|(buyer, name, town, _)| {
            *said_of.entry(buyer).or_insert((name, town)) == (name, town)
        });
        let sql = format!(
            "UPDATE {T} SET name = {}, town = {}, price = {}, buyer = {} WHERE {filter}",
            set[0], set[1], set[2], set[3]
        );
        let result = owner.batch_execute(&sql).await;
        let after = read(&bed);
        match result.map_err(|error| said(error).0) {
            Ok(()) => {
                assert!(agrees, "{number}: {sql}: {now:?} -> {after:?}");
                assert_eq!(after, then, "{number}: {sql}: {now:?}");
                taken += 1;
            }
            Err(sqlstate) => {
                assert_eq!(
                    (sqlstate.as_str(), agrees),
                    ("23514", false),
                    "{number}: {sql}: {now:?}"
                );
                assert_eq!(after, now, "{number}: {sql}");
                refused_ones += 1;
            }
        }
        now = after;
        if now.values().any(|(_, name, ..)| name.len() > 20) {
            bed.admin("UPDATE buyer SET name = 'n' || id");
            now = read(&bed);
        }
    }
    assert!(
        taken > 50 && refused_ones > 50,
        "{taken} taken, {refused_ones} refused"
    );
}
