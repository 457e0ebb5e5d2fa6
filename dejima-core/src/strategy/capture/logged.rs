//! What is logged of a base table's row, and in which log.

use super::Source;
use crate::strategy::bound::Bound;
use crate::strategy::program::RelationId;
use crate::strategy::{BaseColumn, Strategy, identifier, literal, text_of};

/// What is logged of a base table for one Dejima table.
pub(in crate::strategy) enum Logged<'a> {
    /// The rows that it shows, as it shows them.
    Shown(Shown),
    /// All rows, one of the sources of a program, in these columns: what they change in the Dejima table is found at the end of the
    /// transaction.
    Source(&'a Bound, RelationId, Vec<BaseColumn>),
}

/// What a Dejima table, or one clause of its program, shows of a base table.
pub(in crate::strategy) struct Shown {
    /// The Dejima table.
    pub(in crate::strategy) table: String,
    /// Tells it apart from all else that is logged of the base table.
    pub(in crate::strategy) number: String,
    /// For each column of the Dejima table what it shows of a row, as text, in SQL over the base table's columns.
    pub(in crate::strategy) texts: Vec<String>,
    /// The base table's columns that it takes.
    pub(in crate::strategy) columns: Vec<BaseColumn>,
    /// The rows shown, in SQL over the base table's columns; all if there is none.
    pub(in crate::strategy) condition: Option<String>,
}

impl Shown {
    /// What a declaration shows.
    pub(in crate::strategy) fn of(strategy: &Strategy) -> Self {
        let text = |column: &BaseColumn| text_of(&identifier(&column.name), column);
        Self {
            table: strategy.table.as_str().to_owned(),
            number: strategy.id.to_string(),
            texts: strategy.columns.iter().map(text).collect(),
            columns: strategy.columns.clone(),
            condition: strategy.condition.as_ref().map(|_| strategy.shows()),
        }
    }
}

/// Types whose values have the same text whatever the settings.
const PLAIN: [&str; 11] = [
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "boolean",
    "text",
    "character varying",
    "character",
    "bpchar",
    "name",
    "uuid",
];

/// A log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Changes of Dejima tables, as text that goes to the peer as it is.
    Delta,
    /// Changes of base tables, as arrays, from which changes of Dejima tables are derived.
    Pending,
}

impl Log {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Delta => "dejima.delta",
            Self::Pending => "dejima.pending",
        }
    }

    /// The columns that say of what the change is.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Delta => &["dejima_table"],
            Self::Pending => &["dejima_table", "relation"],
        }
    }
}

