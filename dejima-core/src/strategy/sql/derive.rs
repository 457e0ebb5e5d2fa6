//! Derive: what changes of base tables change in the Dejima table, found once, at the end of the transaction.
//!
//! The log holds the rows of base tables that came and went. Added up, they say what the base tables were before: what is there
//! now, without what came, with what went. The keys that they can concern are found from them alone; under these keys the Dejima
//! table as it was is compared with the Dejima table as it is. So every base table's change counts once, whichever sides of
//! a join changed and in whatever order, and what is the same in the end is no change.
//!
//! If only one base table changed, there is a shorter way (`alone`). What other transactions do at the same time, `family` sees to.

use std::collections::BTreeSet;

use super::alone;
use super::expression::{condition, expression};
use super::family::{self, FAMILIES, needs_families};
use super::get::{
    Now, asked_by_key, get_clauses, is_among, key_columns, shown, source_columns, source_pairs,
    united, view_columns,
};
use super::occurrence::{Atom, ways};
use super::select::{Names, Select, Tables, variables};
use super::unfold::{Clause, Item};
use super::{FEW_ROWS_MAX, ROWS_MAX, Size, derive_function};
use crate::strategy::bound::Bound;
use crate::strategy::capture::columns_text;
use crate::strategy::program::{Argument, Expr, RelationId, VariableId};
use crate::strategy::{identifier, literal, text};

/// Creates the functions.
pub(super) fn create(bound: &Bound) -> String {
    let function = derive_function(bound);
    let worked = worked(bound).into_iter().map(|(suffix, size, body)| {
        let settings = size.settings();
        format!(
            "CREATE OR REPLACE FUNCTION {function}_{suffix}() RETURNS void LANGUAGE plpgsql {settings} AS {};\n\
             REVOKE ALL ON FUNCTION {function}_{suffix}() FROM PUBLIC;\n",
            literal(&body)
        )
    });
    format!(
        "{}CREATE OR REPLACE FUNCTION {function}() RETURNS void LANGUAGE plpgsql AS {};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         INSERT INTO dejima.family (dejima_table, number) SELECT {}, g FROM generate_series(0, {}) AS g ON CONFLICT DO NOTHING",
        worked.collect::<String>(),
        literal(&choose(bound)),
        bound.id,
        if needs_families(bound) {
            FAMILIES.to_string() + " - 1"
        } else {
            "-1".to_owned()
        },
    )
}

/// Drops them.
pub(super) fn remove(bound: &Bound) -> String {
    let function = derive_function(bound);
    let worked = worked(bound).into_iter();
    let names: String = worked
        .map(|(suffix, ..)| format!(", {function}_{suffix}()"))
        .collect();
    format!(
        "DROP FUNCTION IF EXISTS {function}(){names};\n\
         DELETE FROM dejima.family WHERE dejima_table = {}",
        bound.id
    )
}

/// The functions that do the work, each with the end of its name: for changes of one base table alone, and of several.
fn worked(bound: &Bound) -> Vec<(String, Size, String)> {
    let mut found = Vec::new();
    for size in [Size::Few, Size::Many] {
        for relation in alone::tables(bound) {
            let suffix = format!("{relation}_{}", size.suffix());
            let body = body(
                bound,
                &family::lock_alone(bound, relation),
                &log_alone(bound, relation),
            );
            found.push((suffix, size, body));
        }
        let body = body(
            bound,
            &family::lock_derived(bound),
            &log_all(bound, size == Size::Few),
        );
        found.push((size.suffix().to_owned(), size, body));
    }
    found
}

