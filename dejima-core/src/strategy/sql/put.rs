//! Put: from changed rows of the Dejima table to rows of base tables.
//!
//! Rules speak of all rows that the Dejima table is to have. That it is steady (GetPut) is what makes less enough: of rows that do not
//! change no rule says anything new, so a rule is followed only where a row that went or came takes part in it. All rules see the
//! base tables before the change, so one query finds all that is to be written, and only then `write` writes it.

use std::collections::BTreeSet;

use super::family::lock_since;
use super::get::{
    Now, asked_by_key, is_among, key_columns, key_pairs, shown, source_columns, united,
    view_columns, view_name,
};
use super::occurrence::{Atom, outer_variables};
use super::select::{Names, Select, Tables, Taken, hashable, same};
use super::unfold::{Clause, Item, clauses, of_body};
use super::{FEW_ROWS_MAX, Size, asked_among, direct, put_function, put_one, through_one, write};
use crate::strategy::bound::Bound;
use crate::strategy::program::{Constraint, Predicate, RelationId, Scope};
use crate::strategy::{identifier, literal, quote::literals, text};

/// Creates the functions.
pub(super) fn create(bound: &Bound) -> String {
    let function = put_function(bound);
    let view = view_name(bound);
    let arguments = format!("gone {view}[], come {view}[]");
    let of_size = |size: Size| {
        let (suffix, settings) = (size.suffix(), size.settings());
        format!(
            "CREATE OR REPLACE FUNCTION {function}_{suffix}({arguments}) RETURNS void LANGUAGE plpgsql {settings} AS {};\n\
             REVOKE ALL ON FUNCTION {function}_{suffix}({view}[], {view}[]) FROM PUBLIC;\n",
            literal(&body(bound, size))
        )
    };
    let direct = direct::all(bound);
    let (one, reading) = if direct.is_empty() {
        (String::new(), function.clone())
    } else {
        (
            put_one::create(bound, &direct),
            put_one::rows_function(bound),
        )
    };
    format!(
        "{types}{few}{many}CREATE OR REPLACE FUNCTION {function}({arguments}) RETURNS void LANGUAGE plpgsql AS {choose};\n\
         REVOKE ALL ON FUNCTION {function}({view}[], {view}[]) FROM PUBLIC;\n\
         {one}CREATE OR REPLACE FUNCTION {reading}(jsonb) RETURNS void LANGUAGE plpgsql {settings} AS {read};\n\
         REVOKE ALL ON FUNCTION {reading}(jsonb) FROM PUBLIC",
        types = create_types(bound),
        few = of_size(Size::Few),
        many = of_size(Size::Many),
        choose = literal(&format!(
            "\nBEGIN\nIF coalesce(cardinality(gone), 0) + coalesce(cardinality(come), 0) <= {few} THEN\n  PERFORM {function}_few(gone, come);\n\
             ELSE\n  PERFORM {function}_many(gone, come);\nEND IF;\nEND\n",
            few = FEW_ROWS_MAX
        )),
        settings = Size::Few.settings(),
        read = literal(&read(bound)),
    )
}

/// Drops the functions, and of `through_one` the one with arguments of their type.
pub(super) fn remove(bound: &Bound) -> String {
    let (function, view) = (put_function(bound), view_name(bound));
    let rows = if direct::all(bound).is_empty() {
        String::new()
    } else {
        format!("{}(jsonb), ", put_one::rows_function(bound))
    };
    // The view is an argument's type: without it these functions are not there either.
    format!(
        "DO {};\n{}",
        literal(&format!(
            "BEGIN IF to_regclass({}) IS NOT NULL THEN DROP FUNCTION IF EXISTS {rows}{function}(jsonb), {function}({view}[], {view}[]), \
             {function}_few({view}[], {view}[]), {function}_many({view}[], {view}[]), {first}; END IF; END",
            literal(&view),
            first = through_one::signature(bound)
        )),
        remove_types(bound),
    )
}

/// The type of a row to be written. That of the base table would not do: what a cast to it makes of a value that is too long is
/// short enough.
fn row_type(bound: &Bound, relation: RelationId) -> String {
    format!("dejima.row_{}_{relation}", bound.id)
}

