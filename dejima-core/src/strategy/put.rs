//! Put: two functions a Dejima table that write changed rows into the base table.
//!
//! The first tries one row by one small statement, which names in its WHERE all that must hold. If it finds the
//! row, all is said: PostgreSQL compares the row's newest version, after any wait for its lock. Otherwise, and for
//! several rows, the second takes over. It alone decides about refusals, so one row and many mean the same.
//!
//! The second joins the rows of the JSON argument, as they stand there, to the base table by its key. Its settings
//! leave the planner one way, an index lookup for each row, which is right for one row as for ten thousand, in a
//! table of any size. Names that the generated SQL adds hold a space.

use super::quote::literals;
use super::{BaseColumn, Bound, PINNED, Strategy, identifier, literal, sql, text_of};
use crate::name::TableName;

/// The parts of the current row of the JSON argument. They are taken out of it once: each `->` copies what it finds, and a
/// value can have a hundred mebibytes.
const OP: &str = "\"dejima put\".\"dejima op\"";
const KEY: &str = "\"dejima put\".\"dejima key\"";
const OLD: &str = "\"dejima put\".\"dejima old\"";
const NEW: &str = "\"dejima put\".\"dejima new\"";

/// All rows of the JSON argument.
const ROWS: &str = "(SELECT op, key, old, new, ordinal FROM ROWS FROM (dejima.put_records($1) AS (op text, key jsonb, old jsonb, new jsonb)) \
                    WITH ORDINALITY AS r(op, key, old, new, ordinal)) \
                    AS \"dejima put\"(\"dejima op\", \"dejima key\", \"dejima old\", \"dejima new\", \"dejima ordinal\")";

/// The only row of the JSON argument, in plpgsql.
const ONLY_ROW: &str = "(SELECT putting_key, putting_old, putting_new) \
                        AS \"dejima put\"(\"dejima key\", \"dejima old\", \"dejima new\")";

/// Its parts, as plpgsql declares them.
pub(super) const ONLY_ROW_PARTS: &str = "putting_key constant jsonb := $1->0->'key';
  putting_old constant jsonb := $1->0->'old';
  putting_new constant jsonb := $1->0->'new';";

/// The row that this SQL expression is.
fn row_of(row: &str) -> String {
    format!(
        "(SELECT {row}->>'op', {row}->'key', {row}->'old', {row}->'new') \
         AS \"dejima put\"(\"dejima op\", \"dejima key\", \"dejima old\", \"dejima new\")"
    )
}

/// Creates the functions.
pub(super) fn create(strategy: &Strategy) -> String {
    let (function, set_function) = (function(strategy), set_function(strategy));
    format!(
        "CREATE OR REPLACE FUNCTION {function}(jsonb) RETURNS void LANGUAGE plpgsql AS {};\n\
         REVOKE ALL ON FUNCTION {function}(jsonb) FROM PUBLIC;\n\
         CREATE OR REPLACE FUNCTION {set_function}(jsonb, text) RETURNS void LANGUAGE plpgsql\n\
         SET enable_nestloop = on SET enable_indexscan = on SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_memoize = off AS {};\n\
         REVOKE ALL ON FUNCTION {set_function}(jsonb, text) FROM PUBLIC",
        literal(&one_row(strategy)),
        literal(&body(strategy)),
    )
}

/// Drops the functions.
pub(super) fn remove(strategy: &Strategy) -> String {
    format!(
        "DROP FUNCTION IF EXISTS {}(jsonb), {}(jsonb, text)",
        function(strategy),
        set_function(strategy)
    )
}

