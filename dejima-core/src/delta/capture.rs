//! Reads what the capture triggers logged, in the form in which the hook hands it over (sql/README.md, "The hook").

use std::sync::Arc;

use super::{Captured, Row, Value};
use crate::name::TableName;

/// Why a capture cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "section {section} of the capture is not [statement, section, table], old rows, new rows: {why}"
)]
pub struct InvalidCapture {
    /// Counted from 1.
    pub section: usize,
    /// What is wrong with it.
    pub why: InvalidSection,
}

/// Why the rows of a section cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSection {
    /// The text is not UTF-8.
    #[error("text that is not UTF-8")]
    Encoding,
    /// The line that says what the section is about.
    #[error("a heading that is none: {0}")]
    Heading(String),
    /// The rows are no array of arrays, as PostgreSQL writes it.
    #[error("rows that are no array of arrays")]
    Array,
    /// Old and new rows are not of one number.
    #[error("{old} rows that became {new}")]
    Numbers {
        /// Rows before.
        old: usize,
        /// Rows after.
        new: usize,
    },
}

/// Some rows of one statement and one Dejima table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The statement.
    pub statement: i64,
    /// Counts the sections of the statement. In those with one number stand the same base rows, of all its Dejima tables.
    pub number: i64,
    /// The rows that changed, each with its place in the section.
    pub rows: Vec<(usize, Captured)>,
}

impl Captured {
    /// Reads the sections of a capture. Rows that a statement did not change are not among the results.
    pub fn read(bytes: &[u8]) -> Result<Vec<Self>, InvalidCapture> {
        let invalid = |section, why| InvalidCapture { section, why };
        let mut text =
            std::str::from_utf8(bytes).map_err(|_| invalid(1, InvalidSection::Encoding))?;
        let (mut captured, mut number) = (vec![], 0);
        while !text.is_empty() {
            number += 1;
            let (section, rest) = Section::first(text).map_err(|why| invalid(number, why))?;
            captured.extend(section.rows.into_iter().map(|(_, row)| row));
            text = rest;
        }
        Ok(captured)
    }