fn create_types(bound: &Bound) -> String {
    let create = |relation: RelationId| {
        let columns = bound.source(relation).columns.iter();
        let columns =
            columns.map(|column| format!("{} {}", identifier(&column.name), column.base_type));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!(
            "CREATE TYPE {} AS ({columns});\n",
            row_type(bound, relation)
        )
    };
    bound.program.written().map(create).collect()
}

fn remove_types(bound: &Bound) -> String {
    let types = bound
        .program
        .written()
        .map(|relation| row_type(bound, relation));
    let types = types.collect::<Vec<_>>().join(", ");
    if types.is_empty() {
        return String::new();
    }
    format!("DROP TYPE IF EXISTS {types}")
}

/// From the peer's rows (sql/README.md) to rows that go and come. An old value that is not there any more is refused.
fn read(bound: &Bound) -> String {
    let key = bound.key();
    let asked: Vec<Option<String>> = bound
        .schema
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let place = key.iter().position(|&key| key == at)?;
            Some(format!("(p.key->>{place})::{}", column.type_name))
        })
        .collect();
    let found = shown(bound, &asked, &Now(bound), &mut Names::default());
    let columns = || bound.schema.columns.iter().enumerate();
    let old_holds = columns().map(|(at, column)| {
        let name = literal(&column.name);
        let now = text(
            &format!("s.{}", identifier(&column.name)),
            super::keeps_spaces(bound, at),
        );
        format!("(NOT p.old ? {name} OR {now} IS NOT DISTINCT FROM p.old->>{name})")
    });
    let new = columns().map(|(_, column)| {
        let (name, quoted) = (literal(&column.name), identifier(&column.name));
        format!(
            "CASE WHEN p.new ? {name} THEN (p.new->>{name})::{} ELSE s.{quoted} END",
            column.type_name
        )
    });
    let old = columns().map(|(_, column)| format!("s.{}", identifier(&column.name)));
    format!(
        "
#variable_conflict use_column
DECLARE
  gone {view}[];
  come {view}[];
  stale bigint;
  unknown text;
BEGIN
SELECT min(k) INTO unknown
FROM dejima.put_records($1) AS p(op text, key jsonb, old jsonb, new jsonb), (VALUES (1), (2)) AS s(side),
  jsonb_object_keys(CASE s.side WHEN 1 THEN p.old ELSE p.new END) AS k
WHERE k <> ALL (ARRAY[{names}]);
IF unknown IS NOT NULL THEN
  PERFORM dejima.refuse_column({table}, unknown);
END IF;
SELECT array_agg(ROW({old})::{view}) FILTER (WHERE p.op <> 'insert'),
  array_agg(ROW({new})::{view}) FILTER (WHERE p.op <> 'delete'),
  count(*) FILTER (WHERE p.op <> 'insert' AND (s.\"dejima found\" IS NULL OR NOT ({old_holds})))
INTO gone, come, stale
FROM dejima.put_records($1) AS p(op text, key jsonb, old jsonb, new jsonb)
LEFT JOIN LATERAL (SELECT true AS \"dejima found\", f.* FROM ({found}) AS f) AS s ON p.op <> 'insert';
IF stale > 0 THEN
  PERFORM dejima.refuse_stale({table});
END IF;
PERFORM {function}(coalesce(gone, '{{}}'), coalesce(come, '{{}}'));
END
",
        view = view_name(bound),
        names = literals(bound.schema.columns.iter().map(|column| column.name.as_str())),
        table = literal(bound.table.as_str()),
        old = old.collect::<Vec<_>>().join(", "),
        new = new.collect::<Vec<_>>().join(", "),
        old_holds = old_holds.collect::<Vec<_>>().join(" AND "),
        found = united(&found),
        function = put_function(bound),
    )
}

fn body(bound: &Bound, size: Size) -> String {
    let table = literal(bound.table.as_str());
    let written: Vec<RelationId> = bound.program.written().collect();
    let declared: String = written
        .iter()
        .map(|&relation| {
            let row = row_type(bound, relation);
            format!("  deleted_{relation} {row}[];\n  inserted_{relation} {row}[];\n")
        })
        .collect();
    let queries: Vec<String> = written
        .iter()
        .flat_map(|&relation| [Predicate::Delete(relation), Predicate::Insert(relation)])
        .map(|head| effects(bound, size, head))
        .collect();
    let variables: Vec<String> = written
        .iter()
        .map(|relation| format!("deleted_{relation}, inserted_{relation}"))
        .collect();
    format!(
        "
#variable_conflict use_column
DECLARE
{declared}  changed text[];
  done bigint;
  expected bigint;
  asked integer[];
  held integer[] := '{{}}';
  before text;
  since constant bigint := nextval('dejima.statement');
BEGIN
{steady}
{constraints}
SELECT {queries}
INTO {variables};
{write}
{lock}
{check}
END
",
        steady = steady(bound, size, &table),
        constraints = constraints(bound, size),
        queries = queries.join(",\n"),
        variables = variables.join(", "),
        write = write::all(bound, size, &written),
        lock = lock_since(bound, size, "since").unwrap_or_default(),
        check = check(bound, size, &table),
    )
}

/// What goes must be there as it is said; what comes must have a key that nobody has.
fn steady(bound: &Bound, size: Size, table: &str) -> String {
    let found = |name: &str| {
        let selects = shown(
            bound,
            &asked_by_key(bound, name),
            &Now(bound),
            &mut Names::default(),
        );
        united(&selects)
    };
    let alike: Vec<_> = view_columns(bound)
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let keeps = super::keeps_spaces(bound, at);
            let (left, right) = (
                text(&format!("s.{column}"), keeps),
                text(&format!("g.{column}"), keeps),
            );
            format!("{left} IS NOT DISTINCT FROM {right}")
        })
        .collect();
    format!(
        "IF cardinality(gone) <> (SELECT count(*) FROM {gone_rows} AS g, LATERAL ({gone}) AS s WHERE {alike}) THEN
  PERFORM dejima.refuse_stale({table});
END IF;
IF EXISTS (SELECT FROM {come_rows} AS c, LATERAL ({come}) AS s WHERE NOT {is_gone}) THEN
  PERFORM dejima.refuse_present({table});
END IF;
IF EXISTS (SELECT FROM {come_rows} AS c GROUP BY {key} HAVING count(*) > 1) THEN
  PERFORM dejima.refuse_alike({table});
END IF;",
        gone = found("g"),
        come = found("c"),
        alike = alike.join(" AND "),
        is_gone = is_among("c", &key_pairs(bound), &asked_among("gone")),
        gone_rows = size.members("gone"),
        come_rows = size.members("come"),
        key = key_columns(bound).iter().map(|column| format!("c.{column}")).collect::<Vec<_>>().join(", "),
    )
}

