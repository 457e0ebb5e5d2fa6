//! What the demo prints: coloured at a terminal, plain elsewhere, the same words in both.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{
    Attribute, Cell as Field, CellAlignment, Color, ContentArrangement, LineStyle, Table,
    TableStyle,
};
use dejima_proto::v1::Group;
use dejima_testbed::{Agreement, World};

use crate::failure::database_error_text;
use crate::output::{is_terminal, print, table};

/// Lines are kept this short, also where nobody knows the terminal's width.
const WIDTH_MAX: u16 = 96;

/// Without vertical lines the base tables fit into 80 columns.
const HORIZONTAL_LINES: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Where the demo prints.
pub(super) struct Screen {
    is_coloured: bool,
    /// Columns of text.
    width: u16,
}

/// Numbers of ANSI "select graphic rendition".
#[derive(Clone, Copy)]
enum Style {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Cyan = 36,
}

impl Screen {
    pub(super) fn new() -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = table(&[])
            .width()
            .map_or(WIDTH_MAX, |width| width.min(WIDTH_MAX));
        Self {
            is_coloured: is_terminal() && !wants_none,
            width,
        }
    }

    pub(super) fn title(&self, who: &str) -> io::Result<()> {
        print(self.styled(
            Style::Bold,
            "Dejima: plain SQL at one organisation, one atomic change at all who share it",
        ))?;
        print(format_args!("{who}, each with a PostgreSQL of its own.\n"))
    }

    /// Says what is about to take a while; [`Self::done`] ends the line.
    pub(super) fn begin(&self, what: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{what} ... ")?;
        out.flush()
    }

    pub(super) fn done(&self, took: Duration) -> io::Result<()> {
        print(format_args!("{:.1} s", took.as_secs_f64()))
    }

    pub(super) fn note(&self, text: &str) -> io::Result<()> {
        print(self.styled(Style::Dim, text))
    }

    /// Who has which base table, and who shares which columns with whom.
    pub(super) fn introduction(&self, world: &World, groups: &[Group]) -> io::Result<()> {
        let mut rows = self.table(&["organisation", "base table", "Dejima tables"]);
        for member in world.members() {
            let organisation = member.organisation();
            let shares: Vec<&str> = organisation
                .shares
                .iter()
                .map(|share| share.table.as_str())
                .collect();
            rows.add_row([
                member.name(),
                &organisation.base_tables.join(", "),
                &shares.join(", "),
            ]);
        }
        print(format_args!("\n{rows}"))?;
        let mut rows = self.table(&["Dejima table", "columns", "members"]);
        for group in groups {
            rows.add_row([
                &group.table,
                &group.columns.join(", "),
                &group.members.join(", "),
            ]);
        }
        print(rows)
    }

    pub(super) fn chapter(&self, title: &str) -> io::Result<()> {
        let line =
            "━".repeat(usize::from(self.width.min(80)).saturating_sub(title.chars().count() + 4));
        print(format_args!(
            "\n{} {} {}\n",
            self.styled(Style::Cyan, "━━"),
            self.styled(Style::Bold, title),
            self.styled(Style::Cyan, &line)
        ))
    }

    /// A statement as psql's prompt shows it.
    pub(super) fn statement(&self, organisation: &str, sql: &str) -> io::Result<()> {
        for (at, line) in sql.lines().enumerate() {
            let prompt = format!("{organisation}{}", if at == 0 { "=>" } else { "->" });
            print(format_args!(
                "{} {}",
                self.styled(Style::Dim, &prompt),
                self.styled(Style::Bold, line)
            ))?;
        }
        Ok(())
    }

    pub(super) fn committed(&self, took: Duration) -> io::Result<()> {
        print(self.styled(
            Style::Dim,
            &format!("committed, in {:.1} ms\n", took.as_secs_f64() * 1_000.0),
        ))
    }

    pub(super) fn error(&self, error: &tokio_postgres::Error) -> io::Result<()> {
        for line in database_error_text(error).lines() {
            for line in wrap(line, usize::from(self.width)) {
                print(self.styled(Style::Red, &line))?;
            }
        }
        print("")
    }

    pub(super) fn check(&self, is_as_expected: bool, sentence: &str) -> io::Result<()> {
        if is_as_expected {
            return print(self.styled(Style::Green, &format!("✓ {sentence}")));
        }
        print(self.styled(Style::Red, &format!("✗ this is not so: {sentence}")))
    }

    pub(super) fn agreement(&self, agreement: &Agreement) -> io::Result<()> {
        self.chapter("Do all copies of each Dejima table agree?")?;
        let mut rows = self.table(&["Dejima table", "members", "rows", "copies"]);
        for shared in &agreement.tables {
            let differs = agreement
                .differences
                .iter()
                .any(|difference| difference.table == shared.name);
            let verdict = if differs {
                Field::new("DIFFER").fg(Color::Red)
            } else {
                Field::new("all equal").fg(Color::Green)
            };
            rows.add_row([
                Field::new(&shared.name),
                Field::new(shared.members.join(", ")),
                Field::new(shared.rows).set_alignment(CellAlignment::Right),
                verdict,
            ]);
        }
        print(rows)?;
        for difference in &agreement.differences {
            let text = format!(
                "{}: {} is at {}, not at {}",
                difference.table, difference.row, difference.there, difference.missing
            );
            print(self.styled(Style::Red, &text))?;
        }
        for left in &agreement.in_doubt {
            print(self.styled(Style::Red, &format!("prepared and not finished at {left}")))?;
        }
        self.check(
            agreement.holds(),
            "the copies agree, and pg_prepared_xacts is empty everywhere",
        )
    }

    pub(super) fn verdict(&self, as_expected: bool) -> io::Result<()> {
        let (style, text) = if as_expected {
            (Style::Green, "Everything was as expected.")
        } else {
            (
                Style::Red,
                "Not everything was as expected: see the lines that begin with ✗.",
            )
        };
        print(format_args!("\n{}", self.styled(style, text)))
    }

    /// How to go on by hand.
    pub(super) fn addresses(&self, world: &World) -> io::Result<()> {
        self.chapter("Now you")?;
        let programs = &world.scratch().packages().programs;
        let psql = if is_in_path("psql") {
            "psql".to_owned()
        } else {
            programs.join("psql").display().to_string()
        };
        for member in world.members() {
            let (name, folder) = (
                member.name(),
                world.cluster(member.name()).socket_folder().display(),
            );
            print(self.styled(Style::Bold, name))?;
            print(format_args!(
                "  SQL         {psql} -h {folder} -U {name} {name}"
            ))?;
            print(format_args!("  gRPC        {}", member.address()))?;
            print(format_args!("  gRPC local  {}", world.local_address(name)))?;
        }
        if let (Some(first), Ok(program)) = (world.members().first(), std::env::current_exe()) {
            print("\nA look into a peer (also: groups, tables, tx list; --help shows all):")?;
            print(format_args!(
                "  {} --peer {} peers",
                short(&program),
                world.local_address(first.name())
            ))?;
        }
        print(format_args!(
            "\n{}",
            self.styled(Style::Bold, "Everything stays up until you press Ctrl-C.")
        ))
    }

    /// A table of rows that a step may have changed; the first column is for marks.
    pub(super) fn changes<'a>(&self, header: impl IntoIterator<Item = &'a str>) -> Table {
        let mut rows = self.table(&[]);
        rows.load_style(HORIZONTAL_LINES);
        rows.set_header(std::iter::once("").chain(header).map(Field::new));
        rows
    }

    fn table(&self, header: &[&str]) -> Table {
        let mut rows = table(header);
        rows.set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        if self.is_coloured {
            rows.enforce_styling();
        } else {
            rows.force_no_tty();
        }
        rows
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if !self.is_coloured || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", style as u8)
    }
}

