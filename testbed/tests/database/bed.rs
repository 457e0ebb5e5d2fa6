//! A database with Dejima installed, and a stand-in for the helper that notes what it is told.

use std::path::{Path, PathBuf};
use std::sync::{OnceLock, RwLock, RwLockReadGuard};

use dejima_core::database::{Database, Installation, Options, install};
use dejima_core::delta::{Captured, Put, PutRow, Value};
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::strategy::language::{File, Format, read};
use dejima_core::strategy::{Declaration, TableDeclaration, TableProgram};
use dejima_core::transaction::{Answer, Decision, Request};
use dejima_testbed::{Cluster, ClusterOptions, Scratch};
use serde_json::json;
use tokio_postgres::{Client, NoTls};

/// Keeps the parts of a capture in a folder (the address after `unix:`) and answers with what `answer` there says.
const HELPER: &str = r#"#!/bin/sh
folder=${1#unix:}
shift 2
case "$1" in
upload) shift 3; for slice in "$@"; do printf %s "$slice"; done >> "$folder/parts"; echo '{"answer":"uploaded"}';;
close) { cat "$folder/parts" 2>/dev/null; printf %s "$5"; } > "$folder/capture.new"; rm -f "$folder/parts"
  mv "$folder/capture.new" "$folder/capture.$3"; . "$folder/answer";;
esac
"#;

pub(crate) const VOTED: &str = r#"echo '{"answer":"voted","participants":["gov","ins"]}'"#;

/// A Dejima table, and a row of it before and after.
pub(crate) type Told = (String, Option<Vec<Value>>, Option<Vec<Value>>);

pub(crate) struct Bed {
    pub(crate) name: &'static str,
    cluster: &'static RwLock<Cluster>,
    pub(crate) folder: PathBuf,
    pub(crate) peer: PeerName,
}

/// A server that several beds stand on, started when the first one is made.
pub(crate) type Server = OnceLock<RwLock<Cluster>>;

static SHARED: Server = Server::new();

fn start(server: &'static Server, name: &str) -> &'static RwLock<Cluster> {
    // A static is never dropped: the scratch folder's guardian stops the servers and removes it.
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    server.get_or_init(|| {
        let scratch = SCRATCH.get_or_init(|| Scratch::new().expect("a scratch folder"));
        Cluster::start(scratch, ClusterOptions::named(name))
            .expect("the bed is made of what works")
            .into()
    })
}

/// A fresh database of that name with the base tables; role `dejima` gets what it needs.
pub(crate) async fn bed(name: &'static str, base_tables: &str) -> Bed {
    bed_on(&SHARED, "shared", name, base_tables).await
}

/// The same on a server of the caller's.
pub(crate) async fn bed_on(
    server: &'static Server,
    server_name: &'static str,
    name: &'static str,
    base_tables: &str,
) -> Bed {
    let cluster = tokio::task::spawn_blocking(|| start(server, server_name))
        .await
        .expect("the bed is made of what works");
    let folder = running(cluster).socket_folder().join(name);
    running(cluster)
        .create_database(name)
        .expect("the bed is made of what works");
    std::fs::create_dir(&folder).expect("the bed is made of what works");
    let bed = Bed {
        name,
        cluster,
        folder,
        peer: PeerName::new("bank").expect("a name"),
    };
    open(&bed.folder, 0o777);
    bed.write("helper", HELPER, 0o755);
    bed.answer(VOTED);
    install(&bed.url("postgres"), &bed.installation())
        .await
        .expect("the bed is made of what works");
    bed.admin(base_tables);
    bed.admin(
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON ALL TABLES IN SCHEMA public TO dejima",
    );
    let role = "DO $$ BEGIN CREATE ROLE client LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    bed.admin(role);
    bed.admin("GRANT ALL ON ALL TABLES IN SCHEMA public TO client");
    bed
}

impl Bed {
    pub(crate) fn installation(&self) -> Installation {
        Installation {
            peer: self.peer.clone(),
            helper: self.folder.join("helper"),
            callback: format!("unix:{}", self.folder.display()),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            peer: self.peer.clone(),
            url: self.url("dejima"),
            pool: 4,
            lock_wait_ms_max: 250,
        }
    }

    pub(crate) async fn connect(&self) -> Database {
        Database::connect(self.options())
            .await
            .expect("the bed is made of what works")
    }

    /// Connects and declares.
    pub(crate) async fn share(&self, declarations: serde_json::Value) -> Database {
        let database = self.connect().await;
        database
            .declare(&declared(declarations))
            .await
            .expect("the bed is made of what works");
        database
    }

    /// A gid that began at `gov`. Prepared transactions of one server share their names, so each bed has its own.
    pub(crate) fn gid(&self, number: u32) -> Gid {
        let bed = self.name.bytes().fold(0u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        Gid::new(&format!("gov:{bed:08x}-0000-0000-0000-{number:012}"))
            .expect("the bed is made of what works")
    }

    pub(crate) fn admin(&self, sql: &str) -> String {
        running(self.cluster)
            .run_sql(self.name, sql)
            .expect("the bed is made of what works")
    }

    pub(crate) async fn client(&self) -> Client {
        self.session("client").await
    }

    pub(crate) async fn session(&self, role: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(role), NoTls)
            .await
            .expect("the bed is made of what works");
        tokio::spawn(connection);
        client
    }

    pub(crate) fn url(&self, role: &str) -> String {
        running(self.cluster).url(role, self.name)
    }

    /// SIGKILL to the server and all its processes, and a new start.
    pub(crate) async fn crash(&self) {
        let cluster = self.cluster;
        let crash = move || {
            let mut cluster = cluster.write().expect("nobody panics while he holds it");
            cluster.kill();
            cluster.start_again()
        };
        tokio::task::spawn_blocking(crash)
            .await
            .expect("a crash is survived")
            .expect("a crash is survived");
    }

    /// What the helper says from now on: a shell script.
    pub(crate) fn answer(&self, script: &str) {
        self.write("answer", script, 0o755);
    }

    pub(crate) fn write(&self, file: &str, text: &str, mode: u32) {
        let path = self.folder.join(file);
        std::fs::write(&path, text).expect("the bed is made of what works");
        open(&path, mode);
    }

    /// What the helper was told in a round of the last transaction, without the numbers of statements; forgets it.
    pub(crate) fn told(&self, round: u32) -> Vec<Told> {
        let path = self.folder.join(format!("capture.{round}"));
        let Ok(bytes) = std::fs::read(&path) else {
            return vec![];
        };
        std::fs::remove_file(path).expect("the bed is made of what works");
        images(Captured::read(&bytes).expect("the bed is made of what works"))
    }
}

pub(crate) fn images(captured: Vec<Captured>) -> Vec<Told> {
    captured
        .into_iter()
        .map(|c| (c.table.to_string(), c.old, c.new))
        .collect()
}

fn running(cluster: &RwLock<Cluster>) -> RwLockReadGuard<'_, Cluster> {
    cluster.read().expect("nobody panics while he holds it")
}