/// The Dejima table as it is to be, and the base tables as they are.
struct Wanted<'a>(&'a Bound, Size);

impl Wanted<'_> {
    /// Those of the Dejima table's rows that stay, as far as they have the values known.
    fn staying(&self, known: &[Option<String>], names: &mut Names) -> String {
        let Self(bound, _) = *self;
        let name = names.next();
        format!(
            "SELECT {} FROM ({}) AS {name} WHERE NOT {}",
            columns_of(bound, &name),
            shown(bound, known, &Now(bound), names).join("\nUNION ALL\n"),
            is_among(&name, &key_pairs(bound), &asked_among("gone")),
        )
    }

    /// Whether one comes that has the values known. PostgreSQL answers it by a hash; joined to the rows that come it may look through all
    /// of them for each row, because it takes what it has so far for a single one.
    fn is_coming(&self, known: &[Option<String>]) -> Option<String> {
        let Self(bound, _) = *self;
        let declared = &bound.program.view().columns;
        let (mut values, mut columns) = (Vec::new(), Vec::new());
        for ((column, value), declared) in view_columns(bound).iter().zip(known).zip(declared) {
            let Some(value) = value else { continue };
            let among = format!("among.{column}");
            values.push(hashable(value, &declared.sort, declared.nullable)?);
            columns.push(hashable(&among, &declared.sort, declared.nullable)?);
        }
        let among = format!(
            "(({}) IN (SELECT {} FROM {} AS among)) IS TRUE",
            values.join(", "),
            columns.join(", "),
            asked_among("come")
        );
        (!columns.is_empty()).then_some(among)
    }

    /// Those that come, with the values known.
    fn coming(&self, known: &[Option<String>], names: &mut Names) -> String {
        let Self(bound, size) = *self;
        let name = names.next();
        let declared = &bound.program.view().columns;
        let values: Vec<_> = view_columns(bound)
            .iter()
            .zip(known)
            .zip(declared)
            .filter_map(|((column, value), declared)| {
                let value = value.as_ref()?;
                let column = format!("{name}.{column}");
                Some(same(&column, value, declared.nullable))
            })
            .collect();
        let condition = if values.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", values.join(" AND "))
        };
        let (columns, come) = (columns_of(bound, &name), size.members("come"));
        format!("SELECT {columns} FROM {come} AS {name}{condition}")
    }
}

