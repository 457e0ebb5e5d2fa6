//! A private PostgreSQL that is thrown away.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{self, Child, Program};
use crate::error::{self, Error};
use crate::scratch::{SOCKET_PATH_BYTES_MAX, Scratch};

/// How long a start may take; recovery after a kill is part of it.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a stop may take before it becomes a kill.
const STOP_MAX: Duration = Duration::from_secs(30);

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Unique in its scratch folder; goes into paths.
    pub name: String,
    /// False: fsync is off. A kill of the server is survived all the same, only not a crash of the machine.
    pub durable: bool,
    /// 0 is PostgreSQL's default, with which a peer refuses to start.
    pub max_prepared_transactions: u32,
    /// Variables that the server, its backends and the helpers that they start get.
    pub environment: Vec<(String, OsString)>,
}

impl ClusterOptions {
    /// For tests: not durable, ready for prepared transactions.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            durable: false,
            max_prepared_transactions: 100,
            environment: Vec::new(),
        }
    }
}

/// How a cluster is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Ends sessions, writes a checkpoint.
    Fast,
    /// Stops at once; the next start recovers.
    Immediate,
}

/// A running (or stopped) PostgreSQL server with its data in the scratch folder. It listens on a unix socket
/// only, in a folder that only its own user (and root) may enter, and trusts everybody there. Superuser:
/// `postgres`. Stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    scratch: Scratch,
    options: ClusterOptions,
    folder: PathBuf,
    server: Option<Child>,
}

impl Cluster {
    /// Makes the cluster and starts it. Blocks until it accepts connections (about 0.2 s; the first cluster of
    /// a scratch folder takes a second more).
    pub fn start(scratch: &Scratch, options: ClusterOptions) -> Result<Self, Error> {
        let template = scratch.template(|folder| initialise(scratch, folder))?;
        let folder = scratch.make_private_folder(&format!("pg-{}", options.name))?;
        let socket = folder.join(".s.PGSQL.5432");
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(Error::LongPath(socket));
        }
        let data = folder.join("data");
        let copy: [OsString; 5] = [
            "cp".into(),
            "-a".into(),
            "--reflink=auto".into(),
            template.join("data").into(),
            data.clone().into(),
        ];
        child::run(scratch, &copy)?;
        scratch.make_private_folder(&format!("pg-{}/tmp", options.name))?;
        append(&data.join("postgresql.conf"), &settings(&folder, &options))?;
        let mut cluster = Self {
            scratch: scratch.clone(),
            options,
            folder,
            server: None,
        };
        cluster.start_again()?;
        Ok(cluster)
    }

    /// Starts a cluster that was stopped or killed (one that runs is stopped first), and blocks until it accepts connections.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.stop(Shutdown::Fast);
        let name = format!("pg-{}", self.options.name);
        let log = self.log();
        let ready_file = self.folder.join("data/postmaster.pid");
        let _ = std::fs::remove_file(&ready_file);
        let postgres = self.scratch.packages().program("postgres");
        let mut environment = vec![
            ("TMPDIR", self.folder.join("tmp").into()),
            ("LC_ALL", "C.UTF-8".into()),
        ];
        let more = self.options.environment.iter();
        environment.extend(more.map(|(name, value)| (name.as_str(), value.clone())));
        let program = Program {
            name: &name,
            command: vec![
                postgres.into(),
                "-D".into(),
                self.folder.join("data").into(),
            ],
            environment,
            guardian_signal: "QUIT",
            log: &log,
        };
        let mut server = Child::start(&self.scratch, program)?;
        let until = Instant::now() + START_MAX;
        while !says_ready(&ready_file) {
            let ended = server.ended();
            if ended.is_some() || Instant::now() > until {
                let why = ended.map_or_else(
                    || format!("waited {START_MAX:?}"),
                    |status| status.to_string(),
                );
                return Err(Error::NotReady {
                    name,
                    why,
                    log: child::log_end(&log),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.server = Some(server);
        Ok(())
    }

    /// Stops the server and blocks until it has ended.
    pub fn stop(&mut self, how: Shutdown) {
        if let Some(mut server) = self.server.take() {
            server.signal(match how {
                Shutdown::Fast => Signal::INT,
                Shutdown::Immediate => Signal::QUIT,
            });
            server.wait(STOP_MAX);
        }
    }

    /// SIGKILL to the server and to every process of it, as if the power had failed.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Stopped first, so that no process is born while we look; killed last, because a session that sees its
            // server dead ends in order and gives its locks to another, which may still commit.
            server.signal(Signal::STOP);
            let processes = children_of(server.pid());
            for process in &processes {
                child::send(*process, Signal::KILL);
            }
            server.kill();
            wait_until_gone(&processes);
        }
    }

    /// SIGSTOP to the process of a session, as if it hung. True if it is a session of this server.
    pub fn freeze_session(&self, pid: u32) -> bool {
        self.signal_session(pid, Signal::STOP)
    }

    /// SIGCONT after [`Self::freeze_session`].
    pub fn thaw_session(&self, pid: u32) -> bool {
        self.signal_session(pid, Signal::CONT)
    }

    /// SIGKILL to the process of a session. The server then ends all sessions and recovers by itself.
    pub fn kill_session(&self, pid: u32) -> bool {
        self.signal_session(pid, Signal::KILL)
    }

    fn signal_session(&self, pid: u32, signal: Signal) -> bool {
        let is_ours = self
            .server
            .as_ref()
            .is_some_and(|server| children_of(server.pid()).contains(&pid));
        if is_ours {
            child::send(pid, signal);
        }
        is_ours
    }

    /// SIGKILL to one of the helpers that sessions wait for at this moment. False if there is none.
    pub fn kill_helper(&self) -> bool {
        let sessions = self
            .server
            .iter()
            .flat_map(|server| children_of(server.pid()));
        let helper = sessions.flat_map(children_of).find(|pid| is_helper(*pid));
        helper
            .inspect(|pid| child::send(*pid, Signal::KILL))
            .is_some()
    }

    /// The folder of the socket: the `host` of a connection string.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The connection string for a role and a database.
    pub fn url(&self, role: &str, database: &str) -> String {
        let host = quote_setting(&self.folder.display().to_string());
        format!(
            "host={host} user={} dbname={}",
            quote_setting(role),
            quote_setting(database)
        )
    }

    /// Creates a database.
    pub fn create_database(&self, name: &str) -> Result<(), Error> {
        self.create_database_with(name, "")
    }

    /// Creates a database with options as CREATE DATABASE has them; a locale, say.
    pub fn create_database_with(&self, name: &str, options: &str) -> Result<(), Error> {
        let sql = format!("CREATE DATABASE {} {options}", quote_identifier(name));
        self.run_sql("postgres", &sql).map(drop)
    }

    /// Runs SQL as superuser with psql, stops at the first error, and returns the rows (unaligned, without
    /// headers, columns apart by `|`). Blocks.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let psql = self.scratch.packages().program("psql");
        let mut command: Vec<OsString> = vec![psql.into()];
        command.extend(
            [
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                sql,
                "-d",
            ]
            .map(OsString::from),
        );
        command.push(self.url("postgres", database).into());
        child::run(&self.scratch, &command)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Shutdown::Immediate);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Writes a name as an SQL identifier.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Writes a value as connection strings want it; plain ones stay as they are.
