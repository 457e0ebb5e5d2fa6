//! One temporary folder for everything, and the guardian that removes it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use crate::error::{self, Error};
use crate::packages::{self, Packages};

/// The longest path of a unix socket that we use; `sun_path` has 108 bytes, and names follow the folder's.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 100;
/// What the folder's own name and the names within it may add.
const SOCKET_NAME_BYTES: usize = 74;

/// A temporary folder with everything that the testbed writes and starts. Clones share it.
///
/// When the last clone is dropped, all processes started in it are stopped and the folder is removed. The
/// same happens when this process dies without dropping anything (SIGKILL, abort, a static never dropped):
/// a small `sh` reads from a pipe of which only we hold the other end, and tidies up when the pipe ends.
#[derive(Clone, Debug)]
pub struct Scratch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    guardian: Option<Child>,
    packages: Packages,
    template: OnceLock<PathBuf>,
    template_lock: std::sync::Mutex<()>,
}

impl Scratch {
    /// Makes the folder and starts its guardian; finds (or installs, see [`Packages`]) PostgreSQL first.
    pub fn new() -> Result<Self, Error> {
        let packages = Packages::find_or_install()?;
        let folder = make_folder().map_err(error::io("making a temporary folder"))?;
        let guardian =
            start_guardian(&folder).map_err(error::io("starting the folder's guardian"))?;
        Ok(Self(Arc::new(Inner {
            folder,
            guardian: Some(guardian),
            packages,
            template: OnceLock::new(),
            template_lock: std::sync::Mutex::new(()),
        })))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The PostgreSQL that clusters of this folder use.
    pub fn packages(&self) -> &Packages {
        &self.0.packages
    }

    /// Makes a folder that only the user of the clusters and peers (and root) may enter.
    pub fn make_private_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.folder().join(name);
        let what = || format!("making the folder {}", folder.display());
        std::fs::create_dir(&folder).map_err(error::io(what()))?;
        self.0.packages.give(&folder).map_err(error::io(what()))?;
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700))
            .map_err(error::io(what()))?;
        Ok(folder)
    }

    /// The folder of an initialised cluster to be copied; `make` fills it at the first call.
    pub(crate) fn template(
        &self,
        make: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<&Path, Error> {
        let _one_at_a_time = self.0.template_lock.lock();
        if let Some(template) = self.0.template.get() {
            return Ok(template);
        }
        let folder = self.make_private_folder("template")?;
        make(&folder)?;
        Ok(self.0.template.get_or_init(|| folder))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            drop(guardian.stdin.take());
            // Nobody is left to be told; and it can only fail if someone else reaps our children.
            let _ = guardian.wait();
        }
    }
}

/// Makes an empty folder which everybody may pass through but not list: clusters and peers that run as user
/// postgres have their own folders in it. It is in TMPDIR, or in /tmp if sockets in there would have too long
/// names or user postgres could not get there.
fn make_folder() -> io::Result<PathBuf> {
    let wanted = std::env::temp_dir();
    let fits = wanted.as_os_str().len() + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX;
    let is_open = !packages::is_root() || wanted.ancestors().all(lets_pass);
    let base = if fits && is_open {
        wanted
    } else {
        PathBuf::from("/tmp")
    };
    let folder = tempfile::Builder::new()
        .prefix("dejima-")
        .tempdir_in(base)?
        .keep();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o711))?;
    std::fs::create_dir(folder.join("pids"))?;
    std::fs::create_dir(folder.join("bin"))?;
    Ok(folder)
}

fn lets_pass(folder: &Path) -> bool {
    const OTHERS_EXECUTE: u32 = 0o001;
    std::fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & OTHERS_EXECUTE != 0)
}

fn start_guardian(folder: &Path) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", include_str!("guardian.sh"), "dejima-guardian"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
}

/// Puts a copy of a file into the folder, executable by everybody.
pub(crate) fn place_executable(
    scratch: &Scratch,
    from: &Path,
    name: &str,
) -> Result<PathBuf, Error> {
    let to = scratch.folder().join("bin").join(name);
    if !to.exists() {
        let what = || format!("copying {} to {}", from.display(), to.display());
        std::fs::copy(from, &to).map_err(error::io(what()))?;
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755))
            .map_err(error::io(what()))?;
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::cluster::{Cluster, ClusterOptions};

    const OWNER: &str = "DEJIMA_TESTBED_OWNER";

    /// Not a test by itself: the process that the next test kills.
    #[test]
    fn owner() {
        if std::env::var_os(OWNER).is_none() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        let cluster = Cluster::start(&scratch, ClusterOptions::named("one")).unwrap();
        println!(
            "\nfolder {} {}",
            scratch.folder().display(),
            cluster.url("postgres", "postgres")
        );
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn a_killed_owner_leaves_nothing() {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "scratch::tests::owner", "--nocapture"])
            .env(OWNER, "yes")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let line = lines
            .map(Result::unwrap)
            .find(|line| line.starts_with("folder "))
            .unwrap();
        let folder = line.split(' ').nth(1).unwrap().to_owned();
        assert!(processes_of(&folder) > 1, "guardian and server");

        owner.kill().unwrap();
        owner.wait().unwrap();

        let until = Instant::now() + Duration::from_secs(30);
        while (Path::new(&folder).exists() || processes_of(&folder) > 0) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!Path::new(&folder).exists(), "{folder} is gone");
        assert_eq!(processes_of(&folder), 0);
    }

    #[test]
    fn a_dropped_scratch_leaves_nothing() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.folder().to_owned();
        let cluster = Cluster::start(&scratch, ClusterOptions::named("one")).unwrap();
        drop(scratch);
        assert!(folder.exists(), "the cluster is still in it");
        drop(cluster);
        assert!(!folder.exists());
    }

    fn processes_of(folder: &str) -> usize {
        let command_line = |process: &std::fs::DirEntry| {
            std::fs::read(process.path().join("cmdline")).unwrap_or_default()
        };
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|process| String::from_utf8_lossy(&command_line(process)).contains(folder))
            .count()
    }
}
