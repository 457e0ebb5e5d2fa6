//! `dejima strategy check` and `apply` against a database and what pg_dump prints of it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dejima_testbed::{
    Cluster, ClusterOptions, Layout, Organisation, Scratch, Share, World, WorldOptions,
};
use serde_json::Value;

/// What pg_dump writes with casts: varchars, numbers beside wider ones, dates.
const TABLES: &str = "CREATE TABLE city (name varchar(20) PRIMARY KEY, kind varchar(10) NOT NULL CHECK (kind IN ('town', 'village')));
    CREATE TABLE person (id serial PRIMARY KEY, name varchar(20) NOT NULL CHECK (length(name) > 0), nick varchar(10),
      city varchar(20) NOT NULL REFERENCES city, weight numeric(6,2) CHECK (weight > 0), born date CHECK (born >= '1900-01-01'),
      points bigint CHECK (points BETWEEN -5 AND 5), rate double precision CHECK (rate >= 0 AND rate < 1.5),
      kind varchar NOT NULL DEFAULT 'bus' CHECK (kind IN ('bus', 'tram')), CHECK (id < weight));";
const VIEW: &str = "CREATE VIEW \"Persons\" AS SELECT * FROM person WHERE kind = 'bus'";

/// A constraint that the strategy does not know, and what is said of it.
const STRANGER: &str = "ALTER TABLE person ADD CONSTRAINT light CHECK (weight < 500)";
const WHAT: &str = "\"public\".\"person\" has the constraint \"light\" CHECK ((weight < (500)::numeric)), which the strategy of \
    Dejima table \"Persons\" does not know: a put that breaks it is refused at run time";
const CURE: &str =
    "write it into the CREATE TABLE of \"public\".\"person\" in the strategy, and check again";

/// An organisation with a database of that name, and a folder with its files.
struct Shop {
    cluster: Cluster,
    folder: tempfile::TempDir,
    scratch: Scratch,
}

impl Shop {
    fn open(base_tables: &str) -> Self {
        let scratch = Scratch::new().expect("a scratch folder");
        let cluster = Cluster::start(&scratch, ClusterOptions::named("shop"));
        let shop = Self {
            cluster: cluster.expect("a cluster"),
            folder: tempfile::tempdir().expect("a folder"),
            scratch,
        };
        shop.cluster.create_database("shop").expect("a database");
        shop.sql(base_tables);
        let url = shop.url();
        let install = [
            "install",
            "--database",
            &url,
            "--name",
            "shop",
            "--helper",
            "/bin/true",
        ];
        let output = shop.dejima(&[&install[..], &["--callback", "unix:/nowhere"]].concat());
        assert!(output.status.success(), "{output:?}");
        shop.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO dejima");
        shop
    }

    fn url(&self) -> String {
        self.cluster.url("postgres", "shop")
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.run_sql("shop", sql).expect(sql)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("written");
    }

    fn dejima(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dejima"))
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    }

    /// The exit status and all that is printed.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.dejima(arguments);
        let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        (output.status.code(), texts.concat())
    }

    /// What pg_dump prints of the base tables.
    fn dump(&self) -> String {
        let output = Command::new(self.scratch.packages().program("pg_dump"))
            .args([
                "--schema-only",
                "--table=person",
                "--table=city",
                "--dbname",
            ])
            .arg(self.url())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Makes the tables that the schema's file has.
    fn restore(&self) {
        let dump = self.path("tables.sql").display().to_string();
        let psql = Command::new(self.scratch.packages().program("psql"))
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-f",
                &dump,
                "-d",
                &self.url(),
            ])
            .output()
            .expect("it runs");
        assert!(psql.status.success(), "{psql:?}");
        self.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO dejima");
    }

    /// A configuration that names the strategy and the schema in these files.
    fn configure(&self, strategy: &str, schema: &str) {
        self.write("view.sql", strategy);
        self.write("tables.sql", schema);
        let url = self.cluster.url("dejima", "shop");
        let text = format!(
            "name = \"shop\"\nlisten = \"127.0.0.1:7000\"\nlocal = \"unix:/nowhere\"\n[database]\nurl = \"{url}\"\n[[dejima_table]]\nname = \"Persons\"\n\
             strategy = \"view.sql\"\nschema = \"tables.sql\"\n"
        );
        self.write("shop.toml", &text);
    }
}

