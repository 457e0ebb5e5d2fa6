//! gRPC channels to addresses of both kinds: `http://host:port` and `unix:/path`.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A text that is no address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no address of a peer: write unix:/path/to/socket or http://host:port")]
pub struct InvalidAddress(pub String);

/// A channel that connects at its first call, and again when it has to.
pub fn connect_channel(address: &str) -> Result<Channel, InvalidAddress> {
    match address.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(connect_socket(path.into())),
        Some(_) => Err(InvalidAddress(address.to_owned())),
        None if !address.starts_with("http://") => Err(InvalidAddress(address.to_owned())),
        None => Endpoint::from_shared(address.to_owned())
            .map(|endpoint| endpoint.connect_timeout(CONNECT_MAX).connect_lazy())
            .map_err(|_| InvalidAddress(address.to_owned())),
    }
}

fn connect_socket(path: PathBuf) -> Channel {
    // The URI only fills the request's authority; the connector knows where to go.
    Endpoint::from_static("http://peer")
        .connect_timeout(CONNECT_MAX)
        .connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move {
                tokio::net::UnixStream::connect(path)
                    .await
                    .map(TokioIo::new)
            }
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_says_its_kind() {
        for good in ["unix:/run/dejima/bank.sock", "http://127.0.0.1:7001"] {
            assert!(connect_channel(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "unix:bank.sock",
            "127.0.0.1:7001",
            "https://peer",
            "http://",
        ] {
            assert_eq!(
                connect_channel(bad).err(),
                Some(InvalidAddress(bad.to_owned())),
                "{bad}"
            );
        }
    }
}
