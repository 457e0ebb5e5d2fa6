//! A real PostgreSQL with what sql/ installs, behind the layer that the daemon runs.
//!
//! One server and one database for all cases, one case at a time: some of them kill the server.

use std::time::Duration;

use dejima_core::database::{Database, Options};
use dejima_core::delta::Put;
use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{Answer, Request};
use dejima_testbed::until_somebody_waits;
use serde_json::json;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client as Session, Error, Row};

use super::{Facts, Statement, Subject, Values};
use crate::bed::{Bed, Server, Told, bed_on};

const BASE_TABLE: &str = "CREATE TABLE t (k text PRIMARY KEY, a text, b text, c text CHECK (lower(c) <> 'bad'));
    CREATE FUNCTION upper_case() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.b := upper(NEW.b); RETURN NEW; END $$;
    CREATE TRIGGER upper_case BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION upper_case()";

/// A client has no business there, but a case wants to know the gid before anybody else can.
const SHOW_GIDS: &str =
    "GRANT USAGE ON SCHEMA dejima TO client; GRANT SELECT ON dejima.transaction TO client";

/// Ends what the case before has left.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
const LEFT_PREPARED: &str = "SELECT gid FROM pg_prepared_xacts";
const CLEAN: &str = "SET session_replication_role = replica; \
    DELETE FROM t; DELETE FROM dejima.transaction; DELETE FROM dejima.participant; DELETE FROM dejima.resolution";

const ROWS: &str = "SELECT concat_ws(' ', k, coalesce(a, '-'), coalesce(b, '-'), coalesce(c, '-')) FROM t ORDER BY k COLLATE \"C\"";
/// `dejima:<self>:<parent>:<origin>:<uuid>`.
const PREPARED: &str = "SELECT split_part(gid, ':', 4) || ':' || split_part(gid, ':', 5) AS gid FROM pg_prepared_xacts ORDER BY 1";
const DECIDED: &str = "SELECT gid, participants FROM dejima.transaction ORDER BY gid";
const FINISHED: &str = "SELECT gid, children FROM dejima.participant ORDER BY gid";
const LOCK_ROW: &str = "SELECT FROM t WHERE k = $1 FOR UPDATE NOWAIT";
const IS_HELD: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock' \
    AND classid::bigint << 32 | objid::bigint = hashtextextended($1, 0))";

/// How long a request may take until it waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Long enough to be seen, see [`Subject::wait`]: half of it at least is waited.
const LOCK_WAIT_MS_MAX: u64 = 800;

pub(super) struct Postgres {
    /// Held to the end of the case.
    bed: MappedMutexGuard<'static, Bed>,
    database: Database,
    /// Of peers that were killed: whatever they had open in their sessions, nobody there ends it.
    former: Vec<Database>,
    admin: Session,
}

pub(super) struct Client {
    session: Session,
    pid: i32,
    gid: Gid,
}

impl Subject for Postgres {
    type Client = Client;
    type Waiting = JoinHandle<Option<Answer>>;

    async fn new() -> Self {
        let bed = clean_bed().await;
        Self {
            database: connect(&bed).await,
            former: vec![],
            admin: bed.session("postgres").await,
            bed,
        }
    }

    async fn execute(&mut self, request: Request) -> Option<Answer> {
        self.database.execute(request).await
    }

    async fn wait(&mut self, request: Request) -> Self::Waiting {
        let database = self.database.clone();
        let mut waiting = tokio::spawn(async move { database.execute(request).await });
        tokio::select! {
            answer = &mut waiting => panic!("it does not wait: {answer:?}"),
            waits = until_somebody_waits(&self.admin, PATIENCE) => waits.expect("it waits"),
        }
        waiting
    }

    async fn answer(&mut self, waiting: Self::Waiting) -> Option<Answer> {
        waiting.await.expect("no panic")
    }

    async fn begin(&mut self, statement: Statement) -> Client {
        let session = self.bed.client().await;
        let sql = format!("BEGIN; SET LOCAL lock_timeout = 100; {}", sql(statement));
        session.batch_execute(&sql).await.expect("it is valid");
        let own = "SELECT pg_backend_pid(), gid FROM dejima.transaction WHERE xid = pg_current_xact_id_if_assigned()";
        let row = session.query_one(own, &[]).await.expect("it is captured");
        Client {
            pid: row.get(0),
            gid: Gid::new(row.get(1)).expect("a gid"),
            session,
        }
    }

    async fn run(&mut self, client: &mut Client, statement: Statement) -> Result<(), String> {
        let done = client.session.batch_execute(&sql(statement)).await;
        Self::ended(client, done).await
    }

    async fn close(
        &mut self,
        client: &mut Client,
        puts: &[Put],
        participants: &[PeerName],
    ) -> Result<Vec<Told>, String> {
        let apply = json!({"answer": "apply", "puts": puts});
        let vote = if participants.is_empty() {
            json!({"answer": "unshared"})
        } else {
            json!({"answer": "voted", "participants": participants})
        };
        let first = if puts.is_empty() { &vote } else { &apply };
        self.bed.answer(&format!(
            "case \"$3\" in 0) echo '{first}';; *) echo '{vote}';; esac"
        ));
        let closed = client
            .session
            .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
            .await;
        let mut told = [self.bed.told(0), self.bed.told(1)].concat();
        told.sort();
        Self::ended(client, closed).await.map(|()| told)
    }

    fn gid(client: &Client) -> Gid {
        client.gid.clone()
    }

