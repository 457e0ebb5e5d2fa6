//! The life of a peer: take the addresses, wait for the database, declare, serve, finish, end.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::Retryable;
use dejima_core::database::{self, Database, DeclaredTable};
use dejima_core::group::{self, Identity, Share};
use dejima_core::name::PeerName;
use dejima_core::transaction;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::capture::Captures;
use crate::client::Client;
use crate::config::Config;
use crate::copies::Copies;
use crate::event::{Event, Events};
use crate::event_loop::EventLoop;
use crate::metrics;
use crate::operator::{Known, OperatorService};
use crate::server::{self, Entrance, Health, NotListening, TakenAddress, TakenLocalAddress};
use crate::store::Store;

#[cfg(test)]
mod tests;

/// Parts of a capture are forgotten when no further one comes for so long; the hook sends without pauses.
const UPLOAD_IDLE_MAX: Duration = Duration::from_secs(60);
/// Waits between two attempts to reach the database.
const DATABASE_RETRY_MIN: Duration = Duration::from_millis(100);
const DATABASE_RETRY_MAX: Duration = Duration::from_secs(5);
/// How often a running peer counts on.
const HOUR: Duration = Duration::from_secs(3_600);
/// How long calls under way may take to get their answers out after the event loop has ended.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Why a peer ends other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("peer \"{peer}\": {why}")]
    Listen {
        /// The peer.
        peer: PeerName,
        /// Which address, and why.
        why: NotListening,
    },
    /// The database is not what it must be.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The services cannot be described.
    #[error("the descriptor of the services is broken: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A server has failed.
    #[error("serving failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The server for Prometheus has failed.
    #[error("serving metrics failed: {0}")]
    Metrics(#[from] std::io::Error),
}

/// Runs a peer until `stop` comes and the transactions at hand are finished.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let mut stop = std::pin::pin!(stop);
    config
        .warnings
        .iter()
        .for_each(|warning| warn!("{warning}"));
    info!(peer = %config.name, listen = config.listen, local = %config.local, "starting");
    let taken = Addresses::take(&config).await;
    let addresses = taken.map_err(|why| Error::Listen {
        peer: config.name.clone(),
        why,
    })?;
    let prepared = tokio::select! {
        prepared = prepare(&config) => prepared?,
        () = &mut stop => return Ok(()),
    };
    let serving = Serving::start(&config, prepared, addresses)?;
    serving
        .until(stop, Duration::from_millis(config.limits.stop_ms_max))
        .await
}

/// Where a peer will listen.
struct Addresses {
    public: TakenAddress,
    local: TakenLocalAddress,
    metrics: Option<TakenAddress>,
}

impl Addresses {
    async fn take(config: &Config) -> Result<Self, NotListening> {
        let metrics = match &config.metrics {
            Some(address) => Some(TakenAddress::take("metrics", address).await?),
            None => None,
        };
        Ok(Self {
            public: TakenAddress::take("listen", &config.listen).await?,
            local: TakenLocalAddress::take(&config.local).await?,
            metrics,
        })
    }
}

/// What a peer gets from its database before it serves.
struct Prepared {
    store: Arc<dyn Store>,
    /// Where the database is, without user and password.
    place: String,
    tables: Vec<DeclaredTable>,
    incarnation: u64,
    facts: Vec<group::Fact>,
}

async fn prepare(config: &Config) -> Result<Prepared, Error> {
    let database = connect(config).await?;
    let tables = database.declare(&config.tables).await?;
    match database.constraint_findings(&tables).await {
        Ok(findings) => findings
            .iter()
            .for_each(|finding| warn!("{}; {}", finding.what, finding.cure)),
        Err(error) => warn!("{error}"),
    }
    let incarnation = database.next_incarnation().await?;
    let facts = database.load_facts().await?;
    let place = database.place();
    info!(
        database = place,
        tables = tables.len(),
        incarnation,
        "the database is ready"
    );
    Ok(Prepared {
        store: Arc::new(database),
        place,
        tables,
        incarnation,
        facts,
    })
}

/// Waits for a database that is not there yet; anything else that is wrong with it is for the operator to cure.
async fn connect(config: &Config) -> Result<Database, database::Error> {
    let attempt = || {
        Database::connect(database::Options {
            peer: config.name.clone(),
            url: config.database.url.clone(),
            pool: config.database.pool,
            lock_wait_ms_max: config.limits.lock_wait_ms_max,
        })
    };
    let waits = backon::ExponentialBuilder::default()
        .with_min_delay(DATABASE_RETRY_MIN)
        .with_max_delay(DATABASE_RETRY_MAX)
        .with_jitter()
        .without_max_times();
    attempt
        .retry(waits)
        .when(database::Error::is_unreachable)
        .notify(|error, wait| warn!(wait_ms = wait.as_millis(), "{error}"))
        .await
}

/// A peer that serves.
struct Serving {
    events: Events,
    event_loop: tokio::task::JoinHandle<()>,
    servers: Vec<tokio::task::JoinHandle<Result<(), Error>>>,
    /// Ends the servers when it is dropped.
    end: watch::Sender<()>,
}

