//! Crash points in peers and helpers: each asks at its organisation's socket and waits for a byte.

use std::os::unix::fs::PermissionsExt;

use dejima_core::crash_point::CrashPoint;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Hit, socket};
use crate::error::{self, Error};
use crate::world::World;

/// Where somebody stands, or is to stand still.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    organisation: String,
    point: CrashPoint,
}

#[derive(Debug)]
pub(super) struct Programs {
    armed: watch::Sender<Option<Place>>,
    hits: mpsc::UnboundedReceiver<Hit>,
    _listening: JoinSet<()>,
}

impl Programs {
    pub(super) fn listen(world: &World) -> Result<Self, Error> {
        let (armed, _) = watch::channel(None);
        let (found, hits) = mpsc::unbounded_channel();
        let mut listening = JoinSet::new();
        for member in world.members() {
            let path = socket(world.scratch(), member.name());
            let what = || format!("listening on {}", path.display());
            let listener = UnixListener::bind(&path).map_err(error::io(what()))?;
            // Peers and servers may run as another user.
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777))
                .map_err(error::io(what()))?;
            let organisation = member.name().to_owned();
            let (armed, found) = (armed.clone(), found.clone());
            listening.spawn(async move {
                while let Ok((asker, _)) = listener.accept().await {
                    let answer = answer(
                        asker,
                        organisation.clone(),
                        armed.subscribe(),
                        found.clone(),
                    );
                    tokio::spawn(answer);
                }
            });
        }
        Ok(Self {
            armed,
            hits,
            _listening: listening,
        })
    }

    pub(super) fn arm(&mut self, organisation: &str, point: CrashPoint) {
        while self.hits.try_recv().is_ok() {}
        let organisation = organisation.to_owned();
        self.armed.send_replace(Some(Place {
            organisation,
            point,
        }));
    }

    /// Waits for ever if nothing is armed.
    pub(super) async fn hit(&mut self) -> Hit {
        match self.hits.recv().await {
            Some(hit) => hit,
            None => std::future::pending().await,
        }
    }

    pub(super) fn disarm(&self) {
        self.armed.send_replace(None);
    }
}

/// Lets whoever asks go on, at once or when the point is armed no more. An asker that dies meanwhile hears nothing.
async fn answer(
    asker: UnixStream,
    organisation: String,
    mut armed: watch::Receiver<Option<Place>>,
    hits: mpsc::UnboundedSender<Hit>,
) {
    let mut asker = BufReader::new(asker);
    let mut line = String::new();
    if asker.read_line(&mut line).await.is_err() {
        return;
    }
    let mut words = line.split_whitespace();
    let point = words.next().and_then(|name| name.parse().ok());
    let pid = words.next().and_then(|pid| pid.parse().ok());
    if let (Some(point), Some(pid)) = (point, pid) {
        let here = Some(Place {
            organisation,
            point,
        });
        if *armed.borrow_and_update() == here {
            let gid = words.next().map(str::to_owned);
            drop(hits.send(Hit { pid, gid }));
            drop(armed.wait_for(|armed| *armed != here).await);
        }
    }
    drop(asker.into_inner().write_all(&[0]).await);
}
