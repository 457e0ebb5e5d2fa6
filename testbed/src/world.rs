//! A set of organisations with their databases and peers, up and sharing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dejima_core::database::{Installation, install};
use dejima_core::name::PeerName;
use dejima_proto::v1::operator_client::OperatorClient;
use dejima_proto::v1::{AwaitQuietRequest, GroupsRequest};
use futures::future::{join_all, try_join_all};
use tokio_postgres::{Client, NoTls};
use tonic::transport::Channel;

use crate::address::connect_channel;
use crate::binaries::{Binaries, Edition};
use crate::child;
use crate::cluster::{Cluster, ClusterOptions, quote_identifier};
use crate::crash_points;
use crate::cuts::Cuts;
use crate::error::{self, Error};
use crate::organisation::{Organisation, Share};
use crate::peer_process::{PeerFiles, PeerProcess};
use crate::scratch::Scratch;
use crate::wire::Wire;

/// How often a world is started anew if another program takes a port between our choosing and using it.
const PORT_ATTEMPTS: usize = 3;
/// How long it may take until every peer has heard of all others.
const GROUPS_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what a peer has heard.
const GROUPS_POLL: Duration = Duration::from_millis(5);
/// How long [`World::await_quiet`] waits for one peer.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// Where the databases are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Each organisation has a cluster of its own.
    #[default]
    ClusterEach,
    /// All databases are in one cluster: starts faster.
    OneCluster,
}

/// How a world is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorldOptions {
    /// Where the databases are.
    pub layout: Layout,
    /// See [`ClusterOptions::durable`].
    pub durable: bool,
    /// Peers reach each other through a [`Wire`] that remembers what it carried.
    pub tapped: bool,
    /// Peers reach each other through a [`Wire`] that can be cut; see [`World::cut`].
    pub cuttable: bool,
    /// The programs stop at crash points if a test arms them: see [`CrashPoints`](crate::CrashPoints). Needs a cluster
    /// for each organisation.
    pub crash_points: bool,
    /// Names of databases, and what CREATE DATABASE says of each after its name; a locale, say.
    pub database_options: &'static [(&'static str, &'static str)],
}

/// Organisations, each with a database and a running peer. Everything ends when the world is dropped.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: peers, then clusters, then the folder.
    members: Vec<Member>,
    clusters: Vec<Cluster>,
    scratch: Scratch,
    /// `None` if peers reach each other without wires that can be cut.
    cuts: Option<Cuts>,
}

/// One organisation of a [`World`].
#[derive(Debug)]
pub struct Member {
    organisation: Organisation,
    cluster: usize,
    listen: String,
    wire: Option<Wire>,
    /// The daemon, to be stopped, killed and started.
    pub process: PeerProcess,
}

impl Member {
    /// The name of the peer, the database and the client role.
    pub fn name(&self) -> &str {
        &self.organisation.name
    }

    /// What it was made from.
    pub fn organisation(&self) -> &Organisation {
        &self.organisation
    }

    /// Where other peers reach it, as `http://host:port`.
    pub fn address(&self) -> String {
        let address = self
            .wire
            .as_ref()
            .map_or_else(|| self.listen.clone(), Wire::address);
        format!("http://{address}")
    }

    /// What carries the messages to it, if the world is tapped.
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref().filter(|wire| wire.remembers())
    }
}

impl World {
    /// Makes the databases, installs schema `dejima`, starts the peers all at once, and returns when every one
    /// of them serves.
    pub async fn start(
        organisations: Vec<Organisation>,
        options: WorldOptions,
    ) -> Result<Self, Error> {
        let scratch = blocking(Scratch::new).await?;
        Self::start_in(scratch, organisations, options).await
    }

