//! Derive: what changes of base tables change in the Dejima table, found once, at the end of the transaction.
//!
//! The log holds the rows of base tables that came and went. Added up, they say what the base tables were before: what is there
//! now, without what came, with what went. The keys that they can concern are found from them alone; under these keys the Dejima
//! table as it was is compared with the Dejima table as it is. So every base table's change counts once, whichever sides of
//! a join changed and in whatever order, and what is the same in the end is no change.
//!
//! If only one base table changed, there is a shorter way (`alone`). What other transactions do at the same time, `family` sees to.

use super::alone;
use super::before::{Was, changes};
use super::family::{self, FAMILIES, needs_families};
use super::get::{Now, asked_by_key, get_clauses, key_columns, shown, united, view_columns};
use super::in_place::{self, NOW, Rows, STATEMENT, STATEMENTS_MAX, WAS};
use super::keys::keys;
use super::sections::Changed;
use super::select::{Names, Select, Tables};
use super::{FEW_ROWS_MAX, Size, derive_function, keeps_spaces};
use crate::strategy::bound::Bound;
use crate::strategy::capture::columns_text;
use crate::strategy::program::RelationId;
use crate::strategy::{literal, text};

/// Creates the functions.
pub(super) fn create(bound: &Bound) -> String {
    let function = derive_function(bound);
    let worked = worked(bound).into_iter().map(|worked| {
        let Worked {
            suffix,
            size,
            body,
            arguments,
            ..
        } = worked;
        // Those for few rows are settings of what calls it.
        let settings = match size {
            Size::Few => "",
            Size::Many => size.settings(),
        };
        format!(
            "CREATE OR REPLACE FUNCTION {function}_{suffix}({arguments}) RETURNS void LANGUAGE plpgsql {settings} AS {};\n\
             REVOKE ALL ON FUNCTION {function}_{suffix}({arguments}) FROM PUBLIC;\n",
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
        .map(|worked| format!(", {function}_{}({})", worked.suffix, worked.types))
        .collect();
    format!(
        "DROP FUNCTION IF EXISTS {function}(){names};\n\
         DELETE FROM dejima.family WHERE dejima_table = {}",
        bound.id
    )
}

/// A function that does the work.
struct Worked {
    /// The end of its name.
    suffix: String,
    arguments: &'static str,
    /// Of the arguments, as a signature has them.
    types: &'static str,
    size: Size,
    body: String,
}

/// For changes of one base table alone, in place or not, and of several.
fn worked(bound: &Bound) -> Vec<Worked> {
    let worked = |suffix: String, size, body| Worked {
        suffix,
        arguments: "",
        types: "",
        size,
        body,
    };
    let mut found = Vec::new();
    for relation in alone::tables(bound) {
        let in_place = |rows: Rows, size| {
            let [arguments, types] = rows.arguments();
            Worked {
                suffix: in_place::suffix(relation, rows),
                arguments,
                types,
                size,
                body: in_place::body(bound, relation, rows),
            }
        };
        found.push(in_place(Rows::One, Size::Few));
        for size in [Size::Few, Size::Many] {
            found.push(in_place(Rows::Logged(size), size));
            if in_place::locks(bound, relation) {
                found.push(in_place(Rows::All(size), size));
            }
            let lock = family::lock_alone(bound, relation);
            let body = self::body(bound, &lock, &log_alone(bound, relation));
            found.push(worked(format!("{relation}_{}", size.suffix()), size, body));
        }
    }
    for size in [Size::Few, Size::Many] {
        let lock = family::lock_derived(bound, size);
        let body = self::body(bound, &lock, &log_all(bound, size));
        found.push(worked(size.suffix().to_owned(), size, body));
    }
    found
}

/// Chooses by how much is logged, and of what. More than two statements are many.
fn choose(bound: &Bound) -> String {
    let tables = alone::tables(bound);
    let steady = |old: &str, new: &str| {
        let of_table = |&relation: &RelationId| {
            let are_steady = in_place::Columns::of(bound, relation).are_steady(old, new);
            format!("WHEN first = {relation} THEN {are_steady} ")
        };
        let cases: String = tables.iter().map(of_table).collect();
        format!("CASE {cases}WHEN true THEN false END")
    };
    let alone: String = tables
        .iter()
        .map(|&relation| choose_alone(bound, relation))
        .collect();
    let all = by_size(bound, "");
    let work = if tables.is_empty() {
        all
    } else {
        format!("CASE first\n{alone}ELSE\n{all}END CASE;\n")
    };
    format!(
        "
DECLARE
  sections bigint;
  changed bigint;
  first integer;
  statements bigint;
  are_updates boolean;
  {STATEMENT} bigint;
  is_in_place boolean;
  is_few boolean;
  {WAS} text[];
  {NOW} text[];
BEGIN
SELECT count(*), min(p.relation), min(p.old), min(p.new) INTO sections, first, {WAS}, {NOW} FROM dejima.pending AS p WHERE {logged};
IF sections = 0 THEN
  RETURN;
ELSIF sections = 1 THEN
  changed := greatest(array_length({WAS}, 2), array_length({NOW}, 2));
  is_in_place := {one};
ELSE
  SELECT sum(greatest(array_length(p.old, 2), array_length(p.new, 2))), CASE WHEN min(p.relation) = max(p.relation) THEN min(p.relation) END,
    count(DISTINCT p.statement), count(p.old) = count(*) AND count(p.new) = count(*) AND min(p.depth) = max(p.depth)
  INTO changed, first, statements, are_updates FROM dejima.pending AS p WHERE {logged};
  IF are_updates AND statements <= {STATEMENTS_MAX} THEN
    SELECT bool_and({many}) INTO is_in_place FROM dejima.pending AS p WHERE {logged};
  END IF;
END IF;
is_few := sections < 3 AND changed <= {FEW_ROWS_MAX};
{work}END
",
        one = steady(WAS, NOW),
        many = steady("p.old", "p.new"),
        logged = logged(bound),
    )
}

fn by_size(bound: &Bound, name: &str) -> String {
    let function = derive_function(bound);
    format!(
        "IF is_few THEN\n  PERFORM {function}{name}_few();\nELSE\n  PERFORM {function}{name}_many();\nEND IF;\n"
    )
}

/// The same if only this base table changed.
fn choose_alone(bound: &Bound, relation: RelationId) -> String {
    let function = |rows| in_place::function(bound, relation, rows);
    let may_be_wide = in_place::may_be_wide(bound, relation);
    let fits = if in_place::is_root(bound, relation) {
        "true".to_owned()
    } else {
        format!("NOT ({may_be_wide})")
    };
    let lock = if in_place::locks(bound, relation) {
        format!(
            "  IF is_few THEN\n    PERFORM {}();\n  ELSE\n    PERFORM {}();\n  END IF;\n",
            function(Rows::All(Size::Few)),
            function(Rows::All(Size::Many)),
        )
    } else {
        String::new()
    };
    format!(
        "WHEN {relation} THEN
IF is_in_place AND sections = 1 AND changed = 1 AND {fits} THEN
  PERFORM {one}({WAS}, {NOW});
ELSIF is_in_place THEN
  is_few := is_few AND NOT ({may_be_wide});
{lock}  FOR {STATEMENT} IN SELECT DISTINCT p.statement FROM dejima.pending AS p WHERE {logged} ORDER BY 1 LOOP
    IF is_few THEN
      PERFORM {few}({STATEMENT});
    ELSE
      PERFORM {many}({STATEMENT});
    END IF;
  END LOOP;
ELS{other}",
        logged = logged(bound),
        one = function(Rows::One),
        few = function(Rows::Logged(Size::Few)),
        many = function(Rows::Logged(Size::Many)),
        other = by_size(bound, &format!("_{relation}")),
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
        "p.xid = pg_current_xact_id() AND p.dejima_table = {}",
        bound.id
    )
}

/// Logs what is another row now, whatever base tables changed.
fn log_all(bound: &Bound, size: Size) -> String {
    let columns: Vec<_> = key_columns(bound)
        .iter()
        .map(|column| format!("v.{column}"))
        .collect();
    let clauses = get_clauses(bound);
    let is_single = matches!(clauses.as_slice(), [clause] if Select::is_single(bound, clause));
    let rows = |is_old: bool, tables: &dyn Tables| {
        let selects = shown(
            bound,
            &asked_by_key(bound, "k"),
            tables,
            &mut Names::default(),
        );
        let shown = match size {
            Size::Few => format!("keys AS k, LATERAL ({})", united(&selects)),
            // PostgreSQL joins each to the keys as it likes; a union it would go through for each key.
            Size::Many => {
                let of_keys =
                    |select: &String| format!("SELECT v.* FROM keys AS k, LATERAL ({select}) AS v");
                let all: Vec<_> = selects.iter().map(of_keys).collect();
                let union = if is_single {
                    "\nUNION ALL\n"
                } else {
                    "\nUNION\n"
                };
                format!("({})", all.join(union))
            }
        };
        format!(
            "SELECT {is_old}, ARRAY[{}], {} FROM {shown} AS v",
            images(bound, "v").join(", "),
            columns.join(", "),
        )
    };
    let was = rows(true, &Was(bound, size));
    let now = rows(false, &Now(bound));
    let changes = changes(bound, None, &logged(bound));
    let changes = format!("{changes}, keys AS MATERIALIZED ({})", keys(bound, size));
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

/// Logs rows that were and rows that are: those that are not the same.
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
    let with = format!(
        "WITH {changes}, image(is_old, image, {columns}) AS (
{rows}),
change AS (
SELECT coalesce(max(i.image) FILTER (WHERE i.is_old), {nulls}) AS old, coalesce(max(i.image) FILTER (WHERE NOT i.is_old), {nulls}) AS new,
  greatest(count(*) FILTER (WHERE i.is_old), count(*) FILTER (WHERE NOT i.is_old)) AS alike
FROM image AS i GROUP BY {columns})
",
        columns = key_columns(bound).join(", "),
    );
    let changed = Changed {
        with: &with,
        rows: &format!(
            "SELECT c.old, c.new FROM change AS c\nWHERE CASE WHEN c.alike > 1 THEN dejima.refuse_alike({}) ELSE c.old IS DISTINCT FROM c.new END",
            literal(bound.table.as_str())
        ),
        width: "pg_column_size(c.old) + pg_column_size(c.new)",
        sides: [&side("old"), &side("new")],
    };
    changed.log(bound)
}

/// The values of a row of the Dejima table as texts.
fn images(bound: &Bound, name: &str) -> Vec<String> {
    let columns = view_columns(bound);
    let of =
        |(at, column): (usize, &String)| text(&format!("{name}.{column}"), keeps_spaces(bound, at));
    columns.iter().enumerate().map(of).collect()
}
