//! The peer's own database: installs into it, declares Dejima tables in it, and carries out the machine's few
//! requests on it. Decides nothing.
//!
//! The contract of what is installed stands in sql/README.md.

mod apply;
mod catalogue;
mod condition;
mod constraint;
mod copies;
mod declare;
mod declared;
mod error;
mod establish;
mod examine;
mod execute;
mod install;
mod look;
mod outcome;
mod refuse;
mod relied;
mod resolve;
mod session;
mod touched;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::sync::Mutex;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use crate::group::{Fact, Overtaken};
use crate::name::{Gid, PeerName};

pub use apply::{Action, PartChange, Preview, Target};
pub use declared::{DeclaredTable, Origin, UsedTable};
pub use error::Error;
pub use examine::{Examinee, Trace};
pub use install::{Installation, install, install_sql};
pub use look::{Lock, MarkedRow, MarkedRows, Sight};
use session::Session;
pub use touched::BaseTableChange;

/// The version of what sql/ installs; a database of another version is refused until it is installed again.
pub const VERSION: i32 = 11;

/// Sessions for what must never wait behind open transactions: finishing others is what makes them end.
const CONTROL_SESSIONS: usize = 4;

/// Constants in conditions mean the same when a Dejima table is made and when its rows are captured and put (sql/README.md).
const VALUE_SETTINGS: &str = "-c DateStyle=ISO,YMD -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 \
    -c bytea_output=hex -c lc_monetary=C -c xmloption=content -c array_nulls=on";

/// These sessions run a handful of statements with keys for parameters: planned once, by index, whatever size the
/// tables had then.
const CONTROL_SETTINGS: &str = "-c synchronous_commit=on -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off";

/// How a peer reaches its database.
#[derive(Clone, Debug)]
pub struct Options {
    /// The peer.
    pub peer: PeerName,
    /// A connection string of PostgreSQL, for role `dejima`.
    pub url: String,
    /// How many transactions can be open at once.
    pub pool: usize,
    /// The longest wait for a lock or for a free session, in milliseconds.
    pub lock_wait_ms_max: u64,
}

/// A peer's database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    place: String,
    /// Tells the sessions of this process from those of the one before it.
    application: String,
    /// Open transactions of participants.
    transactions: Pool,
    /// Termination, outcomes, recovery. Each commit is flushed, whatever the server's default: a row that the peer
    /// takes for forgotten must not come back when the server dies.
    control: Pool,
    /// Which session each open transaction runs in.
    open: Mutex<HashMap<Gid, Session>>,
}

