//! A put of one row that changes direct columns alone: one UPDATE, as for a declaration (`strategy/put.rs`).

use super::direct::{self, BY_INDEX, Direct, Update};
use super::{keeps_spaces, put_function};
use crate::strategy::bound::Bound;
use crate::strategy::put::ONLY_ROW_PARTS;
use crate::strategy::{literal, quote::literals, text};

/// The function that takes the rest over, and decides about refusals.
pub(super) fn rows_function(bound: &Bound) -> String {
    format!("{}_rows", put_function(bound))
}

/// Creates the function that tries it first.
pub(super) fn create(bound: &Bound, direct: &[Direct]) -> String {
    let function = put_function(bound);
    format!(
        "CREATE OR REPLACE FUNCTION {function}(jsonb) RETURNS void LANGUAGE plpgsql {BY_INDEX} AS {};\n\
         REVOKE ALL ON FUNCTION {function}(jsonb) FROM PUBLIC;\n",
        literal(&body(bound, direct))
    )
}

/// The parts of the row as plpgsql has them, and as parameters.
const HERE: [&str; 3] = ["putting_key", "putting_old", "putting_new"];
const GIVEN: [&str; 3] = ["$1", "$2", "$3"];

fn body(bound: &Bound, direct: &[Direct]) -> String {
    let tries: String = direct.iter().map(|direct| attempt(bound, direct)).collect();
    format!(
        "
#variable_conflict use_column
DECLARE
  {ONLY_ROW_PARTS}
  done bigint := 0;
BEGIN
IF jsonb_array_length($1) = 1 AND $1->0->>'op' = 'update' AND putting_old IS NOT NULL AND putting_new <> '{{}}' THEN
{tries}END IF;
IF done = 0 THEN
  PERFORM {rows}($1);
ELSE
  {check}
END IF;
END
",
        rows = rows_function(bound),
        check = direct::check(bound, &asked(bound, HERE)),
    )
}

/// The key that the row names, each value for its column.
fn asked(bound: &Bound, [said_key, ..]: [&str; 3]) -> Vec<Option<String>> {
    let key = bound.key();
    let columns = bound.schema.columns.iter().enumerate();
    let value = |(at, column): (usize, &crate::delta::Column)| {
        let place = key.iter().position(|&key| key == at)?;
        Some(format!("({said_key}->>{place})::{}", column.type_name))
    };
    columns.map(value).collect()
}

/// Most updates change one column: for these PostgreSQL keeps the plan.
fn attempt(bound: &Bound, direct: &Direct) -> String {
    let update = direct.update(bound, &asked(bound, HERE));
    let branch = |&(at, column): &(usize, usize)| {
        let name = literal(&bound.schema.columns[at].name);
        format!(
            "IF putting_new - {name} = '{{}}' AND putting_old - {name} = '{{}}' THEN
    {head}{assignment}{tail};
    GET DIAGNOSTICS done = ROW_COUNT;
  ELS",
            head = update.head(),
            assignment = assignment(bound, direct, (at, column), HERE),
            tail = update.tail(
                &[],
                &update.of_one(vec![
                    old_holds(bound, &update, at, HERE),
                    differs(bound, &update, at, HERE)
                ])
            ),
        )
    };
    let branches: String = direct.columns.iter().map(branch).collect();
    let columns = || bound.schema.columns.iter().map(|c| c.name.as_str());
    let named = direct
        .columns
        .iter()
        .map(|&(at, _)| bound.schema.columns[at].name.as_str());
    format!(
        "IF done = 0 AND {guard} THEN
  {branches}IF putting_new - ARRAY[{named}] = '{{}}' AND putting_old - ARRAY[{all}] = '{{}}' THEN
    EXECUTE {execute} USING {given};
    GET DIAGNOSTICS done = ROW_COUNT;
  END IF;
END IF;
",
        guard = update.guard,
        named = literals(named),
        all = literals(columns()),
        execute = several(bound, direct),
        given = HERE.join(", "),
    )
}

/// SQL text (as an SQL expression) of the UPDATE of all columns that the row names, and of no others, so that a base table's
/// UPDATE OF triggers see the truth.
fn several(bound: &Bound, direct: &Direct) -> String {
    let update = direct.update(bound, &asked(bound, GIVEN));
    let piece = |side: &str, at: usize, text: String| {
        let name = literal(&bound.schema.columns[at].name);
        format!(
            "CASE WHEN putting_{side} ? {name} THEN {} END",
            literal(&text)
        )
    };
    let of_new = |text: &dyn Fn((usize, usize)) -> String| {
        let pieces = direct.columns.iter();
        let pieces = pieces.map(|&(at, column)| piece("new", at, text((at, column))));
        pieces.collect::<Vec<_>>().join(", ")
    };
    let old_holds = (0..bound.schema.columns.len())
        .map(|at| piece("old", at, old_holds(bound, &update, at, GIVEN)))
        .collect::<Vec<_>>();
    format!(
        "{head} || array_to_string(ARRAY[{assignments}], ', ') || {tail} || array_to_string(ARRAY['', {old_holds}], ' AND ') \
         || ' AND (' || array_to_string(ARRAY['false', {differs}], ' OR ') || ')'",
        head = literal(&update.head()),
        assignments = of_new(&|column| assignment(bound, direct, column, GIVEN)),
        tail = literal(&update.tail(&[], &update.of_one(vec![]))),
        old_holds = old_holds.join(", "),
        differs = of_new(&|(at, _)| differs(bound, &update, at, GIVEN)),
    )
}

fn assignment(
    bound: &Bound,
    direct: &Direct,
    (at, column): (usize, usize),
    [_, _, said_new]: [&str; 3],
) -> String {
    let shown = &bound.schema.columns[at];
    let value = format!(
        "({said_new}->>{})::{}",
        literal(&shown.name),
        shown.type_name
    );
    direct.assignment(bound, column, &value)
}

/// What the row names as old is so.
fn old_holds(bound: &Bound, update: &Update, at: usize, [_, said_old, _]: [&str; 3]) -> String {
    let name = literal(&bound.schema.columns[at].name);
    let now = text(&update.values[at], keeps_spaces(bound, at));
    format!("(NOT {said_old} ? {name} OR {now} IS NOT DISTINCT FROM {said_old}->>{name})")
}

/// What holds the new value already is left alone.
fn differs(bound: &Bound, update: &Update, at: usize, [_, _, said_new]: [&str; 3]) -> String {
    let name = literal(&bound.schema.columns[at].name);
    let now = text(&update.values[at], keeps_spaces(bound, at));
    format!("{now} IS DISTINCT FROM {said_new}->>{name}")
}