/// Chooses by how much is logged, and of what. More than two statements are many.
fn choose(bound: &Bound) -> String {
    let function = derive_function(bound);
    let by_size = |name: &str| {
        format!(
            "IF is_few THEN\n    PERFORM {function}{name}_few();\n  ELSE\n    PERFORM {function}{name}_many();\n  END IF;\n"
        )
    };
    let alone: String = alone::tables(bound)
        .iter()
        .map(|relation| {
            let perform = by_size(&format!("_{relation}"));
            format!("IF first = {relation} AND last = {relation} THEN\n  {perform}ELS")
        })
        .collect();
    let all = by_size("");
    let work = if alone.is_empty() {
        all
    } else {
        format!("{alone}E\n  {all}END IF;\n")
    };
    format!(
        "
DECLARE
  statements bigint;
  first integer;
  last integer;
  is_few boolean;
BEGIN
SELECT count(*), min(s.relation), max(s.relation),
  count(*) < 3 AND sum(greatest(array_length(s.old, 2), array_length(s.new, 2))) <= {FEW_ROWS_MAX}
INTO statements, first, last, is_few
FROM (SELECT p.relation, p.old, p.new FROM dejima.pending AS p WHERE {logged} LIMIT 3) AS s;
IF statements = 0 THEN
  RETURN;
ELSIF statements = 3 THEN
  SELECT min(p.relation), max(p.relation) INTO first, last FROM dejima.pending AS p WHERE {logged};
END IF;
{work}END
",
        logged = logged(bound),
    )
}

fn body(bound: &Bound, lock: &str, log: &str) -> String {
    let declared = if lock.is_empty() {
        ""
    } else {
        family::DECLARED
    };
    format!(
        "
#variable_conflict use_column
{declared}BEGIN
{lock}
{log}
DELETE FROM dejima.pending AS p WHERE {logged};
END
",
        logged = logged(bound),
    )
}

/// What was logged of the program's base tables.
pub(super) fn logged(bound: &Bound) -> String {
    format!(
        "p.xid = pg_current_xact_id() AND p.dejima_table = {} AND p.relation IS NOT NULL",
        bound.id
    )
}

/// Base rows that came and went, as queries by name; perhaps of one base table only.
pub(super) fn changes(bound: &Bound, only: Option<RelationId>, logged: &str) -> String {
    let of = |(&relation, source): (&RelationId, &crate::strategy::bound::Source)| {
        let columns = || 1..=source.columns.len();
        let typed = columns().zip(&source.columns).map(|(at, column)| {
            let name = identifier(&column.name);
            format!("i.cell{at}::{} AS {name}", column.base_type)
        });
        let cells: Vec<_> = columns().map(|at| format!("cell{at}")).collect();
        let rows = |side: &str| {
            let columns = columns().map(|at| format!("p.{side}[{at}:{at}]"));
            format!("unnest({})", columns.collect::<Vec<_>>().join(", "))
        };
        format!(
            "{net} AS MATERIALIZED (
SELECT {typed}, sum(i.sign) AS \"dejima count\"
FROM dejima.pending AS p, LATERAL (
  SELECT -1, o.* FROM {old} AS o UNION ALL SELECT 1, n.* FROM {new} AS n
) AS i(sign, {cells})
WHERE {logged} AND p.relation = {relation}
GROUP BY {cells} HAVING sum(i.sign) <> 0)",
            net = net(relation),
            typed = typed.collect::<Vec<_>>().join(", "),
            old = rows("old"),
            new = rows("new"),
            cells = cells.join(", "),
        )
    };
    let is_meant = |(relation, _): &(&RelationId, _)| only.is_none_or(|only| **relation == only);
    let sources = bound.sources.iter().filter(is_meant);
    sources.map(of).collect::<Vec<_>>().join(", ")
}

/// The query of what came and went of a base table.
pub(super) fn net(relation: RelationId) -> String {
    format!("\"dejima net {relation}\"")
}

fn came(relation: RelationId) -> String {
    format!(
        "(SELECT * FROM {} WHERE \"dejima count\" > 0)",
        net(relation)
    )
}

fn went(relation: RelationId) -> String {
    format!(
        "(SELECT * FROM {} WHERE \"dejima count\" < 0)",
        net(relation)
    )
}

/// The base tables as they were. For few keys each row is looked up from what is known of it: PostgreSQL takes the keys for
/// more than they are, and would begin with the rows of a whole table.
struct Was<'a> {
    bound: &'a Bound,
    is_few: bool,
}