    async fn commit(&mut self, client: Client) {
        let committed = client.session.batch_execute("COMMIT").await;
        committed.expect("nothing is in its way");
    }

    async fn roll_back(&mut self, client: Client) {
        let rolled_back = client.session.batch_execute("ROLLBACK").await;
        rolled_back.expect("nothing is in its way");
    }

    async fn vanish(&mut self, client: Client) {
        let gone = self
            .read("SELECT pg_terminate_backend($1, 5000)", &[&client.pid])
            .await;
        assert!(gone[0].get::<_, bool>(0));
    }

    async fn crash(&mut self) {
        self.bed.crash().await;
        self.admin = self.bed.session("postgres").await;
    }

    async fn restart_peer(&mut self) -> Option<Answer> {
        let new = connect(&self.bed).await;
        self.former.push(std::mem::replace(&mut self.database, new));
        self.execute(Request::Recover).await
    }

    async fn facts(&mut self) -> Facts {
        let (rows, prepared) = (self.read(ROWS, &[]).await, self.read(PREPARED, &[]).await);
        Facts {
            rows: rows.iter().map(|row| row.get(0)).collect(),
            prepared: prepared.iter().map(gid).collect(),
            decided: self.gids_and_peers(DECIDED).await,
            finished: self.gids_and_peers(FINISHED).await,
        }
    }

    async fn is_locked(&mut self, key: &str) -> bool {
        match self.admin.query(LOCK_ROW, &[&key]).await {
            Ok(_) => false,
            Err(e) => {
                assert_eq!(sqlstate(&e), "55P03");
                true
            }
        }
    }

    async fn is_held(&mut self, gid: &Gid) -> bool {
        self.read(IS_HELD, &[&gid.as_str()]).await[0].get(0)
    }
}

impl Postgres {
    /// PostgreSQL reports an error before it has rolled back; the next answer comes after that.
    async fn ended(client: &Client, result: Result<(), Error>) -> Result<(), String> {
        let Err(error) = result else { return Ok(()) };
        let rolled_back = client.session.batch_execute("ROLLBACK").await;
        rolled_back.expect("nothing is in its way");
        Err(sqlstate(&error))
    }

    async fn read(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.admin.query(sql, values).await.expect("it is valid")
    }

    async fn gids_and_peers(&self, sql: &str) -> Vec<(Gid, Vec<PeerName>)> {
        let peers = |row: &Row| {
            let names: Vec<&str> = row.get(1);
            names.into_iter().map(super::peer).collect()
        };
        let rows = self.read(sql, &[]).await;
        rows.iter().map(|row| (gid(row), peers(row))).collect()
    }
}

/// The bed of all cases, as if it had been made for this one.
async fn clean_bed() -> MappedMutexGuard<'static, Bed> {
    static SERVER: Server = Server::new();
    static BED: Mutex<Option<Bed>> = Mutex::const_new(None);
    let mut bed = BED.lock().await;
    if let Some(bed) = bed.as_ref() {
        let admin = bed.session("postgres").await;
        let left = async {
            admin.query(END_SESSIONS, &[]).await?;
            for row in admin.query(LEFT_PREPARED, &[]).await? {
                let name: &str = row.get(0);
                admin
                    .batch_execute(&format!("ROLLBACK PREPARED '{name}'"))
                    .await?;
            }
            admin.batch_execute(CLEAN).await
        };
        left.await.expect("it can be cleaned");
    } else {
        let new = bed_on(&SERVER, "alone", "contract", BASE_TABLE).await;
        new.admin(SHOW_GIDS);
        let table = |name: &str, columns: [&str; 3]| json!({"name": name, "base_table": "public.t", "key": ["k"], "columns": columns});
        new.share(json!([
            table("AB", ["k", "a", "b"]),
            table("BC", ["k", "b", "c"])
        ]))
        .await;
        *bed = Some(new);
    }
    MutexGuard::map(bed, |bed| bed.as_mut().expect("it was made"))
}

async fn connect(bed: &Bed) -> Database {
    let options = Options {
        lock_wait_ms_max: LOCK_WAIT_MS_MAX,
        ..bed.options()
    };
    Database::connect(options).await.expect("it is ready")
}

fn gid(row: &Row) -> Gid {
    Gid::new(row.get(0)).expect("a gid")
}

fn sqlstate(error: &Error) -> String {
    let code = error.code().unwrap_or_else(|| panic!("{error:?}"));
    code.code().to_owned()
}

/// The values of cases need no quoting.
fn sql(statement: Statement) -> String {
    let value = |value: &str| match value {
        "NULL" => value.to_owned(),
        _ => format!("'{value}'"),
    };
    let list = |values: Values, item: &dyn Fn(&str, &str) -> String| {
        let items: Vec<_> = values
            .iter()
            .map(|&(name, text)| item(name, text))
            .collect();
        items.join(", ")
    };
    match statement {
        Statement::Insert(key, values) => {
            let names = list(values, &|name, _| name.to_owned());
            let values = list(values, &|_, text| value(text));
            format!("INSERT INTO t (k, {names}) VALUES ('{key}', {values})")
        }
        Statement::Update(key, values) => {
            let set = list(values, &|name, text| format!("{name} = {}", value(text)));
            format!("UPDATE t SET {set} WHERE k = '{key}'")
        }
        Statement::Delete(key) => format!("DELETE FROM t WHERE k = '{key}'"),
    }
}
