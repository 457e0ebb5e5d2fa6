//! Rows written through the Dejima table of which only direct columns change: for each clause one UPDATE of its base table, of the
//! columns that differ in any of them, and of no others, so that a base table's UPDATE OF triggers see the truth. What it does not
//! find as the statement saw it stays in the log, for the general way; so does all of it if the base table has rules of its owner's,
//! with which PostgreSQL does not say which rows it has updated.

use super::direct::{self, Direct, Update};
use super::select::{Names, hashable};
use super::through::{are_alike, is_old, log, logged, logged_column};
use super::through_one::{asked, key_of};
use crate::strategy::bound::Bound;
use crate::strategy::literal;

/// The variables of [`update`].
pub(super) const DECLARED: &str = "  assigned text[];\n  places tid[];\n";

/// Updates what is logged, and takes it out of the log.
pub(super) fn update(bound: &Bound, direct: &[Direct]) -> String {
    let of_clause = |direct: &Direct| clause(bound, direct);
    direct.iter().map(of_clause).collect()
}

/// Columns of a row in the log.
fn old(at: usize) -> String {
    format!("l.{}", logged_column("old", at))
}

fn new(at: usize) -> String {
    format!("l.{}", logged_column("new", at))
}

/// The UPDATE of what is logged for a clause, in parts.
struct Statement {
    /// What all of the log must be for it.
    provided: String,
    head: String,
    /// What follows the assignments; it gives the places of what is updated.
    tail: String,
    /// The values of its parameters.
    given: String,
}

/// Rows of the log of which only these direct columns change.
struct Meant<'a> {
    bound: &'a Bound,
    direct: &'a Direct,
    update: Update,
    /// The log, under the name `l`.
    log: String,
    /// What they are, as they were logged.
    condition: String,
}

fn clause(bound: &Bound, direct: &Direct) -> String {
    let meant = Meant::of(bound, direct);
    let (log, condition) = (&meant.log, &meant.condition);
    let statement = match &direct.shared_by {
        None => meant.each(),
        Some(shared_by) => meant.together(shared_by),
    };
    let piece = |&(at, column): &(usize, usize)| {
        format!(
            "CASE WHEN bool_or(NOT {}) THEN {} END",
            are_alike([&old, &new], &[at]),
            literal(&direct.assignment(bound, column, &new(at)))
        )
    };
    let pieces: Vec<_> = direct.columns.iter().map(piece).collect();
    let base = direct.base(bound);
    // A trigger of the base table may have made something else of a row.
    let check = direct::check_all(
        bound,
        &format!("{log} WHERE l.ctid = ANY (places)"),
        &key_of(bound, &old),
    );
    format!(
        "SELECT array_remove(ARRAY[{pieces}], NULL) INTO assigned FROM {log} WHERE {condition}
  AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = {base} AND c.relhasrules){provided};
IF assigned <> '{{}}' THEN
  EXECUTE {head} || array_to_string(assigned, ', ') || {tail} INTO places{given};
  IF dejima.is_watched({base}) THEN
    {check}
  END IF;
  DELETE FROM {log} WHERE l.ctid = ANY (places);
END IF;
",
        pieces = pieces.join(", "),
        provided = statement.provided,
        head = literal(&statement.head),
        tail = literal(&statement.tail),
        given = statement.given,
    )
}

impl<'a> Meant<'a> {
    fn of(bound: &'a Bound, direct: &'a Direct) -> Self {
        let update = direct.update(bound, &asked(bound, direct, &old));
        let condition = format!(
            "{} AND l.has_old AND l.has_new AND {} AND {}",
            logged(),
            update.guard,
            are_alike([&old, &new], &direct.others()),
        );
        Self {
            bound,
            direct,
            update,
            log: format!("{} AS l", log(bound)),
            condition,
        }
    }

    /// They are that, and the Dejima table has the old row.
    fn is_there(&self) -> Vec<String> {
        let is_old = is_old(&self.update.values, &old);
        vec![self.condition.clone(), is_old]
    }

    /// Each row is updated by itself.
    fn each(&self) -> Statement {
        let from = std::slice::from_ref(&self.log);
        let tail = self.update.tail(from, &self.is_there());
        Statement {
            provided: String::new(),
            head: format!("WITH done AS ({}", self.update.head()),
            tail: format!(
                "{tail} RETURNING l.ctid AS place) SELECT array_agg(d.place) FROM done AS d"
            ),
            given: String::new(),
        }
    }