    /// As [`Self::start`], in a scratch folder that may be shared with others.
    pub async fn start_in(
        scratch: Scratch,
        organisations: Vec<Organisation>,
        options: WorldOptions,
    ) -> Result<Self, Error> {
        let place = scratch.clone();
        let edition = if options.crash_points {
            Edition::CrashPoints
        } else {
            Edition::Ordinary
        };
        let binaries = blocking(move || Binaries::place_edition(&place, edition)).await?;
        let clusters = start_clusters(&scratch, &organisations, options).await?;
        let mut members = Vec::new();
        for (at, organisation) in organisations.into_iter().enumerate() {
            let files = PeerFiles {
                name: organisation.name.clone(),
                configuration: String::new(),
                others: Vec::new(),
                environment: crash_points::environment(&scratch, &organisation.name, options),
            };
            let process = PeerProcess::prepare(&scratch, &binaries, &files)?;
            let cluster = at.min(clusters.len() - 1);
            members.push(Member {
                organisation,
                cluster,
                listen: String::new(),
                wire: None,
                process,
            });
        }
        let mut world = Self {
            members,
            clusters,
            scratch,
            cuts: options.cuttable.then(Cuts::default),
        };
        world.prepare_databases(&binaries).await?;
        world.start_peers(options.tapped).await?;
        world.await_groups().await?;
        Ok(world)
    }

    /// The state of the wires; panics if they cannot be cut, because options are written in the program.
    pub(crate) fn cuts(&self) -> &Cuts {
        self.cuts.as_ref().expect("the world was made cuttable")
    }

    /// The folder of everything.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// All organisations, in the order given.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// An organisation by name; panics if there is none, because names are written in the program.
    pub fn member(&self, name: &str) -> &Member {
        self.members
            .iter()
            .find(|member| member.name() == name)
            .expect("the world has an organisation of this name")
    }

    /// The same, to stop, kill and start its peer.
    pub fn member_mut(&mut self, name: &str) -> &mut Member {
        self.members
            .iter_mut()
            .find(|member| member.name() == name)
            .expect("the world has an organisation of this name")
    }

    /// The cluster of an organisation.
    pub fn cluster(&self, name: &str) -> &Cluster {
        &self.clusters[self.member(name).cluster]
    }

    /// The same, to stop, kill and start it.
    pub fn cluster_mut(&mut self, name: &str) -> &mut Cluster {
        let at = self.member(name).cluster;
        &mut self.clusters[at]
    }

    /// The connection string of an organisation's client, who has rights on its base tables only.
    pub fn client_url(&self, name: &str) -> String {
        self.cluster(name).url(name, name)
    }

    /// A connection as an organisation's client.
    pub async fn client(&self, name: &str) -> Result<Client, Error> {
        connect(&self.client_url(name)).await
    }

    /// A connection to an organisation's database as superuser.
    pub async fn superuser(&self, name: &str) -> Result<Client, Error> {
        connect(&self.cluster(name).url("postgres", name)).await
    }

    /// The address of a peer for its helper and its operator.
    pub fn local_address(&self, name: &str) -> String {
        PeerProcess::local_address(&self.scratch, name)
    }

    /// A client of a peer's operator service.
    pub fn operator(&self, name: &str) -> OperatorClient<Channel> {
        let channel = connect_channel(&self.local_address(name))
            .expect("a path in the scratch folder is an address");
        OperatorClient::new(channel)
    }

    /// Writes anew what an organisation's peer reads at its next start: its Dejima tables and their seeds. The database
    /// stays as it is.
    pub fn reconfigure(&mut self, organisation: Organisation) -> Result<(), Error> {
        let name = organisation.name.clone();
        self.member_mut(&name).organisation = organisation;
        let member = self.member(&name);
        member.process.write_files(&self.files(member))
    }

    /// Waits until no running peer has a transaction in flight. Says nothing of clients that have not
    /// committed yet.
    pub async fn await_quiet(&self) -> Result<(), Error> {
        let running = self
            .members
            .iter()
            .filter(|member| member.process.pid().is_some());
        for member in running {
            let mut request = tonic::Request::new(AwaitQuietRequest {});
            request.set_timeout(QUIET_MAX);
            self.operator(member.name())
                .await_quiet(request)
                .await
                .map_err(|status| unanswered(member, &status))?;
        }
        Ok(())
    }

