//! Where the programs are that the testbed starts.

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

impl Binaries {
    /// Finds the programs and copies them.
    ///
    /// Under cargo (`cargo run`, `cargo test`, `cargo bench`) they are built first, in the profile of the
    /// running program, so that they are never older than the sources. Otherwise they are those beside the
    /// running program.
    pub fn place(scratch: &Scratch) -> Result<Self, Error> {
        static ONE_AT_A_TIME: Mutex<Option<PathBuf>> = Mutex::new(None);
        let mut found = ONE_AT_A_TIME
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = match found.as_ref() {
            Some(folder) => folder.clone(),
            None => find()?,
        };
        let binaries = Self {
            peer: scratch::place_executable(scratch, &folder.join("dejima-peer"), "dejima-peer")?,
            callback: scratch::place_executable(
                scratch,
                &folder.join("dejima-callback"),
                "dejima-callback",
            )?,
        };
        *found = Some(folder);
        Ok(binaries)
    }
}

fn find() -> Result<PathBuf, Error> {
    let executable = std::env::current_exe().map_err(error::io("finding the running program"))?;
    let beside = executable.parent().expect("a program is in a folder");
    // Tests and benchmarks are in `deps`, below the folder of the programs.
    let folder = if beside.ends_with("deps") {
        beside.parent().unwrap_or(beside)
    } else {
        beside
    };
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(Path::new(&cargo), folder)?;
    }
    for name in ["dejima-peer", "dejima-callback"] {
        if !folder.join(name).is_file() {
            return Err(Error::Missing {
                what: format!("the program {name} in {}", folder.display()),
                cure: "build it there: cargo build --locked --package dejima-peer".into(),
            });
        }
    }
    Ok(folder.to_owned())
}

/// Builds the programs into `TARGET/PROFILE`.
fn build(cargo: &Path, folder: &Path) -> Result<(), Error> {
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