/// What a step has done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Same,
    New,
    Changed,
    Gone,
}

impl Mark {
    pub(super) fn of<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> Self {
        match (before, after) {
            (Some(old), Some(new)) if old != new => Self::Changed,
            (None, Some(_)) => Self::New,
            (Some(_), None) => Self::Gone,
            _ => Self::Same,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::New => "+",
            Self::Changed => "~",
            Self::Gone => "-",
        }
    }
}

/// Adds a row of [`Screen::changes`].
pub(super) fn add_marked(
    rows: &mut Table,
    mark: Mark,
    labels: &[&str],
    fields: impl IntoIterator<Item = Field>,
) {
    let style = |field: Field| match mark {
        Mark::New => field.fg(Color::Green),
        Mark::Gone => field.fg(Color::Red).add_attribute(Attribute::CrossedOut),
        Mark::Same | Mark::Changed => field,
    };
    let labels = labels.iter().map(Field::new);
    let fields = fields.into_iter().map(style);
    rows.add_row(
        std::iter::once(Field::new(mark.sign()))
            .chain(labels)
            .chain(fields),
    );
}

/// A value that a step has changed.
pub(super) fn changed(old: &str, new: &str) -> Field {
    Field::new(format!("{old}\n→\u{a0}{new}"))
        .fg(Color::Green)
        .add_attribute(Attribute::Bold)
}

/// Breaks a line between words; what follows is indented.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().expect("there is always a line");
        if !last.trim().is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(format!("    {word}"));
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A path as one would type it here.
fn short(path: &std::path::Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(
            wrap("HINT:  one two three", 12),
            ["HINT:  one", "    two", "    three"]
        );
        assert_eq!(wrap("short", 12), ["short"]);
        assert_eq!(wrap("averyveryverylongword", 12), ["averyveryverylongword"]);
    }
}