impl Logged<'_> {
    pub(super) fn log(&self) -> Log {
        match self {
            Self::Shown(_) => Log::Delta,
            Self::Source(..) => Log::Pending,
        }
    }

    /// The base table's columns that are logged.
    pub(super) fn columns(&self) -> &[BaseColumn] {
        match self {
            Self::Shown(shown) => &shown.columns,
            Self::Source(_, _, columns) => columns,
        }
    }

    /// Whether the Dejima table shows a row, as a further column of it, if it does not show all.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Shown(shown) => {
                let condition = shown.condition.as_ref()?;
                Some(format!(", {condition} AS {}", self.shown_name()))
            }
            Self::Source(..) => None,
        }
    }

    /// Whether all that is computed of a row is the text of values that have only one.
    pub(super) fn is_plain(&self) -> bool {
        let columns = self.columns();
        let texts = self.texts();
        let is_column = |text: &String| {
            let of = |column: &BaseColumn| text_of(&identifier(&column.name), column);
            columns.iter().any(|column| *text == of(column))
        };
        self.shown().is_none()
            && texts.iter().all(is_column)
            && columns
                .iter()
                .all(|column| PLAIN.contains(&column.base_type.as_str()))
    }

    /// For each value that is logged of a row its text, in SQL over the base table's columns.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Shown(shown) => shown.texts.clone(),
            Self::Source(_, _, columns) => {
                let text = |column: &BaseColumn| text_of(&identifier(&column.name), column);
                columns.iter().map(text).collect()
            }
        }
    }

    /// How many these are.
    fn width(&self) -> usize {
        match self {
            Self::Shown(shown) => shown.texts.len(),
            Self::Source(_, _, columns) => columns.len(),
        }
    }

    /// For each column its values in the order of the rows, as texts under the pinned settings: as literals, or as they are. NULL
    /// throughout for a row that is not shown. If there is one row only, nothing is gathered.
    pub(super) fn cells(&self, is_one: bool) -> Vec<String> {
        let is_conditional = self.shown().is_some();
        let shown = self.shown_name();
        let gathered = |(at, text): (usize, &String)| {
            let value = match self {
                Self::Source(..) => text.clone(),
                Self::Shown(_) if is_conditional => {
                    format!("CASE WHEN {shown} THEN quote_nullable({text}) ELSE 'NULL' END")
                }
                Self::Shown(_) => format!("quote_nullable({text})"),
            };
            let cells = match self {
                Self::Source(..) if is_one => format!("ARRAY[{value}]"),
                Self::Source(..) => format!("array_agg({value})"),
                Self::Shown(_) if is_one => value,
                Self::Shown(_) => format!("string_agg({value}, ',')"),
            };
            format!("{cells} AS {}", self.cells_name(at))
        };
        let mut cells: Vec<_> = self.texts().iter().enumerate().map(gathered).collect();
        if is_conditional {
            let any = if is_one { "" } else { "bool_or" };
            cells.push(format!("{any}({shown}) AS {shown}"));
        }
        cells
    }

    /// What is logged of a section: of what (`Log::columns`), whether it has a change at all, old and new values.
    pub(super) fn change(&self, source: &Source) -> String {
        let (of, null) = match self {
            Self::Shown(shown) => (literal(&shown.table), "NULL::text"),
            Self::Source(bound, relation, _) => {
                (format!("{}, {relation}", bound.id), "NULL::text[]")
            }
        };
        let (changed, old, new) = match source {
            Source::New => (self.shown_in("n"), null.to_owned(), self.side("n")),
            Source::Old(_) => (self.shown_in("o"), self.side("o"), null.to_owned()),
            Source::Both => (self.differs(), self.side("o"), self.new_side()),
        };
        format!("({of}, {changed}, {old}, {new})")
    }

    /// True if the section has a row at all.
    fn shown_in(&self, alias: &str) -> String {
        match self.shown() {
            Some(_) => format!("{alias}.{}", self.shown_name()),
            None => format!("{alias}.{} IS NOT NULL", self.cells_name(0)),
        }
    }

    fn differs(&self) -> String {
        let row = |alias| format!("ROW({})", self.gathered(alias).join(", "));
        format!("{} IS DISTINCT FROM {}", row("o"), row("n"))
    }

    fn side(&self, alias: &str) -> String {
        let gathered = self.gathered(alias);
        match self {
            Self::Shown(_) => columns_text(&gathered),
            Self::Source(..) => format!("ARRAY[{}]", gathered.join(", ")),
        }
    }

    /// The new values, of an UPDATE: those of a column are left out if none of them is another.
    fn new_side(&self) -> String {
        let changed = |at| {
            let cells = self.cells_name(at);
            format!("coalesce(nullif(n.{cells}, o.{cells}), '')")
        };
        match self {
            Self::Shown(_) => columns_text(&(0..self.width()).map(changed).collect::<Vec<_>>()),
            Self::Source(..) => self.side("n"),
        }
    }

    fn gathered(&self, alias: &str) -> Vec<String> {
        let cells = |at| format!("{alias}.{}", self.cells_name(at));
        (0..self.width()).map(cells).collect()
    }

    fn cells_name(&self, column: usize) -> String {
        format!("\"dejima {} {column}\"", self.number())
    }

    fn shown_name(&self) -> String {
        format!("\"dejima {} shown\"", self.number())
    }

    fn number(&self) -> String {
        match self {
            Self::Shown(shown) => shown.number.clone(),
            Self::Source(bound, relation, _) => format!("{} {relation}", bound.id),
        }
    }
}

/// One side of a section as `dejima.delta` has it, from the literals of each column.
pub(in crate::strategy) fn columns_text(columns: &[String]) -> String {
    format!("concat_ws(E'\\n', {})", columns.join(", "))
}