impl Serving {
    fn start(config: &Config, prepared: Prepared, addresses: Addresses) -> Result<Self, Error> {
        let Prepared {
            store,
            place,
            tables,
            incarnation,
            facts,
        } = prepared;
        let schemas = tables
            .iter()
            .map(|table| (table.name.clone(), table.schema.clone()));
        let schemas: Arc<BTreeMap<_, _>> = Arc::new(schemas.collect());
        let (transactions, groups) = machines(config, incarnation, &tables, facts);
        let known = Known {
            kind: config.kind.clone(),
            database: place,
            tables,
        };
        let client = Client::new(config.name.clone(), config.limits.transaction_ms_max);
        let (event_loop, events, is_ready) =
            EventLoop::new(transactions, groups, client, Arc::clone(&store));
        tokio::spawn(count_hours(Arc::clone(&store), events.clone()));
        let captures = Captures::new(
            Arc::clone(&schemas),
            config.limits.capture_bytes_max,
            UPLOAD_IDLE_MAX,
        );
        let copies = Copies::new(store.clone(), &known.tables, events.clone());
        let entrance = Entrance::new(
            config.name.clone(),
            schemas,
            config.limits.delta_bytes_max,
            captures,
            copies.clone(),
            events.clone(),
        );
        let health = Health::default();
        let for_peers = server::for_peers(&entrance, &health)?;
        let operator = OperatorService::new(known, store, copies, events.clone());
        let for_local = server::for_local(&entrance, operator, &health)?;
        let not_listening = |why| Error::Listen {
            peer: config.name.clone(),
            why,
        };
        let public = addresses.public.open().map_err(not_listening)?;
        let local = addresses.local.open().map_err(not_listening)?;
        let metrics = addresses.metrics.map(TakenAddress::listen).transpose();
        let metrics = metrics.map_err(not_listening)?;
        let (end, ended) = watch::channel(());
        let public = for_peers.serve_with_incoming_shutdown(public, dropped(ended.clone()));
        let local = server::serve_local(for_local, local, dropped(ended.clone()));
        let mut servers = vec![
            tokio::spawn(async { Ok(public.await?) }),
            tokio::spawn(async { Ok(local.await?) }),
        ];
        if let Some(listener) = metrics {
            let metrics = metrics::serve(listener, events.clone(), dropped(ended));
            servers.push(tokio::spawn(async { Ok(metrics.await?) }));
        }
        tokio::spawn(health.follow(is_ready));
        let event_loop = tokio::spawn(event_loop.run());
        info!(peer = %config.name, advertise = config.advertise, local = %config.local, "listening");
        Ok(Self {
            events,
            event_loop,
            servers,
            end,
        })
    }

    async fn until(
        mut self,
        stop: impl Future<Output = ()>,
        finish_max: Duration,
    ) -> Result<(), Error> {
        let failed = futures::future::select_all(&mut self.servers);
        tokio::select! {
            () = stop => {}
            (ended, ..) = failed => {
                error!("a server has ended by itself");
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
            }
            ended = &mut self.event_loop => resume_panic(ended),
        }
        drop(self.events.send(Event::Stop));
        match tokio::time::timeout(finish_max, &mut self.event_loop).await {
            Ok(ended) => resume_panic(ended),
            Err(_) => warn!(
                waited_ms = finish_max.as_millis(),
                "transactions are left unfinished; they are taken up again at the next start"
            ),
        }
        drop(self.end);
        drop(tokio::time::timeout(DRAIN_MAX, futures::future::join_all(self.servers)).await);
        info!("stopped");
        Ok(())
    }
}

fn resume_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn dropped(mut end: watch::Receiver<()>) {
    while end.changed().await.is_ok() {}
}

/// Counts on every hour, and tells others: so they have seen more than a backup holds that is restored some day, also
/// if the peer was not started since it was made.
async fn count_hours(store: Arc<dyn Store>, events: Events) {
    let mut hours = tokio::time::interval(HOUR);
    // The first tick is at once, and the start is counted already.
    hours.tick().await;
    loop {
        hours.tick().await;
        let counted = match store.count().await {
            Ok(incarnation) => group::Input::Counted { incarnation },
            Err(why) => {
                warn!(why, "the hour could not be counted in the database");
                continue;
            }
        };
        if events.send(Event::Group(counted)).is_err() {
            return;
        }
    }
}

fn machines(
    config: &Config,
    incarnation: u64,
    tables: &[DeclaredTable],
    facts: Vec<group::Fact>,
) -> (transaction::Machine, group::Machine) {
    let limits = transaction::Limits {
        transaction_ms_max: config.limits.transaction_ms_max,
        lock_wait_ms_max: config.limits.lock_wait_ms_max,
        ..transaction::Limits::default()
    };
    // The incarnation in the upper half keeps the numbers of two lives of a peer apart.
    let transactions = transaction::Machine::new(config.name.clone(), limits, incarnation << 32);
    let me = Identity {
        peer: config.name.clone(),
        address: config.advertise.clone(),
        incarnation,
    };
    let share = |table: &DeclaredTable| {
        Share::new(
            table.name.clone(),
            table.schema.clone(),
            table.links(tables),
            config.seeds.get(&table.name).cloned().unwrap_or_default(),
        )
    };
    let shares = tables.iter().map(share).collect();
    (
        transactions,
        group::Machine::new(me, shares, facts, group::Limits::default()),
    )
}
