//! The same cases on the simulator's model of the database and on a real PostgreSQL, so that the model can't lie.
//!
//! A case sees a database through [`Subject`] alone and expects of both the same answers and the same facts;
//! of a refusal it looks at the SQLSTATE, for the words are PostgreSQL's. What the model has nothing of (another
//! peer's database on the same server, deferred constraints, the bound of a pool) stays in `execute`.
//!
//! The base table, in both: key `k`; `a`, `b`, `c`; a trigger writes `b` in upper case, a CHECK refuses the value
//! "bad" in `c`. The Dejima table AB shows `k`, `a`, `b`, and BC shows `k`, `b`, `c`.

mod clients;
mod finishing;
mod locks;
mod model;
mod postgres;
mod preparing;
mod puts;
mod resolving;
mod restarts;

use dejima_core::delta::{Captured, Put, PutRow};
use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{Answer, Decision, Outcome, Recovered, Request};

use crate::bed::{self, Told, apply, cells, images, refused};

/// Makes each case a test of the model and a test of PostgreSQL.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod model {
            use crate::contract::{Subject, model::Model};
            $(#[tokio::test] async fn $case() { super::$case(Model::new().await).await })+
        }
        mod postgres {
            use crate::contract::{Subject, postgres::Postgres};
            $(#[tokio::test] async fn $case() { super::$case(Postgres::new().await).await })+
        }
    };
}
use contract;

/// What a case may do with a database, and see of it.
trait Subject: Sized {
    /// A client with an open transaction.
    type Client;
    /// A request that waits for a row lock.
    type Waiting;

    /// An empty base table, nothing open, nothing prepared.
    async fn new() -> Self;

    /// Carries out a request of the peer; a row lock in its way stays until the bounded wait is over.
    async fn execute(&mut self, request: Request) -> Option<Answer>;
    /// Begins a request and returns when a row lock is in its way.
    async fn wait(&mut self, request: Request) -> Self::Waiting;
    /// The answer to a request whose row lock has been released.
    async fn answer(&mut self, waiting: Self::Waiting) -> Option<Answer>;

    /// A client opens a transaction with his first statement, which changes shared data.
    async fn begin(&mut self, statement: Statement) -> Self::Client;
    /// Another statement. The SQLSTATE of an error, which rolls everything back.
    async fn run(&mut self, client: &mut Self::Client, statement: Statement) -> Result<(), String>;
    /// What the hook does: takes what was captured, puts what the peers answer with and takes again what that
    /// captured, and notes the participants. None: nothing is shared.
    async fn close(
        &mut self,
        client: &mut Self::Client,
        puts: &[Put],
        participants: &[PeerName],
    ) -> Result<Vec<Told>, String>;
    /// The gid of his transaction.
    fn gid(client: &Self::Client) -> Gid;
    /// COMMIT of a closed transaction.
    async fn commit(&mut self, client: Self::Client);
    /// ROLLBACK.
    async fn roll_back(&mut self, client: Self::Client);
    /// The session of the client is killed.
    async fn vanish(&mut self, client: Self::Client);

    /// The server and all its processes are killed, and it starts again. The peer lives on.
    async fn crash(&mut self);
    /// The peer is killed, and starts with the question that every start begins with.
    async fn restart_peer(&mut self) -> Option<Answer>;

    /// What is committed and prepared.
    async fn facts(&mut self) -> Facts;
    /// True if the committed row is locked.
    async fn is_locked(&mut self, key: &str) -> bool;
    /// True if somebody holds the advisory lock of the gid.
    async fn is_held(&mut self, gid: &Gid) -> bool;

