//! The demo as people run it: what it says, how it ends, and that nothing of it stays.

use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A folder for temporary files that user postgres can get to, as it can to /tmp.
fn temporary_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(folder.path(), mode).expect("it is ours");
    folder
}

fn demo(arguments: &[&str], temporary: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dejima"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the demo starts")
}

/// Reads what the demo prints up to a text. It prints without a new line at times.
fn read_until(demo: &mut Child, text: &str) -> String {
    let mut printed = Vec::new();
    let mut out = BufReader::new(demo.stdout.as_mut().expect("it is piped")).bytes();
    while !String::from_utf8_lossy(&printed).contains(text) {
        printed.push(
            out.next()
                .expect("the demo prints it before it ends")
                .expect("it can be read"),
        );
    }
    String::from_utf8_lossy(&printed).into_owned()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .expect("the folder is there")
        .next()
        .is_none()
}

fn processes_in(folder: &Path) -> usize {
    let folder = folder.display().to_string();
    std::fs::read_dir("/proc")
        .expect("processes can be listed")
        .flatten()
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&folder))
        .count()
}

fn interrupt(demo: &mut Child) -> Option<i32> {
    let pid = demo.id().to_string();
    let sent = Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill is there");
    assert!(sent.success());
    demo.wait().expect("it is our child").code()
}

#[test]
fn the_story_ends_well_and_leaves_nothing() {
    let folder = temporary_folder();
    let mut demo = demo(&["--once"], folder.path());
    let mut said = String::new();
    demo.stdout
        .as_mut()
        .expect("it is piped")
        .read_to_string(&mut said)
        .expect("the demo prints UTF-8");
    assert_eq!(
        demo.wait().expect("it is our child").code(),
        Some(0),
        "{said}"
    );
    assert!(
        said.contains("the copies agree, and pg_prepared_xacts is empty everywhere"),
        "{said}"
    );
    assert!(said.contains("ERROR:  23514: "), "{said}");
    assert!(!said.contains('\x1b'), "plain where nobody looks: {said}");
    assert!(is_empty(folder.path()));
    assert_eq!(processes_in(folder.path()), 0);
}

#[test]
fn no_vehicle_is_assigned_twice() {
    let folder = temporary_folder();
    let arguments = ["--once", "--example", "rides", "--contests", "40"];
    let mut demo = demo(&arguments, folder.path());
    let said = read_until(&mut demo, "Everything was as expected.");
    assert_eq!(demo.wait().expect("it is our child").code(), Some(0));
    let mut lines = said.lines();
    let tally = lines.find(|line| line.starts_with("north "));
    let tally = tally.expect("the demo counts");
    let numbers = tally.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u32> = numbers.flat_map(str::parse).take(3).collect();
    assert_eq!((numbers[0] + numbers[1], numbers[2]), (40, 0), "{tally}");
    assert!(is_empty(folder.path()));
}

#[test]
fn an_interrupted_start_leaves_nothing() {
    let folder = temporary_folder();
    let mut demo = demo(&["--once"], folder.path());
    read_until(&mut demo, "Starting");
    assert_eq!(interrupt(&mut demo), Some(130));
    assert!(is_empty(folder.path()));
    assert_eq!(processes_in(folder.path()), 0);
}

#[test]
fn it_stays_until_it_is_interrupted_and_can_be_asked() {
    let folder = temporary_folder();
    let mut demo = demo(&[], folder.path());
    let said = read_until(&mut demo, "until you press Ctrl-C");
    let word = |start: &str| {
        said.split_whitespace()
            .find(|word| word.starts_with(start))
            .map(str::to_owned)
    };
    let address = word("unix:").expect("the demo prints the local address");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dejima"));
        command
            .args(arguments)
            .args(["--peer", &address, "-o", "json"])
            .output()
            .expect("the command starts")
    };
    let peers: serde_json::Value =
        serde_json::from_slice(&ask(&["peers"]).stdout).expect("it prints JSON");
    let names = peers["peers"]
        .as_array()
        .expect("a list of peers")
        .iter()
        .map(|peer| peer["name"].as_str().expect("a name is text"));
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["bank", "government", "insurance"]
    );
    let inserted = ask(&[
        "insert",
        "bank_users",
        "--user",
        "bank",
        "first_name=Ann",
        "last_name=Lee",
        "risk_factor=5",
    ]);
    assert_eq!(inserted.status.code(), Some(0), "{inserted:?}");
    let refused = ask(&[
        "update",
        "bank_users",
        "--user",
        "bank",
        "--key",
        "first_name=Ann",
        "last_name=Lee",
        "--set",
        "risk_factor=101",
    ]);
    let error: serde_json::Value =
        serde_json::from_slice(&refused.stderr).expect("it says errors in JSON");
    assert_eq!(
        (refused.status.code(), error["error"]["sqlstate"].as_str()),
        (Some(1), Some("23514"))
    );
    assert_eq!(interrupt(&mut demo), Some(0));
    assert!(is_empty(folder.path()));
    assert_eq!(processes_in(folder.path()), 0);
}
