//! Declaring programs of the strategy language: what must fit, what is made, and changes from one kind of declaration to
//! the other.

use dejima_core::database::{Database, Examinee, Target};
use dejima_core::examine::State;
use dejima_core::strategy::TableDeclaration;
use serde_json::json;

use crate::bed::{Bed, bed, declared, programmed, said};

const BASE: &str = "CREATE TABLE city (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE client (id integer PRIMARY KEY, name text, city integer NOT NULL REFERENCES city);
    INSERT INTO city VALUES (1, 'Kyoto'); INSERT INTO client VALUES (1, 'Ann', 1)";

/// What is generated, and everything that it makes.
const MADE: &str = "SELECT string_agg(o, ' ' ORDER BY o) FROM (
    SELECT part || ' ' || xmin FROM dejima.generated
    UNION ALL SELECT p.proname || p.xmin FROM pg_proc AS p WHERE pronamespace = 'dejima'::regnamespace
    UNION ALL SELECT tgname || xmin || tgrelid FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT relname || xmin FROM pg_class WHERE relnamespace = 'dejima_tables'::regnamespace) AS made(o)";

/// What is left of all that.
const LEFT: &str = "SELECT (SELECT count(*) FROM dejima.generated WHERE part <> 'dispatcher'), (SELECT count(*) FROM dejima.family),
    (SELECT count(*) FROM dejima.shape), (SELECT count(*) FROM pg_class WHERE relnamespace = 'dejima_tables'::regnamespace),
    (SELECT count(*) FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace AND proname ~ '^(capture|put|derive|through|insert)_[0-9]')";

/// The Dejima table as a strategy over both base tables.
fn joined() -> TableDeclaration {
    programmed(
        "CREATE TABLE city (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
         CREATE TABLE client (id integer PRIMARY KEY, name text, city integer NOT NULL REFERENCES city);
         -- put: read city
         CREATE VIEW \"T\" AS SELECT c.id, c.name, t.name AS town FROM client c JOIN city t ON c.city = t.id",
    )
}

/// The Dejima table as columns of one base table. With a default its view has a trigger.
fn plain(columns: &[&str], default: bool) -> Vec<TableDeclaration> {
    let defaults = json!([{"column": "city", "value": 1}]);
    declared(
        json!([{"name": "T", "base_table": "public.client", "key": ["id"], "columns": columns,
        "defaults": if default { defaults } else { json!([]) }}]),
    )
}

async fn ready(name: &'static str) -> (Bed, Database) {
    let bed = bed(name, BASE).await;
    bed.admin("REVOKE ALL ON city FROM dejima; GRANT SELECT, TRIGGER ON city TO dejima");
    let database = bed.connect().await;
    (bed, database)
}

fn shown(bed: &Bed) -> String {
    bed.admin("SELECT string_agg(t::text, ' ' ORDER BY t) FROM dejima_tables.\"T\" AS t")
}

#[tokio::test]
async fn a_program_is_declared_once_and_taken_away_without_a_trace() {
    let (bed, database) = ready("programs").await;
    let tables = database.declare(&[joined()]).await.unwrap();
    let used: Vec<_> = tables[0]
        .base_tables
        .iter()
        .map(|used| (used.name.as_str(), used.is_written))
        .collect();
    assert_eq!(
        used,
        [
            ("\"public\".\"city\"", false),
            ("\"public\".\"client\"", true)
        ],
        "what is only looked up needs no right to write"
    );
    assert_eq!(shown(&bed), "(1,Ann,Kyoto)");
    let made = bed.admin(MADE);
    database.declare(&[joined()]).await.unwrap();
    assert_eq!(bed.admin(MADE), made, "nothing is made again");
    database.declare(&[]).await.unwrap();
    assert_eq!(bed.admin(LEFT), "0|0|0|0|0");
}

#[tokio::test]
async fn what_somebody_took_away_is_made_again() {
    let (bed, database) = ready("programs_again").await;
    database.declare(&[joined()]).await.unwrap();
    let families = "SELECT count(*) > 0 FROM dejima.family";
    let whole = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace AND proname ~ '^(capture|put|derive|through)_[0-9]'";
    let functions = bed.admin(whole);
    assert_eq!(bed.admin(families), "t");
    for broken in [
        "DELETE FROM dejima.family",
        "DROP FUNCTION dejima.derive_1_few()",
        "DROP FUNCTION dejima.derive_1_0_many()",
        "DROP FUNCTION dejima.derive_1_1_in_place_one(text[], text[])",
        "DROP VIEW dejima_tables.\"T\" CASCADE",
        "DROP TRIGGER dejima_capture_update ON city",
    ] {
        bed.admin(&format!("SET session_replication_role = replica; {broken}"));
        database.declare(&[joined()]).await.unwrap();
        assert_eq!(bed.admin(whole), functions, "{broken}");
        assert_eq!(bed.admin(families), "t", "{broken}");
        assert_eq!(shown(&bed), "(1,Ann,Kyoto)", "{broken}");
        let triggers =
            "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^dejima_' AND tgenabled = 'O'";
        assert_eq!(bed.admin(triggers), "10", "{broken}");
    }
}

