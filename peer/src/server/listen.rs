//! The addresses that a peer listens on.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::TcpIncoming;

use crate::config::LocalAddress;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum NotListening {
    /// Another program listens there.
    #[error(
        "`{key}`: {address} is in use by another program; stop that one, or choose another address with --{key}"
    )]
    InUse {
        /// The key in the configuration.
        key: &'static str,
        /// The address.
        address: String,
    },
    /// Everything else.
    #[error(
        "`{key}`: cannot listen on {address}: {why}; see that the host or the folder is there and that this user may \
         use it, or choose another address with --{key}"
    )]
    Other {
        /// The key in the configuration.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        why: io::Error,
    },
}

fn not_listening(
    key: &'static str,
    address: impl ToString,
) -> impl FnOnce(io::Error) -> NotListening {
    let address = address.to_string();
    move |why| match why.kind() {
        io::ErrorKind::AddrInUse => NotListening::InUse { key, address },
        _ => NotListening::Other { key, address, why },
    }
}

/// An address for other peers or for Prometheus: taken at once, so that a mistake is seen before anything is touched,
/// and opened when the peer can answer. Until then a caller is refused instead of kept waiting.
#[derive(Debug)]
pub struct TakenAddress {
    key: &'static str,
    socket: TcpSocket,
    address: String,
}

impl TakenAddress {
    /// Takes `HOST:PORT`, the value of a key of the configuration.
    pub async fn take(key: &'static str, address: &str) -> Result<Self, NotListening> {
        let socket = bind(address).await.map_err(not_listening(key, address))?;
        Ok(Self {
            key,
            socket,
            address: address.to_owned(),
        })
    }

    /// The address as the system knows it: with the port that it has chosen if 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Lets callers in.
    pub fn listen(self) -> Result<TcpListener, NotListening> {
        let listener = self.socket.listen(BACKLOG);
        listener.map_err(not_listening(self.key, &self.address))
    }

    /// Lets callers in that speak gRPC.
    pub fn open(self) -> Result<TcpIncoming, NotListening> {
        let listener = self.listen()?;
        Ok(TcpIncoming::from(listener).with_nodelay(Some(true)))
    }
}

/// The address for the helper and the operator, likewise.
#[derive(Debug)]
pub enum TakenLocalAddress {
    /// A unix socket. It is made when it is opened; a file of a peer that has died is replaced.
    Unix(PathBuf),
    /// A port of the loopback interface.
    Loopback(TakenAddress),
}

/// Connections of helpers and operators.
pub enum LocalIncoming {
    /// Over a unix socket, whose file is removed at the end.
    Unix(UnixListenerStream, SocketFile),
    /// Over the loopback interface.
    Loopback(TcpIncoming),
}

impl TakenLocalAddress {
    /// Takes the address, unless another program listens there.
    pub async fn take(address: &LocalAddress) -> Result<Self, NotListening> {
        match address {
            LocalAddress::Loopback(address) => {
                let socket = bind_one(*address).map_err(not_listening("local", address))?;
                Ok(Self::Loopback(TakenAddress {
                    key: "local",
                    socket,
                    address: address.to_string(),
                }))
            }
            LocalAddress::Unix(path) if UnixStream::connect(path).await.is_ok() => {
                Err(NotListening::InUse {
                    key: "local",
                    address: address.to_string(),
                })
            }
            LocalAddress::Unix(path) => {
                let folder = path.parent().unwrap_or(path);
                std::fs::metadata(folder).map_err(not_listening("local", address))?;
                Ok(Self::Unix(path.clone()))
            }
        }
    }

    /// Lets callers in.
    pub fn open(self) -> Result<LocalIncoming, NotListening> {
        match self {
            Self::Loopback(address) => Ok(LocalIncoming::Loopback(address.open()?)),
            Self::Unix(path) => {
                let listener = make_socket(&path)
                    .map_err(not_listening("local", format!("unix:{}", path.display())))?;
                Ok(LocalIncoming::Unix(
                    UnixListenerStream::new(listener),
                    SocketFile(path),
                ))
            }
        }
    }
}

/// Any user may connect: the helper runs as the database server's user. Who may reach the socket is decided by
/// the folder that it is in.
fn make_socket(path: &Path) -> io::Result<UnixListener> {
    if path
        .symlink_metadata()
        .is_ok_and(|file| file.file_type().is_socket())
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The file of a unix socket; removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing is lost if it stays: the next start replaces it.
        drop(std::fs::remove_file(&self.0));
    }
}

async fn bind(address: &str) -> io::Result<TcpSocket> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        match bind_one(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A peer that starts again must not wait for connections of the one before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
