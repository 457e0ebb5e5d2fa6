//! Source text and places in it.

use std::sync::Arc;

/// A place in the text of one of the files that were read together: bytes `start..end` of file number `file`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file's position in [`Sources`].
    pub file: u16,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// From the start of this to the end of the other.
    pub fn to(self, other: Self) -> Self {
        Self {
            end: other.end.max(self.end),
            ..self
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How the user called it.
    pub name: String,
    /// What it says.
    pub text: Arc<str>,
}

/// The files that belong to one strategy: the program itself, and perhaps the schema of its base tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

/// A line and a column of a file, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Sources {
    /// Takes a file in; says its number.
    pub fn add(&mut self, name: &str, text: &str) -> u16 {
        let file = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        self.0.push(Source {
            name: name.to_owned(),
            text: text.into(),
        });
        file
    }

    /// The file of that number.
    pub fn file(&self, file: u16) -> Option<&Source> {
        self.0.get(usize::from(file))
    }

    /// The text of a place.
    pub fn text(&self, span: Span) -> &str {
        let range = span.start as usize..span.end as usize;
        self.file(span.file)
            .and_then(|source| source.text.get(range))
            .unwrap_or_default()
    }
}

impl Source {
    /// Line and column of a byte.
    pub fn position(&self, offset: u32) -> Position {
        let mut end = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The byte at which a line and a column begin, both from 1.
    pub fn offset(&self, position: Position) -> u32 {
        let mut lines = self.text.split_inclusive('\n');
        let before: usize = lines
            .by_ref()
            .take(position.line.saturating_sub(1))
            .map(str::len)
            .sum();
        let line = lines.next().unwrap_or_default();
        let within: usize = line
            .chars()
            .take(position.column.saturating_sub(1))
            .map(char::len_utf8)
            .sum();
        u32::try_from(before + within).unwrap_or(u32::MAX)
    }

    /// The text of a line, from 1.
    pub fn line(&self, line: usize) -> &str {
        self.text
            .split('\n')
            .nth(line.saturating_sub(1))
            .unwrap_or_default()
            .trim_end_matches('\r')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let mut sources = Sources::default();
        sources.add("a.dl", "% é\nr(X)");
        let source = sources.file(0).expect("added");
        let at = source.position(7);
        assert_eq!(at, Position { line: 2, column: 3 });
        assert_eq!(source.offset(at), 7);
        assert_eq!(source.line(1), "% é");
    }
}
