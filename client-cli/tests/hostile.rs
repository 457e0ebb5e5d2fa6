//! Arguments that try to be SQL, commands of a shell or of a terminal, at every place of every command: nothing is executed, and
//! what is said about them is fit for a terminal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output, Stdio};

use dejima_testbed::{Counts, Layout, World, WorldOptions, worked_example};

const TEXTS: [&str; 14] = [
    "'; DROP TABLE canary; --",
    "\"; DROP TABLE canary; --",
    "canary; DROP TABLE canary",
    "$$; DROP TABLE canary; $$",
    "\\'; DROP TABLE canary; --",
    "bank_users SET phone = 'x'; --",
    "%s %I {0} {{",
    "--help; touch CANARY",
    "$(touch CANARY)`touch CANARY`;touch CANARY\n|touch CANARY",
    "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\r",
    "a\nb\tc\u{202e}d",
    "{\"}(,)[]",
    "é😀\u{10ffff}",
    "",
];

/// Each command with a text at one place, where `%` stands.
const COMMANDS: [&[&str]; 34] = [
    &["insert", "%", "first_name=a"],
    &["insert", "bank_users", "%=a"],
    &["insert", "bank_users", "last_name=CLI", "first_name=%"],
    &["insert", "bank_users", "first_name=a", "--null", "%"],
    &["update", "%", "--key", "first_name=a", "--set", "phone=1"],
    &["update", "bank_users", "--key", "%=a", "--set", "phone=1"],
    &[
        "update",
        "bank_users",
        "--key",
        "first_name=%",
        "--set",
        "phone=1",
    ],
    &[
        "update",
        "bank_users",
        "--key",
        "first_name=a",
        "--set",
        "%=1",
    ],
    &[
        "update",
        "bank_users",
        "--key",
        "first_name=a",
        "--set",
        "phone=%",
    ],
    &[
        "update",
        "bank_users",
        "--key",
        "first_name=a",
        "--null",
        "%",
    ],
    &["delete", "%", "--key", "first_name=a"],
    &["delete", "bank_users", "--key", "%=a"],
    &["delete", "bank_users", "--key", "first_name=%"],
    &["sql", "SELECT 1", "--user", "%"],
    &["sql", "SELECT 1", "--database", "%"],
    &["sql", "SELECT 1", "--peer", "%"],
    &["peers", "--peer", "%"],
    &["groups", "--peer", "%"],
    &["tables", "--output", "%"],
    &["tx", "list", "--peer", "unix:%"],
    &["tx", "show", "--", "%"],
    &["tx", "show", "bank:%"],
    &["tx", "resolve", "--abort", "--yes", "--", "%"],
    &["doctor", "--peer", "http://%:1"],
    &["explain", "%"],
    &["explain", "UPDATE \"%\" SET phone = 1"],
    &["explain", "UPDATE bank_users SET phone = 1", "--user", "%"],
    &[
        "install",
        "--print",
        "--name",
        "%",
        "--helper",
        "/x",
        "--callback",
        "unix:/x",
    ],
    &[
        "install",
        "--database",
        "%",
        "--name",
        "bank",
        "--helper",
        "/x",
        "--callback",
        "unix:/x",
    ],
    &["completions", "%"],
    &["man", "%"],
    &["demo", "--banks", "%"],
    &["%"],
    &["--%"],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_argument_is_executed() {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options).await;
    let world = world.expect("the world starts");
    let bank = world.superuser("bank").await.expect("a connection");
    let canary = "CREATE TABLE canary (song text); INSERT INTO canary VALUES ('sings'); GRANT ALL ON canary TO PUBLIC";
    bank.batch_execute(canary).await.expect("it is planted");
    let nest = world.scratch().folder().join("egg");
    let file = nest.to_str().expect("a plain path");
    let peer = world.local_address("bank");
    for command in COMMANDS {
        for text in TEXTS {
            let text = text.replace("CANARY", file);
            let words = command.iter().map(|word| word.replace('%', &text));
            let ended = dejima(&peer, words.map(OsString::from));
            let shown = [ended.stdout.as_slice(), &ended.stderr].concat();
            let shown = String::from_utf8(shown).expect("text");
            assert!(
                ended.status.code().is_some(),
                "{command:?} {text:?}: {shown}"
            );
            // What is wrong with the command line itself clap says, and shows it to whoever has typed it.
            if ended.status.code() != Some(2) {
                let is_hidden =
                    |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{202e}';
                assert!(
                    !shown.contains(is_hidden),
                    "{command:?} {text:?}: {shown:?}"
                );
            }
        }
        let row = bank
            .query_one("SELECT string_agg(song, ',') FROM canary", &[])
            .await;
        let song: String = row.expect("it is there").get(0);
        assert_eq!(song, "sings", "after {command:?}");
        assert!(!nest.exists(), "after {command:?}");
    }
    // The values that were inserted were found again by `delete`, each as it had been typed.
    let row = bank.query_one("SELECT count(*) FROM bank_users", &[]).await;
    let left: i64 = row.expect("the table is there").get(0);
    assert_eq!(left, 0);
}

#[test]
fn an_argument_that_is_no_text_is_refused() {
    let odd = OsString::from_vec(b"/bin/\xff".to_vec());
    let words = [
        "install",
        "--print",
        "--name",
        "bank",
        "--callback",
        "unix:/x",
        "--helper",
    ];
    let words = words.map(OsString::from).into_iter().chain([odd]);
    let ended = dejima("unix:/nowhere", words);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(
        ended.stdout.is_empty() && said.contains("--helper"),
        "{said}"
    );
}

fn dejima(peer: &str, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dejima"))
        .args(words)
        .env("DEJIMA_PEER", peer)
        .env("PGUSER", "bank")
        .env_remove("DEJIMA_DATABASE")
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}
