//! The server's settings, and those of the role and the database.

use std::collections::BTreeMap;

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::{Finding, or_ok, read_only};
use crate::database::CONTROL_SESSIONS;

pub(super) const CHECK: &str = "settings";

/// `reset_val`: as it was for this session before it set anything itself.
const SETTINGS: &str = "SELECT name::text, reset_val::text FROM pg_settings WHERE name = ANY ($1)";
const NAMES: [&str; 12] = [
    "max_prepared_transactions",
    "fsync",
    "full_page_writes",
    "max_connections",
    "superuser_reserved_connections",
    "default_transaction_read_only",
    "idle_in_transaction_session_timeout",
    "statement_timeout",
    "transaction_timeout",
    "server_version_num",
    "server_version",
    "server_encoding",
];
const SERVER: &str = "SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_prepared_xacts)";
/// ALTER ROLE ... SET and ALTER DATABASE ... SET, as far as they concern this database. What was set since a session
/// began is not in its own settings yet.
const SET: &str = "
SELECT CASE WHEN s.setrole = 0 THEN 'DATABASE ' || quote_ident(current_database())
    ELSE 'ROLE ' || quote_ident(r.rolname) ||
      CASE WHEN s.setdatabase = 0 THEN '' ELSE ' IN DATABASE ' || quote_ident(current_database()) END END,
  coalesce(r.rolname::text, 'dejima'), split_part(c, '=', 1), substring(c FROM position('=' IN c) + 1)
FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole, unnest(s.setconfig) AS c
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY 1, 3";

/// What was read.
#[derive(Debug, Default)]
struct Settings {
    values: BTreeMap<String, String>,
    is_in_recovery: bool,
    prepared: i64,
    set: Vec<Set>,
}

/// A setting of a role or database.
#[derive(Debug)]
struct Set {
    /// As in ALTER ... SET.
    of: String,
    /// Of the role, or `dejima` if it holds for all.
    role: String,
    name: String,
    value: String,
}

pub(super) async fn examine(client: &mut Client, pool: usize) -> Result<Vec<Finding>, Error> {
    let transaction = read_only(client).await?;
    let rows = transaction.query(SETTINGS, &[&NAMES.as_slice()]).await?;
    let server = transaction.query_one(SERVER, &[]).await?;
    let set = transaction.query(SET, &[]).await?;
    let settings = Settings {
        values: rows.iter().map(|row| (row.get(0), row.get(1))).collect(),
        is_in_recovery: server.get(0),
        prepared: server.get(1),
        set: set
            .iter()
            .map(|row| Set {
                of: row.get(0),
                role: row.get(1),
                name: row.get(2),
                value: row.get(3),
            })
            .collect(),
    };
    Ok(settings.judge(pool))
}

impl Settings {
    fn judge(&self, pool: usize) -> Vec<Finding> {
        let all = [
            self.prepared_transactions(pool),
            self.durability(),
            self.connections(pool),
            self.writable(),
            self.timeouts(),
            self.triggers(),
            self.server(),
        ];
        all.into_iter().flatten().collect()
    }

    fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn prepared_transactions(&self, pool: usize) -> Vec<Finding> {
        let check = "max_prepared_transactions";
        let (max, used) = (self.number(check), self.prepared);
        let pool = i64::try_from(pool).unwrap_or(i64::MAX);
        let raise = |to: i64| {
            format!("ALTER SYSTEM SET max_prepared_transactions = {to}; then restart the server")
        };
        vec![if max == 0 {
            Finding::critical(
                check,
                "0: this peer can take part in nothing",
                raise(pool.max(100)),
            )
        } else if used * 10 >= max * 9 {
            let cure = format!("see `dejima tx list` for what hangs, or {}", raise(max * 2));
            Finding::warning(check, format!("{used} of {max} are in use"), cure)
        } else if max < pool {
            let what =
                format!("{max}, and the peer may open {pool} transactions at once (database.pool)");
            Finding::warning(check, what, raise(pool))
        } else {
            Finding::ok(check, format!("{used} of {max} are in use"))
        }]
    }

