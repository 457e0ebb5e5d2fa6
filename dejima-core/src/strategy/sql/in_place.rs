//! Changes in place: one UPDATE of one base table alone that leaves all columns as they were by which rows are found, joined or
//! tested. The rows of the Dejima table are then the same, with other values in some columns: they are found once, and logged as
//! they were and as they are, without a look at what else could have come or gone.

use super::alone;
use super::derive::logged;
use super::family::lock_in_place;
use super::get::{get_clauses, logged_columns};
use super::occurrence::Atom;
use super::sections::{Changed, Sections};
use super::select::{Names, Select};
use super::shown_in_place::{Shown, rows};
use super::unfold::Clause;
use super::{FEW_ROWS_MAX, Size, derive_function};
use crate::strategy::bound::{Bound, Source};
use crate::strategy::capture::{STATEMENT_ROWS_MAX, columns_text};
use crate::strategy::literal;
use crate::strategy::program::{Argument, RelationId};

/// What the columns of a base table are to the Dejima table, by their positions.
pub(super) struct Columns {
    /// Rows are found, joined or tested by them. What is not among these, nor free, does not matter.
    pub(super) steady: Vec<usize>,
    /// They are shown, and mean nothing else.
    pub(super) free: Vec<usize>,
    /// All that are logged, in the order of the log.
    logged: Vec<usize>,
}

impl Columns {
    /// For a base table of which changes alone can be derived (`alone::tables`).
    pub(super) fn of(bound: &Bound, relation: RelationId) -> Self {
        let clauses = get_clauses(bound);
        let mut steady = Vec::new();
        let mut free = Vec::new();
        for (clause, atom) in clauses.iter().filter_map(|c| Some((c, atom(c, relation)?))) {
            let found = alone::free(bound, clause, &atom);
            for (at, argument) in atom.arguments.iter().enumerate() {
                let is_free =
                    matches!(argument, Argument::Variable(variable) if found.contains(variable));
                match argument {
                    Argument::Any => {}
                    _ if !is_free => steady.push(at),
                    _ if clause.head.contains(argument) => free.push(at),
                    _ => {}
                }
            }
        }
        free.retain(|at| !steady.contains(at));
        for columns in [&mut steady, &mut free] {
            columns.sort_unstable();
            columns.dedup();
        }
        Self {
            steady,
            free,
            logged: logged_columns(bound, relation),
        }
    }

    /// Where the log has one, counted from 1.
    pub(super) fn place(&self, column: usize) -> usize {
        let before = self.logged.iter().take_while(|&&other| other != column);
        before.count() + 1
    }

    /// Whether two arrays as `dejima.pending` has them, of the old and of the new rows, are such a change.
    pub(super) fn are_steady(&self, old: &str, new: &str) -> String {
        let slices = |side: &str| {
            let columns = self.steady.iter().map(|&at| self.place(at));
            let columns = columns.map(|at| format!("{side}[{at}:{at}]"));
            columns.collect::<Vec<_>>().join(" || ")
        };
        if self.steady.is_empty() {
            // The Dejima table shows nothing of it.
            return format!("{old} IS NOT NULL AND {new} IS NOT NULL");
        }
        format!("{} = {}", slices(old), slices(new))
    }
}

fn atom(clause: &Clause, relation: RelationId) -> Option<Atom> {
    let atoms = Atom::all(clause);
    atoms.into_iter().find(|atom| atom.relation == relation)
}

/// Where the changed rows are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// One, in the variables `WAS` and `NOW`; there is no other change.
    One,
    /// In `dejima.pending` under the number in the variable `STATEMENT`; so many.
    Logged(Size),
    /// All that are there.
    All(Size),
}

impl Rows {
    /// The arguments of the function that does the work, and their types.
    pub(super) fn arguments(self) -> [&'static str; 2] {
        match self {
            Self::One => [
                "\"dejima was\" text[], \"dejima now\" text[]",
                "text[], text[]",
            ],
            Self::Logged(_) => ["\"dejima statement\" bigint", "bigint"],
            Self::All(_) => ["", ""],
        }
    }