fn columns_of(bound: &Bound, name: &str) -> String {
    let columns = view_columns(bound);
    let columns = columns.iter().map(|column| format!("{name}.{column}"));
    columns.collect::<Vec<_>>().join(", ")
}

impl Tables for Wanted<'_> {
    fn rows(&self, relation: RelationId, known: &[Option<String>], names: &mut Names) -> String {
        let bound = self.0;
        if relation != bound.program.view {
            return bound.source(relation).base.sql_name();
        }
        let (stays, comes) = (self.staying(known, names), self.coming(known, names));
        format!("LATERAL ({stays} UNION ALL {comes})")
    }

    /// Few rows are looked through faster than one more plan is begun.
    fn parts(
        &self,
        relation: RelationId,
        known: &[Option<String>],
        is_only_asked_for: bool,
        names: &mut Names,
    ) -> Vec<Taken> {
        let Self(bound, size) = *self;
        if relation != bound.program.view || size == Size::Few {
            return vec![Taken::Rows(self.rows(relation, known, names))];
        }
        let stays = self.staying(known, names);
        let comes = is_only_asked_for.then(|| self.is_coming(known)).flatten();
        let comes = comes.map_or_else(|| Taken::Rows(size.members("come")), Taken::If);
        vec![Taken::Rows(format!("LATERAL ({stays})")), comes]
    }
}

/// The rows of a base table that rules delete or insert because of what changes, as an array.
fn effects(bound: &Bound, size: Size, head: Predicate) -> String {
    let relation = head.relation();
    let source = bound.source(relation);
    let all = write::all_columns(bound, relation);
    let columns = source_columns(source, &all);
    let names = &mut Names::default();
    let selects: Vec<String> = clauses(&bound.program, head)
        .iter()
        .flat_map(|clause| {
            fired(bound, size, clause, names)
                .into_iter()
                .map(|select| {
                    let values = select.values(relation, &clause.head);
                    let named: Vec<_> = values
                        .iter()
                        .zip(&columns)
                        .map(|(value, column)| format!("{value} AS {column}"))
                        .collect();
                    format!("SELECT {}{}", named.join(", "), select.rest())
                })
                .collect::<Vec<_>>()
        })
        .collect();
    if selects.is_empty() {
        return format!("'{{}}'::{}[]", row_type(bound, relation));
    }
    // What is there is not inserted, what is not there not deleted.
    let exists = format!(
        "EXISTS (SELECT FROM {} AS b WHERE {})",
        source.base.sql_name(),
        write::alike(bound, relation, "b", "e", &all)
    );
    let not = if matches!(head, Predicate::Insert(_)) {
        "NOT "
    } else {
        ""
    };
    let row: Vec<_> = columns.iter().map(|column| format!("e.{column}")).collect();
    format!(
        "(SELECT coalesce(array_agg(ROW({})::{row_type}), '{{}}') FROM (SELECT DISTINCT * FROM ({}) AS s) AS e WHERE {not}{exists})",
        row.join(", "),
        selects.join("\nUNION ALL\n"),
        row_type = row_type(bound, relation),
    )
}

