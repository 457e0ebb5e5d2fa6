//! A database whose peer answers at once.

use std::ops::RangeInclusive;

use dejima_core::database::{Database, Installation, Options, install};
use dejima_core::name::PeerName;
use dejima_core::strategy::TableDeclaration;
use dejima_testbed::{Cluster, ClusterOptions, Scratch, connect};
use tokio_postgres::Client;

use crate::measure::Result;

/// Instead of the helper and the peer.
const ANSWER_AT_ONCE: &str = r#"
    CREATE OR REPLACE FUNCTION dejima.call_peer(gid text, round integer, parts integer, capture text) RETURNS text
    LANGUAGE plpgsql AS $$ BEGIN RETURN '{"answer":"voted","participants":["government"]}'; END $$;
    CREATE OR REPLACE FUNCTION dejima.upload_slices(gid text, part integer, s text[]) RETURNS text
    LANGUAGE plpgsql AS $$ BEGIN RETURN '{"answer":"uploaded"}'; END $$"#;

pub(crate) struct Alone {
    pub(crate) superuser: Client,
    database: Database,
    cluster: Cluster,
    _scratch: Scratch,
}

impl Alone {
    /// With these tables.
    pub(crate) async fn start(tables: &str) -> Result<Self> {
        let scratch = Scratch::new()?;
        let options = ClusterOptions {
            durable: true,
            ..ClusterOptions::named("alone")
        };
        let cluster = Cluster::start(&scratch, options)?;
        cluster.create_database("bank")?;
        let superuser_url = cluster.url("postgres", "bank");
        let peer = PeerName::new("bank")?;
        let installation = Installation {
            peer: peer.clone(),
            helper: "/bin/true".into(),
            callback: "unix:/nowhere".into(),
        };
        install(&superuser_url, &installation).await?;
        let superuser = connect(&superuser_url).await?;
        superuser.batch_execute(tables).await?;
        superuser.batch_execute(ANSWER_AT_ONCE).await?;
        let database = Database::connect(Options {
            peer,
            url: cluster.url("dejima", "bank"),
            pool: 2,
            lock_wait_ms_max: 1_000,
        });
        Ok(Self {
            superuser,
            database: database.await?,
            cluster,
            _scratch: scratch,
        })
    }

    /// Serves exactly these Dejima tables.
    pub(crate) async fn declare(&self, tables: &[TableDeclaration]) -> Result<()> {
        self.database.declare(tables).await?;
        Ok(())
    }

    /// A new session of a client.
    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(connect(&self.cluster.url("postgres", "bank")).await?)
    }

    /// A new session of the peer, as for a participant.
    pub(crate) async fn participant(&self) -> Result<Client> {
        Ok(connect(&self.cluster.url("dejima", "bank")).await?)
    }
}

/// What stands in FROM for the rows to be made.
pub(crate) fn series(rows: &RangeInclusive<u64>) -> String {
    format!("generate_series({}, {}) AS i", rows.start(), rows.end())
}
