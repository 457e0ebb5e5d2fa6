//! The constraints of base tables: what a strategy relies on must be there, and what is there without its knowing is named.

use dejima_core::database::{Database, Examinee, Target};
use dejima_core::examine::{Finding, State};
use dejima_core::strategy::TableDeclaration;
use dejima_core::strategy::language::Format;

use crate::bed::{Bed, bed, programmed, said, written_in};

const CITY: &str = "CREATE TABLE city (id integer PRIMARY KEY, name text NOT NULL UNIQUE);";
const CLIENT: &str = "CREATE TABLE client (id integer PRIMARY KEY, name text, city integer NOT NULL REFERENCES city);";
const VIEW: &str = "-- put: read city
    CREATE VIEW \"T\" AS SELECT c.id, c.name, t.name AS town FROM client c JOIN city t ON c.city = t.id";

/// A base table with one constraint of each kind that a strategy can say.
const BOOKING: &str = "CREATE TABLE room (id integer PRIMARY KEY, floor integer NOT NULL, door integer NOT NULL, UNIQUE (floor, door));
    CREATE TABLE booking (id integer PRIMARY KEY, floor integer NOT NULL, door integer NOT NULL, guest text NOT NULL UNIQUE,
      kind text CHECK (kind IN ('day', 'week')), nights integer NOT NULL CHECK (nights BETWEEN 1 AND 30),
      note text, paid numeric(8,2), FOREIGN KEY (floor, door) REFERENCES room (floor, door),
      CHECK (note IS NOT NULL OR paid >= 0.5), CHECK (guest LIKE 'G%' AND guest NOT LIKE 'Go%' AND note NOT IN ('a', 'b') AND NOT length(guest) > 20));";
const BOOKED: &str = "-- put: read room
    CREATE VIEW \"T\" AS SELECT b.id, b.guest, b.nights, b.kind, b.note, b.paid, b.floor, b.door FROM booking b";

async fn ready(name: &'static str, base: &str) -> (Bed, Database) {
    let bed = bed(name, base).await;
    let database = bed.connect().await;
    (bed, database)
}

fn joined() -> TableDeclaration {
    programmed(&format!("{CITY} {CLIENT} {VIEW}"))
}

fn booked() -> TableDeclaration {
    programmed(&format!("{BOOKING} {BOOKED}"))
}

/// What is said of it: by a look before it is applied, at the start of the peer, and to the operator who asks.
async fn found(database: &Database, table: &TableDeclaration) -> Vec<Finding> {
    let tables = [table.clone()];
    let preview = database.preview(Target::Declared(&tables)).await;
    let preview = preview.expect("it fits");
    let declared = database.declare(&tables).await.expect("it fits");
    let at_start = database.constraint_findings(&declared).await;
    let at_start = at_start.expect("it can be read");
    assert_eq!(preview.warnings, at_start);
    let examinee = Examinee {
        tables: declared,
        ..Examinee::default()
    };
    let mut asked = database.examine(&examinee).await;
    asked.retain(|finding| finding.check == "constraints");
    match &at_start[..] {
        [] => {
            assert_eq!(asked.len(), 1, "{asked:#?}");
            assert_eq!(asked[0].state, State::Ok, "{asked:#?}");
        }
        _ => assert_eq!(asked, at_start),
    }
    at_start
}

