//! CREATE TABLE, and ALTER TABLE ... ADD CONSTRAINT as dumps have it.

use sqlparser::ast::{
    self, AlterColumnOperation, AlterTableOperation, ColumnOption, CreateTable, Expr,
    ForeignKeyConstraint, IndexColumn, TableConstraint,
};

use super::expression::{Column, Context};
use super::{Places, Read, expression};
use crate::strategy::derive::{
    ColumnDefault, Table, TableCheck, TableColumn, TableForeignKey, TableKey,
};
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::Name;

/// A table that is created.
pub(super) fn table(create: &CreateTable, places: &Places) -> Read<Table> {
    let name = places.object(&create.name);
    let mut table = Table {
        span: name.span,
        name,
        columns: Vec::new(),
        keys: Vec::new(),
        foreign_keys: Vec::new(),
        checks: Vec::new(),
    };
    for column in &create.columns {
        let type_name = column.data_type.to_string().to_lowercase();
        table.columns.push(TableColumn {
            name: places.name(&column.name),
            nullable: !type_name.contains("serial"),
            default: if type_name.contains("serial") {
                ColumnDefault::Computed("the next value of a sequence".to_owned())
            } else {
                ColumnDefault::None
            },
            type_name: Name {
                text: type_name,
                span: places.at(column.name.span),
            },
        });
    }
    for (position, column) in create.columns.iter().enumerate() {
        for option in &column.options {
            self::option(&mut table, position, &option.option, places)?;
        }
    }
    for constraint in &create.constraints {
        self::constraint(&mut table, constraint, places)?;
    }
    Ok(table)
}

fn option(table: &mut Table, position: usize, option: &ColumnOption, places: &Places) -> Read<()> {
    let span = table.columns[position].name.span;
    match option {
        ColumnOption::Null => table.columns[position].nullable = true,
        ColumnOption::NotNull => table.columns[position].nullable = false,
        ColumnOption::Default(value) => table.columns[position].default = default(value, span),
        ColumnOption::Generated { .. } => {
            table.columns[position].default = ColumnDefault::Computed("GENERATED".to_owned());
        }
        ColumnOption::PrimaryKey(_) => key(table, vec![position], true, span),
        ColumnOption::Unique(_) => key(table, vec![position], false, span),
        ColumnOption::ForeignKey(foreign) => {
            let foreign_key = foreign_key(vec![position], foreign, span, places);
            table.foreign_keys.push(foreign_key);
        }
        ColumnOption::Check(check) => {
            let check = self::check(table, &check.expr, places)?;
            table.checks.push(check);
        }
        _ => {}
    }
    Ok(())
}

fn default(value: &Expr, span: Span) -> ColumnDefault {
    match expression::constant(value, span) {
        Some(constant)
            if constant.kind == crate::strategy::language::syntax::ExpressionKind::Null =>
        {
            ColumnDefault::None
        }
        Some(constant) => ColumnDefault::Constant(constant),
        None => ColumnDefault::Computed(value.to_string()),
    }
}

fn key(table: &mut Table, columns: Vec<usize>, is_primary: bool, span: Span) {
    if is_primary {
        for &column in &columns {
            table.columns[column].nullable = false;
        }
    }
    table.keys.push(TableKey {
        columns,
        is_primary,
        span,
    });
}

fn foreign_key(
    columns: Vec<usize>,
    foreign: &ForeignKeyConstraint,
    span: Span,
    places: &Places,
) -> TableForeignKey {
    TableForeignKey {
        columns,
        target: places.object(&foreign.foreign_table),
        target_columns: foreign
            .referred_columns
            .iter()
            .map(|column| places.name(column))
            .collect(),
        span,
    }
}

fn constraint(table: &mut Table, constraint: &TableConstraint, places: &Places) -> Read<()> {
    let span = places.span(constraint);
    match constraint {
        TableConstraint::PrimaryKey(primary) => {
            let columns = index_columns(table, &primary.columns, places, span)?;
            key(table, columns, true, span);
        }
        TableConstraint::Unique(unique) => {
            let columns = index_columns(table, &unique.columns, places, span)?;
            key(table, columns, false, span);
        }
        TableConstraint::ForeignKey(foreign) => {
            let names: Vec<Name> = foreign
                .columns
                .iter()
                .map(|column| places.name(column))
                .collect();
            let columns: Read<Vec<usize>> =
                names.iter().map(|name| position(table, name)).collect();
            table
                .foreign_keys
                .push(foreign_key(columns?, foreign, span, places));
        }
        TableConstraint::Check(check) => {
            let check = self::check(table, &check.expr, places)?;
            table.checks.push(check);
        }
        _ => {}
    }
    Ok(())
}

/// Adds what ALTER TABLE adds, and what it says of columns.
pub(super) fn alter(tables: &mut [Table], alter: &ast::AlterTable, places: &Places) -> Read<()> {
    let name = places.object(&alter.name);
    let Some(table) = tables.iter_mut().find(|table| table.name.text == name.text) else {
        return Ok(());
    };
    for operation in &alter.operations {
        match operation {
            AlterTableOperation::AddConstraint { constraint, .. } => {
                self::constraint(table, constraint, places)?;
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                let name = places.name(column_name);
                let position = position(table, &name)?;
                alter_column(&mut table.columns[position], op, name.span);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A dump says afterwards what needs a sequence.
fn alter_column(column: &mut TableColumn, operation: &AlterColumnOperation, span: Span) {
    match operation {
        AlterColumnOperation::SetDefault { value } => column.default = default(value, span),
        AlterColumnOperation::AddGenerated { .. } => {
            column.default = ColumnDefault::Computed("GENERATED".to_owned());
        }
        AlterColumnOperation::SetNotNull => column.nullable = false,
        _ => {}
    }
}

fn index_columns(
    table: &Table,
    columns: &[IndexColumn],
    places: &Places,
    span: Span,
) -> Read<Vec<usize>> {
    let of_one = |column: &IndexColumn| match &column.column.expr {
        Expr::Identifier(ident) => position(table, &places.name(ident)),
        _ => Err(expression::unsupported(span, "a key over an expression")),
    };
    columns.iter().map(of_one).collect()
}

fn position(table: &Table, name: &Name) -> Read<usize> {
    table.column(&name.text).ok_or_else(|| {
        Box::new(Diagnostic::error(
            format!("{} has no column \"{}\"", table.name.text, name.text),
            name.span,
            "no such column",
        ))
    })
}

fn check(table: &Table, expr: &Expr, places: &Places) -> Read<TableCheck> {
    let columns = |_: Option<&str>, ident: &ast::Ident| {
        let name = places.name(ident);
        let position = position(table, &name)?;
        Ok(Column {
            variable: name.text,
            type_name: table.columns[position].type_name.text.clone(),
        })
    };
    let context = Context {
        places,
        columns: &columns,
        is_output: false,
    };
    Ok(TableCheck {
        condition: expression::expression(expr, &context)?,
        text: expr.to_string(),
    })
}