#[tokio::test]
async fn a_dejima_table_changes_from_one_kind_to_the_other() {
    let (bed, database) = ready("programs_change").await;
    let id = "SELECT id FROM dejima.dejima_table WHERE name = 'T'";
    let triggers = "SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'dejima_tables.\"T\"'::regclass";
    let same = || plain(&["id", "name", "city"], false);
    let other = || plain(&["id", "name"], true);
    database.declare(&same()).await.unwrap();
    let number = bed.admin(id);
    for (before, view) in [(same(), "(1,Ann,1)"), (other(), "(1,Ann)")] {
        database.declare(&before).await.unwrap();
        assert_eq!(shown(&bed), view);
        database.declare(&[joined()]).await.unwrap();
        assert_eq!(shown(&bed), "(1,Ann,Kyoto)");
        assert_eq!(bed.admin(triggers), "dejima_end dejima_row");
        database.declare(&before).await.unwrap();
        assert_eq!(shown(&bed), view);
    }
    assert_eq!(bed.admin(triggers), "dejima_insert");
    database.declare(&same()).await.unwrap();
    assert_eq!(bed.admin(triggers), "");
    assert_eq!(bed.admin(id), number);
    assert_eq!(bed.admin("SELECT count(*) FROM dejima.family"), "0");
}

#[tokio::test]
async fn a_program_that_does_not_fit_is_refused_with_the_cure() {
    let (bed, database) = ready("programs_refused").await;
    let city = "\"public\".\"city\"";
    for (change, back, why) in [
        (
            "REVOKE TRIGGER ON city FROM dejima",
            "GRANT TRIGGER ON city TO dejima",
            format!("role \"dejima\" lacks TRIGGER on base table {city}; run: GRANT TRIGGER ON {city} TO dejima"),
        ),
        (
            "REVOKE DELETE ON client FROM dejima",
            "GRANT DELETE ON client TO dejima",
            "role \"dejima\" lacks DELETE on base table \"public\".\"client\"; run: GRANT DELETE ON \"public\".\"client\" TO dejima".to_owned(),
        ),
        (
            "ALTER TABLE city RENAME TO town",
            "ALTER TABLE town RENAME TO city",
            format!("Dejima table \"T\": there is no base table {city}"),
        ),
        (
            "ALTER TABLE city RENAME name TO called",
            "ALTER TABLE city RENAME called TO name",
            format!("Dejima table \"T\": base table {city} has no column \"name\"; its columns are \"id\", \"called\""),
        ),
        (
            "ALTER TABLE city ALTER name DROP NOT NULL",
            "ALTER TABLE city ALTER name SET NOT NULL",
            format!("column \"name\" of {city} may be NULL"),
        ),
    ] {
        bed.admin(change);
        let error = database.declare(&[joined()]).await.unwrap_err().to_string();
        assert!(error.contains(&why), "{change}: {error}");
        bed.admin(back);
    }
    let twice = [joined(), joined()];
    let error = database.declare(&twice).await.unwrap_err().to_string();
    assert!(error.contains("is declared twice"), "{error}");
    assert_eq!(bed.admin(LEFT), "0|0|0|0|0", "an error leaves nothing");
    database.declare(&[joined()]).await.unwrap();
}