impl Tables for Was<'_> {
    fn rows(&self, relation: RelationId, known: &[Option<String>], _: &mut Names) -> String {
        let declared = &self.bound.program.relation(relation).columns;
        let columns = self.bound.source(relation).columns.iter().zip(declared);
        let equal = columns
            .zip(known)
            .filter_map(|((column, declared), value)| {
                let (name, value) = (identifier(&column.name), value.as_ref()?);
                Some(super::select::same(&name, value, declared.nullable))
            });
        let equal: Vec<_> = equal.filter(|_| self.is_few).collect();
        if equal.is_empty() {
            now_and_before(self.bound, relation, true, "")
        } else {
            let condition = format!(" WHERE {}", equal.join(" AND "));
            format!(
                "LATERAL {}",
                now_and_before(self.bound, relation, true, &condition)
            )
        }
    }

    fn condition(&self, relation: RelationId, name: &str) -> Option<String> {
        let source = self.bound.source(relation);
        let is_new = match &source.key {
            Some(key) => is_among(
                name,
                &source_pairs(self.bound, relation, key),
                &came(relation),
            ),
            // Rows alike are one row; it is new if there are no more of them than came.
            None => {
                let all: Vec<usize> = (0..source.columns.len()).collect();
                let pairs = source_pairs(self.bound, relation, &all);
                let alike = |left: &str| {
                    let pairs = pairs.iter().map(|(column, may_be_null)| {
                        super::select::same(
                            &format!("{left}.{column}"),
                            &format!("{name}.{column}"),
                            *may_be_null,
                        )
                    });
                    pairs.collect::<Vec<_>>().join(" AND ")
                };
                format!(
                    "coalesce((SELECT sum(c.\"dejima count\") FROM {} AS c WHERE {}) >= (SELECT count(*) FROM {} AS a WHERE {}), false)",
                    came(relation),
                    alike("c"),
                    source.base.sql_name(),
                    alike("a"),
                )
            }
        };
        Some(format!("({name}.\"dejima went\" OR NOT {is_new})"))
    }
}

/// The base tables as they were and as they are.
pub(super) struct Ever<'a>(pub(super) &'a Bound);

impl Tables for Ever<'_> {
    fn rows(&self, relation: RelationId, _: &[Option<String>], _: &mut Names) -> String {
        now_and_before(self.0, relation, false, "")
    }
}

/// The rows that are there and those that went, with a mark that says which, if one is wanted. Of this form PostgreSQL knows that
/// it can look for rows in both.
fn now_and_before(bound: &Bound, relation: RelationId, is_marked: bool, condition: &str) -> String {
    let source = bound.source(relation);
    let all: Vec<usize> = (0..source.columns.len()).collect();
    let columns = |went: bool| {
        let mark = is_marked.then(|| format!("{went} AS \"dejima went\""));
        let columns = source_columns(source, &all).into_iter();
        columns.chain(mark).collect::<Vec<_>>().join(", ")
    };
    format!(
        "(SELECT {} FROM {} AS b{condition} UNION ALL SELECT {} FROM {} AS w{condition})",
        columns(false),
        source.base.sql_name(),
        columns(true),
        went(relation)
    )
}

/// A clause seen from one of its atoms that changed.
pub(super) struct Seen<'a> {
    clause: &'a Clause,
    atoms: &'a [Atom],
    pub(super) select: Select<'a>,
}

impl<'a> Seen<'a> {
    pub(super) fn from(
        bound: &'a Bound,
        clause: &'a Clause,
        atoms: &'a [Atom],
        changed: &Atom,
        names: &mut Names,
    ) -> Self {
        Self::of(bound, clause, atoms, changed, &net(changed.relation), names)
    }

    /// From these rows of the changed one.
    pub(super) fn of(
        bound: &'a Bound,
        clause: &'a Clause,
        atoms: &'a [Atom],
        changed: &Atom,
        rows: &str,
        names: &mut Names,
    ) -> Self {
        let mut select = Select::new(bound, &clause.variables);
        select.row(changed.relation, &changed.arguments, rows, names);
        Self {
            clause,
            atoms,
            select,
        }
    }

