//! A capture that is too large for memory: kept in a temporary file without a name, read batch by batch.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;

use dejima_core::delta::{
    Batch, BatchLimits, Captured, InvalidCapture, InvalidSection, Planner, Schema, Section,
};
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
    /// Reads the whole capture once, and remembers what belongs together. The keys are those of these schemas.
    ///
    /// The rows are written to a file of their own, one after the other, those of one base row side by side: a batch takes
    /// some of a section, and the rest is in another.
    pub(crate) fn plan(
        mut capture: File,
        schemas: &BTreeMap<TableName, Schema>,
        limits: BatchLimits,
    ) -> Result<Self, Unusable> {
        capture.rewind()?;
        let mut sections = Sections::of(capture);
        let mut rows = Rows {
            schemas,
            file: BufWriter::with_capacity(READ_BYTES, tempfile::tempfile()?),
            planner: Planner::default(),
            portion: Portion::default(),
        };
        let (mut place, mut beside) = (None, vec![]);
        while let Some(section) = sections.next()? {
            let here = Some((section.statement, section.number));
            if here != place {
                rows.add(std::mem::take(&mut beside), place)?;
                place = here;
            }
            beside.extend(section.rows);
        }
        rows.add(beside, place)?;
        let Rows {
            file,
            planner,
            mut portion,
            ..
        } = rows;
        let batches = VecDeque::from(planner.plan(limits));
        portion.batches = u32::try_from(batches.len()).unwrap_or(u32::MAX);
        Ok(Self {
            file: file.into_inner().map_err(io::IntoInnerError::into_error)?,
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
        let rows = serde_json::Deserializer::from_slice(&text).into_iter();
        let captured = rows.collect::<Result<_, _>>().map_err(io::Error::from)?;
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

/// The rows of a capture on their way into the file from which batches are taken.
struct Rows<'a> {
    schemas: &'a BTreeMap<TableName, Schema>,
    file: BufWriter<File>,
    planner: Planner,
    portion: Portion,
}

impl Rows<'_> {
    /// Adds the rows of sections that stand side by side, in the order of the base rows.
    fn add(
        &mut self,
        mut rows: Vec<(usize, Captured)>,
        place: Option<(i64, i64)>,
    ) -> io::Result<()> {
        rows.sort_by_key(|(at, _)| *at);
        let section = place.map_or(0, |(_, section)| section);
        for (at, row) in rows {
            let mut text = serde_json::to_vec(&row)?;
            text.push(b'\n');
            self.file.write_all(&text)?;
            let bytes = text.len() as u64;
            let schema = self.schemas.get(&row.table);
            self.planner.add(schema, &row, (section, at), bytes);
            self.portion.rows_total += 1;
            self.portion.bytes_total += bytes;
        }
        Ok(())
    }
}

/// The sections of a capture, read bit by bit.
struct Sections {
    file: File,
    text: String,
    /// What was read of the text.
    done: usize,
    /// The beginning of a character whose end is still to come.
    torn: Vec<u8>,
    /// Counted from 1.
    section: usize,
}

impl Sections {
    fn of(file: File) -> Self {
        Self {
            file,
            text: String::new(),
            done: 0,
            torn: vec![],
            section: 1,
        }
    }

    fn next(&mut self) -> Result<Option<Section>, Unusable> {
        loop {
            let text = &self.text[self.done..];
            let why = match Section::first(text) {
                Ok((section, rest)) => {
                    self.done = self.text.len() - rest.len();
                    self.section += 1;
                    return Ok(Some(section));
                }
                Err(why) => why,
            };
            let is_empty = text.is_empty();
            if self.fill()? {
                continue;
            }
            if is_empty && self.torn.is_empty() {
                return Ok(None);
            }
            return Err(self.invalid(why));
        }
    }

    /// Reads on: as much again as is there already, so that a large row is not tried again and again. False at the end.
    fn fill(&mut self) -> Result<bool, Unusable> {
        self.text.drain(..self.done);
        self.done = 0;
        let mut bytes = std::mem::take(&mut self.torn);
        let more = self.text.len().max(READ_BYTES) as u64;
        let is_end = (&self.file).take(more).read_to_end(&mut bytes)? == 0;
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text.len(),
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            Err(_) => return Err(self.invalid(InvalidSection::Encoding)),
        };
        self.torn = bytes.split_off(whole);
        let text = String::from_utf8(bytes);
        self.text
            .push_str(&text.map_err(|_| self.invalid(InvalidSection::Encoding))?);
        Ok(!is_end)
    }

    fn invalid(&self, why: InvalidSection) -> Unusable {
        let section = self.section;
        InvalidCapture { section, why }.into()
    }
}