    /// Waits until every peer knows all members of all its Dejima tables. A peer serves as soon as its seeds
    /// have answered; of those who joined at the same moment it may hear a little later.
    pub async fn await_groups(&self) -> Result<(), Error> {
        let expected = self.shared_tables();
        let until = Instant::now() + GROUPS_MAX;
        for member in &self.members {
            while !self.knows_groups(member, &expected).await? {
                if Instant::now() > until {
                    return Err(Error::NotReady {
                        name: format!("peer {}", member.name()),
                        why: format!(
                            "after {GROUPS_MAX:?} it does not know all who share its Dejima tables"
                        ),
                        log: child::log_end(&member.process.log()),
                    });
                }
                tokio::time::sleep(GROUPS_POLL).await;
            }
        }
        Ok(())
    }

    async fn knows_groups(
        &self,
        member: &Member,
        expected: &BTreeMap<String, Vec<String>>,
    ) -> Result<bool, Error> {
        let answer = self.operator(member.name()).groups(GroupsRequest {}).await;
        let groups = answer
            .map_err(|status| unanswered(member, &status))?
            .into_inner()
            .groups;
        let is_known = |share: &Share| {
            let wanted: BTreeSet<&String> = expected[&share.table].iter().collect();
            let found = groups
                .iter()
                .find(|group| group.table == share.table && group.complete);
            found.is_some_and(|group| group.members.iter().collect::<BTreeSet<_>>() == wanted)
        };
        Ok(member.organisation.shares.iter().all(is_known))
    }

    /// Every Dejima table with its members.
    pub fn shared_tables(&self) -> BTreeMap<String, Vec<String>> {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for member in &self.members {
            for share in &member.organisation.shares {
                tables
                    .entry(share.table.clone())
                    .or_default()
                    .push(member.name().to_owned());
            }
        }
        tables
    }

    /// One database after the other: the roles belong to the cluster, which they may share.
    async fn prepare_databases(&self, binaries: &Binaries) -> Result<(), Error> {
        for member in &self.members {
            let name = member.name();
            let database = self.superuser(name).await?;
            let run = async |what: &str, sql: &str| {
                database
                    .batch_execute(sql)
                    .await
                    .map_err(error::database(format!("{what} at {name}")))
            };
            run("making the base tables", &member.organisation.base_sql).await?;
            let installation = Installation {
                peer: PeerName::new(name).map_err(|e| Error::Install {
                    peer: name.to_owned(),
                    why: e.to_string(),
                })?,
                helper: binaries.callback.clone(),
                callback: self.local_address(name),
            };
            install(&self.cluster(name).url("postgres", name), &installation)
                .await
                .map_err(|e| Error::Install {
                    peer: name.to_owned(),
                    why: error::chain(&e),
                })?;
            run("granting rights", &grants(&member.organisation)).await?;
        }
        Ok(())
    }

