//! Where the programs are that the testbed starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::error::{self, Error};
use crate::scratch::{self, Scratch};

/// The daemon and the helper, copied into a scratch folder: the user that runs them may have no way into the
/// checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// `dejima-peer`.
    pub peer: PathBuf,
    /// `dejima-callback`.
    pub callback: PathBuf,
}

/// Which programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edition {
    /// Those that everybody runs.
    #[default]
    Ordinary,
    /// Those that stop at crash points. They have a target folder of their own, so that nobody takes one for the
    /// other.
    CrashPoints,
}

impl Edition {
    fn suffix(self) -> &'static str {
        match self {
            Self::Ordinary => "",
            Self::CrashPoints => "-with-crash-points",
        }
    }
}

impl Binaries {
    /// Finds the programs and copies them.
    ///
    /// Under cargo (`cargo run`, `cargo test`, `cargo bench`) they are built first, in the profile of the
    /// running program, so that they are never older than the sources. Otherwise they are those beside the
    /// running program.
    pub fn place(scratch: &Scratch) -> Result<Self, Error> {
        Self::place_edition(scratch, Edition::Ordinary)
    }

    /// The same for an edition.
    pub(crate) fn place_edition(scratch: &Scratch, edition: Edition) -> Result<Self, Error> {
        static ONE_AT_A_TIME: Mutex<BTreeMap<Edition, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut found = ONE_AT_A_TIME
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = match found.get(&edition) {
            Some(folder) => folder.clone(),
            None => find(edition)?,
        };
        let place = |name: &str| {
            let placed = format!("{name}{}", edition.suffix());
            scratch::place_executable(scratch, &folder.join(name), &placed)
        };
        let binaries = Self {
            peer: place("dejima-peer")?,
            callback: place("dejima-callback")?,
        };
        found.insert(edition, folder);
        Ok(binaries)
    }
}

fn find(edition: Edition) -> Result<PathBuf, Error> {
    let executable = std::env::current_exe().map_err(error::io("finding the running program"))?;
    let beside = executable.parent().expect("a program is in a folder");
    // Tests and benchmarks are in `deps`, below the folder of the programs.
    let folder = if beside.ends_with("deps") {
        beside.parent().unwrap_or(beside)
    } else {
        beside
    };
    let folder = match (edition, folder.parent().zip(folder.file_name())) {
        (Edition::CrashPoints, Some((target, profile))) => {
            target.join("crash-points").join(profile)
        }
        _ => folder.to_owned(),
    };
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(Path::new(&cargo), &folder, edition)?;
    }
    for name in ["dejima-peer", "dejima-callback"] {
        if !folder.join(name).is_file() {
            return Err(Error::Missing {
                what: format!("the program {name} in {}", folder.display()),
                cure: "build it there: cargo build --locked --package dejima-peer".into(),
            });
        }
    }
    Ok(folder)
}

/// Builds the programs into `TARGET/PROFILE`.
fn build(cargo: &Path, folder: &Path, edition: Edition) -> Result<(), Error> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "dejima-peer",
            "--profile",
            profile,
        ])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .arg("--target-dir")
        .arg(folder.parent().unwrap_or(folder))
        .stdin(Stdio::null());
    if edition == Edition::CrashPoints {
        command.args(["--features", "crash-points"]);
    }
    let output = command.output().map_err(error::io("running cargo"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: format!("{command:?}"),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