fn quote_setting(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Runs initdb into `folder/data`.
fn initialise(scratch: &Scratch, folder: &Path) -> Result<(), Error> {
    let packages = scratch.packages();
    let mut command: Vec<OsString> = vec![
        packages.program("initdb").into(),
        "-D".into(),
        folder.join("data").into(),
    ];
    let options = [
        "-U",
        "postgres",
        "--auth=trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ];
    command.extend(options.map(OsString::from));
    child::run(scratch, &command).map(drop)
}

/// Small, and nothing outside the folder: dynamic shared memory in the data folder too.
fn settings(folder: &Path, options: &ClusterOptions) -> String {
    let durable = if options.durable { "on" } else { "off" };
    format!(
        "listen_addresses = ''\n\
         unix_socket_directories = '{}'\n\
         max_connections = 200\n\
         max_prepared_transactions = {}\n\
         shared_buffers = 64MB\n\
         dynamic_shared_memory_type = mmap\n\
         fsync = {durable}\n\
         full_page_writes = {durable}\n\
         log_line_prefix = '%m [%p] %q%u@%d '\n\
         cluster_name = '{}'\n",
        folder.display(),
        options.max_prepared_transactions,
        options.name,
    )
}

fn append(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    let what = || format!("writing {}", path.display());
    let mut file = std::fs::File::options()
        .append(true)
        .open(path)
        .map_err(error::io(what()))?;
    file.write_all(text.as_bytes()).map_err(error::io(what()))
}

/// The eighth line of postmaster.pid is the server's state (PostgreSQL, src/include/utils/pidfile.h).
fn says_ready(pid_file: &Path) -> bool {
    std::fs::read_to_string(pid_file).is_ok_and(|text| {
        text.lines()
            .nth(7)
            .is_some_and(|state| state.trim() == "ready")
    })
}

fn children_of(pid: u32) -> Vec<u32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn is_helper(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    program.ends_with(b"/dejima-callback")
}

/// A server does not start again while a process of its former life is attached to its shared memory.
fn wait_until_gone(processes: &[u32]) {
    let until = Instant::now() + STOP_MAX;
    let lives = |pid: &u32| Path::new(&format!("/proc/{pid}/root")).read_link().is_ok();
    while processes.iter().any(lives) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_survives_every_kind_of_stop() {
        let scratch = Scratch::new().unwrap();
        let mut cluster = Cluster::start(&scratch, ClusterOptions::named("one")).unwrap();
        cluster.create_database("it \"is\"").unwrap();
        cluster
            .run_sql("it \"is\"", "CREATE TABLE t AS SELECT 7 AS n")
            .unwrap();
        let stops: [fn(&mut Cluster); 3] = [
            |c| c.stop(Shutdown::Fast),
            |c| c.stop(Shutdown::Immediate),
            |c| c.kill(),
        ];
        for stop in stops {
            stop(&mut cluster);
            assert!(cluster.run_sql("postgres", "SELECT 1").is_err());
            cluster.start_again().unwrap();
            assert_eq!(
                cluster.run_sql("it \"is\"", "SELECT n FROM t").unwrap(),
                "7"
            );
        }
        assert_eq!(
            cluster
                .run_sql("postgres", "SHOW max_prepared_transactions")
                .unwrap(),
            "100"
        );
    }
}