/// A view over one table has its defaults. The columns of others have none: those of the base table are for columns that the
/// Dejima table does not show.
#[tokio::test]
async fn what_an_insert_through_the_view_does_not_name_is_as_in_the_table_or_null() {
    let base = "CREATE TABLE note (id integer PRIMARY KEY, content text DEFAULT 'empty', kind text DEFAULT 'a');
                CREATE TABLE secret (id integer PRIMARY KEY);";
    let bed = bed("programs_default", base).await;
    let view = "CREATE VIEW \"T\" AS SELECT id, content FROM note";
    let no_secret = "WHERE NOT EXISTS (SELECT FROM secret WHERE secret.id = note.id)";
    let database = bed.connect().await;
    let owner = bed.session("postgres").await;
    for (id, rows, note) in [(1, "", "(1,empty,a)"), (2, no_secret, "(2,,a)")] {
        let table = programmed(&format!("{base} {view} {rows}"));
        database.declare(&[table]).await.unwrap();
        let insert = format!("INSERT INTO dejima_tables.\"T\" (id) VALUES ({id})");
        owner.batch_execute(&insert).await.unwrap();
        let found = format!("SELECT n::text FROM note AS n WHERE id = {id}");
        assert_eq!(bed.admin(&found), note);
    }
}

/// A view that only selects rows and columns of one table is served as the declaration that says the same.
#[tokio::test]
async fn a_view_over_one_table_is_what_a_declaration_makes_of_it() {
    let base = "CREATE TABLE note (id integer PRIMARY KEY, content text, kind text DEFAULT 'a', other text DEFAULT 'o');";
    let bed = bed("programs_mapping", base).await;
    let database = bed.connect().await;
    let view = "CREATE VIEW \"T\" AS SELECT id, content FROM note WHERE kind = 'b'";
    let declaration = json!([{"name": "T", "base_table": "public.note", "key": ["id"], "columns": ["id", "content"],
        "where": "\"kind\" = 'b'::text", "defaults": [{"column": "kind", "value": "b"}, {"column": "other", "value": "o"}]}]);
    let generated =
        "SELECT string_agg(part || creating, E'\\n' ORDER BY part) FROM dejima.generated";
    database
        .declare(&[programmed(&format!("{base} {view}"))])
        .await
        .unwrap();
    let of_view = bed.admin(generated);
    database.declare(&declared(declaration)).await.unwrap();
    assert_eq!(of_view, bed.admin(generated));
}

#[tokio::test]
async fn the_keys_and_columns_of_a_program_are_guarded() {
    let (bed, database) = ready("programs_guard").await;
    database.declare(&[joined()]).await.unwrap();
    let owner = bed.session("postgres").await;
    for (sql, detail) in [
        ("ALTER TABLE city RENAME name TO called", "name text"),
        (
            "ALTER TABLE city DROP CONSTRAINT city_pkey CASCADE",
            "unique key (id)",
        ),
        ("DROP TABLE client CASCADE", ""),
        ("DROP TRIGGER dejima_capture_delete ON city", "trigger"),
    ] {
        let error = owner.batch_execute(sql).await.expect_err(sql);
        let error = error.as_db_error().expect(sql);
        assert_eq!(error.code().code(), "55006", "{sql}: {error:?}");
        let said = error.detail().unwrap_or_default();
        assert!(said.contains(detail), "{sql}: {error:?}");
    }
}

/// Columns that put writes, or that a strategy names, are relied on whether the view shows them or not.
#[tokio::test]
async fn columns_that_no_view_shows_are_guarded() {
    let base = "CREATE TABLE note (id integer PRIMARY KEY, content text, kind text DEFAULT 'a');";
    let bed = bed("programs_hidden", base).await;
    bed.admin("ALTER TABLE note ADD COLUMN free text");
    let view = "CREATE VIEW \"T\" AS SELECT id, content FROM note WHERE id > 0";
    let program = vec![programmed(&format!("{base} {view}"))];
    let declaration = declared(
        json!([{"name": "T", "base_table": "public.note", "key": ["id"],
        "columns": ["id", "content"], "defaults": [{"column": "kind", "value": "b"}]}]),
    );
    let database = bed.connect().await;
    let owner = bed.session("postgres").await;
    for wanted in [program, declaration] {
        database.apply(Target::Declared(&wanted)).await.unwrap();
        // What is noted is kept with what was there before.
        database.apply(Target::Declared(&[])).await.unwrap();
        database.apply(Target::Before).await.unwrap();
        for (sql, detail) in [
            (
                "ALTER TABLE note DROP COLUMN kind",
                "Dejima tables rely on: hidden column kind.",
            ),
            (
                "ALTER TABLE note ALTER kind TYPE varchar(5)",
                "Dejima tables rely on: hidden column kind text. It would be: character varying(5).",
            ),
            (
                "ALTER TABLE note RENAME kind TO sort",
                "Dejima tables rely on: hidden column kind.",
            ),
        ] {
            let error = owner.batch_execute(sql).await.expect_err(sql);
            let (state, _, said) = said(error);
            assert_eq!((state.as_str(), said.as_str()), ("55006", detail), "{sql}");
        }
        let free = "ALTER TABLE note ALTER free TYPE varchar(5), ADD more text; ALTER TABLE note RENAME free TO other;
            ALTER TABLE note DROP more; ALTER TABLE note RENAME other TO free";
        owner.batch_execute(free).await.expect(free);
    }
    database.declare(&[]).await.unwrap();
    let gone = "ALTER TABLE note DROP COLUMN kind";
    owner.batch_execute(gone).await.expect(gone);
}

