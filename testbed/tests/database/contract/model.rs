//! The simulator's model of the database.

use std::collections::BTreeSet;

use dejima_core::delta::{Captured, Key, Put};
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::transaction::{Answer, Request};
use dejima_simulator::database::{BaseRow, Database, Executed, Obstacle};
use dejima_simulator::scenario::{Character, SharedTable};

use super::{Facts, Statement, Subject, Values, peer, sorted};
use crate::bed::Told;

/// The model, and how many clients it has had.
pub(super) struct Model {
    database: Database,
    clients: u32,
}

pub(super) struct Client {
    gid: Gid,
    participants: Vec<PeerName>,
}

impl Subject for Model {
    type Client = Client;
    type Waiting = Request;

    async fn new() -> Self {
        let table = |name: &str, attributes: [&str; 3]| SharedTable {
            name: TableName::new(name).expect("a name"),
            attributes: attributes.map(str::to_owned).to_vec(),
            members: vec![],
        };
        let tables = vec![table("AB", ["k", "a", "b"]), table("BC", ["k", "b", "c"])];
        let character = Character {
            upper_case: BTreeSet::from(["b".to_owned()]),
            refuses_bad: BTreeSet::from(["c".to_owned()]),
        };
        Self {
            database: Database::new(peer("bank"), tables, character),
            clients: 0,
        }
    }

    async fn execute(&mut self, request: Request) -> Option<Answer> {
        answered(self.database.execute(request, false))
    }

    async fn wait(&mut self, request: Request) -> Request {
        match self.database.execute(request, true) {
            Executed::Waiting(request) => request,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    async fn answer(&mut self, waiting: Request) -> Option<Answer> {
        answered(self.database.execute(waiting, true))
    }

    async fn begin(&mut self, statement: Statement) -> Client {
        self.clients += 1;
        let gid = format!("bank:00000000-0000-0000-0000-{:012}", self.clients);
        let mut client = Client {
            gid: Gid::new(&gid).expect("a gid"),
            participants: vec![],
        };
        self.run(&mut client, statement).await.expect("it is valid");
        client
    }

    async fn run(&mut self, client: &mut Client, statement: Statement) -> Result<(), String> {
        let done = self.write(&client.gid, statement);
        done.map_err(|obstacle| self.error(&client.gid, obstacle))
    }

    async fn close(
        &mut self,
        client: &mut Client,
        puts: &[Put],
        participants: &[PeerName],
    ) -> Result<Vec<Told>, String> {
        let mut captured: Vec<Captured> = self.database.take_captured(&client.gid);
        if !puts.is_empty() {
            let done = self.database.put(&client.gid, puts);
            done.map_err(|obstacle| self.error(&client.gid, obstacle))?;
            captured.extend(self.database.take_captured(&client.gid));
        }
        client.participants = participants.to_vec();
        Ok(sorted(captured))
    }

    fn gid(client: &Client) -> Gid {
        client.gid.clone()
    }

    async fn commit(&mut self, client: Client) {
        self.database.commit(&client.gid, client.participants);
    }

    async fn roll_back(&mut self, client: Client) {
        self.database.roll_back(&client.gid);
    }

    async fn vanish(&mut self, client: Client) {
        self.database.roll_back(&client.gid);
    }

    async fn crash(&mut self) {
        self.database.crash();
    }

    async fn restart_peer(&mut self) -> Option<Answer> {
        self.database.disconnect_peer();
        self.execute(Request::Recover).await
    }

    async fn facts(&mut self) -> Facts {
        let found = self.database.recovered();
        Facts {
            rows: self.database.rows().iter().map(line).collect(),
            prepared: found.prepared.into_iter().map(|(gid, _)| gid).collect(),
            decided: found.decided,
            finished: found.finished,
        }
    }

    async fn is_locked(&mut self, key: &str) -> bool {
        let probe = Gid::new("bank:ffffffff-ffff-ffff-ffff-ffffffffffff").expect("a gid");
        let read = self.database.read_for_update(&probe, &vec![key.into()]);
        self.database.roll_back(&probe);
        read == Err(Obstacle::Locked)
    }

    async fn is_held(&mut self, gid: &Gid) -> bool {
        self.database.is_open(gid)
    }
}

impl Model {
    fn write(&mut self, gid: &Gid, statement: Statement) -> Result<(), Obstacle> {
        let (key, values) = match statement {
            Statement::Insert(key, values) | Statement::Update(key, values) => (key, Some(values)),
            Statement::Delete(key) => (key, None),
        };
        let key: Key = vec![key.into()];
        let row = self.database.read_for_update(gid, &key)?;
        let new = values.map(|values| with(row.unwrap_or_default(), values));
        self.database.write(gid, &key, new)
    }

    /// The client's driver is told, and the transaction is over.
    fn error(&mut self, gid: &Gid, obstacle: Obstacle) -> String {
        self.database.roll_back(gid);
        match obstacle {
            Obstacle::Locked => "55P03".into(),
            Obstacle::Refused(refusal) => refusal.sqlstate,
        }
    }
}

fn answered(executed: Executed) -> Option<Answer> {
    match executed {
        Executed::Answered(answer) => Some(answer),
        Executed::Silent => None,
        Executed::Waiting(request) => panic!("still waiting: {request:?}"),
    }
}

fn with(mut row: BaseRow, values: Values) -> BaseRow {
    for &(attribute, value) in values {
        if value == "NULL" {
            row.remove(attribute);
        } else {
            row.insert(attribute.into(), value.into());
        }
    }
    row
}

fn line((key, row): (&Key, &BaseRow)) -> String {
    let value = |attribute| row.get(attribute).map_or("-", |value| value);
    format!("{} {} {} {}", key[0], value("a"), value("b"), value("c"))
}
