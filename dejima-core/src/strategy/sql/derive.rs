//! Derive: what changes of base tables change in the Dejima table, found once, at the end of the transaction.
//!
//! The log holds the rows of base tables that came and went. Added up, they say what the base tables were before: what is there
//! now, without what came, with what went. The keys that they can concern are found from them alone; under these keys the Dejima
//! table as it was is compared with the Dejima table as it is. So every base table's change counts once, whichever sides of
//! a join changed and in whatever order, and what is the same in the end is no change.
//!
//! Two transactions that each see not yet what the other changed could both miss a row that only both together make. So each
//! locks the families that it touches (Asano et al., section 4.1, lock the family of a record): values by which rows are joined,
//! and keys, as numbers in `dejima.family`. Who had to wait looks again, at what the other has left.

use std::collections::BTreeSet;

use super::expression::{condition, expression};
use super::get::{
    Now, asked_by_key, get_clauses, is_among, key_columns, shown, source_columns, source_pairs,
    united, view_columns,
};
use super::occurrence::{Atom, join_variables, ways};
use super::select::{Names, Select, Tables, variables};
use super::unfold::{Clause, Item};
use super::{FEW_ROWS_MAX, ROWS_MAX, Size, derive_function};
use crate::strategy::bound::Bound;
use crate::strategy::capture::columns_text;
use crate::strategy::program::{Argument, Expr, RelationId, VariableId};
use crate::strategy::value::Sort;
use crate::strategy::{identifier, literal, text};

/// How many families a Dejima table has. Transactions that share none by chance, but have the same number, wait for each other.
pub(super) const FAMILIES: u32 = 1024;

