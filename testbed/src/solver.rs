//! The solver of the checks of strategies.

use std::path::Path;
use std::time::Duration;

use dejima_core::strategy::check::Z3;

use crate::error::Error;
use crate::packages::{apt_get, is_root};

/// Starts z3. If it is not on this machine, we are root and the machine has apt-get, it is installed, and standard error
/// says so; otherwise the error names the command.
pub fn solver(timeout: Duration) -> Result<Z3, Error> {
    if let Ok(solver) = Z3::start(timeout) {
        return Ok(solver);
    }
    if is_root() && Path::new("/usr/bin/apt-get").exists() {
        eprintln!("z3 is not on this machine: installing it with apt-get ...");
        apt_get(&["update"])?;
        apt_get(&["install", "--yes", "--no-install-recommends", "z3"])?;
    }
    Z3::start(timeout).map_err(|_| Error::Missing {
        what: "the solver z3".to_owned(),
        cure: "install it (on Debian or Ubuntu: sudo apt-get install z3)".to_owned(),
    })
}
