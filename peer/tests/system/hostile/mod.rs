//! Names and values that try to be SQL, commands of a shell or of a terminal, at every place where one enters: clients' SQL,
//! the operator's TOML and installer, messages of members and of the local services. Each is carried as it is, or refused in
//! words that say why; nothing is ever executed. (The command line is tried in `client-cli/tests/hostile.rs`.)

mod answers;
mod declarations;
mod identifiers;
mod installation;
mod messages;
mod values;

use std::path::PathBuf;

use dejima_testbed::World;

use crate::fixture::{run, text};

/// What somebody might write who wants something to be executed. `CANARY` stands for a file.
const TEXTS: [&str; 16] = [
    "'; DROP TABLE canary; --",
    "\"; DROP TABLE canary; --",
    "'); UPDATE canary SET song = 'eaten'; COMMIT; --",
    "$dejima$; DROP TABLE canary; --",
    "$$; DROP TABLE canary; $$",
    "\\'; DROP TABLE canary; --",
    "%s %I %L %1$s {0} {{",
    "/* -- */ */",
    "$(touch CANARY)`touch CANARY`;touch CANARY\n|touch CANARY",
    "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\r",
    "a\nb\tc\u{202e}d",
    "{\"answer\":\"voted\",\"participants\":[]}",
    "{NULL,\"a\",b}",
    "(1,\"x\"\",)",
    "\\N \\. \\x41 \\u0041",
    "é😀\u{10ffff}",
];

/// Something that must still be there, as it was, and something that must not come to be.
struct Canary {
    file: PathBuf,
}

impl Canary {
    /// Plants a table and a role in the databases of these organisations; the file is nowhere.
    async fn plant(world: &World, peers: &[&str]) -> Self {
        for peer in peers {
            let superuser = world.superuser(peer).await.expect("a connection");
            run(
                &superuser,
                "CREATE TABLE canary (song text); INSERT INTO canary VALUES ('sings'); GRANT ALL ON canary TO PUBLIC;
                 DO $$ BEGIN CREATE ROLE canary; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
            )
            .await;
        }
        let folder = world.scratch().folder().join("nest");
        std::fs::create_dir_all(&folder).expect("the scratch folder is ours");
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&folder, everybody).expect("the scratch folder is ours");
        Self {
            file: folder.join("egg"),
        }
    }

    /// The texts, with this canary's file in them.
    fn texts(&self) -> Vec<String> {
        let file = self.file.to_str().expect("a plain path");
        TEXTS
            .iter()
            .map(|text| text.replace("CANARY", file))
            .collect()
    }

    /// Demands that nothing was executed.
    async fn sings(&self, world: &World, peers: &[&str]) {
        for peer in peers {
            let superuser = world.superuser(peer).await.expect("a connection");
            let song = "SELECT (SELECT string_agg(song, ',') FROM canary)
                || ' ' || (SELECT count(*) FROM pg_roles WHERE rolname = 'canary')
                || ' ' || (SELECT count(*) FROM pg_roles WHERE rolsuper)";
            let sung = text(&superuser, song).await;
            assert_eq!(sung.as_deref(), Some("sings 1 1"), "at {peer}");
        }
        assert!(!self.file.exists(), "a shell was given a text of ours");
    }
}

/// Demands that a text may be shown at a terminal.
fn assert_plain(text: &str) {
    let is_hidden = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{202e}';
    assert!(!text.contains(is_hidden), "{text:?}");
    assert!(text.len() < 20_000, "{} bytes", text.len());
}
