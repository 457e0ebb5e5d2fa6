//! Declaring: what a user can get wrong, in the words that he reads; and that declaring twice changes nothing.

use dejima_core::database::{Database, Error, Installation, VERSION, install};
use dejima_core::name::PeerName;
use dejima_testbed::{Cluster, ClusterOptions, Scratch};
use serde_json::{Value, json};

use crate::bed::{bed, declared, simple};

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, a text, b text NOT NULL DEFAULT '', g integer GENERATED ALWAYS AS (id + 1) STORED, nn text NOT NULL DEFAULT 'x');
    CREATE TABLE loose (id integer, b text NOT NULL, UNIQUE (id));
    CREATE TABLE late (id integer NOT NULL UNIQUE DEFERRABLE);
    CREATE TABLE strict (id integer PRIMARY KEY, b text NOT NULL, c text);
    CREATE TABLE parted (id integer PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF parted FOR VALUES FROM (1) TO (9);
    CREATE TABLE elder (id integer PRIMARY KEY); CREATE TABLE heir () INHERITS (elder);
    CREATE UNLOGGED TABLE fast (id integer PRIMARY KEY)";

fn table(base: &str, more: Value) -> Value {
    let mut table = json!({"name": "T", "base_table": base, "key": ["id"], "columns": ["id"]});
    let object = table.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    table
}

#[tokio::test]
async fn mistakes_are_named_with_their_cure() {
    let bed = bed("mistakes", T).await;
    bed.admin("CREATE SCHEMA private; CREATE TABLE private.t (id integer PRIMARY KEY); CREATE TABLE denied (id integer PRIMARY KEY); GRANT SELECT, UPDATE ON denied TO dejima;
        CREATE TABLE secured (id integer PRIMARY KEY); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; GRANT ALL ON secured TO dejima");
    let database = bed.share(simple(&["id", "a"])).await;
    let before = bed.admin("SELECT part, creating FROM dejima.generated ORDER BY part");
    let cases = [
        (
            json!([table("public.nope", json!({}))]),
            "Dejima table \"T\": base table public.nope does not exist; write it as schema.table, quoted as in SQL, or create it",
        ),
        (
            json!([table("t", json!({}))]),
            "Dejima table \"T\": base table t does not exist; write it as schema.table, quoted as in SQL, or create it",
        ),
        (
            json!([table("public.\"t", json!({}))]),
            "Dejima table \"T\": base table public.\"t does not exist; write it as schema.table, quoted as in SQL, or create it",
        ),
        (
            json!([table("public.t", json!({"columns": ["id", "phon"]}))]),
            "Dejima table \"T\": base table \"public\".\"t\" has no column \"phon\"; its columns are \"id\", \"a\", \"b\", \"g\", \"nn\"",
        ),
        (
            json!([table("public.t", json!({"columns": ["id", "id"]}))]),
            "Dejima table \"T\" names column \"id\" twice; remove one of them",
        ),
        (
            json!([table("public.t", json!({"key": ["no"]}))]),
            "Dejima table \"T\": key column \"no\" is none of its columns; add it to `columns`, or correct `key`",
        ),
        (
            json!([table("public.t", json!({"key": []}))]),
            "Dejima table \"T\" has no key; name at least one column in `key`",
        ),
        (
            json!([table("public.t", json!({})), table("public.t", json!({}))]),
            "Dejima table \"T\" is declared twice; remove one of the declarations",
        ),
        (
            json!([table("public.loose", json!({"columns": ["id", "b"]}))]),
            "Dejima table \"T\": key column \"id\" of \"public\".\"loose\" may be NULL; run: ALTER TABLE \"public\".\"loose\" ALTER COLUMN \"id\" SET NOT NULL",
        ),
        (
            json!([table(
                "public.t",
                json!({"key": ["id", "b"], "columns": ["id", "b"]})
            )]),
            "Dejima table \"T\": nothing keeps its key unique in \"public\".\"t\"; run: ALTER TABLE \"public\".\"t\" ADD UNIQUE (\"id\", \"b\")",
        ),
        (
            json!([table("public.late", json!({}))]),
            "Dejima table \"T\": the unique constraint on its key in \"public\".\"late\" is DEFERRABLE; run: ALTER TABLE \"public\".\"late\" ADD UNIQUE (\"id\")",
        ),
        (
            json!([table("public.t", json!({"columns": ["id", "g"]}))]),
            "Dejima table \"T\": column \"g\" of \"public\".\"t\" is GENERATED and cannot be written; leave it out of the Dejima table",
        ),
        (
            json!([table(
                "public.t",
                json!({"defaults": [{"column": "id", "value": 1}]})
            )]),
            "Dejima table \"T\": a default for column \"id\" of \"public\".\"t\", which Dejima table \"T\" shows; remove the default: a shared value is unset until somebody sets it",
        ),
        (
            json!([table("public.strict", json!({}))]),
            "Dejima table \"T\": column \"b\" of \"public\".\"strict\" is NOT NULL, is not shown and has no default, so no insert could succeed; add to the declaration: defaults = [{ column = \"b\", value = \"...\" }], or run: ALTER TABLE \"public\".\"strict\" ALTER COLUMN \"b\" SET DEFAULT ...",
        ),
        (
            json!([
                table("public.strict", json!({})),
                table(
                    "public.strict",
                    json!({"name": "U", "columns": ["id", "b"]})
                )
            ]),
            "Dejima table \"T\": column \"b\" of \"public\".\"strict\" is NOT NULL and shown only by Dejima table \"U\", so no insert through \"T\" could succeed; run: ALTER TABLE \"public\".\"strict\" ALTER COLUMN \"b\" DROP NOT NULL",
        ),
    ];
    for (declarations, message) in cases {
        let error = database.declare(&declared(declarations)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("peer \"bank\": {message}"));
    }
    let cases = [
        (
            "public.part",
            "base table \"public\".\"part\" is a partition of public.parted; triggers would not see every change of it: share a table that stands alone, or a whole partitioned table",
        ),
        (
            "public.heir",
            "base table \"public\".\"heir\" inherits from another, or another from it; triggers would not see every change of it: share a table that stands alone, or a whole partitioned table",
        ),
        (
            "public.fast",
            "base table \"public\".\"fast\" does not survive a crash; run: ALTER TABLE \"public\".\"fast\" SET LOGGED",
        ),
        (
            "private.t",
            "role \"dejima\" may not use schema \"private\" of base table \"private\".\"t\"; run: GRANT USAGE ON SCHEMA \"private\" TO dejima",
        ),
        (
            "public.denied",
            "role \"dejima\" lacks INSERT, DELETE, TRIGGER on base table \"public\".\"denied\"; run: GRANT INSERT, DELETE, TRIGGER ON \"public\".\"denied\" TO dejima",
        ),
        (
            "public.secured",
            "row-level security of base table \"public\".\"secured\" hides rows from role \"dejima\"; run as superuser: ALTER ROLE dejima BYPASSRLS",
        ),
    ];
    for (base, message) in cases {
        let error = database
            .declare(&declared(json!([table(base, json!({}))])))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("peer \"bank\", Dejima table \"T\": {message}")
        );
    }
    for (condition, why) in [
        ("nope = 1", "column \"nope\" does not exist"),
        ("id > (SELECT 1)", "cannot use subquery in index predicate"),
        (
            "a < now()::text",
            "functions in index predicate must be marked IMMUTABLE",
        ),
        ("id = 1 OR", "syntax error"),
    ] {
        let error = database
            .declare(&declared(json!([table(
                "public.t",
                json!({"where": condition})
            )])))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("peer \"bank\", Dejima table \"T\": its `where` is refused: ")
                && text.contains(why),
            "{text}"
        );
    }
    assert_eq!(
        bed.admin("SELECT part, creating FROM dejima.generated ORDER BY part"),
        before,
        "an error leaves everything as it was"
    );
}

