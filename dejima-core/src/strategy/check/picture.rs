//! A counterexample as tables, in the words of the user's own tables: before, the change, what put writes, after.

use std::fmt::Write;

use super::Case;
use crate::strategy::evaluate::{Failure, Row, Rows, get};
use crate::strategy::program::{Program, RelationId};

/// One line of the picture: a phase, a relation, a sign, and values.
type Line = Vec<String>;

/// Draws the case.
pub fn picture(program: &Program, case: &Case) -> Result<String, Failure> {
    let shown = get(program, &case.before)?;
    let change = case.change(program)?;
    let after = change.applied_to(&case.before);
    let shown_after = get(program, &after)?;
    let mut picture = Picture {
        program,
        lines: Vec::new(),
    };
    let none = Rows::new();
    for source in program.sources() {
        picture.rows("before", source, case.before.rows(source), &none);
    }
    picture.rows("", program.view, &shown, &none);
    let added: Vec<&Row> = case.wanted.difference(&shown).collect();
    let removed: Vec<&Row> = shown.difference(&case.wanted).collect();
    if added.is_empty() && removed.is_empty() {
        picture.remark("change", &program.view().name, "nothing changes");
    } else {
        picture.changes("change", program.view, &removed, &added);
    }
    let mut phase = "put";
    for source in program.written() {
        let of = |rows: Option<&Rows>| rows.cloned().unwrap_or_default();
        let (deleted, inserted) = (
            of(change.deleted.get(&source)),
            of(change.inserted.get(&source)),
        );
        if !deleted.is_empty() || !inserted.is_empty() {
            picture.changes(
                phase,
                source,
                &deleted.iter().collect::<Vec<_>>(),
                &inserted.iter().collect::<Vec<_>>(),
            );
            phase = "";
        }
    }
    if phase == "put" {
        picture.remark("put", "", "writes nothing");
    } else {
        for source in program
            .written()
            .filter(|&source| after.rows(source) != case.before.rows(source))
        {
            picture.rows("after", source, after.rows(source), &none);
        }
    }
    picture.rows("after", program.view, &shown_after, &case.wanted);
    Ok(picture.text())
}

struct Picture<'a> {
    program: &'a Program,
    lines: Vec<Line>,
}

impl Picture<'_> {
    fn name(&self, relation: RelationId) -> String {
        self.program.relation(relation).name.clone()
    }

    /// The phase, unless the line before belongs to it.
    fn phase(&self, phase: &str) -> String {
        let last = self.lines.iter().rev().find(|line| !line[0].is_empty());
        match last {
            Some(line) if line[0] == phase => String::new(),
            _ => phase.to_owned(),
        }
    }

    fn header(&mut self, phase: &str, relation: RelationId) {
        let mut line = vec![self.phase(phase), self.name(relation), String::new()];
        let columns = &self.program.relation(relation).columns;
        line.extend(columns.iter().map(|column| column.name.clone()));
        self.lines.push(line);
    }

    fn row(&mut self, sign: &str, row: &Row) {
        let mut line = vec![String::new(), String::new(), sign.to_owned()];
        line.extend(row.iter().map(ToString::to_string));
        self.lines.push(line);
    }

    fn remark(&mut self, phase: &str, relation: &str, text: &str) {
        let phase = self.phase(phase);
        self.lines.push(vec![
            phase,
            relation.to_owned(),
            String::new(),
            text.to_owned(),
        ]);
    }

    /// The rows that are there; rows of `expected` that are not, and others that are, are marked if anything is expected.
    fn rows(&mut self, phase: &str, relation: RelationId, rows: &Rows, expected: &Rows) {
        let is_compared = phase == "after" && relation == self.program.view;
        let missing: Vec<&Row> = expected.difference(rows).collect();
        if rows.is_empty() && missing.is_empty() {
            let name = self.name(relation);
            return self.remark(phase, &name, "no rows");
        }
        self.header(phase, relation);
        for row in rows {
            let is_surplus = is_compared && !expected.contains(row);
            self.row("", row);
            if is_surplus {
                self.mark("<- is shown, and was not wanted");
            }
        }
        for row in missing {
            self.row("", row);
            self.mark("<- was wanted, and is not shown");
        }
    }

    fn mark(&mut self, text: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.push(text.to_owned());
        }
    }

    fn changes(&mut self, phase: &str, relation: RelationId, deleted: &[&Row], inserted: &[&Row]) {
        self.header(phase, relation);
        deleted.iter().for_each(|row| self.row("-", row));
        inserted.iter().for_each(|row| self.row("+", row));
    }

    /// In columns.
    fn text(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        // A remark may be as long as it likes.
        let width = |column: usize| {
            let cells = self.lines.iter().filter(|line| line.len() > column + 1);
            cells
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for line in &self.lines {
            let mut row = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                let _ = write!(row, "{cell:width$}  ");
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text.trim_end().to_owned()
    }
}