    pub(super) fn logged(self, bound: &Bound) -> String {
        match self {
            Self::One | Self::All(_) => logged(bound),
            Self::Logged(_) => format!("{} AND p.statement = {STATEMENT}", logged(bound)),
        }
    }

    /// Further columns of the changed rows.
    pub(super) fn more(self) -> &'static str {
        match self {
            Self::Logged(Size::Many) => ", i.section AS \"dejima section\"",
            Self::One | Self::Logged(Size::Few) | Self::All(_) => "",
        }
    }
}

/// A row of `dejima.pending`, as arguments of a function.
pub(super) const WAS: &str = "\"dejima was\"";
pub(super) const NOW: &str = "\"dejima now\"";
/// The number of a statement in `dejima.pending`.
pub(super) const STATEMENT: &str = "\"dejima statement\"";

/// How many statements are followed one after the other. Each is a look-up of its own; of many all together cost less. (Those that
/// a trigger ran are logged before the statement that fired it, and so stand in no order.)
pub(super) const STATEMENTS_MAX: u32 = 8;

/// The end of the name of the function that does the work.
pub(super) fn suffix(relation: RelationId, rows: Rows) -> String {
    match rows {
        Rows::One => format!("{relation}_in_place_one"),
        Rows::Logged(size) => format!("{relation}_in_place_{}", size.suffix()),
        Rows::All(size) => format!("{relation}_in_place_lock_{}", size.suffix()),
    }
}

/// The function that does the work. What several statements changed is locked before, all at once.
pub(super) fn body(bound: &Bound, relation: RelationId, of: Rows) -> String {
    let columns = Columns::of(bound, relation);
    let (declared, locked) = match of {
        Rows::Logged(_) => ("", String::new()),
        Rows::One | Rows::All(_) => {
            let rows = rows(bound, relation, &columns, of);
            lock_in_place(bound, relation, &rows, of == Rows::One)
        }
    };
    let logged = match of {
        Rows::All(_) => String::new(),
        Rows::One | Rows::Logged(_) => format!(
            "{}\nDELETE FROM dejima.pending AS p WHERE {};\n",
            log(bound, relation, &columns, of),
            of.logged(bound)
        ),
    };
    format!("\n#variable_conflict use_column\n{declared}BEGIN\n{locked}\n{logged}END\n")
}

/// Whether families are to be locked, before rows are looked up.
pub(super) fn locks(bound: &Bound, relation: RelationId) -> bool {
    let locks = |clause: &Clause| {
        let atoms = Atom::all(clause);
        let mut changed = atoms.iter().filter(|atom| atom.relation == relation);
        changed.any(|atom| !alone::stands(bound, clause, &atoms, atom))
    };
    get_clauses(bound).iter().any(locks)
}

/// Whether rows of base tables may be so wide that even few of them are no section. Those that changed are no wider than a section
/// may be, but one of them may have a part in many rows of the Dejima table.
pub(super) fn may_be_wide(bound: &Bound, relation: RelationId) -> String {
    let is_root = is_root(bound, relation);
    let sources = bound.sources.iter();
    let others = sources.filter(|(other, _)| !is_root || **other != relation);
    let is_wide = |source: &Source| match source.base.toast {
        None if !source.base.is_partitioned => None,
        None => Some("true".to_owned()),
        Some(toast) => Some(format!("pg_relation_size({toast}::oid) IS DISTINCT FROM 0")),
    };
    let wide: Vec<_> = others.filter_map(|(_, source)| is_wide(source)).collect();
    if wide.is_empty() {
        "false".to_owned()
    } else {
        wide.join(" OR ")
    }
}

