//! The operator's commands against real peers: what they print, how they end.

use std::process::{Command, Output, Stdio};

use dejima_testbed::{Counts, Layout, World, WorldOptions, worked_example};

const GID: &str = "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";

fn dejima(peer: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dejima"))
        .args(arguments)
        .env("DEJIMA_PEER", peer)
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

#[test]
fn a_peer_that_cannot_be_examined_is_unknown_to_monitoring() {
    let away = dejima("unix:/nowhere/peer.sock", &["doctor"]);
    assert_eq!(status(&away), Some(3), "{}", said(&away));
    assert!(said(&away).contains("did not answer"), "{}", said(&away));
    let unnamed = Command::new(env!("CARGO_BIN_EXE_dejima"))
        .arg("doctor")
        .env_remove("DEJIMA_PEER")
        .output()
        .expect("it runs");
    assert_eq!(status(&unnamed), Some(3), "{}", said(&unnamed));
    let away = dejima(
        "unix:/nowhere/peer.sock",
        &["tx", "resolve", GID, "--abort"],
    );
    assert_eq!(status(&away), Some(1), "{}", said(&away));
}

#[test]
fn manual_and_completions_know_the_commands() {
    let manual = said(&dejima("", &["man", "tx"]));
    assert!(
        manual.contains("resolve") && manual.contains("show"),
        "{manual}"
    );
    assert!(said(&dejima("", &["man", "doctor"])).contains("critical"));
    assert!(said(&dejima("", &["man", "explain"])).contains("Nothing is executed"));
    let completions = said(&dejima("", &["completions", "bash"]));
    assert!(completions.contains("doctor") && completions.contains("resolve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_ends_a_transaction_and_the_doctor_says_that_he_was_wrong() {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options).await;
    let mut world = world.expect("the world starts");
    let government = world.local_address("government");
    let run = |arguments: &[&str]| dejima(&government, arguments);

    // The clusters of tests do without fsync, and the doctor says so.
    let doctor = run(&["doctor"]);
    assert_eq!(status(&doctor), Some(2), "{}", said(&doctor));
    assert!(
        said(&doctor).contains("ALTER SYSTEM SET fsync = on"),
        "{}",
        said(&doctor)
    );
    assert!(
        said(&doctor).ends_with("0 warnings, 2 critical\n"),
        "{}",
        said(&doctor)
    );
    assert!(
        !said(&doctor).contains("serves"),
        "only with --all: {}",
        said(&doctor)
    );
    let all = said(&run(&["doctor", "--all"]));
    assert!(all.contains("peer \"insurance\" at http://"), "{all}");
    assert!(said(&run(&["tx", "list"])).contains("No global transaction"));
    let ended = run(&["tx", "resolve", GID, "--abort"]);
    assert_eq!(status(&ended), Some(1), "{}", said(&ended));
    assert!(
        said(&ended).contains("nothing was done: It is not in flight"),
        "{}",
        said(&ended)
    );

    prepare_what_only_the_bank_knows(&mut world).await;
    let list = said(&run(&["tx", "list"]));
    assert!(
        list.contains(GID) && list.contains("in doubt") && list.contains("bank (asked"),
        "{list}"
    );
    let show = run(&["tx", "show", GID]);
    assert_eq!(status(&show), Some(0), "{}", said(&show));
    assert!(
        said(&show).contains("public.government_users"),
        "{}",
        said(&show)
    );
    assert!(
        said(&show).contains("What was inserted cannot be seen"),
        "{}",
        said(&show)
    );
    let question = run(&["tx", "resolve", GID, "--commit"]);
    assert_eq!(status(&question), Some(1), "{}", said(&question));
    for part in [
        "Nobody who can be asked knows the decision",
        "bank: ",
        "insurance: ",
        "say --yes",
    ] {
        assert!(said(&question).contains(part), "{}", said(&question));
    }
    let forced = run(&["-o", "json", "tx", "resolve", GID, "--commit", "--yes"]);
    assert_eq!(status(&forced), Some(0), "{}", said(&forced));
    let forced: serde_json::Value = serde_json::from_slice(&forced.stdout).expect("JSON");
    assert_eq!(
        (&forced["answer"], &forced["asked"][0]["peer"]),
        (&"done".into(), &"bank".into())
    );

    let bank = &mut world.member_mut("bank").process;
    bank.start().expect("it starts");
    bank.wait_until_ready().await.expect("it is ready");
    world.await_quiet().await.expect("peers answer");
    let doctor = run(&["doctor", "-o", "json"]);
    assert_eq!(status(&doctor), Some(2), "{}", said(&doctor));
    let found: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let findings = found["findings"].as_array().expect("a list");
    let wrong = findings
        .iter()
        .find(|finding| finding["check"] == "resolutions");
    let wrong = wrong.expect("it is noted");
    assert_eq!(wrong["state"], "critical", "{wrong}");
    assert!(
        wrong["what"]
            .as_str()
            .is_some_and(|what| what.starts_with(GID)),
        "{wrong}"
    );
}

/// The government finds a promise to the bank when it starts, and the bank's peer is away. (The bank's database
/// knows nothing of it: the decision is to abort.)
async fn prepare_what_only_the_bank_knows(world: &mut World) {
    for peer in ["bank", "government"] {
        assert!(
            world.member_mut(peer).process.stop().await,
            "it stops in peace"
        );
    }
    let superuser = world.superuser("government").await.expect("a connection");
    let sql = "BEGIN; SET LOCAL SESSION AUTHORIZATION dejima;                INSERT INTO government_users (first_name, last_name) VALUES ('Jo', 'Doubt'); DELETE FROM dejima.delta; ";
    superuser.batch_execute(sql).await.expect("it is put");
    let prepare = format!("PREPARE TRANSACTION 'dejima:government:bank:{GID}'");
    superuser
        .batch_execute(&prepare)
        .await
        .expect("it is prepared");
    let government = &mut world.member_mut("government").process;
    government.start().expect("it starts");
    government.wait_until_ready().await.expect("it is ready");
}