    /// A base row that several rows share is updated once for all that share it, if they give it the same values and the Dejima table
    /// has no others; each may be asked for once, so that they can be counted. What else is known of the base row goes with
    /// it: who had to wait for it looks again.
    fn together(&self, shared_by: &[usize]) -> Statement {
        let (bound, direct) = (self.bound, self.direct);
        let [log, condition] = [&self.log, &self.condition];
        let key = bound.key().into_iter().map(old).collect::<Vec<_>>();
        let shared = shared_by.iter().map(|&at| {
            let value = old(at);
            format!("(SELECT array_agg({value} ORDER BY l.ctid) FROM {log} WHERE {condition})")
        });
        let [keys, others] = direct.columns_of(bound, &self.update);
        let found = keys.iter().zip(shared_by);
        let found = found.map(|(column, &at)| format!("{column} = {}", old(at)));
        let is_same = others
            .iter()
            .enumerate()
            .map(|(at, column)| format!("record_image_eq(ROW({column}), ROW(l.is_{at}))"));
        let found = found.chain(is_same).collect::<Vec<_>>();
        Statement {
            provided: format!(
                "\n  AND NOT EXISTS (SELECT FROM {log} WHERE {condition} GROUP BY {} HAVING count(*) > 1)",
                key.join(", ")
            ),
            head: format!(
                "WITH agreed AS ({}), done AS ({}",
                self.agreed(shared_by, &others),
                self.update.head()
            ),
            tail: format!(
                " FROM agreed AS l WHERE {} RETURNING l.places) SELECT array_agg(p) FROM done AS d, unnest(d.places) AS p",
                found.join(" AND ")
            ),
            given: format!(" USING {}", shared.collect::<Vec<_>>().join(", ")),
        }
    }

    /// The base rows: under which key, what they are to be, what else is known of them, and the places in the log of the rows that share
    /// each. The parameters are their keys, as arrays: PostgreSQL sees how many they are, and takes what is in the log for
    /// a single row.
    fn agreed(&self, shared_by: &[usize], others: &[String]) -> String {
        let (bound, direct) = (self.bound, self.direct);
        let declared = &bound.program.view().columns;
        let list = |value: &dyn Fn(usize) -> String| {
            let values = shared_by.iter().map(|&at| value(at));
            values.collect::<Vec<_>>().join(", ")
        };
        let hashed = |at: usize, value: String| {
            let column = &declared[at];
            hashable(&value, &column.sort, column.nullable).unwrap_or(value)
        };
        let mut shown = direct.shown(bound, &vec![None; declared.len()], &mut Names::default());
        let values = direct.values(&shown);
        let by = list(&|at| values[at].clone());
        let given = (1..=shared_by.len()).map(|number| format!("${number}"));
        let given = given.collect::<Vec<_>>().join(", ");
        shown
            .conditions
            .push(format!("({by}) IN (SELECT * FROM unnest({given}))"));
        let known = others.iter().enumerate();
        let known = known.map(|(at, column)| format!("{column} AS is_{at}"));
        let assigned = direct.columns.iter().map(|&(at, _)| new(at));
        let kept = shared_by.iter().map(|&at| old(at)).chain(assigned);
        let kept: Vec<_> = kept.collect();
        // `IS TRUE` keeps PostgreSQL from making a join of it that compares each with each.
        format!(
            "SELECT {selected}, array_agg(l.ctid) AS places{said} GROUP BY {grouped}
  HAVING (({said_key}, count(*)) IN (SELECT {shown_key}, count(*){shown} GROUP BY {by})) IS TRUE",
            selected = kept
                .iter()
                .cloned()
                .chain(known)
                .collect::<Vec<_>>()
                .join(", "),
            said = self
                .update
                .rest(std::slice::from_ref(&self.log), &self.is_there()),
            grouped = [kept, others.to_vec()].concat().join(", "),
            said_key = list(&|at| hashed(at, old(at))),
            shown_key = list(&|at| hashed(at, values[at].clone())),
            shown = shown.rest(),
        )
    }
}