/// Creates the functions.
pub(super) fn create(bound: &Bound) -> String {
    let function = derive_function(bound);
    let of_size = |size: Size| {
        let (suffix, settings) = (size.suffix(), size.settings());
        let body = body(bound, size == Size::Few);
        format!(
            "CREATE OR REPLACE FUNCTION {function}_{suffix}() RETURNS void LANGUAGE plpgsql {settings} AS {};\n\
             REVOKE ALL ON FUNCTION {function}_{suffix}() FROM PUBLIC;\n",
            literal(&body)
        )
    };
    let choose = format!(
        "\nBEGIN\nIF (SELECT count(*) < 3 AND sum(greatest(array_length(s.old, 2), array_length(s.new, 2))) <= {FEW_ROWS_MAX} \
         FROM (SELECT p.old, p.new FROM dejima.pending AS p WHERE {} LIMIT 3) AS s) THEN\n  \
           PERFORM {function}_few();\nELSE\n  PERFORM {function}_many();\nEND IF;\nEND\n",
        logged(bound)
    );
    format!(
        "{}{}CREATE OR REPLACE FUNCTION {function}() RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS {};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         INSERT INTO dejima.family (dejima_table, number) SELECT {}, g FROM generate_series(0, {}) AS g ON CONFLICT DO NOTHING",
        of_size(Size::Few),
        of_size(Size::Many),
        literal(&choose),
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
    format!(
        "DROP FUNCTION IF EXISTS {function}(), {function}_few(), {function}_many();\n\
         DELETE FROM dejima.family WHERE dejima_table = {}",
        bound.id
    )
}

fn body(bound: &Bound, is_few: bool) -> String {
    let lock = if needs_families(bound) {
        lock(bound, &logged(bound))
    } else {
        String::new()
    };
    format!(
        "
#variable_conflict use_column
DECLARE
  asked integer[];
  held integer[] := '{{}}';
  before text;
BEGIN
{lock}
{log};
DELETE FROM dejima.pending AS p WHERE {logged};
END
",
        log = log(bound, is_few),
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

/// Whether several base rows, or several rules, can have a part in one row.
fn needs_families(bound: &Bound) -> bool {
    let clauses = get_clauses(bound);
    clauses.len() > 1 || clauses.iter().any(|clause| Atom::all(clause).len() > 1)
}

/// Locks the families of all that changed, and again if it had to wait, for then there may be others.
fn lock(bound: &Bound, logged: &str) -> String {
    format!(
        "LOOP
  before := pg_current_snapshot()::text;
  WITH {changes}, keys AS MATERIALIZED ({keys})
  SELECT array_agg(DISTINCT f.number ORDER BY f.number) INTO asked
  FROM (SELECT (hash & {mask})::integer FROM ({hashes}) AS h(hash)) AS f(number) WHERE f.number <> ALL (held);
  EXIT WHEN asked IS NULL;
  UPDATE dejima.family AS f SET touched = f.touched + 1 WHERE f.dejima_table = {id} AND f.number = ANY (asked);
  held := held || asked;
  EXIT WHEN pg_current_snapshot()::text = before;
END LOOP;",
        changes = changes(bound, logged),
        keys = keys(bound),
        mask = FAMILIES - 1,
        hashes = hashes(bound).join("\nUNION ALL\n"),
        id = bound.id,
    )
}

/// Base rows that came and went, as queries by name.
fn changes(bound: &Bound, logged: &str) -> String {
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
    bound.sources.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// The query of what came and went of a base table.
fn net(relation: RelationId) -> String {
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
struct Ever<'a>(&'a Bound);

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
struct Seen<'a> {
    clause: &'a Clause,
    atoms: &'a [Atom],
    select: Select<'a>,
}

impl<'a> Seen<'a> {
    fn from(
        bound: &'a Bound,
        clause: &'a Clause,
        atoms: &'a [Atom],
        changed: &Atom,
        names: &mut Names,
    ) -> Self {
        let mut select = Select::new(bound, &clause.variables);
        select.row(
            changed.relation,
            &changed.arguments,
            &net(changed.relation),
            names,
        );
        Self {
            clause,
            atoms,
            select,
        }
    }

    fn join(&mut self, bound: &Bound, number: usize, names: &mut Names) {
        let atom = &self.atoms[number];
        let rows = Ever(bound).rows(atom.relation, &[], names);
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
fn keys(bound: &Bound) -> String {
    let view = bound.program.view;
    let names = &mut Names::default();
    let columns = key_columns(bound);
    let mut selects = Vec::new();
    for clause in &get_clauses(bound) {
        let atoms = Atom::all(clause);
        for changed in &atoms {
            let mut seen = Seen::from(bound, clause, &atoms, changed, names);
            for number in needed(&atoms, changed, &key_variables(bound, clause)) {
                seen.join(bound, number, names);
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

/// For all values by which changed rows are joined, and all keys, a number.
fn hashes(bound: &Bound) -> Vec<String> {
    let names = &mut Names::default();
    let key = key_columns(bound)
        .iter()
        .map(|column| format!("k.{column}"))
        .collect::<Vec<_>>();
    let mut selects = vec![format!(
        "SELECT hash_record_extended(ROW(-1, {}), 0) FROM keys AS k",
        key.join(", ")
    )];
    for (rule, clause) in get_clauses(bound).iter().enumerate() {
        let atoms = Atom::all(clause);
        let joins = join_variables(&atoms);
        for changed in &atoms {
            let mut told = BTreeSet::new();
            for way in ways(&atoms, changed.number) {
                let Some(&last) = way.last() else { continue };
                let new: Vec<VariableId> = atoms[last]
                    .variables()
                    .into_iter()
                    .filter(|variable| joins.contains(variable) && told.insert(*variable))
                    .collect();
                if new.is_empty() {
                    continue;
                }
                let mut seen = Seen::from(bound, clause, &atoms, changed, names);
                for &number in way.iter().filter(|&&number| number != changed.number) {
                    seen.join(bound, number, names);
                }
                let values: Vec<_> = new
                    .iter()
                    .map(|variable| {
                        let value = &seen.select.known[variable];
                        let value = comparable(value, &clause.variables[*variable].sort);
                        format!("(hash_record_extended(ROW({rule}, {variable}, {value}), 0))")
                    })
                    .collect();
                selects.push(format!(
                    "SELECT v.hash FROM (SELECT {} {}) AS h, LATERAL (VALUES {}) AS v(hash)",
                    values
                        .iter()
                        .enumerate()
                        .map(|(at, value)| format!("{value} AS h{at}"))
                        .collect::<Vec<_>>()
                        .join(", "),
                    seen.select.rest(),
                    (0..values.len())
                        .map(|at| format!("(h.h{at})"))
                        .collect::<Vec<_>>()
                        .join(", "),
                ));
            }
        }
    }
    selects
}

/// Values of several types that are equal have one hash as values of one type.
fn comparable(value: &str, sort: &Sort) -> String {
    match sort {
        Sort::Integer | Sort::Numeric => format!("{value}::numeric"),
        Sort::Float => format!("{value}::double precision"),
        Sort::Text => format!("{value}::text"),
        _ => value.to_owned(),
    }
}

/// Logs under one number what is another row now, in sections.
fn log(bound: &Bound, is_few: bool) -> String {
    let key = key_columns(bound);
    let rows = |is_old: bool, tables: &dyn Tables| {
        let selects = shown(
            bound,
            &asked_by_key(bound, "k"),
            tables,
            &mut Names::default(),
        );
        let keys: Vec<_> = key.iter().map(|column| format!("v.{column}")).collect();
        format!(
            "SELECT {is_old}, ARRAY[{}], {} FROM keys AS k, LATERAL ({}) AS v",
            images(bound, "v").join(", "),
            keys.join(", "),
            united(&selects)
        )
    };
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
WITH {changes}, keys AS MATERIALIZED ({keys}), image(is_old, image, {columns}) AS (
{was}
UNION ALL
{now}),
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
GROUP BY 5",
        changes = changes(bound, &logged(bound)),
        keys = keys(bound),
        columns = key.join(", "),
        was = rows(true, &Was { bound, is_few }),
        now = rows(false, &Now(bound)),
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

/// What put does when it has written: nobody else changes what it looks at from then on. It wrote what was logged later than
/// this number. (What was before it is locked at the end of the transaction; it may be much.)
pub(super) fn lock_since(bound: &Bound, number: &str) -> Option<String> {
    let logged = format!("{} AND p.statement > {number}", logged(bound));
    needs_families(bound).then(|| lock(bound, &logged))
}
