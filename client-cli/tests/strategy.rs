//! `dejima strategy`: exit statuses, what is printed, and what it says without a solver.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

fn corpus(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../strategies")
        .join(file)
}

fn strategy(arguments: &[&str], files: &[&str]) -> Output {
    // Installs z3 where it can be.
    dejima_testbed::solver(Duration::from_secs(5)).expect("z3");
    command(arguments, files)
        .output()
        .expect("the command runs")
}

fn command(arguments: &[&str], files: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dejima"));
    command
        .arg("strategy")
        .args(arguments)
        .args(files.iter().map(|file| corpus(file)));
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_exit_status_is_that_of_the_worst_file() {
    let proved = "rules/projection.dl";
    let refuted = "refuted/second_insert.dl";
    let unreadable = "refused/unsafe.dl";
    for (files, status) in [
        (vec![proved], 0),
        (vec![proved, refuted], 1),
        (vec![proved, unreadable, refuted], 3),
        (vec!["no such file.dl"], 3),
        (vec!["README.md"], 3),
    ] {
        let output = strategy(&["check"], &files);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{files:?}\n{}",
            text(&output)
        );
    }
}

#[test]
fn a_refutation_shows_the_two_rows() {
    let output = strategy(&["check", "-o", "json"], &["refuted/second_insert.dl"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let obligations = document["strategies"][0]["obligations"]
        .as_array()
        .expect("a list");
    let refuted: Vec<&Value> = obligations
        .iter()
        .filter(|one| one["verdict"] == "refuted")
        .collect();
    assert_eq!(refuted.len(), 1);
    let after = &refuted[0]["counterexample"]["after"]["client"];
    assert_eq!(*after, serde_json::json!([["1", "new"], ["2", "new"]]));
}

#[test]
fn without_a_solver_nothing_is_proved_and_it_says_so() {
    let output = command(&["check"], &["rules/projection.dl"])
        .env("PATH", "")
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("there was no solver"),
        "{}",
        text(&output)
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("apt-get install z3"));
    // What is wrong is found all the same.
    let output = command(&["check"], &["refuted/second_insert.dl"])
        .env("PATH", "")
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[test]
fn what_is_explained_can_be_checked() {
    let output = strategy(
        &["explain", "-o", "json"],
        &["join/lookup_of_hidden_column.sql"],
    );
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let explained = &document["strategies"][0];
    assert_eq!(explained["columns"][1]["shows"][0]["table"], "area_map");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("explained.dl");
    std::fs::write(&file, explained["rules"].as_str().expect("a text")).expect("written");
    let mut again = command(&["check"], &[]);
    let output = again.arg(&file).output().expect("the command runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn two_strategies_over_one_table_do_not_undo_each_other() {
    const TABLE: &str =
        "source person(id: int, name: text null, address: text null). PK(person, [id]).";
    let by_key = |view: &str, shown: &str, kept: &str| {
        let columns = format!("id: int, {}: text null", shown.to_lowercase());
        format!(
            "{TABLE} view {view}({columns}). PK({view}, [id]). {view}(I, {shown}) :- person(I, NAME, ADDRESS).
             -person(I, NAME, ADDRESS) :- person(I, NAME, ADDRESS), not {view}(I, {shown}).
             +person(I, NAME, ADDRESS) :- {view}(I, {shown}), person(I, {kept}), not person(I, NAME, ADDRESS).
             +person(I, NAME, ADDRESS) :- {view}(I, {shown}), not person(I, _, _), {other} is null.",
            other = if shown == "NAME" { "ADDRESS" } else { "NAME" },
        )
    };
    let careless = format!(
        "{TABLE} view address(id: int, address: text null). PK(address, [id]). address(I, A) :- person(I, _, A).
         -person(I, N, A) :- person(I, N, A), not address(I, A).
         +person(I, N, A) :- address(I, A), not person(I, _, A), N = '?'."
    );
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("name.dl", &by_key("name", "NAME", "_, ADDRESS"));
    write("address.dl", &by_key("address", "ADDRESS", "NAME, _"));
    write("careless.dl", &careless);
    let check = |files: [&str; 2]| {
        let mut check = command(&["check"], &[]);
        let files = files.map(|file| folder.path().join(file));
        check.args(files).output().expect("the command runs")
    };
    let output = check(["name.dl", "address.dl"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("name, then address: proved"),
        "{}",
        text(&output)
    );
    let output = check(["name.dl", "careless.dl"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("address undoes what was put into name"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("name after both: (1, '?')"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_schema_says_what_the_base_tables_are() {
    let schema = corpus("schema/government.sql");
    let schema = schema.to_str().expect("a path");
    let output = strategy(
        &["check", "--schema", schema],
        &["projection/declared.toml"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = strategy(&["check"], &["projection/declared.toml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output).contains("--schema FILE.sql"),
        "{}",
        text(&output)
    );
}

#[test]
fn the_sql_of_a_strategy_is_shown_for_review() {
    let output = strategy(&["sql"], &["join/read.sql"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown = text(&output);
    for expected in [
        "CREATE OR REPLACE VIEW dejima_tables.\"sale\"",
        "CREATE OR REPLACE FUNCTION dejima.derive_1()",
        "CREATE OR REPLACE FUNCTION dejima.put_1(jsonb)",
        "INSTEAD OF INSERT OR UPDATE OR DELETE",
    ] {
        assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
    }
    // Nothing that is made can be executed by everybody.
    let made = shown.matches("CREATE OR REPLACE FUNCTION").count();
    assert_eq!(shown.matches("FROM PUBLIC").count(), made, "{shown}");
    let output = strategy(&["sql"], &["refused/recursion.dl"]);
    assert_eq!(output.status.code(), Some(3));
}
