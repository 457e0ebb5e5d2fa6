//! Captures that are too large for one command line: their parts, until the hook's call closes them.
//!
//! Bounded in two ways: all captures together in bytes, and each in the time since its last part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dejima_core::delta::{Captured, InvalidCapture};
use dejima_core::name::Gid;
use tokio::time::Instant;

/// A capture above this size is parsed apart from the event loop's thread.
const PARSED_INLINE_BYTES_MAX: usize = 256 << 10;

/// The parts uploaded so far. Cheap to clone; the clones share the parts.
#[derive(Clone, Debug)]
pub struct Captures {
    bytes_max: usize,
    idle_max: Duration,
    uploads: Arc<Mutex<BTreeMap<Gid, Upload>>>,
}

#[derive(Debug)]
struct Upload {
    parts: u32,
    bytes: Vec<u8>,
    last: Instant,
}

/// Why a part or a call is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A part was lost or came twice, or the parts were forgotten.
    #[error("part {expected} of the capture was expected, and part {found} came")]
    OutOfOrder {
        /// Parts that are there.
        expected: u32,
        /// The part or number of parts that the call names.
        found: u32,
    },
    /// The change is larger than this peer takes.
    #[error(
        "the changes under way are larger than {bytes_max} bytes, the most that this peer holds"
    )]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The capture is not what the hook writes.
    #[error(transparent)]
    Unreadable(#[from] InvalidCapture),
}

impl Captures {
    /// No parts yet. Parts are forgotten when no further one comes for `idle_max`.
    pub fn new(bytes_max: usize, idle_max: Duration) -> Self {
        Self {
            bytes_max,
            idle_max,
            uploads: Arc::default(),
        }
    }

    /// Takes the next part of a gid's capture.
    pub fn add(&self, gid: &Gid, part: u32, bytes: &[u8]) -> Result<(), Rejected> {
        let now = Instant::now();
        let mut uploads = self.uploads();
        uploads.retain(|_, upload| now - upload.last < self.idle_max);
        let held: usize = uploads.values().map(|upload| upload.bytes.len()).sum();
        if part == 0 {
            // The first part of a round begins anew: a hook that was cut off before may have left parts.
            uploads.insert(
                gid.clone(),
                Upload {
                    parts: 0,
                    bytes: Vec::new(),
                    last: now,
                },
            );
            self.forget_when_idle(gid.clone());
        }
        let expected = uploads.get(gid).map_or(0, |upload| upload.parts);
        let Some(upload) = uploads.get_mut(gid).filter(|upload| upload.parts == part) else {
            return Err(Rejected::OutOfOrder {
                expected,
                found: part,
            });
        };
        if held + bytes.len() > self.bytes_max {
            uploads.remove(gid);
            return Err(Rejected::TooLarge {
                bytes_max: self.bytes_max,
            });
        }
        upload.bytes.extend_from_slice(bytes);
        upload.parts += 1;
        upload.last = now;
        Ok(())
    }

    /// Takes the rest of a gid's capture and reads the whole; the parts are forgotten.
    pub async fn close(
        &self,
        gid: &Gid,
        parts: u32,
        rest: &[u8],
    ) -> Result<Vec<Captured>, Rejected> {
        let upload = self.uploads().remove(gid).filter(|_| parts > 0);
        let found = upload.as_ref().map_or(0, |upload| upload.parts);
        if found != parts {
            return Err(Rejected::OutOfOrder {
                expected: found,
                found: parts,
            });
        }
        let Some(upload) = upload else {
            return Ok(Captured::read(rest)?);
        };
        let mut bytes = upload.bytes;
        bytes.extend_from_slice(rest);
        if bytes.len() <= PARSED_INLINE_BYTES_MAX {
            return Ok(Captured::read(&bytes)?);
        }
        let parsed = tokio::task::spawn_blocking(move || Captured::read(&bytes));
        Ok(parsed
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?)
    }

    fn forget_when_idle(&self, gid: Gid) {
        let captures = self.clone();
        tokio::spawn(async move {
            while let Some(until) = captures.forget_if_idle(&gid) {
                tokio::time::sleep_until(until).await;
            }
        });
    }

    /// When to look again, if there is still something to forget.
    fn forget_if_idle(&self, gid: &Gid) -> Option<Instant> {
        let mut uploads = self.uploads();
        let until = uploads.get(gid)?.last + self.idle_max;
        if until > Instant::now() {
            return Some(until);
        }
        uploads.remove(gid);
        None
    }

    /// A panic while the lock is held leaves whole parts, so the parts stay usable.
    fn uploads(&self) -> MutexGuard<'_, BTreeMap<Gid, Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &[u8] = b"[1,0,\"T\"]\n\n{{a,NULL}}\n";

    fn gid() -> Gid {
        Gid::new("bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e").expect("a gid")
    }

    fn captures() -> Captures {
        Captures::new(100, Duration::from_secs(60))
    }

    #[tokio::test]
    async fn slices_may_cut_anywhere() {
        let captures = captures();
        for (part, byte) in (0..).zip(SECTION) {
            captures.add(&gid(), part, &[*byte]).expect("in order");
        }
        let parts = u32::try_from(SECTION.len()).expect("short");
        let captured = captures
            .close(&gid(), parts, b"[2,0,\"T\"]\n{{a,NULL}}\n\n")
            .await
            .expect("whole");
        assert_eq!(captured.len(), 2);
        assert_eq!(
            captures
                .close(&gid(), 0, SECTION)
                .await
                .expect("nothing was left")
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn a_lost_part_is_seen() {
        let captures = captures();
        captures.add(&gid(), 0, b"x").expect("the first");
        assert_eq!(
            captures.add(&gid(), 2, b"x"),
            Err(Rejected::OutOfOrder {
                expected: 1,
                found: 2
            })
        );
        assert_eq!(
            captures.close(&gid(), 2, b"").await,
            Err(Rejected::OutOfOrder {
                expected: 1,
                found: 2
            })
        );
    }

    #[tokio::test]
    async fn the_first_part_begins_anew() {
        let captures = captures();
        captures.add(&gid(), 0, b"garbage").expect("the first");
        captures.add(&gid(), 0, SECTION).expect("the first again");
        assert_eq!(
            captures.close(&gid(), 1, b"").await.expect("whole").len(),
            1
        );
    }

    #[tokio::test]
    async fn too_much_is_refused_and_forgotten() {
        let captures = captures();
        captures.add(&gid(), 0, &[b'x'; 60]).expect("it fits");
        assert_eq!(
            captures.add(&gid(), 1, &[b'x'; 60]),
            Err(Rejected::TooLarge { bytes_max: 100 })
        );
        captures
            .add(&gid(), 0, &[b'x'; 60])
            .expect("the room is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn parts_are_forgotten_in_time() {
        let captures = captures();
        captures.add(&gid(), 0, SECTION).expect("the first");
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::task::yield_now().await;
        assert!(captures.uploads().is_empty());
    }
}
