//! What a view leaves open, asked for.

use super::{Choice, ChoiceKind, ColumnDefault, Definition, Derived, Table, TableColumn, Use};
use crate::strategy::language::syntax::{Expression, Name};
use crate::strategy::language::{Diagnostic, Span};

/// How a table that is joined is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    Read,
    Write,
}

/// The treatment that was chosen for a table.
pub(super) fn treatment(definition: &Definition, table: &Table) -> Option<Treatment> {
    definition
        .choices
        .iter()
        .find_map(|choice| match &choice.kind {
            ChoiceKind::Read(name) if *name == table.name.text => Some(Treatment::Read),
            ChoiceKind::Write(name) if *name == table.name.text => Some(Treatment::Write),
            _ => None,
        })
}

/// A column of a joined table is shown: what does a change of it mean?
pub(super) fn which_table(
    column: &Name,
    table: &Table,
    root: &Table,
    place: Span,
) -> Box<Diagnostic> {
    let (name, root) = (&table.name.text, &root.name.text);
    Box::new(
        Diagnostic::error(
            format!("what does a change of \"{}\" mean?", column.text),
            column.span,
            format!("this is a column of {name}"),
        )
        .and_at(place, format!("each row shown is a row of {root}; {name} is joined to it"))
        .note(format!("either the row of {name} itself changes, for all rows of {root} that refer to it,\nor {name} is only looked up, and a change that does not fit it is refused"))
        .help(format!("say so in a line of the file: `-- put: read {name}` or `-- put: write {name}`")),
    )
}

/// A joined table is to be written, and what is shown does not say which of its rows.
pub(super) fn which_row(table: &Table, hidden: usize, place: Span) -> Box<Diagnostic> {
    let (name, column) = (&table.name.text, &table.columns[hidden].name.text);
    Box::new(
        Diagnostic::error(
            format!("which row of {name} is to change?"),
            place,
            format!("its column \"{column}\" is part of its key, and not shown"),
        )
        .note(format!(
            "{name} is written, too, so a changed row must say which of its rows it is about"
        ))
        .help(format!(
            "show {name}.{column}, or only look {name} up: `-- put: read {name}`"
        )),
    )
}

/// No table's key determines the rows of the join.
pub(super) fn no_root(definition: &Definition, uses: &[Use]) -> Box<Diagnostic> {
    let mut finding: Option<Diagnostic> = None;
    for used in uses {
        let table = &definition.tables[used.table];
        let keys = match table.key() {
            Some(key) => format!("its key is ({})", names(table, &key.columns)),
            None => "it has no key".to_owned(),
        };
        finding = Some(match finding {
            None => Diagnostic::error("this join is not by a key", used.span, keys),
            Some(before) => before.and_at(used.span, keys),
        });
    }
    let finding = finding
        .unwrap_or_else(|| Diagnostic::error("nothing is selected from", Span::default(), ""));
    Box::new(
        finding
            .note("a changed row could not be put back: it must come from one row of one table, and the others\nbe found from it by their keys")
            .help("join by the key of one of the tables, or write put rules (Datalog)"),
    )
}

pub(super) fn names(table: &Table, columns: &[usize]) -> String {
    let names: Vec<&str> = columns
        .iter()
        .map(|&column| table.columns[column].name.text.as_str())
        .collect();
    names.join(", ")
}

/// The key of the table whose rows are shown is not shown.
pub(super) fn hidden_key(table: &Table, hidden: &[usize], span: Span) -> Box<Diagnostic> {
    let text = names(table, hidden);
    Box::new(
        Diagnostic::error(
            format!("which row of {} is meant?", table.name.text),
            span,
            format!("its key column {text} is not shown"),
        )
        .note("hidden columns of a changed row could not be kept, for nobody could say which row it was")
        .help(format!("show {text}, or write put rules (Datalog)")),
    )
}

/// A table without a key of which columns are hidden.
pub(super) fn no_key(table: &Table, hidden: &[usize], span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(
            format!("which row of {} is meant?", table.name.text),
            span,
            format!("{} is not shown", names(table, hidden)),
        )
        .and_at(table.span, "this table has no key")
        .help(format!(
            "give {} a primary key and show it, or show all its columns",
            table.name.text
        )),
    )
}

/// What a new row gets in a column that is not shown.
pub(super) fn default(
    definition: &Definition,
    table: &Table,
    column: &TableColumn,
) -> Derived<Expression> {
    let chosen = definition
        .choices
        .iter()
        .find_map(|Choice { kind, .. }| match kind {
            ChoiceKind::Default(of, name, value)
                if *of == table.name.text && *name == column.name.text =>
            {
                Some(value.clone())
            }
            _ => None,
        });
    if let Some(value) = chosen {
        return Ok(value);
    }
    let (name, of) = (&column.name.text, &table.name.text);
    let ask = |label: String| {
        Box::new(
            Diagnostic::error(
                format!("what is \"{name}\" of a new row?"),
                column.name.span,
                label,
            )
            .and_at(definition.view.span, "this view does not show it")
            .help(format!("say so in a line of the file: `-- put: default {of}.{name} = CONSTANT`\nor show the column")),
        )
    };
    match &column.default {
        ColumnDefault::Constant(value) => Ok(value.clone()),
        ColumnDefault::None if column.nullable => Ok(super::build::null(column.name.span)),
        ColumnDefault::None => Err(ask("it is NOT NULL and has no default".to_owned())),
        ColumnDefault::Computed(text) => Err(ask(format!(
            "its default, {text}, is known to the database alone"
        ))),
    }
}
