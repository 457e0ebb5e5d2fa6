//! What is wrong with a strategy, or worth saying of it, shown at its place in the text.

use std::fmt::Write;

use super::source::{Position, Sources, Span};

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The strategy cannot be used.
    Error,
    /// It can, but hardly as it was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where, the most important place first; each with a few words, or none.
    pub labels: Vec<Label>,
    /// What one has to know to understand it.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Vec<String>,
}

/// A place, and what is to be seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words.
    pub text: String,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            labels: vec![Label {
                span,
                text: label.into(),
            }],
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message, span, label)
        }
    }

    /// Another place that matters.
    pub fn and_at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: label.into(),
        });
        self
    }

    /// Adds what one has to know.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// As people read it: the message, then file, line and column, the lines with carets, notes and help.
    pub fn render(&self, sources: &Sources) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut text = format!("{word}: {}\n", self.message);
        let width = self.number_width(sources);
        let mut file_before = None;
        for label in &self.labels {
            let arrow = match file_before {
                None => "-->",
                Some(before) if before == label.span.file => "...",
                Some(_) => ":::",
            };
            file_before = Some(label.span.file);
            label.render(sources, width, arrow, &mut text);
        }
        let remarks = self.notes.iter().map(|note| ("note", note));
        let remarks = remarks.chain(self.help.iter().map(|help| ("help", help)));
        for (kind, remark) in remarks {
            let indent = " ".repeat(width + kind.len() + 5);
            let lines = remark.replace('\n', &format!("\n{indent}"));
            let _ = writeln!(text, "{:width$} = {kind}: {lines}", "");
        }
        text
    }

    fn number_width(&self, sources: &Sources) -> usize {
        let ends = self
            .labels
            .iter()
            .filter_map(|label| Some(label.place(sources)?.1.line));
        ends.max().unwrap_or(1).to_string().len()
    }
}

impl Label {
    /// Where it begins and ends.
    fn place(&self, sources: &Sources) -> Option<(Position, Position)> {
        let source = sources.file(self.span.file)?;
        Some((
            source.position(self.span.start),
            source.position(self.span.end),
        ))
    }

    fn render(&self, sources: &Sources, width: usize, arrow: &str, text: &mut String) {
        let (Some(source), Some((from, to))) = (sources.file(self.span.file), self.place(sources))
        else {
            return;
        };
        if arrow == "..." {
            let _ = writeln!(text, "{:width$} ...", "");
        } else {
            let (name, line, column) = (&source.name, from.line, from.column);
            let _ = writeln!(text, "{:width$}{arrow} {name}:{line}:{column}", "");
            let _ = writeln!(text, "{:width$} |", "");
        }
        for line in from.line..=to.line {
            let content = source.line(line).replace('\t', " ");
            let _ = writeln!(text, "{line:width$} | {content}");
            let length = content.chars().count();
            let first = if line == from.line {
                from.column - 1
            } else {
                length - content.trim_start().chars().count()
            };
            let last = if line == to.line {
                to.column - 1
            } else {
                length
            };
            let carets = "^".repeat(last.saturating_sub(first).max(1));
            let said = if line == to.line { &self.text } else { "" };
            let row = format!("{:width$} | {:first$}{carets} {said}", "", "");
            let _ = writeln!(text, "{}", row.trim_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_points_into_the_text() {
        let mut sources = Sources::default();
        sources.add("a.dl", "source r(a: int).\n-r(X) :- q(X).\n");
        let span = |start, end| Span {
            file: 0,
            start,
            end,
        };
        let found = Diagnostic::error("nothing is called q", span(27, 28), "not declared")
            .and_at(span(7, 8), "did you mean this?")
            .help("declare it:\nsource q(a: int).");
        assert_eq!(
            found.render(&sources),
            "error: nothing is called q
 --> a.dl:2:10
  |
2 | -r(X) :- q(X).
  |          ^ not declared
  ...
1 | source r(a: int).
  |        ^ did you mean this?
  = help: declare it:
          source q(a: int).
"
        );
    }
}
