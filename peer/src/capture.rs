//! Captures that are too large for one command line: their parts, until the hook's call closes them.
//!
//! Bounded in three ways: what one capture holds in memory (the rest goes into a file: [`crate::spool`]), all captures
//! together in bytes, and each in the time since its last part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dejima_core::delta::{BatchLimits, Captured, Schema};
use dejima_core::name::{Gid, TableName};
use dejima_core::transaction::Portion;
use tokio::time::Instant;

use crate::spool::{Spool, Text, Unusable};

/// A capture above this size is parsed apart from the event loop's thread.
const PARSED_INLINE_BYTES_MAX: u64 = 256 << 10;
/// What exceeds this is kept in a file, and taken in batches.
const HELD_BYTES_MAX: usize = 1 << 20;

/// The parts uploaded so far. Cheap to clone; the clones share the parts.
#[derive(Clone, Debug)]
pub struct Captures {
    schemas: Arc<BTreeMap<TableName, Schema>>,
    bytes_max: u64,
    idle_max: Duration,
    uploads: Arc<Mutex<BTreeMap<Gid, Upload>>>,
}

#[derive(Debug)]
struct Upload {
    parts: u32,
    bytes: u64,
    text: Arc<Mutex<Text>>,
    last: Instant,
}

impl Upload {
    fn new(now: Instant) -> Self {
        Self {
            parts: 0,
            bytes: 0,
            text: Arc::new(Mutex::new(Text::new())),
            last: now,
        }
    }
}

