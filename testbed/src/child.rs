//! A process that belongs to a scratch folder: in a process group of its own, known to the guardian by a pid
//! file, its output in a log file.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::{self, Error};
use crate::packages;
use crate::scratch::Scratch;

/// Says the pid to the guardian, then becomes the program; see guardian.sh on the order.
const LAUNCH: &str = r#"echo $$ >"$1" && ! test -e "$2" && shift 2 && exec "$@""#;

/// How many bytes of a log go into an error.
const LOG_END_BYTES: usize = 4_000;

/// What to start.
pub(crate) struct Program<'a> {
    /// Unique among the running processes of the folder.
    pub(crate) name: &'a str,
    /// The command line.
    pub(crate) command: Vec<OsString>,
    /// Variables to set.
    pub(crate) environment: Vec<(&'a str, OsString)>,
    /// The signal by which the guardian stops it.
    pub(crate) guardian_signal: &'a str,
    /// Where its output is appended.
    pub(crate) log: &'a Path,
}

/// A running process; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pid_file: PathBuf,
    // Kept to the end: the folder must outlive its processes.
    _scratch: Scratch,
}

impl Child {
    /// Starts the program as the user that clusters run as.
    pub(crate) fn start(scratch: &Scratch, program: Program<'_>) -> Result<Self, Error> {
        let name = program.name;
        let pid_file = pid_file(scratch, name, program.guardian_signal);
        let log = File::options()
            .create(true)
            .append(true)
            .open(program.log)
            .map_err(error::io(format!("opening {}", program.log.display())))?;
        let log_too = log.try_clone().map_err(error::io("opening a log twice"))?;
        let process = launch(scratch, name, &pid_file, &program.command)
            .envs(program.environment)
            .stdout(log)
            .stderr(log_too)
            .spawn()
            .map_err(error::io(format!("starting {name}")))?;
        Ok(Self {
            process,
            pid_file,
            _scratch: scratch.clone(),
        })
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, or `None` if it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends a signal; a process that has ended is left in peace.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            send(self.process.id(), signal);
        }
    }

    /// Waits for the end for a bounded time; kills it when the time is over.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let until = std::time::Instant::now() + at_most;
        while std::time::Instant::now() < until {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        None
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        // An error says that it has ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

/// Runs a command to its end as the user that clusters run as, and returns what it printed.
pub(crate) fn run(scratch: &Scratch, command: &[OsString]) -> Result<String, Error> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("run-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let pid_file = pid_file(scratch, &name, "TERM");
    let result = packages::run(launch(scratch, &name, &pid_file, command).env("LC_ALL", "C"));
    let _ = std::fs::remove_file(&pid_file);
    result
}

fn pid_file(scratch: &Scratch, name: &str, guardian_signal: &str) -> PathBuf {
    let folder = scratch.folder().join("pids");
    folder.join(format!("{name}.{guardian_signal}"))
}

fn launch(scratch: &Scratch, name: &str, pid_file: &Path, command: &[OsString]) -> Command {
    let mut launch = Command::new("/bin/sh");
    launch
        .args(["-c", LAUNCH, name])
        .arg(pid_file)
        .arg(scratch.folder().join("stopping"))
        .args(scratch.packages().as_user())
        .args(command)
        .stdin(Stdio::null())
        .current_dir("/")
        .process_group(0);
    launch
}

/// Sends a signal to a process; one that is gone is no error.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The processes of this machine with such a command line.
pub(crate) fn running(is_wanted: impl Fn(&[String]) -> bool) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let wanted = |process: std::fs::DirEntry| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let words: Vec<String> = words.map(String::from).collect();
        is_wanted(&words).then_some(pid)
    };
    processes.flatten().filter_map(wanted).collect()
}

/// The last lines of a log.
pub(crate) fn log_end(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let from = text.len().saturating_sub(LOG_END_BYTES);
    String::from_utf8_lossy(&text[from..]).into_owned()
}