    /// Rows that are there before the case begins.
    async fn given(&mut self, rows: &[(&'static str, Values)]) {
        let mut statements = rows.iter().map(|&(key, row)| Statement::Insert(key, row));
        let first = statements.next().expect("some rows");
        let mut client = self.begin(first).await;
        for statement in statements {
            self.run(&mut client, statement).await.expect("it is valid");
        }
        self.close(&mut client, &[], &[]).await.expect("unshared");
        self.commit(client).await;
    }

    /// Carries out one put and returns what it captured.
    async fn captured(&mut self, request: Request) -> Vec<Told> {
        told(self.execute(request).await)
    }

    /// Carries out a request that must be refused, and returns the SQLSTATE.
    async fn refused(&mut self, request: Request) -> String {
        refused(self.execute(request).await).0
    }

    async fn outcome(&mut self, gid: &Gid) -> Outcome {
        let gids = vec![gid.clone()];
        match self.execute(Request::Outcomes { gids }).await {
            Some(Answer::Outcomes { outcomes }) if outcomes.len() == 1 && outcomes[0].0 == *gid => {
                outcomes[0].1.clone()
            }
            other => panic!("{other:?}"),
        }
    }

    async fn recovered(&mut self) -> Recovered {
        found(self.execute(Request::Recover).await)
    }
}

/// Values by column.
type Values = &'static [(&'static str, &'static str)];

/// A client's statement about the row with this key.
#[derive(Clone, Copy)]
enum Statement {
    Insert(&'static str, Values),
    Update(&'static str, Values),
    Delete(&'static str),
}

/// What anybody could see, each list in the order of its keys.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    /// Rows of the base table: `k a b c`, `-` for NULL.
    rows: Vec<String>,
    prepared: Vec<Gid>,
    decided: Vec<(Gid, Vec<PeerName>)>,
    finished: Vec<(Gid, Vec<PeerName>)>,
}

impl Facts {
    /// These rows, and nothing else.
    fn rows(rows: &[&str]) -> Self {
        Self {
            rows: rows.iter().map(|&row| row.to_owned()).collect(),
            ..Self::default()
        }
    }

    fn prepared(self, gids: &[Gid]) -> Self {
        Self {
            prepared: gids.to_vec(),
            ..self
        }
    }

    fn decided(self, gid: &Gid, participants: &[PeerName]) -> Self {
        Self {
            decided: vec![(gid.clone(), participants.to_vec())],
            ..self
        }
    }

    fn finished(self, gid: &Gid, children: &[PeerName]) -> Self {
        Self {
            finished: vec![(gid.clone(), children.to_vec())],
            ..self
        }
    }
}

/// A gid that began at `gov`.
fn gid(number: u32) -> Gid {
    Gid::new(&format!("gov:00000000-0000-0000-0000-{number:012}")).expect("a gid")
}

fn peer(name: &str) -> PeerName {
    PeerName::new(name).expect("a name")
}

fn insert(new: Values) -> PutRow {
    PutRow::Insert { new: cells(new) }
}

fn update(key: &str, old: Values, new: Values) -> PutRow {
    PutRow::Update {
        key: vec![key.into()],
        old: cells(old),
        new: cells(new),
    }
}

fn delete(key: &str, old: Values) -> PutRow {
    PutRow::Delete {
        key: vec![key.into()],
        old: cells(old),
    }
}

/// Sets `a` of one row from "x" to "y".
fn change(number: u32, key: &str) -> Request {
    put(
        number,
        "AB",
        vec![update(key, &[("a", "x")], &[("a", "y")])],
    )
}

fn put(number: u32, table: &str, rows: Vec<PutRow>) -> Request {
    apply(&gid(number), table, rows)
}

fn prepare(number: u32, children: &[PeerName]) -> Request {
    bed::prepare(&gid(number), children)
}

fn roll_back(number: u32) -> Request {
    Request::Rollback { gid: gid(number) }
}

fn finish(number: u32, decision: Decision) -> Request {
    bed::finish(&gid(number), decision)
}

fn committed(participants: &[PeerName]) -> Outcome {
    Outcome::Committed {
        participants: participants.to_vec(),
    }
}

fn prepared(number: u32) -> Option<Answer> {
    Some(Answer::Prepared { gid: gid(number) })
}

fn rolled_back(number: u32) -> Option<Answer> {
    Some(Answer::RolledBack { gid: gid(number) })
}

fn finished(number: u32) -> Option<Answer> {
    finished_with(number, &[])
}

fn finished_with(number: u32, children: &[PeerName]) -> Option<Answer> {
    let (gid, children) = (gid(number), children.to_vec());
    Some(Answer::Finished { gid, children })
}

/// What was captured; the rows of one answer in an order of their own, for a statement may change many at once.
fn told(answer: Option<Answer>) -> Vec<Told> {
    match answer {
        Some(Answer::Applied { captured, .. }) => sorted(captured),
        other => panic!("{other:?}"),
    }
}

fn sorted(captured: Vec<Captured>) -> Vec<Told> {
    let mut told = images(captured);
    told.sort();
    told
}

fn found(answer: Option<Answer>) -> Recovered {
    match answer {
        Some(Answer::Recovered { mut found }) => {
            found.decided.sort();
            found.prepared.sort();
            found.finished.sort();
            found
        }
        other => panic!("{other:?}"),
    }
}