    async fn start_peers(&mut self, tapped: bool) -> Result<(), Error> {
        for attempt in 1.. {
            self.choose_ports()?;
            self.start_wires(tapped)?;
            for at in 0..self.members.len() {
                let files = self.files(&self.members[at]);
                self.members[at].process.write_files(&files)?;
                self.members[at].process.start()?;
            }
            let waits = self
                .members
                .iter_mut()
                .map(|member| member.process.wait_until_ready());
            let failed = join_all(waits).await.into_iter().find_map(Result::err);
            match failed {
                None => break,
                Some(Error::NotReady { log, .. })
                    if attempt < PORT_ATTEMPTS && log.contains("in use") => {}
                Some(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn start_wires(&mut self, tapped: bool) -> Result<(), Error> {
        if !tapped && self.cuts.is_none() {
            return Ok(());
        }
        let cuts = self.cuts.clone().unwrap_or_default();
        for member in &mut self.members {
            let wire = Wire::start(&member.organisation.name, &member.listen, &cuts, tapped)?;
            member.wire = Some(wire);
        }
        Ok(())
    }

    /// Free ports on the loopback interface; all are held until all are chosen.
    fn choose_ports(&mut self) -> Result<(), Error> {
        let mut held = Vec::new();
        for member in &mut self.members {
            let listener =
                TcpListener::bind("127.0.0.1:0").map_err(error::io("looking for a free port"))?;
            let address = listener
                .local_addr()
                .map_err(error::io("looking for a free port"))?;
            member.listen = address.to_string();
            held.push(listener);
        }
        Ok(())
    }

    fn files(&self, member: &Member) -> PeerFiles {
        let organisation = &member.organisation;
        let mut text = format!(
            "name = {}\ntype = {}\nlisten = {}\nadvertise = {}\nlocal = {}\n\n[database]\nurl = {}\n",
            toml(&organisation.name),
            toml(&organisation.kind),
            toml(&member.listen),
            toml(&member.address()),
            toml(&self.local_address(member.name())),
            toml(&self.cluster(member.name()).url("dejima", member.name())),
        );
        text.push_str(&organisation.more_configuration);
        for share in organisation
            .shares
            .iter()
            .filter(|share| !share.seeds.is_empty())
        {
            let seeds: Vec<String> = share
                .seeds
                .iter()
                .map(|seed| toml(&self.member(seed).address()))
                .collect();
            write!(
                text,
                "\n[[seed]]\ntable = {}\npeers = [{}]\n",
                toml(&share.table),
                seeds.join(", ")
            )
            .expect("writing to a string cannot fail");
        }
        let declarations = (
            format!("{}.toml", organisation.kind),
            organisation.declarations.clone(),
        );
        let strategies = organisation.strategies.iter().cloned();
        let others = strategies.chain([declarations]);
        PeerFiles {
            name: organisation.name.clone(),
            configuration: text,
            others: others
                .map(|(name, text)| (format!("types/{name}").into(), text))
                .collect(),
            environment: Vec::new(),
        }
    }
}

pub(crate) fn unanswered(member: &Member, status: &tonic::Status) -> Error {
    Error::Operator {
        peer: member.name().to_owned(),
        why: error::chain(status),
    }
}

/// Connects, and drives the connection in a task of its own.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(error::database(format!("connecting to {url}")))?;
    // What ends a connection is reported by the statement that it cuts off.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// Starts the clusters, all at once, with a database for each organisation.
async fn start_clusters(
    scratch: &Scratch,
    organisations: &[Organisation],
    options: WorldOptions,
) -> Result<Vec<Cluster>, Error> {
    let names: Vec<String> = organisations
        .iter()
        .map(|organisation| organisation.name.clone())
        .collect();
    let groups: Vec<Vec<String>> = match options.layout {
        Layout::ClusterEach => names.into_iter().map(|name| vec![name]).collect(),
        Layout::OneCluster => vec![names],
    };
    let scratch = Arc::new(scratch.clone());
    let starts = groups.into_iter().map(|databases| {
        let scratch = Arc::clone(&scratch);
        blocking(move || {
            let name = if databases.len() == 1 {
                &databases[0]
            } else {
                "all"
            };
            let named = ClusterOptions {
                durable: options.durable,
                environment: crash_points::environment(&scratch, name, options),
                ..ClusterOptions::named(name)
            };
            let cluster = Cluster::start(&scratch, named)?;
            databases.iter().try_for_each(|database| {
                let named = |(name, _): &&(&str, &str)| name == database;
                let found = options.database_options.iter().find(named);
                cluster.create_database_with(database, found.map_or("", |(_, options)| options))
            })?;
            Ok(cluster)
        })
    });
    try_join_all(starts).await
}

/// Rights of role dejima and of the client on the base tables; the client may also look at the Dejima tables.
fn grants(organisation: &Organisation) -> String {
    let client = quote_identifier(&organisation.name);
    let tables = organisation.base_tables.join(", ");
    format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON {tables} TO dejima;
         CREATE ROLE {client} LOGIN;
         GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {tables} TO {client};
         GRANT USAGE ON SCHEMA dejima_tables TO {client};
         ALTER DEFAULT PRIVILEGES FOR ROLE dejima IN SCHEMA dejima_tables GRANT SELECT ON TABLES TO {client};"
    )
}

/// Writes a text as a TOML string; JSON's escapes are all known to TOML.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
