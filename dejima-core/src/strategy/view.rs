//! The Dejima table itself: an updatable view.
//!
//! PostgreSQL rewrites what a client writes through it into a write of the base table, which is captured like any
//! other. Only an INSERT that has to write declared defaults needs a trigger of ours.

use super::{Strategy, identifier, literal};

/// Creates or replaces the view.
pub(super) fn create(strategy: &Strategy) -> String {
    let columns: Vec<_> = strategy
        .pairs()
        .map(|(name, base)| format!("{} AS {}", identifier(&base.name), identifier(name)))
        .collect();
    let (condition, check) = match &strategy.condition {
        Some(_) => (
            format!("\nWHERE {}", strategy.shows()),
            "\nWITH CASCADED CHECK OPTION",
        ),
        None => (String::new(), ""),
    };
    let view = format!(
        "CREATE OR REPLACE VIEW {} AS\nSELECT {}\nFROM {}{condition}{check}",
        name(strategy),
        columns.join(", "),
        strategy.base.sql_name(),
    );
    let insert = if strategy.hidden.iter().any(|hidden| hidden.value.is_some()) {
        insert(strategy)
    } else {
        forget_insert(strategy)
    };
    format!("{view};\n{insert}")
}

/// Drops the view, and nothing that somebody else built on it.
pub(super) fn remove(strategy: &Strategy) -> String {
    format!(
        "DROP VIEW IF EXISTS {};\nDROP FUNCTION IF EXISTS {}()",
        name(strategy),
        insert_function(strategy)
    )
}

fn forget_insert(strategy: &Strategy) -> String {
    format!(
        "DROP TRIGGER IF EXISTS dejima_insert ON {};\nDROP FUNCTION IF EXISTS {}()",
        name(strategy),
        insert_function(strategy)
    )
}

/// An INSERT writes the declared defaults, too. With a trigger PostgreSQL asks the view for the other defaults, so it is
/// told those of the base table.
fn insert(s: &Strategy) -> String {
    let shown = || {
        let column =
            |base: &str, name: &str| (identifier(base), format!("NEW.{}", identifier(name)));
        s.pairs().map(move |(name, base)| column(&base.name, name))
    };
    let hidden = s.hidden.iter().filter_map(|hidden| {
        let value = literal(hidden.value.as_ref()?);
        let column = identifier(&hidden.column.name);
        Some((column, format!("{value}::{}", hidden.column.type_name)))
    });
    let (columns, values): (Vec<_>, Vec<_>) = shown().chain(hidden).unzip();
    let (stored, taken): (Vec<_>, Vec<_>) = shown().unzip();
    let body = format!(
        "
#variable_conflict use_column
DECLARE
  is_shown boolean;
BEGIN
INSERT INTO {base} ({columns}) VALUES ({values})
RETURNING {stored}, {shows} IS TRUE INTO {taken}, is_shown;
IF is_shown IS NULL THEN
  RETURN NULL;
ELSIF NOT is_shown THEN
  PERFORM dejima.refuse_hidden({table}, {base_text});
END IF;
RETURN NEW;
END
",
        base = s.base.sql_name(),
        columns = columns.join(", "),
        values = values.join(", "),
        stored = stored.join(", "),
        taken = taken.join(", "),
        shows = s.shows(),
        table = literal(s.table.as_str()),
        base_text = literal(&s.base.sql_name()),
    );
    let defaults: Vec<_> = s
        .pairs()
        .map(|(name, base)| format!("({}, {})", literal(name), literal(&base.name)))
        .collect();
    let function = insert_function(s);
    format!(
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE OR REPLACE TRIGGER dejima_insert INSTEAD OF INSERT ON {view} FOR EACH ROW EXECUTE FUNCTION {function}();\n\
         DO {}",
        literal(&body),
        literal(&format!(
            "
DECLARE
  shown record;
BEGIN
FOR shown IN
  SELECT c.name, coalesce(pg_get_expr(d.adbin, d.adrelid),
    CASE WHEN a.attidentity <> '' THEN format('nextval(%L::regclass)', pg_get_serial_sequence({base}, c.base)) END) AS value
  FROM (VALUES {defaults}) AS c(name, base)
  JOIN pg_attribute AS a ON a.attrelid = {base}::regclass AND a.attname = c.base
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LOOP
  EXECUTE format('ALTER VIEW %s ALTER COLUMN %I %s', {view_text}, shown.name, coalesce('SET DEFAULT ' || shown.value, 'DROP DEFAULT'));
END LOOP;
END
",
            base = literal(&s.base.sql_name()),
            defaults = defaults.join(", "),
            view_text = literal(&name(s)),
        )),
        view = name(s),
    )
}

fn insert_function(strategy: &Strategy) -> String {
    format!("dejima.insert_{}", strategy.id)
}

/// The quoted and qualified name of the view.
pub(super) fn name(strategy: &Strategy) -> String {
    format!("dejima_tables.{}", identifier(strategy.table.as_str()))
}