    fn durability(&self) -> Vec<Finding> {
        let off = ["fsync", "full_page_writes"]
            .into_iter()
            .filter(|name| self.text(name) == "off");
        let faults = off.map(|name| {
            Finding::critical(
                "durability",
                format!("{name} is off: after a crash of the machine a decision may be lost, and copies differ"),
                format!("ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"),
            )
        });
        or_ok(
            "durability",
            faults.collect(),
            "fsync and full_page_writes are on",
        )
    }

    fn connections(&self, pool: usize) -> Vec<Finding> {
        let check = "max_connections";
        let free = self.number(check) - self.number("superuser_reserved_connections");
        let own = i64::try_from(pool + CONTROL_SESSIONS).unwrap_or(i64::MAX);
        let what = format!("the peer may use {own} of {free} connections");
        let cure = format!(
            "ALTER SYSTEM SET max_connections = {}; then restart the server; or lower database.pool",
            own.saturating_mul(4)
        );
        vec![if own >= free {
            Finding::critical(check, format!("{what}: none is left for clients"), cure)
        } else if own * 2 > free {
            Finding::warning(check, what, cure)
        } else {
            Finding::ok(check, what)
        }]
    }

    fn writable(&self) -> Vec<Finding> {
        let check = "writable";
        let mut faults = vec![];
        if self.is_in_recovery {
            faults.push(Finding::critical(
                check,
                "the server is a standby and takes no writes",
                "let database.url name the primary, or SELECT pg_promote()",
            ));
        }
        if self.text("default_transaction_read_only") == "on" {
            faults.push(Finding::critical(
                check,
                "default_transaction_read_only is on for role dejima",
                "ALTER ROLE dejima SET default_transaction_read_only = off; then restart the peer",
            ));
        }
        or_ok(check, faults, "the server takes writes")
    }

    /// A timeout that ends a session of the peer looks like a database that fails.
    fn timeouts(&self) -> Vec<Finding> {
        let names = [
            "idle_in_transaction_session_timeout",
            "statement_timeout",
            "transaction_timeout",
        ];
        let hits = |name: &&str| {
            let of_role = |set: &&Set| set.name == **name && set.role == "dejima";
            // The role's own setting comes last and wins; without one, what the session began with.
            match self.set.iter().rfind(of_role) {
                Some(set) => !is_zero(&set.value),
                None => !is_zero(self.text(name)),
            }
        };
        let faults = names.into_iter().filter(|name| hits(name)).map(|name| {
            Finding::warning(
                "timeouts",
                format!(
                    "{name} is set for role dejima: it may end a put or a PREPARE in the middle"
                ),
                format!("ALTER ROLE dejima SET {name} = 0; then restart the peer"),
            )
        });
        or_ok(
            "timeouts",
            faults.collect(),
            "none ends the peer's own sessions",
        )
    }

    fn triggers(&self) -> Vec<Finding> {
        let escaping = self.set.iter().filter(|set| {
            set.name == "session_replication_role"
                && !["origin", "local"].contains(&set.value.as_str())
        });
        let faults = escaping.map(|set| {
            Finding::critical(
                "capture",
                format!(
                    "session_replication_role = {} of {}: what is changed there is not captured, and copies differ",
                    set.value, set.of
                ),
                format!("ALTER {} RESET session_replication_role; then compare the copies", set.of),
            )
        });
        or_ok(
            "capture",
            faults.collect(),
            "no role or database turns triggers off",
        )
    }

    fn server(&self) -> Vec<Finding> {
        let mut faults = vec![];
        if self.number("server_version_num") < 150_000 {
            faults.push(Finding::critical(
                "server",
                format!(
                    "PostgreSQL {} is not supported",
                    self.text("server_version")
                ),
                "use PostgreSQL 15 or newer",
            ));
        }
        if self.text("server_encoding") != "UTF8" {
            faults.push(Finding::critical(
                "server",
                format!("the database's encoding is {}", self.text("server_encoding")),
                "make a database with ENCODING 'UTF8' TEMPLATE template0, and move to it with pg_dump",
            ));
        }
        or_ok(
            "server",
            faults,
            format!("PostgreSQL {}, UTF8", self.text("server_version")),
        )
    }
}

