//! Which PostgreSQL the machine has, and how it gets one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{self, Error};

/// The oldest version that we claim.
const VERSION_MIN: u32 = 15;
/// Where Debian's packages put each version.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
/// Says to Debian's packages not to create and start a cluster of their own.
const NO_DEFAULT_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/dejima-testbed.conf";

/// A PostgreSQL with plsh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// The major version.
    pub version: u32,
    /// The folder of `postgres`, `initdb` and `psql`.
    pub programs: PathBuf,
    /// The user that the servers run as if we are root, which PostgreSQL refuses to run as.
    user: Option<User>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

impl Packages {
    /// The newest PostgreSQL of this machine that has plsh. If there is none, we are root and the machine has
    /// apt-get, it is installed, and standard error says so; otherwise the error names the command.
    pub fn find_or_install() -> Result<Self, Error> {
        static ONCE: std::sync::Mutex<Option<Packages>> = std::sync::Mutex::new(None);
        let mut found = ONCE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(packages) = found.as_ref() {
            return Ok(packages.clone());
        }
        let packages = match Self::find() {
            Some(packages) => packages,
            None => install()?,
        };
        *found = Some(packages.clone());
        Ok(packages)
    }

    fn find() -> Option<Self> {
        let user = if is_root() {
            Some(postgres_user()?)
        } else {
            None
        };
        let (version, programs) = program_folders()
            .into_iter()
            .filter(|(_, programs)| has_plsh(programs))
            .max_by_key(|(version, _)| *version)?;
        Some(Self {
            version,
            programs,
            user,
        })
    }

    /// The path of one of PostgreSQL's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// What goes before a command line so that it runs as the servers' user.
    pub(crate) fn as_user(&self) -> Vec<OsString> {
        match &self.user {
            None => Vec::new(),
            Some(User { uid, gid }) => vec![
                "setpriv".into(),
                format!("--reuid={uid}").into(),
                format!("--regid={gid}").into(),
                "--init-groups".into(),
                "--".into(),
            ],
        }
    }

    /// Gives a file or folder to the servers' user.
    pub(crate) fn give(&self, path: &Path) -> std::io::Result<()> {
        match &self.user {
            None => Ok(()),
            Some(User { uid, gid }) => std::os::unix::fs::chown(path, Some(*uid), Some(*gid)),
        }
    }
}

/// Runs a command to its end, in the root folder.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let line = format!("{command:?}");
    let output = command
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(error::io(format!("running {line}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Command {
        command: line,
        status: output.status.to_string(),
        output: format!("{}\n{}", text(&output.stdout), text(&output.stderr)),
    })
}

/// Folders of programs with their major versions.
fn program_folders() -> Vec<(u32, PathBuf)> {
    let debian = std::fs::read_dir(DEBIAN_FOLDER)
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    if let Ok(folder) = run(Command::new("pg_config").arg("--bindir")) {
        folders.push(folder.into());
    }
    folders.retain(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    folders
        .into_iter()
        .filter_map(|folder| Some((version(&folder)?, folder)))
        .filter(|(version, _)| *version >= VERSION_MIN)
        .collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian ...)` is version 15.
fn version(programs: &Path) -> Option<u32> {
    let text = run(Command::new(programs.join("postgres")).arg("--version")).ok()?;
    let number = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let major: String = number.chars().take_while(char::is_ascii_digit).collect();
    major.parse().ok()
}

/// Debian's `pg_config` in PATH belongs to the newest libpq, so the one beside the server is asked first; the
/// server packages of Debian have none, but a share folder with a fixed name.
fn has_plsh(programs: &Path) -> bool {
    let control = "extension/plsh.control";
    let debian = programs.parent().and_then(Path::file_name).map(|version| {
        Path::new("/usr/share/postgresql")
            .join(version)
            .join(control)
    });
    let own = run(Command::new(programs.join("pg_config")).arg("--sharedir")).ok();
    own.map(|share| Path::new(&share).join(control))
        .into_iter()
        .chain(debian)
        .any(|path| path.is_file())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn postgres_user() -> Option<User> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some(User {
        uid: numbers.next()?.ok()?,
        gid: numbers.next()?.ok()?,
    })
}

/// Installs Debian's or Ubuntu's packages.
fn install() -> Result<Packages, Error> {
    let has_apt = Path::new("/usr/bin/apt-get").exists();
    if !(is_root() && has_apt) {
        let have = program_folders()
            .into_iter()
            .map(|(version, _)| version)
            .max();
        return Err(missing(have, has_apt));
    }
    eprintln!(
        "PostgreSQL {VERSION_MIN} or later with plsh is not on this machine: installing it with apt-get ..."
    );
    apt_get(&["update"])?;
    let version = version_to_install().ok_or_else(|| missing(None, has_apt))?;
    apt_get(&[
        "install",
        "--yes",
        "--no-install-recommends",
        "postgresql-common",
    ])?;
    let guard = NoDefaultCluster::new()?;
    eprintln!("Installing postgresql-{version} and postgresql-{version}-plsh ...");
    let names = [
        format!("postgresql-{version}"),
        format!("postgresql-{version}-plsh"),
    ];
    let installed = apt_get(&[
        "install",
        "--yes",
        "--no-install-recommends",
        &names[0],
        &names[1],
    ]);
    drop(guard);
    installed?;
    Packages::find().ok_or_else(|| missing(Some(version), has_apt))
}

fn missing(version: Option<u32>, has_apt: bool) -> Error {
    let number = version.map_or_else(|| "VERSION".to_owned(), |v| v.to_string());
    let command = format!("apt-get install postgresql-{number} postgresql-{number}-plsh");
    let cure = if has_apt {
        format!("install it: sudo {command}")
    } else {
        format!("install PostgreSQL and the extension plsh (on Debian or Ubuntu: sudo {command})")
    };
    Error::Missing {
        what: format!("PostgreSQL {VERSION_MIN} or later with the extension plsh"),
        cure,
    }
}

pub(crate) fn apt_get(arguments: &[&str]) -> Result<String, Error> {
    run(Command::new("apt-get")
        .args(["--quiet", "--option", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C"))
}

/// The version that is here without plsh, else the newest for which the distribution has plsh.
fn version_to_install() -> Option<u32> {
    let listing =
        run(Command::new("apt-cache").args(["search", "--names-only", "^postgresql-[0-9]+-plsh$"]))
            .ok()?;
    let offered: Vec<u32> = listing
        .lines()
        .filter_map(|line| {
            line.strip_prefix("postgresql-")?
                .split('-')
                .next()?
                .parse()
                .ok()
        })
        .filter(|version| *version >= VERSION_MIN)
        .collect();
    let here = program_folders().into_iter().map(|(version, _)| version);
    here.filter(|version| offered.contains(version))
        .max()
        .or_else(|| offered.iter().copied().max())
}

/// Keeps Debian's package from making a cluster of its own; what was configured before holds again afterwards.
struct NoDefaultCluster;

impl NoDefaultCluster {
    fn new() -> Result<Self, Error> {
        let what = format!("writing {NO_DEFAULT_CLUSTER}");
        let folder = Path::new(NO_DEFAULT_CLUSTER)
            .parent()
            .expect("the path has a folder");
        std::fs::create_dir_all(folder).map_err(error::io(what.clone()))?;
        std::fs::write(NO_DEFAULT_CLUSTER, "create_main_cluster = false\n")
            .map_err(error::io(what))?;
        Ok(Self)
    }
}

impl Drop for NoDefaultCluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(NO_DEFAULT_CLUSTER);
    }
}
