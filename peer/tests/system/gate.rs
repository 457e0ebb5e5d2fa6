//! A gate in front of the end of a transaction, made of a trigger that waits for a lock which the test holds. Chosen
//! transactions come to a stop there; all others pass.

use std::time::{Duration, Instant};

use dejima_testbed::World;
use tokio_postgres::Client;

use crate::fixture::run;

/// How long a transaction may take to come to the gate.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);
/// Nothing signals that a session waits for a lock.
const ARRIVAL_POLL: Duration = Duration::from_millis(5);

/// A gate in one database. It is closed at first, and opens for good if it is dropped.
pub(crate) struct Gate {
    /// Holds the lock.
    keeper: Client,
}

impl Gate {
    /// Stops sessions of clients that have said `SET gate.waits = 'yes'`: after the hook has returned, before their
    /// COMMIT record. Deferred triggers of one row run in the order of their names.
    pub(crate) async fn before_commit(world: &World, peer: &str) -> Self {
        let trigger = "AFTER INSERT ON dejima.transaction DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (current_setting('gate.waits', true) = 'yes')";
        Self::install(world, peer, trigger).await
    }

    /// Stops participants that change a person with this last name: in the midst of PREPARE TRANSACTION.
    pub(crate) async fn before_prepare(
        world: &World,
        peer: &str,
        table: &str,
        last_name: &str,
    ) -> Self {
        let trigger = format!(
            "AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (session_user = 'dejima' AND NEW.last_name = '{last_name}')"
        );
        Self::install(world, peer, &trigger).await
    }

    async fn install(world: &World, peer: &str, trigger: &str) -> Self {
        let keeper = world.superuser(peer).await.expect("a connection");
        let sql = format!(
            "CREATE FUNCTION public.wait_at_gate() RETURNS trigger
             LANGUAGE plpgsql SET search_path = pg_catalog SET lock_timeout = 0
             AS $$ BEGIN
               PERFORM pg_advisory_lock_shared(7, 7);
               PERFORM pg_advisory_unlock_shared(7, 7);
               RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER wait_at_gate {trigger} EXECUTE FUNCTION public.wait_at_gate()"
        );
        run(&keeper, &sql).await;
        let gate = Self { keeper };
        gate.close().await;
        gate
    }

    /// Whoever comes now waits.
    pub(crate) async fn close(&self) {
        run(&self.keeper, "SELECT pg_advisory_lock(7, 7)").await;
    }

    /// Lets those go who wait, and everybody who comes.
    pub(crate) async fn open(&self) {
        run(&self.keeper, "SELECT pg_advisory_unlock(7, 7)").await;
    }

    /// Waits until a session waits at the gate, and returns its process.
    pub(crate) async fn arrival(&self) -> u32 {
        let sql = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND (classid, objid, objsubid) = (7, 7, 2)
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let until = Instant::now() + ARRIVAL_MAX;
        loop {
            let waiting = self.keeper.query_opt(sql, &[]).await;
            if let Some(session) = waiting.expect("a superuser may look") {
                return session.get::<_, i32>(0).unsigned_abs();
            }
            assert!(Instant::now() < until, "nobody came to the gate");
            tokio::time::sleep(ARRIVAL_POLL).await;
        }
    }
}