    pub(super) fn join(&mut self, number: usize, tables: &dyn Tables, names: &mut Names) {
        let atom = &self.atoms[number];
        let rows = tables.rows(atom.relation, &[], names);
        self.select
            .row(atom.relation, &atom.arguments, &rows, names);
    }

    /// Takes in the equations and conditions of the clause whose variables are known.
    fn compute(&mut self) {
        for item in &self.clause.items {
            match item {
                Item::Define(variable, expr) if self.knows(expr) => {
                    let value = expression(expr, self.select.variables, &self.select.known);
                    self.select.known.entry(*variable).or_insert(value);
                }
                Item::Test(test) if self.knows(test) => {
                    let test = condition(test, self.select.variables, &self.select.known);
                    self.select.conditions.push(test);
                }
                _ => {}
            }
        }
    }

    fn knows(&self, expr: &Expr) -> bool {
        expr.variables()
            .iter()
            .all(|variable| self.select.known.contains_key(variable))
    }
}

/// The keys under which the Dejima table can have changed.
pub(super) fn keys(bound: &Bound) -> String {
    let view = bound.program.view;
    let names = &mut Names::default();
    let columns = key_columns(bound);
    let mut selects = Vec::new();
    for clause in &get_clauses(bound) {
        let atoms = Atom::all(clause);
        for changed in &atoms {
            let mut seen = Seen::from(bound, clause, &atoms, changed, names);
            for number in needed(&atoms, changed, &key_variables(bound, clause)) {
                seen.join(number, &Ever(bound), names);
            }
            seen.compute();
            let values = seen.select.values(view, &clause.head);
            let values: Vec<_> = bound
                .key()
                .into_iter()
                .zip(&columns)
                .map(|(at, name)| format!("{} AS {name}", values[at]))
                .collect();
            selects.push(format!(
                "SELECT {}{}",
                values.join(", "),
                seen.select.rest()
            ));
        }
    }
    format!(
        "SELECT DISTINCT * FROM ({}) AS k",
        selects.join("\nUNION ALL\n")
    )
}

/// The variables that the key of a row is made of.
fn key_variables(bound: &Bound, clause: &Clause) -> BTreeSet<VariableId> {
    let key: Vec<Argument> = bound
        .key()
        .into_iter()
        .map(|at| clause.head[at].clone())
        .collect();
    let mut needed: BTreeSet<VariableId> = variables(&key).collect();
    // An equation needs what it is made of.
    for item in clause.items.iter().rev() {
        if let Item::Define(variable, expr) = item
            && needed.contains(variable)
        {
            needed.extend(expr.variables());
        }
    }
    needed
}

/// The atoms to join to a changed one so that these variables are known.
fn needed(atoms: &[Atom], changed: &Atom, wanted: &BTreeSet<VariableId>) -> Vec<usize> {
    let ways = ways(atoms, changed.number);
    let mut joined: Vec<usize> = Vec::new();
    let mut known = changed.variables();
    for variable in wanted {
        if known.contains(variable) {
            continue;
        }
        let leads = |way: &&Vec<usize>| {
            way.last()
                .is_some_and(|&last| atoms[last].variables().contains(variable))
        };
        // What hangs together with nothing that changed may be any row.
        let any = atoms
            .iter()
            .find(|atom| atom.depth == 0 && atom.variables().contains(variable));
        let way = match (ways.iter().find(leads), any) {
            (Some(way), _) => way.clone(),
            (None, Some(atom)) => vec![atom.number],
            (None, None) => continue,
        };
        for number in way {
            if number != changed.number && !joined.contains(&number) {
                joined.push(number);
                known.extend(atoms[number].variables());
            }
        }
    }
    joined
}

