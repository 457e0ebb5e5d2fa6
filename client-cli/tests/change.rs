//! The commands that change rows, against a real database: what they store, what they print, how they end.

use std::process::{Command, Output};

use dejima_testbed::{Cluster, ClusterOptions, Scratch};

struct Bench {
    cluster: Cluster,
}

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::new().expect("a scratch folder");
        let cluster = Cluster::start(&scratch, ClusterOptions::named("one")).expect("a cluster");
        let sql = r#"CREATE TABLE "Odd Names" ("a b" int PRIMARY KEY, "select" text DEFAULT 'd', at timestamptz,
                     CONSTRAINT small CHECK ("a b" < 100))"#;
        cluster.run_sql("postgres", sql).expect("a table");
        Self { cluster }
    }

    fn dejima(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dejima"))
            .args(arguments)
            .env("DEJIMA_DATABASE", self.cluster.url("postgres", "postgres"))
            .env_remove("DEJIMA_PEER")
            .output()
            .expect("it runs")
    }

    fn rows(&self) -> String {
        self.cluster
            .run_sql(
                "postgres",
                r#"SELECT "a b", "select" FROM "Odd Names" ORDER BY 1"#,
            )
            .expect("it runs")
    }
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const TABLE: &str = "\"Odd Names\"";

#[test]
fn values_arrive_as_they_were_typed() {
    let bench = Bench::new();
    let quoting = r#"select='); DROP TABLE "Odd Names"; -- =\"#;
    let inserted = bench.dejima(&["insert", TABLE, "a b=1", quoting, "at=2026-01-31 12:00+01"]);
    assert_eq!(
        (status(&inserted), inserted.stdout.as_slice()),
        (Some(0), b"1 row inserted.\n".as_slice())
    );
    assert_eq!(bench.rows(), r#"1|'); DROP TABLE "Odd Names"; -- =\"#);

    assert_eq!(
        status(&bench.dejima(&["insert", TABLE, "a b=2", "select="])),
        Some(0)
    );
    assert_eq!(
        status(&bench.dejima(&["update", TABLE, "--key", "a b=1", "--null", "select"])),
        Some(0)
    );
    let sql = r#"SELECT "a b", "select" IS NULL AS is_null FROM "Odd Names" ORDER BY 1"#;
    let read = bench.dejima(&["sql", sql, "-o", "json"]);
    let read: serde_json::Value = serde_json::from_slice(&read.stdout).expect("it prints JSON");
    let expected = serde_json::json!({ "results": [
        { "columns": ["a b", "is_null"], "rows": [["1", "t"], ["2", "f"]], "count": 2 },
    ] });
    assert_eq!(read, expected);

    assert_eq!(
        status(&bench.dejima(&["delete", TABLE, "--key", "a b=1"])),
        Some(0)
    );
    assert_eq!(bench.rows(), "2|");
}

#[test]
fn a_refusal_says_sqlstate_and_reason_and_ends_with_1() {
    let bench = Bench::new();
    let refused = bench.dejima(&["insert", TABLE, "a b=100"]);
    assert_eq!(status(&refused), Some(1));
    assert!(
        error(&refused).starts_with("ERROR:  23514: new row"),
        "{}",
        error(&refused)
    );
    assert!(
        error(&refused).contains("\nDETAIL:  "),
        "{}",
        error(&refused)
    );

    let as_json = bench.dejima(&["insert", TABLE, "a b=100", "-o", "json"]);
    let document: serde_json::Value =
        serde_json::from_slice(&as_json.stderr).expect("it says errors in JSON");
    assert_eq!(document["error"]["sqlstate"], "23514");

    for no_row in [
        ["delete", TABLE, "--key", "a b=7"].as_slice(),
        &["update", TABLE, "--key", "a b=7", "--set", "select=x"],
    ] {
        assert_eq!(status(&bench.dejima(no_row)), Some(1), "{no_row:?}");
    }
    assert_eq!(
        status(&bench.dejima(&["insert", "no_such_table", "a=1"])),
        Some(1)
    );
    assert_eq!(
        status(&bench.dejima(&["insert", TABLE, "no equals sign"])),
        Some(2)
    );
    assert_eq!(bench.rows(), "");
}

#[test]
fn a_command_that_needs_a_peer_says_so() {
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dejima"));
        command
            .args(arguments)
            .env_remove("DEJIMA_PEER")
            .env_remove("DEJIMA_DATABASE")
            .output()
            .expect("the command starts")
    };
    assert_eq!(status(&command(&["peers"])), Some(2));
    assert_eq!(status(&command(&["sql", "SELECT 1"])), Some(2));
    let away = command(&["peers", "--peer", "unix:/nowhere/peer.sock"]);
    assert_eq!(status(&away), Some(1));
    assert!(error(&away).contains("No such file"), "{}", error(&away));
    let wrong = command(&["peers", "--peer", "nowhere"]);
    assert_eq!(status(&wrong), Some(2), "{}", error(&wrong));
}

#[test]
fn scripts_and_manual_are_complete() {
    let command = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_dejima"))
            .args(arguments)
            .output()
            .expect("the command starts")
    };
    let completions = command(&["completions", "bash"]);
    assert!(String::from_utf8_lossy(&completions.stdout).contains("_dejima"));
    let manual = command(&["man"]);
    assert!(String::from_utf8_lossy(&manual.stdout).contains(".TH dejima 1"));
}