#[tokio::test]
async fn what_the_database_demands_and_the_strategy_does_not_say_is_named() {
    let (bed, database) = ready("constraints_strangers", &format!("{CITY} {CLIENT}")).await;
    assert_eq!(found(&database, &joined()).await, []);
    let refused = "a put that breaks it is refused at run time";
    let write =
        "write it into the CREATE TABLE of \"public\".\"client\" in the strategy, and check again";
    let unsaid = "no strategy can say this: let members share nothing that breaks it";
    for (change, back, constraint, consequence, cure) in [
        (
            "CREATE UNIQUE INDEX one ON client (name)",
            "DROP INDEX one",
            "client\" has the constraint \"one\" CREATE UNIQUE INDEX one ON public.client USING btree (name)",
            refused,
            write,
        ),
        (
            "ALTER TABLE client ADD CONSTRAINT two UNIQUE (name, city)",
            "ALTER TABLE client DROP CONSTRAINT two",
            "client\" has the constraint \"two\" UNIQUE (name, city)",
            refused,
            write,
        ),
        (
            "CREATE UNIQUE INDEX few ON client (name) WHERE city > 1",
            "DROP INDEX few",
            "client\" has the constraint \"few\" CREATE UNIQUE INDEX few ON public.client USING btree (name) WHERE (city > 1)",
            refused,
            unsaid,
        ),
        (
            "ALTER TABLE client ADD CONSTRAINT three CHECK (name <> '') NOT VALID",
            "ALTER TABLE client DROP CONSTRAINT three",
            "client\" has the constraint \"three\" CHECK ((name <> ''::text)) NOT VALID",
            refused,
            write,
        ),
        (
            "ALTER TABLE client ADD CONSTRAINT four EXCLUDE (name WITH =)",
            "ALTER TABLE client DROP CONSTRAINT four",
            "client\" has the constraint \"four\" EXCLUDE USING btree (name WITH =)",
            refused,
            unsaid,
        ),
        (
            "ALTER TABLE client ADD CONSTRAINT five FOREIGN KEY (name) REFERENCES city (name)",
            "ALTER TABLE client DROP CONSTRAINT five",
            "client\" has the constraint \"five\" FOREIGN KEY (name) REFERENCES public.city(name)",
            refused,
            write,
        ),
        (
            "ALTER TABLE client ADD tag text DEFAULT 'a' CONSTRAINT six UNIQUE",
            "ALTER TABLE client DROP tag",
            "client\" has the constraint \"six\" UNIQUE (tag)",
            refused,
            write,
        ),
        (
            "CREATE DOMAIN called AS text CONSTRAINT seven CHECK (VALUE <> ''); ALTER TABLE client ADD called called",
            "ALTER TABLE client DROP called; DROP DOMAIN called",
            "client\" has the constraint \"seven\" CHECK ((VALUE <> ''::text)) of domain public.called of column called",
            refused,
            write,
        ),
        (
            "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER eight AFTER INSERT ON client FOR EACH ROW EXECUTE FUNCTION pass()",
            "DROP TRIGGER eight ON client",
            "client\" has the constraint \"eight\" CREATE CONSTRAINT TRIGGER eight AFTER INSERT ON public.client",
            refused,
            unsaid,
        ),
        (
            "CREATE TABLE bill (client integer CONSTRAINT nine REFERENCES client)",
            "DROP TABLE bill",
            "bill\" has the constraint \"nine\" FOREIGN KEY (client) REFERENCES public.client(id)",
            refused,
            "write it into the CREATE TABLE of \"public\".\"bill\" in the strategy, and check again",
        ),
        (
            "CREATE TABLE bill (client integer CONSTRAINT nine REFERENCES client ON DELETE CASCADE)",
            "DROP TABLE bill",
            "bill\" has the constraint \"nine\" FOREIGN KEY (client) REFERENCES public.client(id) ON DELETE CASCADE",
            "a put that deletes rows changes what refers to them",
            "write it into the CREATE TABLE of \"public\".\"bill\" in the strategy, and check again",
        ),
    ] {
        bed.admin(change);
        let findings = found(&database, &joined()).await;
        let [finding] = &findings[..] else {
            panic!("{change}: {findings:#?}")
        };
        assert_eq!(finding.state, State::Warning, "{change}");
        let what = &finding.what;
        assert!(what.starts_with(&format!("\"public\".\"{constraint}")), "{change}: {what}");
        let end = format!(", which the strategy of Dejima table \"T\" does not know: {consequence}");
        assert!(what.ends_with(&end), "{change}: {what}");
        assert_eq!(finding.cure, cure, "{change}");
        bed.admin(back);
    }
    assert_eq!(found(&database, &joined()).await, []);
}

/// Puts do not write what is only looked up; what they leave NULL breaks neither a key nor a foreign key.
#[tokio::test]
async fn what_no_put_can_break_is_not_named() {
    let (bed, database) = ready("constraints_no_strangers", &format!("{CITY} {CLIENT}")).await;
    bed.admin(
        "ALTER TABLE city ADD CHECK (name <> ''), ADD UNIQUE (id, name);
         CREATE TABLE mayor (city integer REFERENCES city);
         ALTER TABLE client ADD tag text UNIQUE, ADD number serial UNIQUE, ADD entry bigint UNIQUE GENERATED BY DEFAULT AS IDENTITY,
           ADD helper integer REFERENCES client",
    );
    // The one that refers to clients: a put could delete a client who helps.
    let findings = found(&database, &joined()).await;
    let [finding] = &findings[..] else {
        panic!("{findings:#?}")
    };
    assert!(finding.what.contains("client_helper_fkey"), "{finding:#?}");
    // Nothing is deleted, and nothing is inserted.
    let source = "source client('id': int, 'name': string null, 'city': int). PK(client, ['id']).
        view \"T\"('id': int, 'name': string null). PK(\"T\", ['id']).";
    let inserting = format!(
        "{source} +client(I, N, C) :- \"T\"(I, N), not client(I, _, _), C = 1. \"T\"(I, N) :- client(I, N, _)."
    );
    let deleting = format!(
        "{source} -client(I, N, C) :- client(I, N, C), not \"T\"(I, N). \"T\"(I, N) :- client(I, N, _)."
    );
    for (rules, names) in [
        (&inserting, vec!["client_city_fkey"]),
        (&deleting, vec!["client_helper_fkey"]),
    ] {
        let findings = found(&database, &written_in(Format::Datalog, rules)).await;
        let named: Vec<_> = names
            .iter()
            .filter(|name| findings.iter().any(|f| f.what.contains(**name)))
            .collect();
        assert_eq!(named.len(), findings.len(), "{findings:#?}");
        assert_eq!(named.len(), names.len(), "{findings:#?}");
    }
}