/// Logs what is another row now, whatever base tables changed.
fn log_all(bound: &Bound, is_few: bool) -> String {
    let columns: Vec<_> = key_columns(bound)
        .iter()
        .map(|column| format!("v.{column}"))
        .collect();
    let rows = |is_old: bool, tables: &dyn Tables| {
        let selects = shown(
            bound,
            &asked_by_key(bound, "k"),
            tables,
            &mut Names::default(),
        );
        format!(
            "SELECT {is_old}, ARRAY[{}], {} FROM keys AS k, LATERAL ({}) AS v",
            images(bound, "v").join(", "),
            columns.join(", "),
            united(&selects)
        )
    };
    let was = rows(true, &Was { bound, is_few });
    let now = rows(false, &Now(bound));
    let changes = changes(bound, None, &logged(bound));
    let changes = format!("{changes}, keys AS MATERIALIZED ({})", keys(bound));
    log(bound, &changes, &format!("{was}\nUNION ALL\n{now}"))
}

/// The same if only one base table changed.
fn log_alone(bound: &Bound, relation: RelationId) -> String {
    let clauses = get_clauses(bound);
    let columns = view_columns(bound);
    let keys: Vec<_> = key_columns(bound)
        .iter()
        .map(|column| format!("v.{column}"))
        .collect();
    let rows: Vec<_> = alone::shown(bound, &clauses, relation, &mut Names::default())
        .into_iter()
        .map(|(values, went, rest)| {
            let values = values.iter().zip(&columns);
            let named: Vec<_> = values.map(|(value, name)| format!("{value} AS {name}")).collect();
            format!(
                "SELECT v.\"dejima went\", ARRAY[{}], {} FROM (SELECT {went} AS \"dejima went\", {}{rest}) AS v",
                images(bound, "v").join(", "),
                keys.join(", "),
                named.join(", "),
            )
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let changes = changes(bound, Some(relation), &logged(bound));
    log(bound, &changes, &rows.join("\nUNION ALL\n"))
}

/// Logs rows that were and rows that are under one number, in sections: those that are not the same.
fn log(bound: &Bound, changes: &str, rows: &str) -> String {
    // All columns in one order, whichever it is.
    let side = |side: &str| {
        let columns = (1..=bound.schema.columns.len())
            .map(|at| format!("string_agg(quote_nullable(r.{side}[{at}]), ',')"));
        columns_text(&columns.collect::<Vec<_>>())
    };
    let nulls = format!(
        "array_fill(NULL::text, ARRAY[{}])",
        bound.schema.columns.len()
    );
    format!(
        "INSERT INTO dejima.delta (xid, statement, depth, dejima_table, section, old, new)
WITH {changes}, image(is_old, image, {columns}) AS (
{rows}),
change AS (
SELECT coalesce(max(i.image) FILTER (WHERE i.is_old), {nulls}) AS old, coalesce(max(i.image) FILTER (WHERE NOT i.is_old), {nulls}) AS new,
  greatest(count(*) FILTER (WHERE i.is_old), count(*) FILTER (WHERE NOT i.is_old)) AS alike
FROM image AS i GROUP BY {columns})
SELECT pg_current_xact_id(), (SELECT nextval('dejima.statement')), 1, {table}, (r.ordinal - 1) / r.rows_max,
  {old}, {new}
FROM (
  SELECT c.old, c.new, row_number() OVER () AS ordinal,
    greatest(1, least({ROWS_MAX}, 1048576 / max(1 + pg_column_size(c.old) + pg_column_size(c.new)) OVER ())) AS rows_max
  FROM change AS c
  WHERE CASE WHEN c.alike > 1 THEN dejima.refuse_alike({table}) ELSE c.old IS DISTINCT FROM c.new END) AS r
GROUP BY 5;",
        columns = key_columns(bound).join(", "),
        table = literal(bound.table.as_str()),
        old = side("old"),
        new = side("new"),
    )
}

/// The values of a row of the Dejima table as texts.
fn images(bound: &Bound, name: &str) -> Vec<String> {
    let columns = view_columns(bound);
    let of =
        |(at, column): (usize, &String)| text(&format!("{name}.{column}"), keeps_spaces(bound, at));
    columns.iter().enumerate().map(of).collect()
}

/// Trailing spaces are part of the values of a `bpchar` without a length, and only of these.
pub(super) fn keeps_spaces(bound: &Bound, column: usize) -> bool {
    let declared = &bound.program.view().columns[column].type_name;
    bound.schema.columns[column].type_name == "bpchar" && !declared.contains('(')
}