/// `0`, `0s`, or not there at all (transaction_timeout came with PostgreSQL 17).
fn is_zero(value: &str) -> bool {
    value
        .trim_end_matches(char::is_alphabetic)
        .trim()
        .trim_start_matches('0')
        .is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examine::State;

    fn good() -> Settings {
        let values = [
            ("max_prepared_transactions", "100"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("max_connections", "100"),
            ("superuser_reserved_connections", "3"),
            ("default_transaction_read_only", "off"),
            ("idle_in_transaction_session_timeout", "0"),
            ("statement_timeout", "0"),
            ("server_version_num", "150018"),
            ("server_version", "15.18"),
            ("server_encoding", "UTF8"),
        ];
        Settings {
            values: values
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Settings::default()
        }
    }

    /// Check and state of what is not well.
    fn faults(settings: &Settings) -> Vec<(&'static str, State)> {
        let found = settings.judge(16).into_iter();
        found
            .filter(|f| f.state != State::Ok)
            .map(|f| (f.check, f.state))
            .collect()
    }

    fn with(name: &str, value: &str) -> Vec<(&'static str, State)> {
        let mut settings = good();
        settings.values.insert(name.into(), value.into());
        faults(&settings)
    }

    fn set(role: &str, name: &str, value: &str) -> Vec<(&'static str, State)> {
        let (of, role) = (format!("ROLE {role}"), role.to_owned());
        let (name, value) = (name.to_owned(), value.to_owned());
        faults(&Settings {
            set: vec![Set {
                of,
                role,
                name,
                value,
            }],
            ..good()
        })
    }

    #[test]
    fn each_setting_is_judged_by_what_it_breaks() {
        use State::{Critical, Warning};
        assert_eq!(faults(&good()), []);
        let prepared = "max_prepared_transactions";
        assert_eq!(with(prepared, "0"), [(prepared, Critical)]);
        assert_eq!(with(prepared, "15"), [(prepared, Warning)]);
        assert_eq!(with(prepared, "16"), []);
        assert_eq!(with("fsync", "off"), [("durability", Critical)]);
        assert_eq!(with("full_page_writes", "off"), [("durability", Critical)]);
        assert_eq!(
            with("max_connections", "23"),
            [("max_connections", Critical)]
        );
        assert_eq!(
            with("max_connections", "40"),
            [("max_connections", Warning)]
        );
        assert_eq!(
            with("default_transaction_read_only", "on"),
            [("writable", Critical)]
        );
        assert_eq!(with("statement_timeout", "30000"), [("timeouts", Warning)]);
        assert_eq!(with("server_version_num", "140002"), [("server", Critical)]);
        assert_eq!(with("server_encoding", "LATIN1"), [("server", Critical)]);
    }

    #[test]
    fn what_is_set_for_a_role_counts_before_its_next_session() {
        use State::{Critical, Warning};
        assert_eq!(
            set("dejima", "statement_timeout", "1min"),
            [("timeouts", Warning)]
        );
        assert_eq!(set("dejima", "statement_timeout", "0s"), []);
        assert_eq!(set("clerk", "statement_timeout", "1min"), []);
        assert_eq!(
            set("clerk", "session_replication_role", "replica"),
            [("capture", Critical)]
        );
        assert_eq!(set("clerk", "session_replication_role", "origin"), []);
    }

    #[test]
    fn nearly_used_up_is_a_warning() {
        let used = |prepared| faults(&Settings { prepared, ..good() });
        assert_eq!(used(89), []);
        assert_eq!(used(90), [("max_prepared_transactions", State::Warning)]);
    }
}