    /// Reads a section whose rows stand there as PostgreSQL writes an array of arrays; `None` for a side that has no rows.
    pub fn section(
        statement: i64,
        table: &TableName,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<Vec<Self>, InvalidSection> {
        let rows = |text: &str| {
            let mut reader = Reader { rest: text };
            let rows = reader.rows()?;
            reader.end(rows)
        };
        let old = old.map(rows).transpose()?;
        let new = new.map(rows).transpose()?;
        let rows = pair(statement, table, old, new)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

impl Section {
    /// Reads the first section of a capture; the second value is what comes after it.
    pub fn first(text: &str) -> Result<(Self, &str), InvalidSection> {
        let (heading, rest) = text
            .split_once('\n')
            .ok_or_else(|| InvalidSection::Heading("it has no end".into()))?;
        let (statement, number, table): (i64, i64, TableName) =
            serde_json::from_str(heading).map_err(|e| InvalidSection::Heading(e.to_string()))?;
        let mut reader = Reader { rest };
        let old = reader.line()?;
        let new = reader.line()?;
        let section = Self {
            statement,
            number,
            rows: pair(statement, &table, old, new)?,
        };
        Ok((section, reader.rest))
    }
}

/// The n-th old row became the n-th new one. A row of nulls is none: key columns are never NULL.
fn pair(
    statement: i64,
    table: &TableName,
    old: Option<Vec<Row>>,
    new: Option<Vec<Row>>,
) -> Result<Vec<(usize, Captured)>, InvalidSection> {
    let numbers = (
        old.as_ref().map_or(0, Vec::len),
        new.as_ref().map_or(0, Vec::len),
    );
    if old.is_some() && new.is_some() && numbers.0 != numbers.1 {
        let (old, new) = numbers;
        return Err(InvalidSection::Numbers { old, new });
    }
    let mut old = old.into_iter().flatten();
    let mut new = new.into_iter().flatten();
    let is_row = |row: &Row| row.iter().any(Option::is_some);
    let mut captured = vec![];
    for at in 0..numbers.0.max(numbers.1) {
        let (old, new) = (old.next().filter(is_row), new.next().filter(is_row));
        if old != new {
            let table = table.clone();
            let row = Captured {
                statement,
                table,
                old,
                new,
            };
            captured.push((at, row));
        }
    }
    Ok(captured)
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Rows and the end of their line; an empty line has none.
    fn line(&mut self) -> Result<Option<Vec<Row>>, InvalidSection> {
        if self.skip('\n') {
            return Ok(None);
        }
        let rows = self.rows()?;
        self.expect('\n')?;
        Ok(Some(rows))
    }

    fn end<T>(self, value: T) -> Result<T, InvalidSection> {
        if self.rest.is_empty() {
            Ok(value)
        } else {
            Err(InvalidSection::Array)
        }
    }

    fn rows(&mut self) -> Result<Vec<Row>, InvalidSection> {
        self.list(Self::row)
    }

    fn row(&mut self) -> Result<Row, InvalidSection> {
        self.list(Self::value)
    }

    fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, InvalidSection>,
    ) -> Result<Vec<T>, InvalidSection> {
        self.expect('{')?;
        let mut elements = vec![element(self)?];
        while self.skip(',') {
            elements.push(element(self)?);
        }
        self.expect('}')?;
        Ok(elements)
    }

    /// In quotes, with backslashes before quotes and backslashes, or as it is; the bare word NULL is no value.
    fn value(&mut self) -> Result<Value, InvalidSection> {
        if !self.skip('"') {
            let end = self.find(|c| matches!(c, ',' | '{' | '}' | '"' | '\\'))?;
            let word = self.take(end);
            return match word {
                "" => Err(InvalidSection::Array),
                "NULL" => Ok(None),
                word => Ok(Some(Arc::from(word))),
            };
        }
        let end = self.find(|c| matches!(c, '"' | '\\'))?;
        let plain = self.take(end);
        if self.skip('"') {
            return Ok(Some(Arc::from(plain)));
        }
        let mut value = plain.to_owned();
        while self.skip('\\') {
            let mut escaped = self.rest.char_indices();
            let (_, character) = escaped.next().ok_or(InvalidSection::Array)?;
            value.push(character);
            self.rest = escaped.as_str();
            let end = self.find(|c| matches!(c, '"' | '\\'))?;
            value.push_str(self.take(end));
        }
        self.expect('"')?;
        Ok(Some(Arc::from(value)))
    }

    fn find(&self, what: impl Fn(char) -> bool) -> Result<usize, InvalidSection> {
        self.rest.find(what).ok_or(InvalidSection::Array)
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, what: char) -> bool {
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, what: char) -> Result<(), InvalidSection> {
        if self.skip(what) {
            Ok(())
        } else {
            Err(InvalidSection::Array)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Option<Row> {
        Some(values.iter().map(|value| value.map(Arc::from)).collect())
    }

    fn read(text: &str) -> Vec<(i64, String, Option<Row>, Option<Row>)> {
        let captured = Captured::read(text.as_bytes()).expect("a capture");
        let told = |c: Captured| (c.statement, c.table.to_string(), c.old, c.new);
        captured.into_iter().map(told).collect()
    }

    #[test]
    fn values_are_read_as_postgres_writes_them() {
        let text = "[7,0,\"T \\\" \"]\n\n{{1,\"a b\\\"c\\\\d\ne\",NULL},{\"NULL\",\"\",ö}}\n";
        let table = "T \" ".to_owned();
        assert_eq!(
            read(text),
            [
                (
                    7,
                    table.clone(),
                    None,
                    row(&[Some("1"), Some("a b\"c\\d\ne"), None])
                ),
                (7, table, None, row(&[Some("NULL"), Some(""), Some("ö")])),
            ]
        );
    }

    #[test]
    fn rows_are_paired_and_what_did_not_change_is_left_out() {
        let text = "[1,0,\"T\"]\n{{1,a},{2,a},{NULL,NULL},{NULL,NULL},{5,a}}\n{{1,b},{2,a},{3,c},{NULL,NULL},{NULL,NULL}}\n\
                    [2,0,\"U\"]\n{{1}}\n\n";
        let (t, u) = ("T".to_owned(), "U".to_owned());
        assert_eq!(
            read(text),
            [
                (
                    1,
                    t.clone(),
                    row(&[Some("1"), Some("a")]),
                    row(&[Some("1"), Some("b")])
                ),
                (1, t.clone(), None, row(&[Some("3"), Some("c")])),
                (1, t, row(&[Some("5"), Some("a")]), None),
                (2, u, row(&[Some("1")]), None),
            ]
        );
    }

    #[test]
    fn what_the_hook_does_not_write_is_refused() {
        for (text, why) in [
            ("[1,0,\"T\"]", "a heading that is none: it has no end"),
            ("[1,\"T\"]\n\n\n", "a heading that is none: invalid type"),
            ("[1,0,\"T\"]\n\n", "rows that are no array of arrays"),
            ("[1,0,\"T\"]\n\n{}\n", "rows that are no array of arrays"),
            ("[1,0,\"T\"]\n\n{a}\n", "rows that are no array of arrays"),
            ("[1,0,\"T\"]\n\n{{a}", "rows that are no array of arrays"),
            (
                "[1,0,\"T\"]\n\n{{\"a}}\n",
                "rows that are no array of arrays",
            ),
            ("[1,0,\"T\"]\n\n{{\"a\\", "rows that are no array of arrays"),
            ("[1,0,\"T\"]\n{{1},{2}}\n{{1}}\n", "2 rows that became 1"),
        ] {
            let error = Captured::read(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let error = Captured::read(b"\xff").expect_err("no text").to_string();
        assert!(error.contains("not UTF-8"), "{error}");
    }
}