/// Creates `dejima.put`, which gives each element of its argument to the function of its Dejima table. The settings
/// are its own, so that they cost once a call. Without sequential scans a plan made for a small base table still
/// does when the table has grown.
pub(super) fn create_dispatcher(strategies: &[Strategy], programs: &[Bound]) -> String {
    let branch = |table: &TableName, function: String| {
        let table = literal(table.as_str());
        format!("    WHEN {table} THEN PERFORM {function}(part->'rows');\n")
    };
    let of_programs = programs
        .iter()
        .map(|p| branch(&p.table, sql::put_function(p)));
    let branches: String = strategies
        .iter()
        .map(|s| branch(&s.table, function(s)))
        .chain(of_programs)
        .collect();
    let derive = if programs.iter().any(sql::is_derived) {
        "PERFORM dejima.derive();\n"
    } else {
        ""
    };
    let body = format!(
        "\nDECLARE\n  part jsonb;\nBEGIN\nFOR part IN SELECT value FROM jsonb_array_elements($1) WITH ORDINALITY AS e(value, ordinal) ORDER BY ordinal LOOP\n  \
           CASE part->>'table'\n{branches}    ELSE PERFORM dejima.refuse_table(part->>'table');\n  END CASE;\nEND LOOP;\n{derive}END\n"
    );
    format!(
        "CREATE OR REPLACE FUNCTION dejima.put(jsonb) RETURNS void LANGUAGE plpgsql {PINNED}\n\
         SET enable_indexscan = on SET enable_seqscan = off SET enable_bitmapscan = off AS {};\n\
         REVOKE ALL ON FUNCTION dejima.put(jsonb) FROM PUBLIC",
        literal(if branches.is_empty() {
            "\nBEGIN\n  PERFORM dejima.refuse_table($1->0->>'table');\nEND\n"
        } else {
            &body
        }),
    )
}

fn function(strategy: &Strategy) -> String {
    format!("dejima.put_{}", strategy.id)
}

fn set_function(strategy: &Strategy) -> String {
    format!("dejima.put_{}_rows", strategy.id)
}

fn one_row(s: &Strategy) -> String {
    let found = format!("{} AND {}", key(s), s.shows());
    format!(
        "
#variable_conflict use_column
DECLARE
  {ONLY_ROW_PARTS}
  is_shown boolean;
  steps text;
BEGIN
IF jsonb_array_length($1) = 1 AND NOT EXISTS (
  SELECT FROM (VALUES (putting_old), (putting_new)) AS s(side), jsonb_object_keys(s.side) AS k WHERE k <> ALL (ARRAY[{names}])) THEN
  CASE $1->0->>'op'
  WHEN 'update' THEN
    {update}
  WHEN 'insert' THEN
    {insert}
    RETURNING {is_shown} INTO is_shown;
  WHEN 'delete' THEN
    DELETE FROM {target} USING {ONLY_ROW} WHERE {found} AND {old_holds};
    is_shown := nullif(FOUND, false);
  ELSE
  END CASE;
  IF is_shown THEN
    RETURN;
  ELSIF NOT is_shown THEN
    PERFORM dejima.refuse_hidden({table}, {base});
  END IF;
END IF;
{turns}
PERFORM {set_function}($1, {first});
END
",
        names = literals(s.schema.columns.iter().map(|c| c.name.as_str())),
        update = update_one(s, &found),
        insert = insert_from(s, ONLY_ROW),
        is_shown = is_shown(s),
        target = target(s),
        old_holds = old_holds(s),
        table = literal(s.table.as_str()),
        base = literal(&s.base.sql_name()),
        set_function = set_function(s),
        turns = turns(s),
        first = literal(FIRST_ORDER),
    )
}

/// Deletions, updates and insertions: deletions make room under unique keys, and so do updates.
const FIRST_ORDER: &str = "dui";

/// The others in which they can hold where rows refer to rows of the same table: one is deleted from which others were moved
/// away, or inserted for others to be moved to. (No deletion waits for an insertion alone, so the last two are not needed.)
const OTHER_ORDERS: [&str; 3] = ["udi", "iud", "diu"];

/// Tries the orders in turn; what no order can do is refused as the first one refuses it, by what follows.
fn turns(s: &Strategy) -> String {
    let orders = [FIRST_ORDER].into_iter().chain(OTHER_ORDERS);
    format!(
        "IF jsonb_array_length($1) > 1 AND EXISTS (SELECT FROM pg_constraint AS c
  WHERE c.conrelid = {oid} AND c.confrelid = c.conrelid AND c.contype = 'f') THEN
  FOREACH steps IN ARRAY ARRAY[{orders}] LOOP
    BEGIN
      PERFORM {set_function}($1, steps);
      RETURN;
    EXCEPTION WHEN foreign_key_violation OR unique_violation THEN
    END;
  END LOOP;
END IF;",
        oid = s.base.oid,
        orders = literals(orders),
        set_function = set_function(s),
    )
}

