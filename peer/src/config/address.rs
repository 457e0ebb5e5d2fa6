//! The addresses in a configuration.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::wire::is_address;

/// Where a peer listens for its helper and its operator: never where others could reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// A unix socket: `unix:/path`.
    Unix(PathBuf),
    /// A port of the loopback interface: `http://127.0.0.1:7101`.
    Loopback(SocketAddr),
}

/// The path of a unix socket, in bytes, that the kernel takes (sun_path, with its final zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;

impl LocalAddress {
    /// Reads an address in the helper's form.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if !path.is_absolute() || text.len() - 5 > SOCKET_PATH_BYTES_MAX {
                return Err(format!(
                    "\"{text}\" needs an absolute path of at most {SOCKET_PATH_BYTES_MAX} bytes, such as unix:/run/dejima/bank.sock"
                ));
            }
            return Ok(Self::Unix(path));
        }
        let address = text
            .strip_prefix("http://")
            .unwrap_or("")
            .trim_end_matches('/');
        let address = address
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next());
        match address {
            Some(address) if address.ip().is_loopback() => Ok(Self::Loopback(address)),
            Some(_) => Err(format!(
                "\"{text}\" could be reached from outside: whoever reaches it may speak for this peer's \
                 database; use unix:/path or http://127.0.0.1:PORT"
            )),
            None => Err(format!(
                "\"{text}\" is no local address: use unix:/path or http://127.0.0.1:PORT"
            )),
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(address) => write!(f, "http://{address}"),
        }
    }
}

/// Checks `HOST:PORT`.
pub(super) fn listen(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok() =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "\"{text}\" is no address to listen on: use HOST:PORT, such as 127.0.0.1:7001"
        )),
    }
}

/// Checks `http://HOST:PORT`, without a trailing slash so that equal addresses are equal texts.
pub(super) fn peer(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let fits = trimmed
        .strip_prefix("http://")
        .is_some_and(|address| listen(address).is_ok())
        && is_address(trimmed);
    fits.then(|| trimmed.to_owned()).ok_or_else(|| {
        format!(
            "\"{text}\" is no peer's address: use http://HOST:PORT, such as http://127.0.0.1:7001"
        )
    })
}

/// The address that others use, if none is said: the one listened on.
pub(super) fn advertised(listen: &str) -> Result<String, String> {
    let unspecified = ["0.0.0.0:", "[::]:"]
        .iter()
        .any(|any| listen.starts_with(any))
        || listen.ends_with(":0");
    if unspecified {
        return Err(format!(
            "is needed, because others cannot call {listen}: say http://HOST:PORT as they reach this peer"
        ));
    }
    Ok(format!("http://{listen}"))
}