/// Generated SQL finds the operators of PostgreSQL alone: with those, citext would be compared as text.
#[tokio::test]
async fn columns_whose_type_has_comparisons_of_its_own_are_refused() {
    let base = "CREATE EXTENSION citext; CREATE DOMAIN mail AS citext;
        CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE person (id integer PRIMARY KEY, name citext NOT NULL DEFAULT '', mail mail NOT NULL DEFAULT '',
          town text COLLATE blind NOT NULL DEFAULT '', names citext[] NOT NULL DEFAULT '{}');";
    let bed = bed("programs_types", base).await;
    let database = bed.connect().await;
    let declare = async |column: &str, type_name: &str| {
        let text = format!(
            "CREATE TABLE person (id integer PRIMARY KEY, {column} {type_name} NOT NULL);
             CREATE VIEW \"T\" AS SELECT id, {column} FROM person WHERE {column} <> '{{}}'"
        );
        database.declare(&[programmed(&text)]).await
    };
    for (column, type_name, why) in [
        (
            "name",
            "public.citext",
            "is public.citext, a type that PostgreSQL itself does not know",
        ),
        (
            "mail",
            "public.mail",
            "is public.mail, a type that PostgreSQL itself does not know",
        ),
        (
            "town",
            "text",
            "has the collation public.blind, under which different texts are equal",
        ),
    ] {
        let error = declare(column, type_name).await;
        let error = error.expect_err(column).to_string();
        let why = format!("Dejima table \"T\": column \"{column}\" of \"public\".\"person\" {why}");
        assert!(error.contains(&why), "{column}: {error}");
        assert!(
            error.contains("leave it out of the strategy, or "),
            "{error}"
        );
    }
    bed.admin("ALTER TABLE person DROP name, DROP mail, DROP town");
    declare("names", "public.citext[]").await.unwrap();
}

#[tokio::test]
async fn the_doctor_looks_at_all_that_a_program_needs() {
    let (bed, database) = ready("programs_doctor").await;
    let tables = database.declare(&[joined()]).await.unwrap();
    let faults = async |checks: &[&str]| -> Vec<String> {
        let examinee = Examinee {
            tables: tables.clone(),
            ..Examinee::default()
        };
        let findings = database.examine(&examinee).await.into_iter();
        findings
            .filter(|finding| finding.state != State::Ok && checks.contains(&finding.check))
            .map(|finding| finding.what)
            .collect()
    };
    let checks = ["rights", "triggers", "generated", "columns"];
    assert_eq!(faults(&checks).await, [""; 0]);
    for (broken, check, what) in [
        (
            "REVOKE SELECT ON city FROM dejima",
            "rights",
            "role dejima lacks SELECT on base table \"public\".\"city\"",
        ),
        (
            "ALTER TABLE city DISABLE TRIGGER dejima_capture_update",
            "triggers",
            "trigger dejima_capture_update of \"public\".\"city\" is disabled: such changes reach nobody",
        ),
        (
            "DROP FUNCTION dejima.derive_1_many()",
            "generated",
            "derive 1 is gone: puts fail",
        ),
        (
            "DROP FUNCTION dejima.put_1(jsonb)",
            "generated",
            "put 1 is gone: puts fail",
        ),
        (
            "DROP VIEW dejima_tables.\"T\" CASCADE",
            "generated",
            "put 1 is gone: puts fail",
        ),
        (
            "ALTER TABLE client ALTER city TYPE bigint",
            "columns",
            "column \"city\" of \"public\".\"client\" has type bigint, and Dejima table \"T\" was declared with integer",
        ),
    ] {
        let before = if check == "columns" {
            "DROP VIEW IF EXISTS dejima_tables.\"T\" CASCADE;"
        } else {
            ""
        };
        bed.admin(&format!(
            "SET session_replication_role = replica; {before} {broken}"
        ));
        let found = faults(&[check]).await;
        assert!(
            found.iter().any(|found| found == what),
            "{broken}: {found:#?}"
        );
    }
}