/// A capture, or the first batch of a large one.
#[derive(Debug, Default)]
pub struct Capture {
    /// The entries.
    pub captured: Vec<Captured>,
    /// Of a large capture: where the batch stands, and the others.
    pub more: Option<(Portion, Spool)>,
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
        "the changes under way are larger than {bytes_max} bytes, the most that this peer keeps"
    )]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The capture cannot be kept or read.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl Captures {
    /// No parts yet. Parts are forgotten when no further one comes for `idle_max`. The schemas say which rows belong together.
    pub fn new(
        schemas: Arc<BTreeMap<TableName, Schema>>,
        bytes_max: u64,
        idle_max: Duration,
    ) -> Self {
        Self {
            schemas,
            bytes_max,
            idle_max,
            uploads: Arc::default(),
        }
    }

    /// Takes the next part of a gid's capture.
    pub async fn add(
        &self,
        gid: Gid,
        part: u32,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<(), Rejected> {
        let captures = self.clone();
        apart(move || captures.add_now(&gid, part, bytes.as_ref())).await
    }

    fn add_now(&self, gid: &Gid, part: u32, bytes: &[u8]) -> Result<(), Rejected> {
        let text = self.enter(gid, part, bytes.len() as u64)?;
        // Others need not wait while the file is written.
        let added = lock(&text).add(bytes, HELD_BYTES_MAX);
        added.map_err(|error| {
            self.uploads().remove(gid);
            Unusable::from(error).into()
        })
    }

    /// Counts the part in; returns what it is added to.
    fn enter(&self, gid: &Gid, part: u32, bytes: u64) -> Result<Arc<Mutex<Text>>, Rejected> {
        let now = Instant::now();
        let mut uploads = self.uploads();
        uploads.retain(|_, upload| now - upload.last < self.idle_max);
        let held: u64 = uploads.values().map(|upload| upload.bytes).sum();
        if part == 0 {
            // The first part of a round begins anew: a hook that was cut off before may have left parts.
            uploads.insert(gid.clone(), Upload::new(now));
            self.forget_when_idle(gid.clone());
        }
        let expected = uploads.get(gid).map_or(0, |upload| upload.parts);
        let Some(upload) = uploads.get_mut(gid).filter(|upload| upload.parts == part) else {
            return Err(Rejected::OutOfOrder {
                expected,
                found: part,
            });
        };
        if held + bytes > self.bytes_max {
            uploads.remove(gid);
            return Err(Rejected::TooLarge {
                bytes_max: self.bytes_max,
            });
        }
        upload.bytes += bytes;
        upload.parts += 1;
        upload.last = now;
        Ok(Arc::clone(&upload.text))
    }

    /// Takes the rest of a gid's capture and reads the whole, or the first batch of a large one; the parts are forgotten.
    /// What a later round captures belongs to the batch at hand, and is not cut.
    pub async fn close(
        &self,
        gid: &Gid,
        round: u32,
        parts: u32,
        rest: &[u8],
    ) -> Result<Capture, Rejected> {
        let upload = self.uploads().remove(gid).filter(|_| parts > 0);
        let found = upload.as_ref().map_or(0, |upload| upload.parts);
        if found != parts {
            return Err(Rejected::OutOfOrder {
                expected: found,
                found: parts,
            });
        }
        let Some(Upload { text, bytes, .. }) = upload else {
            return Ok(whole(rest)?);
        };
        // The helper waits for each part before it sends the next, so nobody is writing.
        let text = Arc::into_inner(text).ok_or(Rejected::OutOfOrder {
            expected: parts - 1,
            found: parts,
        })?;
        let text = text.into_inner().unwrap_or_else(PoisonError::into_inner);
        let limits = match round {
            0 => BatchLimits::default(),
            _ => BatchLimits::unlimited(),
        };
        if bytes <= PARSED_INLINE_BYTES_MAX {
            return Ok(read(text, rest, &self.schemas, limits)?);
        }
        let (schemas, rest) = (Arc::clone(&self.schemas), rest.to_vec());
        Ok(apart(move || read(text, &rest, &schemas, limits)).await?)
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
        lock(&self.uploads)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Apart from the event loop's thread.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn read(
    mut text: Text,
    rest: &[u8],
    schemas: &BTreeMap<TableName, Schema>,
    limits: BatchLimits,
) -> Result<Capture, Unusable> {
    text.add(rest, HELD_BYTES_MAX)?;
    let file = match text {
        Text::Memory(bytes) => return whole(&bytes),
        Text::File(file) => file,
    };
    let mut spool = Spool::plan(file, schemas, limits)?;
    let (captured, portion) = spool.next()?;
    Ok(Capture {
        captured,
        more: (!spool.is_empty()).then_some((portion, spool)),
    })
}

fn whole(text: &[u8]) -> Result<Capture, Unusable> {
    Ok(Capture {
        captured: Captured::read(text)?,
        more: None,
    })
}

#[cfg(test)]
mod tests {
    use dejima_core::delta::Column;

    use super::*;

    const SECTION: &[u8] = b"[1,0,\"T\"]\n;\n'a'\nNULL;\n";

    fn gid() -> Gid {
        Gid::new("bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e").expect("a gid")
    }

    /// Dejima table "T", whose first column is its key.
    fn captures_of(bytes_max: u64) -> Captures {
        let column = |name: &str| Column {
            name: name.into(),
            type_name: "text".into(),
        };
        let schema = Schema {
            columns: vec![column("k"), column("v")],
            key: vec![0],
        };
        let schemas = BTreeMap::from([(TableName::new("T").expect("a name"), schema)]);
        Captures::new(Arc::new(schemas), bytes_max, Duration::from_secs(60))
    }

    fn captures() -> Captures {
        captures_of(100)
    }

    #[tokio::test]
    async fn slices_may_cut_anywhere() {
        let captures = captures();
        for (part, byte) in (0..).zip(SECTION) {
            captures.add(gid(), part, [*byte]).await.expect("in order");
        }
        let parts = u32::try_from(SECTION.len()).expect("short");
        let captured = captures
            .close(&gid(), 0, parts, b"[2,0,\"T\"]\n'a'\nNULL;\n;\n")
            .await
            .expect("whole");
        assert_eq!(captured.captured.len(), 2);
        assert_eq!(
            captures
                .close(&gid(), 0, 0, SECTION)
                .await
                .expect("nothing was left")
                .captured
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn a_lost_part_is_seen() {
        let captures = captures();
        captures.add(gid(), 0, *b"x").await.expect("the first");
        assert_eq!(
            captures.add(gid(), 2, *b"x").await,
            Err(Rejected::OutOfOrder {
                expected: 1,
                found: 2
            })
        );
        assert_eq!(
            captures.close(&gid(), 0, 2, b"").await.unwrap_err(),
            Rejected::OutOfOrder {
                expected: 1,
                found: 2
            }
        );
    }

    #[tokio::test]
    async fn the_first_part_begins_anew() {
        let captures = captures();
        captures
            .add(gid(), 0, *b"garbage")
            .await
            .expect("the first");
        captures
            .add(gid(), 0, SECTION)
            .await
            .expect("the first again");
        assert_eq!(
            captures
                .close(&gid(), 0, 1, b"")
                .await
                .expect("whole")
                .captured
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn too_much_is_refused_and_forgotten() {
        let captures = captures();
        captures.add(gid(), 0, [b'x'; 60]).await.expect("it fits");
        assert_eq!(
            captures.add(gid(), 1, [b'x'; 60]).await,
            Err(Rejected::TooLarge { bytes_max: 100 })
        );
        captures
            .add(gid(), 0, [b'x'; 60])
            .await
            .expect("the room is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn parts_are_forgotten_in_time() {
        let captures = captures();
        captures.add(gid(), 0, SECTION).await.expect("the first");
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::task::yield_now().await;
        assert!(captures.uploads().is_empty());
    }

    /// 30,000 rows are inserted one after the other, then all updated by one statement.
    fn large() -> String {
        let value = "x".repeat(40);
        let inserts = (0..30_000).map(|n| format!("[{n},0,\"T\"]\n;\n'{n}'\n'{value}';\n"));
        let column = |values: Vec<String>| values.join(",");
        let updates = (0..500).map(|section| {
            let keys = column(
                (section * 60..(section + 1) * 60)
                    .map(|n| format!("'{n}'"))
                    .collect(),
            );
            let old = column(vec![format!("'{value}'"); 60]);
            let new = column(vec!["NULL".into(); 60]);
            format!("[50000,{section},\"T\"]\n{keys}\n{old};\n\n{new};\n")
        });
        inserts.chain(updates).collect()
    }

    async fn upload(captures: &Captures, text: &str) -> u32 {
        let mut parts = 0;
        for slice in text.as_bytes().chunks(73_728) {
            let added = captures.add(gid(), parts, slice.to_vec()).await;
            added.expect("in order");
            parts += 1;
        }
        parts
    }

    #[tokio::test]
    async fn a_large_capture_comes_in_batches_and_no_row_is_torn_apart() {
        let captures = captures_of(1 << 30);
        let text = large();
        let parts = upload(&captures, &text).await;
        let capture = captures.close(&gid(), 0, parts, b"").await.expect("whole");
        let (mut portion, mut spool) = capture.more.expect("it is large");
        let mut captured = capture.captured;
        let mut seen = std::collections::BTreeSet::new();
        for batch in 0.. {
            assert_eq!((portion.batch, portion.batches), (batch, 6));
            assert!(captured.len() <= 10_000, "{}", captured.len());
            let (inserted, updated): (Vec<_>, Vec<_>) =
                captured.iter().partition(|entry| entry.old.is_none());
            let images = |entries: &[&Captured]| -> Vec<_> {
                entries.iter().map(|entry| entry.new.clone()).collect()
            };
            let before: Vec<_> = updated.iter().map(|entry| entry.old.clone()).collect();
            assert_eq!(before, images(&inserted));
            seen.extend(images(&inserted));
            if spool.is_empty() {
                break;
            }
            (captured, portion) = spool.next().expect("it can be read");
        }
        assert_eq!(seen.len(), 30_000);
        let all = (portion.rows_total, portion.bytes_total);
        assert_eq!(all.0, 60_000);
        let (rows, bytes) = (
            portion.rows_settled + portion.rows,
            portion.bytes_settled + portion.bytes,
        );
        assert_eq!((rows, bytes), all);
    }

    #[tokio::test]
    async fn what_a_later_round_captures_is_one_batch() {
        let captures = captures_of(1 << 30);
        let parts = upload(&captures, &large()).await;
        let capture = captures.close(&gid(), 1, parts, b"").await.expect("whole");
        assert_eq!(capture.captured.len(), 60_000);
        assert!(capture.more.is_none());
    }
}
