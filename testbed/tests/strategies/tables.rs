//! The base tables of a strategy, as its CREATE TABLEs would make them.

use dejima_core::strategy::program::{ConstraintKind, Program, RelationId, Scope};
use dejima_core::strategy::{RowCondition, identifier};

/// The statements that make them.
pub(crate) fn create(program: &Program) -> Vec<String> {
    let tables = program.sources().map(|source| table(program, source));
    let keys = program.constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::ForeignKey {
            relation,
            columns,
            target,
            target_columns,
        } => Some(foreign_key(
            program,
            (*relation, columns),
            (*target, target_columns),
        )),
        _ => None,
    });
    tables.chain(keys).collect()
}

/// The quoted and qualified name of a base table.
pub(crate) fn name(program: &Program, source: RelationId) -> String {
    let name = &program.relation(source).name;
    let (schema, table) = name.split_once('.').unwrap_or(("public", name));
    format!("{}.{}", identifier(schema), identifier(table))
}

/// A type of the existing dialect as PostgreSQL calls it.
pub(crate) fn type_name(written: &str) -> &str {
    match written {
        "string" => "text",
        "float" => "double precision",
        other => other,
    }
}

fn table(program: &Program, relation: RelationId) -> String {
    let declared = program.relation(relation);
    let mut items: Vec<String> = declared
        .columns
        .iter()
        .map(|column| {
            let type_name = type_name(&column.type_name);
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {type_name}{not_null}", identifier(&column.name))
        })
        .collect();
    if let Some(key) = &declared.key {
        items.push(format!("UNIQUE ({})", column_list(program, relation, key)));
    }
    for constraint in &program.constraints {
        if let ConstraintKind::Key {
            relation: of,
            columns,
        } = &constraint.kind
            && *of == relation
            && constraint.scope == Scope::Sources
        {
            let columns = column_list(program, relation, columns);
            items.push(format!("UNIQUE ({columns})"));
        }
    }
    let conditions = RowCondition::all(program).into_iter();
    for condition in conditions.filter(|condition| condition.relation == relation) {
        items.push(format!("CHECK ({})", condition.texts[0]));
    }
    let name = name(program, relation);
    let schema = name.split_once('.').map_or("", |(schema, _)| schema);
    format!(
        "CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE ON SCHEMA {schema} TO dejima; DROP TABLE IF EXISTS {name}; \
         CREATE TABLE {name} ({}); GRANT ALL ON {name} TO dejima",
        items.join(", ")
    )
}

fn column_list(program: &Program, relation: RelationId, columns: &[usize]) -> String {
    let names = columns
        .iter()
        .map(|&at| identifier(&program.relation(relation).columns[at].name));
    names.collect::<Vec<_>>().join(", ")
}

/// Deferrable, so that rows can be made in any order; a foreign key is checked at once all the same.
fn foreign_key(
    program: &Program,
    (relation, columns): (RelationId, &[usize]),
    (target, target_columns): (RelationId, &[usize]),
) -> String {
    format!(
        "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) DEFERRABLE",
        name(program, relation),
        column_list(program, relation, columns),
        name(program, target),
        column_list(program, target, target_columns)
    )
}