/// Most updates change one column: for these PostgreSQL keeps the plan, which takes longer to make than to run. The
/// UPDATE names the columns that change and no other, so that a base table's UPDATE OF triggers see the truth.
fn update_one(s: &Strategy, found: &str) -> String {
    let (target, is_shown) = (target(s), is_shown(s));
    let branch = |(name, base): (&str, &BaseColumn)| {
        format!(
            "IF putting_new - {name} = '{{}}' AND putting_old - {name} = '{{}}' THEN
      UPDATE {target} SET {assignment} FROM {ONLY_ROW}
      WHERE {found} AND {old_holds} AND {differs} RETURNING {is_shown} INTO is_shown;
    ELS",
            assignment = assignment(name, base),
            old_holds = old_holds_in(s, name, base),
            differs = differs_in(s, name, base),
            name = literal(name),
        )
    };
    let branches: String = s.pairs().map(branch).collect();
    // SQL text in pieces, of which only those of the columns that the row names are taken.
    let pieces = |side: &str, piece: &dyn Fn(&str, &BaseColumn) -> String| {
        let one = |(name, base): (&str, &BaseColumn)| {
            format!(
                "CASE WHEN putting_{side} ? {} THEN {} END",
                literal(name),
                literal(&piece(name, base))
            )
        };
        s.pairs().map(one).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{branches}IF putting_old IS NOT NULL AND putting_new <> '{{}}' THEN
      EXECUTE {head} || array_to_string(ARRAY[{assignments}], ', ') || {found}
        || array_to_string(ARRAY['', {old_holds}], ' AND ') || ' AND (' || array_to_string(ARRAY['false', {differs}], ' OR ') || {tail}
      INTO is_shown USING putting_key, putting_old, putting_new;
    END IF;",
        head = literal(&format!("UPDATE {target} SET ")),
        assignments = pieces("new", &assignment),
        found = literal(&format!(
            " FROM (SELECT $1, $2, $3) AS \"dejima put\"(\"dejima key\", \"dejima old\", \"dejima new\") WHERE {found}"
        )),
        old_holds = pieces("old", &|name, base| old_holds_in(s, name, base)),
        differs = pieces("new", &|name, base| differs_in(s, name, base)),
        tail = literal(&format!(") RETURNING {is_shown}")),
    )
}

fn is_shown(s: &Strategy) -> String {
    format!("{} IS TRUE", s.shows())
}

fn body(s: &Strategy) -> String {
    format!(
        "
#variable_conflict use_column
DECLARE
  deletes bigint; updates bigint; moves bigint; inserts bigint;
  done bigint; shown bigint; updated bigint := 0;
  unknown text; step text;
  batch record;
  moving jsonb;
  waiting jsonb[] := '{{}}'; blocked jsonb[]; stuck boolean := false;
BEGIN
SELECT count(*) FILTER (WHERE op = 'delete'), count(*) FILTER (WHERE op = 'update' AND NOT moved),
  count(*) FILTER (WHERE op = 'update' AND moved), count(*) FILTER (WHERE op = 'insert'),
  min(r.unknown)
INTO deletes, updates, moves, inserts, unknown
FROM (
  SELECT {OP} AS op, {moved} AS moved,
    (SELECT min(k) FROM (VALUES ({OLD}), ({NEW})) AS s(side), jsonb_object_keys(s.side) AS k
     WHERE k <> ALL (ARRAY[{names}])) AS unknown
  FROM {ROWS}
) AS r;
IF unknown IS NOT NULL THEN
  PERFORM dejima.refuse_column({table}, unknown);
END IF;
{lock}
FOREACH step IN ARRAY string_to_array($2, NULL) LOOP
CASE step
WHEN 'd' THEN
{delete}
WHEN 'u' THEN
{update}
{move_}
WHEN 'i' THEN
{insert}
END CASE;
END LOOP;
END
",
        names = literals(s.schema.columns.iter().map(|c| c.name.as_str())),
        moved = moved(s),
        table = literal(s.table.as_str()),
        lock = lock(s),
        delete = delete(s),
        update = update(s),
        move_ = move_key(s),
        insert = insert(s),
    )
}

