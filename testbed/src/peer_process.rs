//! A running `dejima-peer`.

use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::address::connect_channel;
use crate::binaries::Binaries;
use crate::child::{self, Child, Program};
use crate::error::{self, Error};
use crate::scratch::Scratch;

/// How long a peer may take until it serves: it waits for its seeds.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a peer may take to end by itself: it finishes its transactions.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Between two questions whether it serves.
const READY_POLL: Duration = Duration::from_millis(10);

/// What a peer reads: its configuration and the declarations of its Dejima tables.
#[derive(Clone, Debug)]
pub struct PeerFiles {
    /// The peer's name; also of its folder and its configuration file.
    pub name: String,
    /// The text of `NAME.toml`.
    pub configuration: String,
    /// Further files in its folder, such as `types/bank.toml`, with their text.
    pub others: Vec<(PathBuf, String)>,
    /// Variables that the process gets.
    pub environment: Vec<(String, OsString)>,
}

/// A process of `dejima-peer` with its files and its log in a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct PeerProcess {
    scratch: Scratch,
    program: PathBuf,
    name: String,
    folder: PathBuf,
    environment: Vec<(String, OsString)>,
    process: Option<Child>,
}

impl PeerProcess {
    /// Writes the files; starts nothing yet.
    pub fn prepare(
        scratch: &Scratch,
        binaries: &Binaries,
        files: &PeerFiles,
    ) -> Result<Self, Error> {
        let folder = Self::folder_of(scratch, &files.name);
        if !folder.exists() {
            scratch.make_private_folder(&format!("peer-{}", files.name))?;
        }
        let peer = Self {
            scratch: scratch.clone(),
            program: binaries.peer.clone(),
            name: files.name.clone(),
            folder,
            environment: files.environment.clone(),
            process: None,
        };
        peer.write_files(files)?;
        Ok(peer)
    }

    /// Where a peer's files are (and its socket, see [`Self::local_address`]), also before it is prepared.
    pub fn folder_of(scratch: &Scratch, name: &str) -> PathBuf {
        scratch.folder().join(format!("peer-{name}"))
    }

    /// The address for a peer's helper and operator.
    pub fn local_address(scratch: &Scratch, name: &str) -> String {
        format!("unix:{}", Self::socket_of(scratch, name).display())
    }

    fn socket_of(scratch: &Scratch, name: &str) -> PathBuf {
        Self::folder_of(scratch, name).join("peer.sock")
    }

    /// Writes the files anew; the next start reads them.
    pub fn write_files(&self, files: &PeerFiles) -> Result<(), Error> {
        write(&self.configuration(), &files.configuration)?;
        files
            .others
            .iter()
            .try_for_each(|(path, text)| write(&self.folder.join(path), text))
    }

    /// Starts the process; see [`Self::wait_until_ready`].
    pub fn start(&mut self) -> Result<(), Error> {
        self.kill();
        let log = self.log();
        let program = Program {
            name: &format!("peer-{}", self.name),
            command: vec![
                self.program.clone().into(),
                "--config".into(),
                self.configuration().into(),
            ],
            environment: self
                .environment
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect(),
            guardian_signal: "KILL",
            log: &log,
        };
        self.process = Some(Child::start(&self.scratch, program)?);
        Ok(())
    }

    /// Waits until the peer says SERVING on its local address: its database is reached and its groups are known.
    pub async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let local = Self::local_address(&self.scratch, &self.name);
        let channel = connect_channel(&local).expect("a path in the scratch folder is an address");
        let mut health = HealthClient::new(channel);
        let until = Instant::now() + READY_MAX;
        loop {
            let answer = health.check(HealthCheckRequest::default()).await;
            if matches!(&answer, Ok(status) if status.get_ref().status() == ServingStatus::Serving)
            {
                return Ok(());
            }
            self.pause(until, &answer).await?;
        }
    }

    /// Waits until the peer takes calls on its local address: its database is reached, its groups may be unknown.
    pub async fn wait_until_listening(&mut self) -> Result<(), Error> {
        let socket = Self::socket_of(&self.scratch, &self.name);
        let until = Instant::now() + READY_MAX;
        loop {
            match UnixStream::connect(&socket).await {
                Ok(_) => return Ok(()),
                refused => self.pause(until, &refused).await?,
            }
        }
    }

    /// Waits before the next question; an error if the process has ended or the time is over.
    async fn pause(&mut self, until: Instant, answer: &impl Debug) -> Result<(), Error> {
        let why = match self.process.as_mut().map(Child::ended) {
            None => "it was not started".to_owned(),
            Some(Some(status)) => status.to_string(),
            Some(None) if Instant::now() > until => {
                format!("waited {READY_MAX:?}, then {answer:?}")
            }
            Some(None) => {
                tokio::time::sleep(READY_POLL).await;
                return Ok(());
            }
        };
        Err(Error::NotReady {
            name: format!("peer {}", self.name),
            why,
            log: child::log_end(&self.log()),
        })
    }

    /// SIGTERM, and waits until the peer has finished its transactions and ended. True if it ended with 0 and
    /// in time.
    pub async fn stop(&mut self) -> bool {
        let Some(mut process) = self.process.take() else {
            return true;
        };
        process.signal(Signal::TERM);
        let ended = tokio::task::spawn_blocking(move || process.wait(STOP_MAX)).await;
        matches!(ended, Ok(Some(status)) if status.success())
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGSTOP: the peer is there and says nothing.
    pub fn freeze(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::STOP);
        }
    }

    /// SIGCONT after [`Self::freeze`].
    pub fn thaw(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::CONT);
        }
    }

    /// True while the process runs.
    pub fn runs(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    /// The id of the process, if it was started.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::pid)
    }

    /// The log of all starts.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.name))
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let what = || format!("writing {}", path.display());
    let folder = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(folder).map_err(error::io(what()))?;
    std::fs::write(path, text).map_err(error::io(what()))
}
