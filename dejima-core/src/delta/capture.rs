//! Reads what the capture triggers logged, in the form in which the hook hands it over (sql/README.md, "The hook").

use std::sync::Arc;

use super::{Captured, Row, Value};
use crate::name::TableName;

/// Why a capture cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "section {section} of the capture is not [statement, section, table], old columns, new columns: {why}"
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
    /// The values of a column are no literals, as PostgreSQL writes them.
    #[error("values that are no literals")]
    Literals,
    /// The columns of one side are not of one length, or a column has no values on either side.
    #[error("columns that do not fit together")]
    Columns,
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

    /// Reads a section as it stands in the log; `None` for a side that has no rows.
    pub fn section(
        statement: i64,
        table: &TableName,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<Vec<Self>, InvalidSection> {
        let columns = |text: &str| {
            let mut reader = Reader { rest: text };
            let columns = reader.columns()?;
            reader.end(columns)
        };
        let old = old.map(columns).transpose()?;
        let new = new.map(columns).transpose()?;
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
        let old = reader.side()?;
        let new = reader.side()?;
        let section = Self {
            statement,
            number,
            rows: pair(statement, &table, old, new)?,
        };
        Ok((section, reader.rest))
    }
}

/// The values of each column, in the order of the rows.
type Columns = Vec<Vec<Value>>;