/// Finds and logs what the Dejima table shows otherwise.
fn log(bound: &Bound, relation: RelationId, columns: &Columns, of: Rows) -> String {
    let mut names = Names::default();
    let clauses = get_clauses(bound);
    let rows = rows(bound, relation, columns, of);
    let shown: Vec<Shown> = clauses
        .iter()
        .filter_map(|clause| Shown::of(bound, clause, relation, columns, &rows, &mut names))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let count = bound.schema.columns.len();
    let differs: Vec<bool> = (0..count)
        .map(|at| shown.iter().any(|shown| shown.cells[at].1.is_some()))
        .collect();
    let rows: Vec<_> = shown
        .iter()
        .map(|shown| shown.select(&differs, of))
        .collect();
    let rows = rows.join("\nUNION ALL\n");
    let is_one = of == Rows::One && is_root(bound, relation);
    let [old, new] = sides(&differs, is_one);
    let (insert, table) = (
        "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, section, old, new)",
        literal(bound.table.as_str()),
    );
    let values = format!(
        "SELECT pg_current_xact_id(), nextval('dejima.statement'), 1, {table}, 0, {old}, {new}"
    );
    let one_section = |rows_max: u32| {
        format!(
            "{insert}
{values}
FROM ({rows}
LIMIT {rows_max} + 1) AS r HAVING count(*) BETWEEN 1 AND {rows_max};"
        )
    };
    match of {
        Rows::One if is_one => format!("{insert}\n{values}\nFROM ({rows}) AS r;"),
        Rows::One | Rows::Logged(Size::Few) => format!(
            "{}\nIF NOT FOUND THEN\n  PERFORM {}({});\n  RETURN;\nEND IF;",
            one_section(FEW_ROWS_MAX),
            function(bound, relation, Rows::Logged(Size::Many)),
            match of {
                Rows::One => {
                    format!(
                        "(SELECT p.statement FROM dejima.pending AS p WHERE {})",
                        logged(bound)
                    )
                }
                Rows::Logged(_) | Rows::All(_) => STATEMENT.to_owned(),
            },
        ),
        Rows::Logged(Size::Many) | Rows::All(_) => {
            let others = (0..count).filter(|&at| differs[at]);
            let cells = (0..count).map(|at| format!("old{at}"));
            let cells = cells.chain(others.map(|at| format!("new{at}")));
            let sizes = cells.map(|cell| format!("coalesce(pg_column_size(c.{cell}), 0)"));
            let changed = Changed {
                with: "",
                rows: &rows,
                width: &sizes.collect::<Vec<_>>().join(" + "),
                sides: [&old, &new],
            };
            let sections = if is_root(bound, relation) {
                Sections::Logged
            } else {
                Sections::Narrow
            };
            // To know the widest row before the first is written, and to number rows, costs half as much as all the rest: most
            // need it not.
            format!(
                "IF {may_be_wide} THEN
  {by_width}
ELSIF (SELECT count(*) > 1 FROM dejima.pending AS p WHERE {logged}) THEN
  {narrow}
ELSE
  {one}
  IF NOT FOUND THEN
    {narrow}
  END IF;
END IF;",
                may_be_wide = may_be_wide(bound, relation),
                logged = of.logged(bound),
                by_width = changed.log(bound),
                narrow = changed.log_in(bound, sections),
                one = one_section(STATEMENT_ROWS_MAX),
            )
        }
    }
}

/// Both sides of a section of rows `r`, which may be one row only.
fn sides(differs: &[bool], is_one: bool) -> [String; 2] {
    let cells = |side: &str, at: usize| {
        let cell = format!("quote_nullable(r.{side}{at})");
        if is_one {
            cell
        } else {
            format!("string_agg({cell}, ',')")
        }
    };
    let old: Vec<_> = (0..differs.len()).map(|at| cells("old", at)).collect();
    let is_only = differs.iter().filter(|differs| **differs).count() == 1;
    let new = differs
        .iter()
        .enumerate()
        .map(|(at, differs)| match differs {
            // All rows are another in it.
            true if is_only => cells("new", at),
            true => format!("coalesce(nullif({}, {}), '')", cells("new", at), old[at]),
            false => "''".to_owned(),
        });
    let new: Vec<_> = new.collect();
    [columns_text(&old), columns_text(&new)]
}

/// The name of the function that does the work.
pub(super) fn function(bound: &Bound, relation: RelationId, of: Rows) -> String {
    format!("{}_{}", derive_function(bound), suffix(relation, of))
}

/// Whether a row of the base table has a part in one row of the Dejima table at most: its key is the Dejima table's.
pub(super) fn is_root(bound: &Bound, relation: RelationId) -> bool {
    get_clauses(bound).iter().all(|clause| {
        atom(clause, relation).is_none_or(|atom| {
            let determined = atom.variables().into_iter().collect();
            Select::determines(bound, clause, determined)
        })
    })
}