#[tokio::test]
async fn declaring_again_changes_only_what_differs() {
    let bed = bed("again", T).await;
    let database = bed.share(simple(&["id", "a"])).await;
    let objects = "SELECT string_agg(xmin::text, ',' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace";
    let before = bed.admin(objects);
    // A transaction that holds the base table does not hinder a start that changes nothing.
    let client = bed.client().await;
    client
        .batch_execute("BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let tables = database
        .declare(&declared(simple(&["id", "a"])))
        .await
        .unwrap();
    assert_eq!(
        (
            tables[0].name.as_str(),
            tables[0].base_tables[0].name.as_str(),
            tables[0].schema.key.as_slice()
        ),
        ("T", "\"public\".\"t\"", &[0][..])
    );
    assert_eq!(bed.admin(objects), before);
    client.batch_execute("ROLLBACK").await.unwrap();
    bed.admin(
        "GRANT SELECT ON dejima_tables.\"T\" TO client; SET session_replication_role = replica; \
         ALTER TABLE t DISABLE TRIGGER dejima_capture_insert",
    );
    database
        .declare(&declared(simple(&["id", "a"])))
        .await
        .unwrap();
    assert_eq!(
        bed.admin(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgenabled = 'O'"
        ),
        "4",
        "a disabled trigger is made again"
    );
    database
        .declare(&declared(simple(&["id", "a", "b"])))
        .await
        .unwrap();
    assert_eq!(
        bed.admin("SELECT has_table_privilege('client', 'dejima_tables.\"T\"', 'SELECT')"),
        "t",
        "grants survive another column"
    );
    database
        .declare(&declared(simple(&["a", "id"])))
        .await
        .unwrap();
    database.declare(&[]).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass), (SELECT count(*) FROM pg_class WHERE relnamespace = 'dejima_tables'::regnamespace),
        (SELECT count(*) FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace AND proname ~ '^(capture|put)_[0-9]')";
    assert_eq!(bed.admin(left), "0|0|0");
}