/// The clause where a row that went or came takes part in it: once for each place where the Dejima table stands in it.
fn fired<'a>(
    bound: &'a Bound,
    size: Size,
    clause: &'a Clause,
    names: &mut Names,
) -> Vec<Select<'a>> {
    let view = bound.program.view;
    let atoms = Atom::all(clause);
    let outer = outer_variables(clause);
    let mut found = Vec::new();
    for changed in atoms.iter().filter(|atom| atom.relation == view) {
        // What there must be none of holds anew where a row went.
        let set = size.members(if changed.depth % 2 == 0 {
            "come"
        } else {
            "gone"
        });
        let mut select = Select::new(bound, &clause.variables);
        select.row(view, &changed.arguments, &set, names);
        if changed.depth > 0 {
            for &beside in changed
                .beside
                .iter()
                .filter(|&&beside| atoms[beside].relation != view)
            {
                let atom = &atoms[beside];
                let rows = bound.source(atom.relation).base.sql_name();
                select.row(atom.relation, &atom.arguments, &rows, names);
            }
        }
        // Inside of a negation a variable of its own means any row again.
        select.known.retain(|variable, _| outer.contains(variable));
        let mut number = 0;
        let mut others = Vec::new();
        for item in &clause.items {
            let is_changed =
                matches!(item, Item::Row(..)) && changed.depth == 0 && number == changed.number;
            number += count(item);
            if !is_changed {
                others.push(item.clone());
            }
        }
        found.extend(select.items(&others, &Wanted(bound, size), names));
    }
    found
}

/// How many atoms an item has.
fn count(item: &Item) -> usize {
    match item {
        Item::Row(..) => 1,
        Item::None(alternatives) => alternatives.iter().flatten().map(count).sum(),
        Item::Define(..) | Item::Test(_) => 0,
    }
}

/// Refuses what the constraints of the Dejima table refuse.
fn constraints(bound: &Bound, size: Size) -> String {
    let of_view = bound
        .program
        .constraints
        .iter()
        .filter(|constraint| constraint.scope == Scope::View);
    of_view
        .map(|constraint| refuse_if(bound, size, constraint))
        .collect()
}

fn refuse_if(bound: &Bound, size: Size, constraint: &Constraint) -> String {
    let names = &mut Names::default();
    // To find one, PostgreSQL would begin to go through all pairs; to count them, it makes a hash.
    let is_broken = |select: &Select<'_>| match size {
        Size::Few => select.exists(),
        Size::Many => format!("(SELECT count(*){}) > 0", select.rest()),
    };
    let broken: BTreeSet<String> = of_body(&bound.program, &constraint.body, &[])
        .iter()
        .flat_map(|clause| {
            let fired = fired(bound, size, clause, names);
            fired.iter().map(is_broken).collect::<Vec<_>>()
        })
        .collect();
    if broken.is_empty() {
        return String::new();
    }
    format!(
        "IF {} THEN\n  PERFORM dejima.refuse_constraint({}, {});\nEND IF;\n",
        broken.into_iter().collect::<Vec<_>>().join("\n OR "),
        literal(bound.table.as_str()),
        literal(&bound.program.constraint_name(constraint)),
    )
}

/// After all is written the Dejima table shows what came, and shows nothing under keys that went.
fn check(bound: &Bound, size: Size, table: &str) -> String {
    let found = |name: &str| {
        let selects = shown(
            bound,
            &asked_by_key(bound, name),
            &Now(bound),
            &mut Names::default(),
        );
        united(&selects)
    };
    format!(
        "IF EXISTS (SELECT FROM {come_rows} AS c WHERE NOT EXISTS ({come}))
  OR EXISTS (SELECT FROM {gone_rows} AS g, LATERAL ({gone}) AS s WHERE NOT {comes}) THEN
  PERFORM dejima.refuse_lost({table});
END IF;",
        come = found("c"),
        gone = found("g"),
        comes = is_among("g", &key_pairs(bound), &asked_among("come")),
        gone_rows = size.members("gone"),
        come_rows = size.members("come"),
    )
}
