//! Crash points in the backends of clients: triggers before and after ours, which wait for a lock while the test holds it.
//!
//! Triggers of one event fire in the order of their names, deferred ones too. The last point needs no trigger: with a
//! synchronous standby that does not exist a COMMIT waits when its record is flushed and nobody can see its effect yet.

use dejima_core::crash_point::{CrashPoint, Moment, Step};
use tokio_postgres::Client;

use super::Hit;
use crate::error::{self, Error};
use crate::waits::until_found;
use crate::world::World;

/// Waits while the test holds the lock of this number, and keeps nothing of it. Peers pass.
const STOP: &str = "CREATE SCHEMA crash_point;
    CREATE FUNCTION crash_point.stop() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF session_user <> 'dejima' THEN
        PERFORM pg_catalog.pg_advisory_lock_shared(1, TG_ARGV[0]::integer);
        PERFORM pg_catalog.pg_advisory_unlock_shared(1, TG_ARGV[0]::integer);
      END IF;
      RETURN NULL;
    END $$";

const ON_DECISION_ROW: &str =
    "CREATE CONSTRAINT TRIGGER a_crash_point AFTER INSERT ON dejima.transaction
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crash_point.stop(3);
    CREATE TRIGGER crash_point AFTER UPDATE ON dejima.transaction
      FOR EACH ROW WHEN (NEW.voted) EXECUTE FUNCTION crash_point.stop(4);
    CREATE CONSTRAINT TRIGGER z_crash_point AFTER INSERT ON dejima.transaction
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crash_point.stop(5)";

const WAITS_FOR_LOCK: &str = "SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 1 AND objid = $1::integer::oid AND NOT granted LIMIT 1";

/// $1 is of no use here, and has to be used.
const WAITS_FOR_STANDBY: &str = "SELECT pid FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND usename <> 'dejima' AND $1::integer IS NOT NULL LIMIT 1";

#[derive(Debug)]
pub(super) struct Backends {
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    organisation: String,
    way: Way,
    /// Holds the lock.
    session: Client,
}

/// How a backend is stopped.
#[derive(Clone, Copy, Debug)]
enum Way {
    Lock(i32),
    Standby,
}

impl Way {
    fn of(point: CrashPoint) -> Self {
        match (point.step, point.moment) {
            (Step::Capture, Moment::Before) => Self::Lock(1),
            (Step::Capture, Moment::After) => Self::Lock(2),
            (Step::Hook, Moment::Before) => Self::Lock(3),
            (Step::Hook, Moment::After) => Self::Lock(4),
            (_, Moment::Before) => Self::Lock(5),
            (_, Moment::After) => Self::Standby,
        }
    }
}

impl Backends {
    pub(super) async fn install(world: &World) -> Result<Self, Error> {
        for member in world.members() {
            let database = world.superuser(member.name()).await?;
            let mut statements = vec![STOP.to_owned(), ON_DECISION_ROW.to_owned()];
            let tables = member.organisation().base_tables.iter();
            statements.extend(tables.map(|table| on_base_table(table)));
            for sql in statements {
                let made = database.batch_execute(&sql).await;
                made.map_err(error::database("installing crash points"))?;
            }
        }
        Ok(Self { armed: None })
    }

    pub(super) async fn arm(
        &mut self,
        world: &World,
        organisation: &str,
        point: CrashPoint,
    ) -> Result<(), Error> {
        let session = world.superuser(organisation).await?;
        let way = Way::of(point);
        match way {
            Way::Lock(number) => {
                let sql = format!("SELECT pg_advisory_lock(1, {number})");
                session.batch_execute(&sql).await
            }
            Way::Standby => await_standby(&session, "= 'nobody'").await,
        }
        .map_err(error::database(format!("arming {point}")))?;
        self.armed = Some(Armed {
            organisation: organisation.to_owned(),
            way,
            session,
        });
        Ok(())
    }

    /// Waits for ever if nothing is armed, or if the database is gone.
    pub(super) async fn hit(&self) -> Hit {
        if let Some(armed) = &self.armed
            && let Some(pid) = armed.waiting().await
        {
            return Hit { pid, gid: None };
        }
        std::future::pending().await
    }

    /// What a killed database cannot be told now, it must be told after its start.
    pub(super) async fn disarm(&mut self, world: &World) {
        let Some(armed) = self.armed.take() else {
            return;
        };
        let is_released = match armed.way {
            // The lock ends with the session.
            Way::Lock(_) => true,
            Way::Standby => match world.superuser(&armed.organisation).await {
                Ok(session) => await_standby(&session, "TO DEFAULT").await.is_ok(),
                Err(_) => false,
            },
        };
        if !is_released {
            self.armed = Some(armed);
        }
    }
}

impl Armed {
    async fn waiting(&self) -> Option<u32> {
        let (sql, number) = match self.way {
            Way::Lock(number) => (WAITS_FOR_LOCK, number),
            Way::Standby => (WAITS_FOR_STANDBY, 0),
        };
        let found = until_found(&self.session, sql, &[&number]).await.ok()?;
        u32::try_from(found.get::<_, i32>(0)).ok()
    }
}

async fn await_standby(session: &Client, value: &str) -> Result<(), tokio_postgres::Error> {
    let setting = format!("ALTER SYSTEM SET synchronous_standby_names {value}");
    session.batch_execute(&setting).await?;
    session.batch_execute("SELECT pg_reload_conf()").await
}

fn on_base_table(table: &str) -> String {
    let trigger = |name: &str, number: i32| {
        format!(
            "CREATE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE ON {table}
               FOR EACH STATEMENT EXECUTE FUNCTION crash_point.stop({number})"
        )
    };
    format!(
        "{};{}",
        trigger("a_crash_point", 1),
        trigger("z_crash_point", 2)
    )
}