/// The n-th old row became the n-th new one. A row of nulls is none: key columns are never NULL.
fn pair(
    statement: i64,
    table: &TableName,
    old: Option<Columns>,
    mut new: Option<Columns>,
) -> Result<Vec<(usize, Captured)>, InvalidSection> {
    if let (Some(old), Some(new)) = (&old, &mut new) {
        complete(old, new)?;
    }
    let old = old.map(rows).transpose()?;
    let new = new.map(rows).transpose()?;
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

/// New columns without values have those of the old ones.
fn complete(old: &Columns, new: &mut Columns) -> Result<(), InvalidSection> {
    if old.len() != new.len() {
        return Err(InvalidSection::Columns);
    }
    for (old, new) in old.iter().zip(new) {
        if new.is_empty() {
            new.clone_from(old);
        }
    }
    Ok(())
}

fn rows(columns: Columns) -> Result<Vec<Row>, InvalidSection> {
    let number = columns.first().map_or(0, Vec::len);
    if number == 0 || columns.iter().any(|column| column.len() != number) {
        return Err(InvalidSection::Columns);
    }
    let width = columns.len();
    let mut rows: Vec<Row> = (0..number).map(|_| Row::with_capacity(width)).collect();
    for column in columns {
        for (row, value) in rows.iter_mut().zip(column) {
            row.push(value);
        }
    }
    Ok(rows)
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Columns and the end of their side; a side that ends at once has no rows.
    fn side(&mut self) -> Result<Option<Columns>, InvalidSection> {
        if self.skip(";\n") {
            return Ok(None);
        }
        let columns = self.columns()?;
        if self.skip(";\n") {
            Ok(Some(columns))
        } else {
            Err(InvalidSection::Literals)
        }
    }

    fn end<T>(self, value: T) -> Result<T, InvalidSection> {
        if self.rest.is_empty() {
            Ok(value)
        } else {
            Err(InvalidSection::Literals)
        }
    }

    fn columns(&mut self) -> Result<Columns, InvalidSection> {
        let mut columns = vec![self.column()?];
        while self.skip("\n") {
            columns.push(self.column()?);
        }
        Ok(columns)
    }

    /// The values of a column; none in an empty line.
    fn column(&mut self) -> Result<Vec<Value>, InvalidSection> {
        if self.rest.is_empty() || self.rest.starts_with(['\n', ';']) {
            return Ok(vec![]);
        }
        let mut values = vec![self.value()?];
        while self.skip(",") {
            values.push(self.value()?);
        }
        Ok(values)
    }

    /// As quote_nullable() writes it: in quotes, which are doubled within; with an E before it if there are backslashes,
    /// which are doubled then, too; the bare word NULL is no value.
    fn value(&mut self) -> Result<Value, InvalidSection> {
        if self.skip("NULL") {
            return Ok(None);
        }
        let has_backslashes = self.skip("E");
        if !self.skip("'") {
            return Err(InvalidSection::Literals);
        }
        let is_doubled = |c| c == '\'' || (has_backslashes && c == '\\');
        let mut value = String::new();
        loop {
            let end = self.rest.find(is_doubled);
            let plain = self.take(end.ok_or(InvalidSection::Literals)?);
            if self.skip("''") {
                value.push_str(plain);
                value.push('\'');
            } else if self.skip("\\\\") {
                value.push_str(plain);
                value.push('\\');
            } else if !self.skip("'") {
                return Err(InvalidSection::Literals);
            } else if value.is_empty() {
                return Ok(Some(Arc::from(plain)));
            } else {
                value.push_str(plain);
                return Ok(Some(Arc::from(value)));
            }
        }
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, what: &str) -> bool {
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
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
        let text = "[7,0,\"T \\\" \"]\n;\n'1','NULL'\nE'a b''c\\\\d\ne',''\nNULL,'ö;\n'',\\';\n";
        let table = "T \" ".to_owned();
        assert_eq!(
            read(text),
            [
                (
                    7,
                    table.clone(),
                    None,
                    row(&[Some("1"), Some("a b'c\\d\ne"), None])
                ),
                (
                    7,
                    table,
                    None,
                    row(&[Some("NULL"), Some(""), Some("ö;\n',\\")])
                ),
            ]
        );
    }

    #[test]
    fn rows_are_paired_and_what_did_not_change_is_left_out() {
        let text = "[1,0,\"T\"]\n'1','2',NULL,NULL,'5'\n'a','a',NULL,NULL,'a';\n'1','2','3',NULL,NULL\n'b','a','c',NULL,NULL;\n\
                    [2,0,\"U\"]\n'1';\n;\n";
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
    fn a_new_column_without_values_is_as_it_was() {
        let text = "[1,0,\"T\"]\n'1','2'\n'a','b'\nNULL,NULL;\n\n'c','b'\n;\n";
        assert_eq!(
            read(text),
            [(
                1,
                "T".to_owned(),
                row(&[Some("1"), Some("a"), None]),
                row(&[Some("1"), Some("c"), None])
            )]
        );
    }

    #[test]
    fn what_the_hook_does_not_write_is_refused() {
        for (text, why) in [
            ("[1,0,\"T\"]", "a heading that is none: it has no end"),
            ("[1,\"T\"]\n;\n;\n", "a heading that is none: invalid type"),
            ("[1,0,\"T\"]\n;\n", "values that are no literals"),
            ("[1,0,\"T\"]\n;\na;\n", "values that are no literals"),
            ("[1,0,\"T\"]\n;\n'a'", "values that are no literals"),
            ("[1,0,\"T\"]\n;\n'a;\n", "values that are no literals"),
            ("[1,0,\"T\"]\n;\n'a',;\n", "values that are no literals"),
            ("[1,0,\"T\"]\n;\nE'\\a';\n", "values that are no literals"),
            (
                "[1,0,\"T\"]\n;\n'a'\n'b','c';\n",
                "columns that do not fit together",
            ),
            ("[1,0,\"T\"]\n\n;\n;\n", "columns that do not fit together"),
            (
                "[1,0,\"T\"]\n'1';\n'1'\n'2';\n",
                "columns that do not fit together",
            ),
            ("[1,0,\"T\"]\n'1','2';\n'1';\n", "2 rows that became 1"),
        ] {
            let error = Captured::read(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let error = Captured::read(b"\xff").expect_err("no text").to_string();
        assert!(error.contains("not UTF-8"), "{error}");
    }
}