#[test]
fn what_pg_dump_prints_is_a_schema() {
    dejima_testbed::solver(Duration::from_secs(5)).expect("z3");
    let shop = Shop::open(TABLES);
    let dump = shop.dump();
    // Else this proves nothing of casts.
    assert!(dump.contains("\n\\restrict "), "{dump}");
    assert!(
        dump.contains("((kind)::text = ANY ((ARRAY['bus'::"),
        "{dump}"
    );
    shop.configure(VIEW, &dump);
    let (status, said) = shop.run(&["strategy", "check", "view.sql", "--schema", "tables.sql"]);
    assert_eq!(status, Some(0), "{said}");
    let apply = ["strategy", "apply", "--config", "shop.toml", "--yes"];
    let (status, said) = shop.run(&apply);
    assert_eq!(status, Some(0), "{said}");
    // All constraints are known.
    assert!(!said.contains("warning"), "{said}");
    let (_, said) = shop.run(&apply);
    assert_eq!(said, "Nothing to do: the database is as it should be.\n");
    // In a database that was made from the dump PostgreSQL writes the casts of arrays in another way.
    let (_, undone) = shop.run(&[&apply[..], &["--undo"]].concat());
    assert!(undone.contains("Done."), "{undone}");
    shop.sql("DROP TABLE person, city");
    shop.restore();
    assert!(
        shop.dump()
            .contains("ARRAY[('bus'::character varying)::text")
    );
    let (status, said) = shop.run(&apply);
    assert_eq!(status, Some(0), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

/// The CHECK is another one: what was proved would not hold.
#[test]
fn a_check_with_casts_that_the_database_has_not_is_refused() {
    let shop = Shop::open(TABLES);
    let dump = shop.dump();
    let other = dump.replace("'tram'::", "'tramway'::");
    assert_ne!(dump, other);
    shop.configure(VIEW, &other);
    let (status, said) = shop.run(&["strategy", "apply", "--config", "shop.toml"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("'tramway'") && said.contains("ADD CHECK "),
        "{said}"
    );
}

#[test]
fn apply_names_a_constraint_that_the_strategy_does_not_know() {
    let shop = Shop::open(TABLES);
    shop.configure(VIEW, &shop.dump());
    let apply = ["strategy", "apply", "--config", "shop.toml"];
    let (_, said) = shop.run(&apply);
    assert!(!said.contains("warning"), "{said}");
    shop.sql(STRANGER);
    // Before anything is done, and whether anything is to do or not.
    let (status, said) = shop.run(&apply);
    assert_eq!(status, Some(4), "{said}");
    assert!(
        said.contains(&format!("\nwarning: {WHAT}; {CURE}\n")),
        "{said}"
    );
    let (status, said) = shop.run(&[&apply[..], &["--yes"]].concat());
    assert_eq!(status, Some(0), "{said}");
    let output = shop.dejima(&[&["-o", "json"], &apply[..]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["changes"], Value::Array(vec![]), "{document}");
    let warnings = serde_json::json!([{"what": WHAT, "cure": CURE}]);
    assert_eq!(document["warnings"], warnings, "{document}");
}

/// The peer says it when it starts, and `dejima doctor` whenever it is asked; it is a warning, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn the_peer_and_the_doctor_name_a_constraint_that_the_strategy_does_not_know() {
    let shop = Organisation {
        name: "shop".to_owned(),
        kind: "shop".to_owned(),
        base_sql: format!("{TABLES} {STRANGER}"),
        base_tables: vec!["city".to_owned(), "person".to_owned()],
        declarations: "[[dejima_table]]\nname = \"Persons\"\nstrategy = \"view.sql\"\n".to_owned(),
        strategies: vec![("view.sql".to_owned(), format!("{TABLES}\n{VIEW};"))],
        shares: vec![Share {
            table: "Persons".to_owned(),
            seeds: vec![],
        }],
        more_configuration: String::new(),
    };
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(vec![shop], options).await;
    let world = world.expect("the world starts");
    let log = std::fs::read_to_string(world.member("shop").process.log()).expect("a log");
    let said = |line: &&str| line.contains("WARN") && line.contains("constraint");
    let lines: Vec<_> = log.lines().filter(said).collect();
    let [line] = lines[..] else { panic!("{log}") };
    assert!(line.contains(&format!("{WHAT}; {CURE}")), "{line}");

    let doctor = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_dejima"))
            .args(arguments)
            .env("DEJIMA_PEER", world.local_address("shop"))
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    };
    let output = doctor(&["-o", "json", "doctor"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("a list");
    let of_constraints = |finding: &&Value| finding["check"] == "constraints";
    let found: Vec<_> = findings.iter().filter(of_constraints).collect();
    let [found] = found[..] else {
        panic!("{document}")
    };
    assert_eq!(found["state"], "warning", "{found}");
    assert_eq!(
        (&found["what"], &found["cure"]),
        (&WHAT.into(), &CURE.into())
    );
    let table = String::from_utf8(doctor(&["doctor"]).stdout).expect("text");
    assert!(
        table.contains("constraints") && table.contains("\"light\""),
        "{table}"
    );
}