/// Waits for whoever is changing these rows, prepared transactions among them, in the order of keys. What
/// follows compares in new statements, which see what the wait was for.
fn lock(s: &Strategy) -> String {
    format!(
        "IF deletes + updates + moves > 0 THEN
  PERFORM FROM {ROWS} JOIN {target} ON {key}
  WHERE {KEY} IS NOT NULL ORDER BY {KEY} FOR UPDATE OF {alias};
END IF;",
        target = target(s),
        key = key(s),
        alias = identifier(&s.base.name),
    )
}

fn delete(s: &Strategy) -> String {
    let concerned = format!(
        "{OP} = 'delete' AND {} AND {} AND {}",
        key(s),
        s.shows(),
        old_holds(s)
    );
    format!(
        "IF deletes > 0 THEN
  DELETE FROM {target} USING {ROWS} WHERE {concerned};
  GET DIAGNOSTICS done = ROW_COUNT;
  IF done <> deletes THEN
    PERFORM FROM {target}, {ROWS} WHERE {concerned};
    IF FOUND THEN
      PERFORM dejima.refuse_dropped({table}, {base});
    END IF;
    PERFORM dejima.refuse_stale({table});
  END IF;
END IF;",
        target = target(s),
        table = literal(s.table.as_str()),
        base = literal(&s.base.sql_name()),
    )
}

/// Updates that keep the key: one UPDATE for each set of changed columns, so that a base table's UPDATE OF
/// triggers see the truth. Rows that hold the new values already are left alone.
fn update(s: &Strategy) -> String {
    let concerned = format!("{OP} = 'update' AND NOT {}", moved(s));
    format!(
        "IF updates > 0 THEN
  FOR batch IN
    SELECT changed, count(*) AS found, count(*) FILTER (WHERE differs) AS differing, sum(count(*)) OVER () AS found_in_all
    FROM (SELECT {changed} AS changed, {differs} AS differs
      FROM {ROWS} JOIN {target} ON {key}
      WHERE {concerned} AND {shows} AND {old_holds}) AS r
    GROUP BY changed
  LOOP
    EXIT WHEN batch.found_in_all <> updates;
    updated := updated + batch.found;
    CONTINUE WHEN batch.differing = 0;
    {one_column}
    ELSE
      EXECUTE {execute}
      INTO done, shown USING $1, batch.changed;
    END CASE;
    {check}
  END LOOP;
  IF updated <> updates THEN
    PERFORM dejima.refuse_stale({table});
  END IF;
END IF;",
        changed = changed(),
        differs = differs(s),
        target = target(s),
        key = key(s),
        shows = s.shows(),
        old_holds = old_holds(s),
        one_column = one_column(s, &concerned),
        execute = set_changed(
            s,
            ROWS,
            &format!("{concerned} AND {} = $2 AND {} AND {}", changed(), key(s), differs(s))
        ),
        check = check_done(s, "batch.differing"),
        table = literal(s.table.as_str()),
    )
}

/// Most updates change one column: for these PostgreSQL keeps the plan, which takes longer to make than to run.
fn one_column(s: &Strategy, concerned: &str) -> String {
    let branch = |(name, base): (&str, &BaseColumn)| {
        let only = format!("ARRAY[{}]", literal(name));
        format!(
            "WHEN batch.changed = {only} THEN
      {update} {assignment} {returning}
      INTO done, shown FROM updated;",
            update = update_head(s),
            assignment = assignment(name, base),
            returning = update_tail(
                s,
                ROWS,
                &format!(
                    "{concerned} AND {} = {only} AND {} AND {}",
                    changed(),
                    key(s),
                    differs(s)
                )
            ),
        )
    };
    let branches: Vec<_> = s.pairs().map(branch).collect();
    format!("CASE\n    {}", branches.join("\n    "))
}