fn open(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .expect("the bed is made of what works");
}

pub(crate) fn declared(declarations: serde_json::Value) -> Vec<TableDeclaration> {
    let declarations: Vec<Declaration> =
        serde_json::from_value(declarations).expect("the bed is made of what works");
    declarations.into_iter().map(Into::into).collect()
}

/// The Dejima table of an SQL view.
pub(crate) fn programmed(text: &str) -> TableDeclaration {
    written_in(Format::Sql, text)
}

/// The Dejima table of a strategy.
pub(crate) fn written_in(format: Format, text: &str) -> TableDeclaration {
    let file = File {
        name: "a strategy",
        text,
    };
    let reading = read(file, format, None).remove(0);
    let program = reading.program;
    let program = program.unwrap_or_else(|| panic!("{:?}", reading.findings));
    TableDeclaration::Program(TableProgram {
        table: TableName::new(&program.view().name).expect("a name"),
        program: program.into(),
    })
}

/// A Dejima table `T` over `public.t` with key `id`.
pub(crate) fn simple(columns: &[&str]) -> serde_json::Value {
    json!([{"name": "T", "base_table": "public.t", "key": ["id"], "columns": columns}])
}

pub(crate) fn row(cells: &[&str]) -> Option<Vec<Value>> {
    Some(
        cells
            .iter()
            .map(|&cell| (cell != "NULL").then(|| cell.into()))
            .collect(),
    )
}

pub(crate) fn cells(cells: &[(&str, &str)]) -> std::collections::BTreeMap<String, Value> {
    cells
        .iter()
        .map(|&(name, cell)| (name.to_owned(), (cell != "NULL").then(|| cell.into())))
        .collect()
}

pub(crate) fn apply(gid: &Gid, table: &str, rows: Vec<PutRow>) -> Request {
    Request::Apply {
        gid: gid.clone(),
        puts: vec![Put {
            table: TableName::new(table).expect("the bed is made of what works"),
            rows,
        }],
    }
}

/// Who sends the deltas of each [`Bed::gid`], and is asked in doubt.
pub(crate) fn gov() -> PeerName {
    PeerName::new("gov").expect("a name")
}

pub(crate) fn prepare(gid: &Gid, children: &[PeerName]) -> Request {
    Request::Prepare {
        gid: gid.clone(),
        parent: gov(),
        children: children.to_vec(),
    }
}

pub(crate) fn finish(gid: &Gid, decision: Decision) -> Request {
    Request::Finish {
        gid: gid.clone(),
        parent: gov(),
        decision,
        asks_children: false,
    }
}

/// What a participant has put becomes visible, as after a vote and a decision.
pub(crate) async fn commit(database: &Database, gid: &Gid) {
    let (prepared, finished) = (
        Answer::Prepared { gid: gid.clone() },
        Answer::Finished {
            gid: gid.clone(),
            children: vec![],
        },
    );
    assert_eq!(database.execute(prepare(gid, &[])).await, Some(prepared));
    let commit = finish(gid, Decision::Commit);
    assert_eq!(database.execute(commit).await, Some(finished));
}

/// The SQLSTATE and the message of a refusal.
pub(crate) fn refused(answer: Option<Answer>) -> (String, String) {
    match answer {
        Some(Answer::Refused { refusal, .. }) => (refusal.sqlstate, refusal.message),
        other => panic!("{other:?}"),
    }
}

/// The SQLSTATE, message and detail of an error.
pub(crate) fn said(error: tokio_postgres::Error) -> (String, String, String) {
    let db = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    (
        db.code().code().into(),
        db.message().into(),
        db.detail().unwrap_or_default().into(),
    )
}