#[tokio::test]
async fn what_the_strategy_says_is_found_however_postgresql_writes_it() {
    let (bed, database) = ready("constraints_said", BOOKING).await;
    assert_eq!(found(&database, &booked()).await, []);
    let made = "SELECT count(*) FROM pg_class WHERE relnamespace = 'dejima'::regnamespace AND relname = 'dejima condition'";
    assert_eq!(bed.admin(made), "0", "the comparison leaves nothing");
    // The same, as PostgreSQL writes it.
    let checks = bed.admin(
        "SELECT string_agg(', ' || pg_get_constraintdef(oid), '') FROM pg_constraint WHERE conrelid = 'booking'::regclass AND contype = 'c'",
    );
    let unchecked = BOOKING.replace(" CHECK (kind IN ('day', 'week'))", "");
    let unchecked = unchecked.replace(" CHECK (nights BETWEEN 1 AND 30)", "");
    let (start, _) = unchecked.split_once(",\n      CHECK").expect("they end it");
    let dumped = programmed(&format!("{start}{checks}); {BOOKED}"));
    assert_eq!(found(&database, &dumped).await, []);
    // The same, as a domain demands it.
    database.declare(&[]).await.unwrap();
    bed.admin(
        "CREATE DOMAIN kind AS text CHECK (VALUE IN ('day', 'week'));
         ALTER TABLE booking DROP CONSTRAINT booking_kind_check, ALTER kind TYPE kind",
    );
    assert_eq!(found(&database, &booked()).await, []);
}

/// A type that only the operator's search_path finds; and partitions, of which PostgreSQL keeps a foreign key each.
#[tokio::test]
async fn what_stands_elsewhere_is_found() {
    let mood = "CREATE TABLE t (id integer PRIMARY KEY, part integer NOT NULL REFERENCES part,
        mood public.mood NOT NULL CHECK (mood <> 'bad'::mood));";
    let base = format!(
        "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE part (id integer PRIMARY KEY) PARTITION BY HASH (id);
         CREATE TABLE half PARTITION OF part FOR VALUES WITH (MODULUS 1, REMAINDER 0); {mood}"
    );
    let (_bed, database) = ready("constraints_elsewhere", &base).await;
    let table = programmed(&format!(
        "CREATE TABLE part (id integer PRIMARY KEY); {mood} -- put: read part
         CREATE VIEW \"T\" AS SELECT id, part, mood FROM t"
    ));
    assert_eq!(found(&database, &table).await, []);
}

/// A key under which NULLs are the same, and a foreign key that wants all or nothing, demand more than the strategy says.
#[tokio::test]
async fn what_demands_more_than_the_strategy_says_is_named() {
    let text = "CREATE TABLE pair (a integer, b integer, UNIQUE (a, b));
        CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer, UNIQUE (a, b), FOREIGN KEY (a, b) REFERENCES pair (a, b));";
    let (bed, database) = ready("constraints_stricter", text).await;
    let table = programmed(&format!(
        "{text} CREATE VIEW \"T\" AS SELECT id, a, b FROM t"
    ));
    assert_eq!(found(&database, &table).await, []);
    database.declare(&[]).await.unwrap();
    bed.admin(
        "ALTER TABLE t DROP CONSTRAINT t_a_b_fkey, ADD CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES pair (a, b) MATCH FULL,
           DROP CONSTRAINT t_a_b_key, ADD CONSTRAINT once UNIQUE NULLS NOT DISTINCT (a, b)",
    );
    let findings = found(&database, &table).await;
    let whats: Vec<_> = findings
        .iter()
        .map(|finding| finding.what.as_str())
        .collect();
    let [once, whole] = whats[..] else {
        panic!("{findings:#?}")
    };
    assert!(
        once.contains("\"once\" UNIQUE NULLS NOT DISTINCT (a, b)"),
        "{once}"
    );
    assert!(
        whole.contains("\"whole\" FOREIGN KEY (a, b) REFERENCES public.pair(a, b) MATCH FULL"),
        "{whole}"
    );
}