/// Updates of the key, one by one in the given order; but one whose new key another row still has waits for the others.
/// The order given compares texts, and keys of different texts may be equal (1.0 and 1.00).
fn move_key(s: &Strategy) -> String {
    let row = row_of("$1");
    let concerned = format!("{} AND {} AND {}", key(s), s.shows(), old_holds(s));
    format!(
        "IF moves > 0 THEN
  waiting := ARRAY(
    SELECT r.\"dejima row\"
    FROM dejima.put_rows($1) WITH ORDINALITY AS r(\"dejima row\", \"dejima ordinal\"), {of_row}
    WHERE {OP} = 'update' AND {moved} ORDER BY r.\"dejima ordinal\");
END IF;
WHILE cardinality(waiting) > 0 LOOP
  blocked := '{{}}';
  FOR batch IN
    SELECT r.\"dejima row\" AS put, {changed} AS changed FROM unnest(waiting) AS r(\"dejima row\"), {of_row}
  LOOP
    moving := batch.put;
    PERFORM FROM {target}, {moving} WHERE {new_key} AND NOT ({key});
    IF FOUND AND NOT stuck THEN
      blocked := blocked || moving;
      CONTINUE;
    END IF;
    PERFORM FROM {target}, {moving} WHERE {concerned};
    IF NOT FOUND THEN
      PERFORM dejima.refuse_stale({table});
    END IF;
    EXECUTE {execute}
    INTO done, shown USING moving;
    {check}
  END LOOP;
  stuck := cardinality(blocked) = cardinality(waiting);
  waiting := blocked;
END LOOP;",
        key = key(s),
        of_row = format!("LATERAL {}", row_of("r.\"dejima row\"")),
        moving = row_of("moving"),
        new_key = key_is(s, |name, at, base| format!(
            "coalesce({NEW}->>{}, {KEY}->>{at})::{}",
            literal(name),
            base.type_name
        )),
        changed = changed(),
        moved = moved(s),
        target = target(s),
        execute = set_changed(s, &row, &concerned),
        check = check_done(s, "1"),
        table = literal(s.table.as_str()),
    )
}

/// An INSERT without its RETURNING.
fn insert_from(s: &Strategy, rows: &str) -> String {
    let shown = s
        .pairs()
        .map(|(name, base)| (identifier(&base.name), new_value(name, base)));
    let hidden = s.hidden.iter().map(|h| {
        let value = h.value.as_ref().map_or("NULL".to_owned(), |text| {
            format!("{}::{}", literal(text), h.column.base_type)
        });
        (identifier(&h.column.name), value)
    });
    let (columns, values): (Vec<_>, Vec<_>) = shown.chain(hidden).unzip();
    let key_columns: Vec<_> = s.key.columns.iter().map(|c| identifier(c)).collect();
    format!(
        "INSERT INTO {target} ({columns})
    SELECT {values}
    FROM {rows}
    ON CONFLICT ({key_columns}) DO NOTHING",
        target = target(s),
        columns = columns.join(", "),
        values = values.join(", "),
        key_columns = key_columns.join(", "),
    )
}

fn insert(s: &Strategy) -> String {
    let rows = format!(
        "{ROWS}
    WHERE {OP} = 'insert' ORDER BY \"dejima put\".\"dejima ordinal\""
    );
    format!(
        "IF inserts > 0 THEN
  WITH inserted AS (
    {insert}
    RETURNING {shows} AS shown
  ) SELECT count(*), count(*) FILTER (WHERE inserted.shown) INTO done, shown FROM inserted;
  IF shown <> done THEN
    PERFORM dejima.refuse_hidden({table}, {base});
  END IF;
  IF done <> inserts THEN
    SELECT count(*), count(*) FILTER (WHERE {shows}) INTO done, shown
    FROM {ROWS} JOIN {target} ON {new_key} WHERE {OP} = 'insert';
    IF done <> inserts THEN
      PERFORM dejima.refuse_dropped({table}, {base});
    ELSIF shown <> done THEN
      PERFORM dejima.refuse_taken({table}, {base});
    END IF;
    PERFORM dejima.refuse_present({table});
  END IF;
END IF;",
        insert = insert_from(s, &rows),
        target = target(s),
        shows = s.shows(),
        table = literal(s.table.as_str()),
        base = literal(&s.base.sql_name()),
        new_key = key_is(s, |name, _, base| new_value(name, base)),
    )
}

/// SQL text (as an SQL expression) of the UPDATE of `batch.changed` in the rows concerned; it returns how many
/// were updated and how many of them the Dejima table still shows.
fn set_changed(s: &Strategy, rows: &str, concerned: &str) -> String {
    let assignments: Vec<_> = s
        .pairs()
        .map(|(name, base)| format!("({}, {})", literal(name), literal(&assignment(name, base))))
        .collect();
    format!(
        "{} || (SELECT string_agg(assignment, ', ') FROM (VALUES {}) AS a(name, assignment) WHERE name = ANY (batch.changed)) || {}",
        literal(&format!("{} ", update_head(s))),
        assignments.join(", "),
        literal(&format!(
            " {} FROM updated",
            update_tail(s, rows, concerned)
        )),
    )
}

fn update_head(s: &Strategy) -> String {
    format!("WITH updated AS (UPDATE {} SET", target(s))
}

fn update_tail(s: &Strategy, rows: &str, concerned: &str) -> String {
    format!(
        "FROM {rows} WHERE {concerned} RETURNING {} AS shown) SELECT count(*), count(*) FILTER (WHERE updated.shown)",
        s.shows()
    )
}

fn assignment(name: &str, base: &BaseColumn) -> String {
    format!("{} = {}", identifier(&base.name), new_value(name, base))
}

fn check_done(s: &Strategy, expected: &str) -> String {
    let (table, base) = (literal(s.table.as_str()), literal(&s.base.sql_name()));
    format!(
        "IF done <> {expected} THEN
      PERFORM dejima.refuse_dropped({table}, {base});
    ELSIF shown <> done THEN
      PERFORM dejima.refuse_hidden({table}, {base});
    END IF;"
    )
}

/// The base table under its own name, so that the condition may use it.
fn target(s: &Strategy) -> String {
    format!("{} AS {}", s.base.sql_name(), identifier(&s.base.name))
}

fn column(s: &Strategy, base: &BaseColumn) -> String {
    format!("{}.{}", identifier(&s.base.name), identifier(&base.name))
}

/// The names of the columns that the row sets.
fn changed() -> String {
    format!("ARRAY(SELECT k FROM jsonb_object_keys({NEW}) AS k ORDER BY k COLLATE \"C\")")
}

/// The row's new value, typed but without length: assignment enforces the length, a cast would cut.
fn new_value(name: &str, base: &BaseColumn) -> String {
    format!("({NEW}->>{})::{}", literal(name), base.base_type)
}

/// The base row has the key that the row names.
fn key(s: &Strategy) -> String {
    key_is(s, |_, at, base| {
        format!("({KEY}->>{at})::{}", base.base_type)
    })
}

fn key_is(s: &Strategy, value: impl Fn(&str, usize, &BaseColumn) -> String) -> String {
    let one = |(at, &index): (usize, &u16)| {
        let base = &s.columns[usize::from(index)];
        let name = s.schema.column_name(index);
        format!(
            "{} {} {}",
            column(s, base),
            s.key.operator(&base.name),
            value(name, at, base)
        )
    };
    s.schema
        .key
        .iter()
        .enumerate()
        .map(one)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// The row sets another key than it has.
fn moved(s: &Strategy) -> String {
    let one = |(at, &index): (usize, &u16)| {
        let name = literal(s.schema.column_name(index));
        format!("coalesce({NEW} ? {name} AND {NEW}->>{name} IS DISTINCT FROM {KEY}->>{at}, false)")
    };
    format!(
        "({})",
        s.schema
            .key
            .iter()
            .enumerate()
            .map(one)
            .collect::<Vec<_>>()
            .join(" OR ")
    )
}

/// Every column that the row's `old` names holds that value. One that holds the new value already was changed by
/// somebody else: stale as well.
fn old_holds(s: &Strategy) -> String {
    let all: Vec<_> = s
        .pairs()
        .map(|(name, base)| old_holds_in(s, name, base))
        .collect();
    all.join(" AND ")
}

fn old_holds_in(s: &Strategy, name: &str, base: &BaseColumn) -> String {
    let (now, name) = (now(s, base), literal(name));
    format!("(NOT {OLD} ? {name} OR {now} IS NOT DISTINCT FROM {OLD}->>{name})")
}

/// Some column that the row sets holds another value.
fn differs(s: &Strategy) -> String {
    let any: Vec<_> = s
        .pairs()
        .map(|(name, base)| differs_in(s, name, base))
        .collect();
    format!("({})", any.join(" OR "))
}

fn differs_in(s: &Strategy, name: &str, base: &BaseColumn) -> String {
    let (now, name) = (now(s, base), literal(name));
    format!("({NEW} ? {name} AND {now} IS DISTINCT FROM {NEW}->>{name})")
}

/// What the base row holds.
fn now(s: &Strategy, base: &BaseColumn) -> String {
    text_of(&column(s, base), base)
}
