//! The base tables of a strategy, as its CREATE TABLEs would make them.

use dejima_core::strategy::identifier;
use dejima_core::strategy::language::syntax::{Function, UnaryOperator};
use dejima_core::strategy::program::{
    Argument, Constraint, ConstraintKind, Expr, Predicate, Program, RelationId, Scope, Step,
};
use dejima_core::strategy::value::Value;

use crate::database::sql_value;

/// The statements that make them.
pub(crate) fn create(program: &Program) -> Vec<String> {
    let tables = program.sources().map(|source| table(program, source));
    let keys = program.constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::ForeignKey {
            relation,
            columns,
            target,
        } => Some(foreign_key(program, *relation, columns, *target)),
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
    let of_sources = |constraint: &&Constraint| constraint.scope == Scope::Sources;
    for constraint in program.constraints.iter().filter(of_sources) {
        match &constraint.kind {
            ConstraintKind::Key {
                relation: of,
                columns,
            } if *of == relation => items.push(format!(
                "UNIQUE ({})",
                column_list(program, relation, columns)
            )),
            ConstraintKind::Written(_) => items.extend(check(program, relation, constraint)),
            _ => {}
        }
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
    relation: RelationId,
    columns: &[usize],
    target: RelationId,
) -> String {
    let key = program.relation(target).key.clone().unwrap_or_default();
    format!(
        "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) DEFERRABLE",
        name(program, relation),
        column_list(program, relation, columns),
        name(program, target),
        column_list(program, target, &key)
    )
}

/// A constraint that speaks of one row of the table alone, as a CHECK.
fn check(program: &Program, relation: RelationId, constraint: &Constraint) -> Option<String> {
    let (Step::Match(Predicate::Rows(of), row), tests) = constraint.body.steps.split_first()?
    else {
        return None;
    };
    if *of != relation {
        return None;
    }
    let columns = &program.relation(relation).columns;
    let column_of = |variable: usize| {
        let at = row
            .iter()
            .position(|argument| *argument == Argument::Variable(variable));
        at.map(|at| identifier(&columns[at].name))
    };
    let tests = tests.iter().map(|step| match step {
        Step::Test(test) => sql(test, &column_of),
        _ => None,
    });
    let tests: Vec<String> = tests.collect::<Option<_>>()?;
    Some(format!("CHECK (NOT ({}))", tests.join(" AND ")))
}

fn sql(expr: &Expr, column_of: &dyn Fn(usize) -> Option<String>) -> Option<String> {
    let of = |expr: &Expr| sql(expr, column_of);
    Some(match expr {
        Expr::Variable(variable) => column_of(*variable)?,
        Expr::Constant(value @ Value::Integer(_)) => value.to_string(),
        Expr::Constant(value @ Value::Text(_)) => sql_value(value, "text"),
        Expr::Constant(value) => format!("{value}"),
        Expr::Unary(UnaryOperator::Negate, operand) => format!("(- {})", of(operand)?),
        Expr::Unary(UnaryOperator::Not, operand) => format!("(NOT {})", of(operand)?),
        Expr::Unary(UnaryOperator::IsNull, operand) => format!("({} IS NULL)", of(operand)?),
        Expr::Unary(UnaryOperator::IsTrue, operand) => format!("({} IS TRUE)", of(operand)?),
        Expr::Binary(operator, left, right) => {
            format!("({} {} {})", of(left)?, operator.text(), of(right)?)
        }
        Expr::Call(function, arguments) => {
            let name = match function {
                Function::Lower => "lower",
                Function::Upper => "upper",
                Function::Length => "length",
                Function::Abs => "abs",
                Function::Coalesce => "coalesce",
            };
            let arguments: Vec<_> = arguments.iter().map(of).collect::<Option<_>>()?;
            format!("{name}({})", arguments.join(", "))
        }
    })
}
