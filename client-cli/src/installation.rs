//! Role and schema `dejima` in a database.

use anyhow::Context;
use dejima_core::database::{Installation, install as install_into, install_sql};
use dejima_core::name::PeerName;

use crate::arguments::Install;
use crate::failure::Failure;
use crate::output::print;

/// `dejima install`
pub(crate) async fn install(arguments: Install) -> anyhow::Result<()> {
    let peer = PeerName::new(&arguments.name)
        .map_err(|error| Failure::usage(format!("--name: {error}")))?;
    if arguments.helper.to_str().is_none() {
        Err(Failure::usage("--helper: the path is no UTF-8"))?;
    }
    let installation = Installation {
        peer,
        helper: arguments.helper,
        callback: arguments.callback,
    };
    if arguments.print {
        return Ok(print(install_sql(&installation))?);
    }
    let database = arguments
        .database
        .ok_or_else(|| Failure::usage("which database? Say --database SUPERUSER_URL"))?;
    install_into(&database, &installation)
        .await
        .context("nothing was installed")?;
    Ok(print(format_args!(
        "Schema dejima of peer \"{}\" is installed.",
        installation.peer
    ))?)
}