#[tokio::test]
async fn a_database_that_is_not_ready_is_refused() {
    let bed = bed("notready", T).await;
    install(&bed.url("postgres"), &bed.installation())
        .await
        .unwrap();
    let place = bed.connect().await.place();
    let connect = async |change: fn(&mut dejima_core::database::Options)| {
        let mut options = bed.options();
        change(&mut options);
        Database::connect(options).await.err().unwrap().to_string()
    };
    let expected = format!(
        "peer \"bank\": logged in to {place} as role \"postgres\"; log in as role \"dejima\" (user=dejima in the url), which must not be a superuser"
    );
    assert_eq!(
        connect(|o| o.url = o.url.replace("user=dejima", "user=postgres")).await,
        expected
    );
    let expected = format!(
        "peer \"gov\": the database at {place} belongs to peer \"bank\"; correct the url or the peer's name"
    );
    assert_eq!(
        connect(|o| o.peer = PeerName::new("gov").unwrap()).await,
        expected
    );
    assert!(
        connect(|o| o.url = "host".into())
            .await
            .starts_with("peer \"bank\": the database url cannot be read: ")
    );
    assert!(
        connect(|o| o.url = o.url.replace("notready", "nowhere"))
            .await
            .contains("database \"nowhere\" does not exist")
    );
    let other = Installation {
        peer: PeerName::new("gov").unwrap(),
        ..bed.installation()
    };
    let error = install(&bed.url("postgres"), &other).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("database \"notready\" belongs to peer \"bank\", not to peer \"gov\""),
        "{error}"
    );
    let error = install(&bed.url("dejima"), &bed.installation())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("role \"dejima\" cannot install Dejima for peer \"bank\""),
        "{error}"
    );
    let spaced = Installation {
        helper: "/with space".into(),
        ..bed.installation()
    };
    assert!(matches!(
        install(&bed.url("postgres"), &spaced).await,
        Err(Error::Install { .. })
    ));
    bed.write("helper", "", 0o600);
    let expected = format!(
        "peer \"bank\": the helper {} cannot be executed by the OS user of the server; correct its mode and those of the folders above it, or install again with another path",
        bed.folder.join("helper").display()
    );
    assert_eq!(connect(|_| ()).await, expected);
    bed.admin("UPDATE dejima.peer SET version = 0");
    let expected = format!(
        "has version 0 of Dejima's schema, and this peer needs version {VERSION}; install again as superuser"
    );
    assert!(connect(|_| ()).await.contains(&expected));
    bed.admin("DROP SCHEMA dejima CASCADE");
    assert_eq!(
        connect(|_| ()).await,
        format!(
            "peer \"bank\": Dejima is not installed in the database at {place}; install it as superuser with `dejima install`"
        )
    );
    bed.admin("DROP EXTENSION plsh");
    assert!(
        connect(|_| ()).await.contains(
            "has no plsh; install the package on its server (Debian: postgresql-15-plsh)"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_is_refused() {
    let scratch = Scratch::new().unwrap();
    let cluster = Cluster::start(&scratch, ClusterOptions::named("latin")).unwrap();
    let options = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    cluster.create_database_with("latin", options).unwrap();
    let installation = Installation {
        peer: PeerName::new("bank").unwrap(),
        helper: "/bin/true".into(),
        callback: "unix:/none".into(),
    };
    let error = install(&cluster.url("postgres", "latin"), &installation).await;
    let error = error.unwrap_err().to_string();
    let expected =
        "database \"latin\" of peer \"bank\" has the encoding LATIN1, and Dejima needs UTF8";
    assert!(
        error.contains(expected) && error.contains("ENCODING 'UTF8' TEMPLATE template0"),
        "{error}"
    );
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dejima%'";
    assert_eq!(cluster.run_sql("latin", left).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_prepare_is_refused() {
    let scratch = Scratch::new().unwrap();
    let options = ClusterOptions {
        max_prepared_transactions: 0,
        ..ClusterOptions::named("zero")
    };
    let cluster = Cluster::start(&scratch, options).unwrap();
    cluster.create_database("zero").unwrap();
    let peer = PeerName::new("bank").unwrap();
    let installation = Installation {
        peer: peer.clone(),
        helper: "/bin/true".into(),
        callback: "unix:/none".into(),
    };
    install(&cluster.url("postgres", "zero"), &installation)
        .await
        .unwrap();
    let options = dejima_core::database::Options {
        peer,
        url: cluster.url("dejima", "zero"),
        pool: 1,
        lock_wait_ms_max: 250,
    };
    let error = Database::connect(options).await.err().unwrap().to_string();
    assert!(error.ends_with("has max_prepared_transactions = 0; run as superuser: ALTER SYSTEM SET max_prepared_transactions = 100, and restart the server"), "{error}");
}