impl Database {
    /// Connects, and checks everything that must hold before the peer may serve.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let peer = &options.peer;
        let mut config: Config = options.url.parse().map_err(|e| Error::url(peer, &e))?;
        let application = application_name(peer);
        config.application_name(&application);
        let place = place(&config);
        let wait = Duration::from_millis(options.lock_wait_ms_max);
        let extra = config.get_options().unwrap_or_default();
        let extra = format!("{extra} {VALUE_SETTINGS}");
        config.options(&extra);
        let transactions = pool(&config, options.pool, wait);
        config.options(format!("{extra} {CONTROL_SETTINGS}"));
        let control = pool(&config, CONTROL_SESSIONS, wait.max(Duration::from_secs(5)));
        let inner = Inner {
            place,
            application,
            transactions,
            control,
            open: Mutex::default(),
            options,
        };
        let database = Self {
            inner: Arc::new(inner),
        };
        database.check().await?;
        Ok(database)
    }

    /// Where the database is, without user and password: for logs and for people.
    pub fn place(&self) -> String {
        self.inner.place.clone()
    }

    /// Counts this start of the peer, durably, and returns the count.
    pub async fn next_incarnation(&self) -> Result<u64, Error> {
        let client = self.client().await?;
        let sql = "UPDATE dejima.peer SET incarnation = incarnation + 1 RETURNING incarnation";
        let row = client
            .query_one(sql, &[])
            .await
            .map_err(|e| self.failed("counting the start", &e))?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    /// Counts on from an incarnation that others have seen, durably, and notes for the operator who has.
    pub async fn count_beyond(&self, overtaken: &Overtaken) -> Result<(), Error> {
        let client = self.client().await?;
        let note = serde_json::to_string(overtaken).expect("a name and numbers are plain data");
        let next = i64::try_from(overtaken.seen + 1).unwrap_or(i64::MAX);
        let sql = "UPDATE dejima.peer SET incarnation = greatest(incarnation, $1), \
                   overtaken_by = coalesce(overtaken_by, $2::text::jsonb)";
        let counted = client.execute(sql, &[&next, &note]).await;
        counted
            .map(drop)
            .map_err(|e| self.failed("counting beyond what others have seen", &e))
    }

    /// What was known of other peers when it was last saved. A fact of another version is forgotten, not an error:
    /// its peer tells it again.
    pub async fn load_facts(&self) -> Result<Vec<Fact>, Error> {
        let client = self.client().await?;
        let rows = client
            .query(
                "SELECT fact::text FROM dejima.fact ORDER BY peer, dejima_table",
                &[],
            )
            .await;
        let rows = rows.map_err(|e| self.failed("reading what is known of other peers", &e))?;
        Ok(rows
            .iter()
            .filter_map(|row| serde_json::from_str(row.get(0)).ok())
            .collect())
    }

    /// Saves what is known of other peers, one fact for each peer and Dejima table. Saves may overtake each other, so
    /// the later fact wins as it does in a join: whole before partial, then by incarnation.
    pub async fn save_facts(&self, facts: &[Arc<Fact>]) -> Result<(), Error> {
        let client = self.client().await?;
        let facts = serde_json::to_string(facts).expect("facts are plain data");
        let sql = "INSERT INTO dejima.fact (peer, dejima_table, fact) \
                   SELECT DISTINCT ON (1, 2) f->>'peer', f->>'table', f FROM jsonb_array_elements($1::text::jsonb) AS f \
                   ON CONFLICT (peer, dejima_table) DO UPDATE SET fact = excluded.fact \
                   WHERE (coalesce(excluded.fact->'schema', 'null') <> 'null', (excluded.fact->>'incarnation')::numeric) \
                      >= (coalesce(fact.fact->'schema', 'null') <> 'null', (fact.fact->>'incarnation')::numeric)";
        let saved = client.execute(sql, &[&facts]).await;
        saved
            .map(drop)
            .map_err(|e| self.failed("saving what is known of other peers", &e))
    }

    fn peer(&self) -> &PeerName {
        &self.inner.options.peer
    }

    async fn client(&self) -> Result<deadpool_postgres::Object, Error> {
        let got = self.inner.transactions.get().await;
        got.map_err(|e| Error::unreachable(self.peer(), &self.inner.place, &e))
    }

    fn failed(&self, doing: &'static str, error: &tokio_postgres::Error) -> Error {
        Error::Failed {
            peer: self.peer().clone(),
            doing,
            why: error::describe(error),
        }
    }

    async fn check(&self) -> Result<(), Error> {
        let client = self.client().await?;
        let sql = "SELECT session_user::text, rolsuper, current_setting('max_prepared_transactions')::integer, \
                     EXISTS (SELECT FROM pg_extension WHERE extname = 'plsh'), \
                     to_regclass('dejima.peer') IS NOT NULL \
                   FROM pg_roles WHERE rolname = session_user";
        let row = client
            .query_one(sql, &[])
            .await
            .map_err(|e| self.failed("checking the database", &e))?;
        let (peer, place) = (self.peer().clone(), self.place());
        let role: String = row.get(0);
        if role != "dejima" || row.get(1) {
            return Err(Error::WrongRole { peer, place, role });
        }
        if row.get::<_, i32>(2) == 0 {
            return Err(Error::NoPreparedTransactions { peer, place });
        }
        if !row.get::<_, bool>(3) {
            return Err(Error::NoPlsh { peer, place });
        }
        if !row.get::<_, bool>(4) {
            return Err(Error::NotInstalled { peer, place });
        }
        self.check_installation(&client).await
    }

    async fn check_installation(&self, client: &deadpool_postgres::Object) -> Result<(), Error> {
        let read = client
            .query_one("SELECT name, version, helper FROM dejima.peer", &[])
            .await;
        let row = read.map_err(|e| self.failed("reading whose database this is", &e))?;
        let (peer, place) = (self.peer().clone(), self.place());
        let (owner, version): (String, i32) = (row.get(0), row.get(1));
        if owner != peer.as_str() {
            return Err(Error::OtherPeer { peer, place, owner });
        }
        if version != VERSION {
            return Err(Error::OtherVersion {
                peer,
                place,
                version,
            });
        }
        let verified = client.query_one("SELECT dejima.verify_helper()", &[]).await;
        let verified = verified.map_err(|e| self.failed("looking for the helper", &e))?;
        match verified.get::<_, Option<String>>(0) {
            Some(finding) => Err(Error::Helper {
                peer,
                helper: row.get(2),
                finding,
            }),
            None => Ok(()),
        }
    }
}

fn pool(config: &Config, size: usize, wait: Duration) -> Pool {
    // Fast is safe here: a session whose transaction may be open never goes back (see `Session`).
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config.clone(), NoTls, recycling))
        .max_size(size.max(1))
        .wait_timeout(Some(wait))
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is given for the timeout")
}

/// `dejima:<peer>:<12 digits>`, within the 63 bytes that PostgreSQL keeps.
fn application_name(peer: &PeerName) -> String {
    let mut hasher = DefaultHasher::new();
    (std::process::id(), SystemTime::now()).hash(&mut hasher);
    format!("dejima:{peer}:{:012x}", hasher.finish() >> 16)
}

fn place(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
    let ports: Vec<_> = config.get_ports().iter().map(u16::to_string).collect();
    let ports = if ports.is_empty() {
        "5432".to_owned()
    } else {
        ports.join(",")
    };
    let name = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or_default();
    format!("host={} port={ports} dbname={name}", hosts.join(","))
}