#[cfg(test)]
mod tests {
    use dejima_core::delta::Column;

    use super::*;

    /// Two Dejima tables over one base table, each with a key of its own.
    fn schemas() -> BTreeMap<TableName, Schema> {
        let column = |name: &str| Column {
            name: name.into(),
            type_name: "text".into(),
        };
        let schema = Schema {
            columns: vec![column("k")],
            key: vec![0],
        };
        let of = |name| (TableName::new(name).expect("a name"), schema.clone());
        BTreeMap::from(["T", "U"].map(of))
    }

    fn plan(text: &[u8], rows_max: u64) -> Result<Spool, Unusable> {
        let mut file = tempfile::tempfile()?;
        file.write_all(text)?;
        let bytes_max = u64::MAX;
        let limits = BatchLimits {
            rows_max,
            bytes_max,
        };
        Spool::plan(file, &schemas(), limits)
    }

    /// The new values of each batch.
    fn batches(text: &str, rows_max: u64) -> Vec<Vec<String>> {
        let mut spool = plan(text.as_bytes(), rows_max).expect("it is a capture");
        let mut batches = vec![];
        while !spool.is_empty() {
            let (captured, _) = spool.next().expect("it can be read");
            let value = |row: Captured| row.new.and_then(|row| row[0].clone());
            let values = captured.into_iter().filter_map(value);
            batches.push(values.map(|value| value.to_string()).collect());
        }
        batches
    }

    #[test]
    fn what_one_base_row_shows_in_several_dejima_tables_is_one() {
        let text = "[1,0,\"T\"]\n;\n'a','b';\n[1,0,\"U\"]\n;\n'x','y';\n";
        assert_eq!(batches(text, 2), [["a", "x"], ["b", "y"]]);
        // The second base row has no row in the one table, the first has none in the other.
        let text = "[1,0,\"T\"]\n;\n'a',NULL,'c';\n[1,0,\"U\"]\n;\nNULL,'y','z';\n";
        assert_eq!(
            batches(text, 1),
            [vec!["a"], vec!["y"], vec!["c", "z"]],
            "larger than a batch may be, and one all the same"
        );
    }

    #[test]
    fn base_rows_at_one_place_of_different_sections_are_two() {
        let text = "[1,0,\"T\"]\n;\n'a';\n[1,1,\"T\"]\n;\n'b';\n[1,2,\"T\"]\n;\n'c';\n";
        assert_eq!(batches(text, 1), [["a"], ["b"], ["c"]]);
    }

    #[test]
    fn statements_stay_one_after_the_other() {
        let text = "[1,0,\"T\"]\n;\n'a','b';\n[2,0,\"T\"]\n'b','a';\n'c','d';\n";
        assert_eq!(batches(text, 9), [["a", "b", "c", "d"]]);
    }

    /// The file is read bit by bit, and one bit may end in the middle of a character.
    #[test]
    fn a_character_that_was_read_in_two_parts_is_whole() {
        let long = "€".repeat(READ_BYTES);
        for before in ["", "a", "ab"] {
            let value = format!("{before}{long}");
            let text = format!("[1,0,\"T\"]\n;\n'{value}';\n");
            assert_eq!(batches(&text, 1), [[value]]);
        }
    }

    #[test]
    fn what_is_no_capture_is_refused_with_its_place() {
        let heading = InvalidSection::Heading("it has no end".to_owned());
        for (text, section, why) in [
            // No section is read of what is no text.
            (
                &b"[1,0,\"T\"]\n;\n'\xFF';\n"[..],
                1,
                InvalidSection::Encoding,
            ),
            (b"[1,0,\"T\"]\n;\n'\xE2\x82", 2, InvalidSection::Literals),
            (b"[1,0,\"T\"]\n;\n'a", 2, InvalidSection::Literals),
            (b"[1,0", 2, heading),
        ] {
            let whole = b"[1,0,\"T\"]\n;\n'a';\n";
            let error = plan(&[whole, text].concat(), 1).expect_err("it is broken");
            let expected = Unusable::Unreadable(InvalidCapture { section, why });
            assert_eq!(error, expected);
        }
    }
}
