//! A capture that is too large for memory: kept in a temporary file without a name, read batch by batch.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::os::unix::fs::FileExt;

use dejima_core::delta::{Batch, BatchLimits, Captured, InvalidCapture, Planner, Schema};
use dejima_core::name::TableName;
use dejima_core::transaction::Portion;

/// How much of the file is read at once to plan the batches.
const READ_BYTES: usize = 256 << 10;

/// The text of a capture while it comes in.
#[derive(Debug)]
pub(crate) enum Text {
    /// A small one.
    Memory(Vec<u8>),
    /// What is too large for memory.
    File(File),
}

/// Why a capture cannot be kept or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The temporary file fails.
    #[error("the peer's temporary file: {0}")]
    File(String),
    /// The capture is not what the hook writes.
    #[error(transparent)]
    Unreadable(#[from] InvalidCapture),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::File(error.to_string())
    }
}

impl Text {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::Memory(Vec::new())
    }

    /// Adds bytes; what exceeds `memory_max` goes into a file. The file has no name: it goes with the peer, however that ends.
    pub(crate) fn add(&mut self, more: &[u8], memory_max: usize) -> io::Result<()> {
        if let Self::Memory(bytes) = self
            && bytes.len() + more.len() > memory_max
        {
            let mut file = tempfile::tempfile()?;
            file.write_all(bytes)?;
            *self = Self::File(file);
        }
        match self {
            Self::Memory(bytes) => bytes.extend_from_slice(more),
            Self::File(file) => file.write_all(more)?,
        }
        Ok(())
    }
}

/// The batches of a capture that were not handed in yet.
#[derive(Debug)]
pub struct Spool {
    file: File,
    batches: VecDeque<Batch>,
    /// Of the batch that comes next, but for its own size.
    portion: Portion,
}

impl Spool {
    /// Reads the whole file once, and remembers what belongs together. The keys are those of these schemas.
    pub(crate) fn plan(
        mut file: File,
        schemas: &BTreeMap<TableName, Schema>,
        limits: BatchLimits,
    ) -> Result<Self, Unusable> {
        file.rewind()?;
        let mut planner = Planner::default();
        let mut portion = Portion::default();
        let mut lines = BufReader::with_capacity(READ_BYTES, &file);
        let mut line = Vec::new();
        for at in 1.. {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)? as u64;
            if bytes == 0 {
                break;
            }
            let (entry, ordinal) = Captured::parse_line(at, &line)?;
            planner.add(schemas.get(&entry.table), &entry, ordinal, bytes);
            portion.rows_total += 1;
            portion.bytes_total += bytes;
        }
        drop(lines);
        let batches = VecDeque::from(planner.plan(limits));
        portion.batches = u32::try_from(batches.len()).unwrap_or(u32::MAX);
        Ok(Self {
            file,
            batches,
            portion,
        })
    }

    /// The next batch, and where it stands among the others; empty after the last.
    pub(crate) fn next(&mut self) -> Result<(Vec<Captured>, Portion), Unusable> {
        let batch = self.batches.pop_front().unwrap_or_default();
        let mut text = vec![0; usize::try_from(batch.bytes).unwrap_or(usize::MAX)];
        let mut filled = 0;
        for piece in batch.pieces {
            let length = usize::try_from(piece.end - piece.start).unwrap_or(usize::MAX);
            let space = &mut text[filled..filled + length];
            self.file.read_exact_at(space, piece.start)?;
            filled += length;
        }
        let captured = Captured::parse_lines(&text)?;
        let portion = Portion {
            rows: batch.rows,
            bytes: batch.bytes,
            ..self.portion
        };
        self.portion.batch += 1;
        self.portion.rows_settled += batch.rows;
        self.portion.bytes_settled += batch.bytes;
        Ok((captured, portion))
    }

    /// True if there is nothing left.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}
