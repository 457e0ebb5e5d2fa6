//! What is logged of a base table's row, and in which log.

use super::Source;
use crate::strategy::bound::{self, Bound};
use crate::strategy::program::RelationId;
use crate::strategy::{BaseColumn, Strategy, literal, text_of};

/// What is logged of a base table for one Dejima table.
pub(in crate::strategy) enum Logged<'a> {
    /// The rows that it shows, as it shows them.
    Shown(&'a Strategy),
    /// All rows, one of the sources of a program: what they change in the Dejima table is found at the end of the transaction.
    Source(&'a Bound, RelationId, &'a bound::Source),
}

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

    /// The column that says more than for which Dejima table.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Delta => "section",
            Self::Pending => "relation",
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

    pub(super) fn columns(&self) -> &[BaseColumn] {
        match self {
            Self::Shown(strategy) => &strategy.columns,
            Self::Source(_, _, source) => &source.columns,
        }
    }

    /// Whether the Dejima table shows a row, as a further column of it, if it does not show all.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Shown(s) if s.condition.is_some() => {
                Some(format!(", {} AS {}", s.shows(), self.shown_name()))
            }
            _ => None,
        }
    }

    /// For each column its values in the order of the rows, as texts under the pinned settings: as literals, or as they are. NULL
    /// throughout for a row that is not shown.
    pub(super) fn cells(&self) -> Vec<String> {
        let is_conditional = self.shown().is_some();
        let shown = self.shown_name();
        let gathered = |(at, column): (usize, &BaseColumn)| {
            let text = text_of(&crate::strategy::identifier(&column.name), column);
            let cells = match self {
                Self::Source(..) => format!("array_agg({text})"),
                Self::Shown(_) if is_conditional => {
                    let value =
                        format!("CASE WHEN {shown} THEN quote_nullable({text}) ELSE 'NULL' END");
                    format!("string_agg({value}, ',')")
                }
                Self::Shown(_) => format!("string_agg(quote_nullable({text}), ',')"),
            };
            format!("{cells} AS {}", self.cells_name(at))
        };
        let mut cells: Vec<_> = self.columns().iter().enumerate().map(gathered).collect();
        if is_conditional {
            cells.push(format!("bool_or({shown}) AS {shown}"));
        }
        cells
    }

    /// What is logged of a section: for which Dejima table, its number or the source's, whether it has a change at all, old and
    /// new values.
    pub(super) fn change(&self, source: &Source, section: &str) -> String {
        let (table, part, null) = match self {
            Self::Shown(strategy) => (
                literal(strategy.table.as_str()),
                section.to_owned(),
                "NULL::text",
            ),
            Self::Source(bound, relation, _) => {
                (bound.id.to_string(), relation.to_string(), "NULL::text[]")
            }
        };
        let (changed, old, new) = match source {
            Source::New => (self.shown_in("n"), null.to_owned(), self.side("n")),
            Source::Old(_) => (self.shown_in("o"), self.side("o"), null.to_owned()),
            Source::Both => (self.differs(), self.side("o"), self.new_side()),
        };
        format!("({table}, {part}, {changed}, {old}, {new})")
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
            Self::Shown(strategy) => {
                let columns: Vec<_> = (0..strategy.columns.len()).map(changed).collect();
                columns_text(&columns)
            }
            Self::Source(..) => self.side("n"),
        }
    }

    fn gathered(&self, alias: &str) -> Vec<String> {
        let cells = |at| format!("{alias}.{}", self.cells_name(at));
        (0..self.columns().len()).map(cells).collect()
    }

    fn cells_name(&self, column: usize) -> String {
        match self {
            Self::Shown(strategy) => format!("\"dejima {} {column}\"", strategy.id),
            Self::Source(bound, relation, _) => {
                format!("\"dejima {} {relation} {column}\"", bound.id)
            }
        }
    }

    fn shown_name(&self) -> String {
        match self {
            Self::Shown(strategy) => format!("\"dejima {} shown\"", strategy.id),
            Self::Source(bound, relation, _) => {
                format!("\"dejima {} {relation} shown\"", bound.id)
            }
        }
    }
}

/// One side of a section as `dejima.delta` has it, from the literals of each column.
pub(in crate::strategy) fn columns_text(columns: &[String]) -> String {
    format!("concat_ws(E'\\n', {})", columns.join(", "))
}