#[tokio::test]
async fn what_a_strategy_relies_on_must_be_there() {
    let (bed, database) = ready("constraints_relied", BOOKING).await;
    let booking = "\"public\".\"booking\"";
    let foreign_key =
        "FOREIGN KEY (\"floor\", \"door\") REFERENCES \"public\".\"room\" (\"floor\", \"door\")";
    for (change, why, cure) in [
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_guest_key",
            format!("its strategy relies on (\"guest\") being a key of {booking}, and nothing keeps it unique there"),
            format!("ALTER TABLE {booking} ADD UNIQUE (\"guest\")"),
        ),
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_floor_door_fkey",
            format!("its strategy relies on {foreign_key} of {booking}, and nothing keeps it there"),
            format!("ALTER TABLE {booking} ADD {foreign_key}"),
        ),
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_floor_door_fkey,
               ADD CONSTRAINT young FOREIGN KEY (floor, door) REFERENCES room (floor, door) NOT VALID",
            format!("its strategy relies on {foreign_key} of {booking}, and nothing keeps it there"),
            format!("ALTER TABLE {booking} VALIDATE CONSTRAINT \"young\""),
        ),
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_nights_check",
            format!("its strategy relies on CHECK (nights BETWEEN 1 AND 30) of {booking}, and nothing keeps it there"),
            format!("ALTER TABLE {booking} ADD CHECK (nights BETWEEN 1 AND 30)"),
        ),
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_kind_check, ADD CONSTRAINT other CHECK (kind IN ('day', 'month')) NOT VALID",
            format!("its strategy relies on CHECK (kind IN ('day', 'week')) of {booking}, and nothing keeps it there"),
            format!("ALTER TABLE {booking} DROP CONSTRAINT other; ALTER TABLE {booking} ADD CHECK (kind IN ('day', 'week'))"),
        ),
    ] {
        bed.admin(change);
        let error = database.declare(&[booked()]).await.expect_err(change).to_string();
        assert!(error.contains(&why), "{change}: {error}");
        let shown = cure.rsplit("; ").next().expect("a statement");
        assert!(error.ends_with(&format!("; run: {shown}")), "{change}: {error}");
        bed.admin(&cure);
        assert_eq!(found(&database, &booked()).await, [], "{change}");
        database.declare(&[]).await.unwrap();
    }
}

/// What somebody wrote as a rule is his promise. It is said where no CHECK is seen to keep it.
#[tokio::test]
async fn a_promise_that_no_check_keeps_is_named() {
    let (bed, database) = ready(
        "constraints_promise",
        "CREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL)",
    )
    .await;
    let rules = "source t('id': int, 'a': int). view \"T\"('id': int, 'a': int). PK(t, ['id']). PK(\"T\", ['id']).
        _|_ :- t(I, A), A <= 0.
        _|_ :- \"T\"(I, A), A <= 0.
        -t(I, A) :- t(I, A), not \"T\"(I, A).
        +t(I, A) :- \"T\"(I, A), not t(I, A).
        \"T\"(I, A) :- t(I, A).";
    let table = written_in(Format::Datalog, rules);
    let findings = found(&database, &table).await;
    let [finding] = &findings[..] else {
        panic!("{findings:#?}")
    };
    assert_eq!(
        finding.what,
        "the strategy of Dejima table \"T\" relies on (\"a\" > '0'::integer) in each row of \"public\".\"t\", and no constraint is seen \
         to keep it: where a client breaks it, what was proved does not hold"
    );
    let (cure, restart) = finding.cure.split_once(", ").expect("two steps");
    assert_eq!(restart, "and restart the peer");
    bed.admin(cure);
    assert_eq!(found(&database, &table).await, []);
}

#[tokio::test]
async fn constraints_that_a_strategy_relies_on_are_guarded() {
    let (bed, database) = ready("constraints_guarded", BOOKING).await;
    bed.admin("ALTER TABLE booking ADD CONSTRAINT mine CHECK (nights < 20)");
    database.declare(&[booked()]).await.unwrap();
    let owner = bed.session("postgres").await;
    for (sql, detail) in [
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_guest_key",
            "unique key (guest).",
        ),
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_floor_door_fkey",
            "constraint FOREIGN KEY (floor, door) REFERENCES public.room(floor, door).",
        ),
        (
            "ALTER TABLE booking DROP CONSTRAINT booking_nights_check",
            "constraint CHECK (((nights >= 1) AND (nights <= 30))).",
        ),
    ] {
        let (state, _, said) = said(owner.batch_execute(sql).await.expect_err(sql));
        let expected = format!("Dejima tables rely on: {detail}");
        assert_eq!((state.as_str(), said), ("55006", expected), "{sql}");
    }
    for free in [
        "ALTER TABLE booking DROP CONSTRAINT mine",
        "ALTER TABLE booking RENAME CONSTRAINT booking_nights_check TO few",
    ] {
        owner.batch_execute(free).await.expect(free);
    }
}
