//! Put, derived from what a Dejima table shows.
//!
//! Each kind of view has its rule: a selection refuses rows that it would not show; a projection keeps the hidden columns of rows
//! that are there, found by key, and fills those of new rows with defaults; a join by key belongs to the one table whose key
//! its rows have, the others are looked up or, if one says so, written; a union knows by a discriminator where a row belongs.
//! What a view leaves open is named and asked for, never guessed. Whatever is derived is checked like what is written by hand.
//! After Bohannon, Pierce, Vaughan, *Relational lenses* (PODS 2006), and Tran, Kato, Hu 2020, section 3.

mod branch;
mod build;
mod classes;
mod definition;
mod keep;
mod lookup;
mod question;
mod rules;
mod types;
mod union;

use std::collections::BTreeSet;

use crate::strategy::language::Diagnostic;
use crate::strategy::language::syntax::{
    ConstraintText, Document, ForeignKeyDeclaration, KeyDeclaration, Name, RelationDeclaration,
    RelationKind, Statement, UnaryOperator,
};
use crate::strategy::program::FromView;
use branch::Branched;
use build::variable;

pub(crate) use definition::{
    Branch, Choice, ChoiceKind, ColumnDefault, Definition, Table, TableCheck, TableColumn,
    TableForeignKey, TableKey, Use, UseKind, column_variable, conjuncts, variable_column,
};

/// What one thing that the view leaves open, or cannot be, stops.
pub(crate) type Derived<T> = Result<T, Box<Diagnostic>>;

/// The put rules of a definition, with the declarations that they need, and what is known of them.
pub(crate) fn derive(definition: &Definition) -> Derived<(Document, FromView)> {
    let mut branches = Vec::new();
    for number in 0..definition.branches.len() {
        branches.push(Branched::of(definition, number)?);
    }
    let mut rules = Vec::new();
    for branch in &branches {
        rules.extend(branch.statements(&branches)?);
    }
    rules.extend(union::belonging(definition, &branches)?);
    rules.extend(keep::of_all(definition, &branches)?);
    let mut statements = Vec::new();
    for table in used_tables(definition) {
        let used: Vec<Table> = used_tables(definition)
            .into_iter()
            .map(|used| definition.tables[used].clone())
            .collect();
        statements.extend(table_statements(&definition.tables[table], &used));
    }
    statements.push(view(definition, &branches));
    statements.extend(union::key(definition, &branches));
    statements.extend(rules);
    let from_view = FromView {
        is_mapping: definition.is_mapping(),
        roots: roots(definition, &branches),
    };
    Ok((Document { statements }, from_view))
}

/// Tables that stand nowhere in the view but where their rows are the ones shown.
fn roots(definition: &Definition, branches: &[Branched<'_>]) -> BTreeSet<String> {
    let name = |table: usize| definition.tables[table].name.text.clone();
    let uses = |branch: &Branched<'_>| {
        let uses = branch.branch.uses.iter().enumerate();
        let root = branch.root;
        let of = move |(number, used): (usize, &Use)| (used.table, number == root);
        uses.map(of).collect::<Vec<_>>()
    };
    let (shown, others): (Vec<_>, Vec<_>) = branches
        .iter()
        .flat_map(uses)
        .partition(|(_, is_root)| *is_root);
    let is_other = |table: usize| others.iter().any(|(other, _)| *other == table);
    shown
        .into_iter()
        .filter(|(table, _)| !is_other(*table))
        .map(|(table, _)| name(table))
        .collect()
}

/// The tables that are in the view, or that its tables refer to or are referred to by.
fn used_tables(definition: &Definition) -> Vec<usize> {
    let in_view = |table: usize| {
        let mut uses = definition.branches.iter().flat_map(|branch| &branch.uses);
        uses.any(|used| used.table == table)
    };
    let refers = |from: usize, to: usize| {
        let keys = &definition.tables[from].foreign_keys;
        keys.iter()
            .any(|key| key.target.text == definition.tables[to].name.text)
    };
    let all = 0..definition.tables.len();
    let linked = |table: usize| {
        all.clone()
            .any(|other| in_view(other) && (refers(table, other) || refers(other, table)))
    };
    all.clone()
        .filter(|&table| in_view(table) || linked(table))
        .collect()
}

/// A table with its keys and its foreign keys to others; its CHECKs are constraints.
pub(crate) fn table_statements(table: &Table, others: &[Table]) -> Vec<Statement> {
    let names = |columns: &[usize]| {
        columns
            .iter()
            .map(|&column| table.columns[column].name.clone())
            .collect()
    };
    let mut statements = vec![Statement::Relation(RelationDeclaration {
        kind: RelationKind::Source,
        name: table.name.clone(),
        columns: table.columns.iter().map(build::column_text).collect(),
        span: table.span,
    })];
    for key in &table.keys {
        statements.push(Statement::Key(KeyDeclaration {
            relation: table.name.clone(),
            columns: names(&key.columns),
            is_primary: key.is_primary,
            span: key.span,
        }));
    }
    for key in &table.foreign_keys {
        let target = others
            .iter()
            .find(|other| other.name.text == key.target.text);
        if let Some(target) = target {
            statements.push(Statement::ForeignKey(ForeignKeyDeclaration {
                relation: table.name.clone(),
                columns: names(&key.columns),
                target: target.name.clone(),
                target_columns: build::target_columns(key, target),
                span: key.span,
            }));
        }
    }
    for check in &table.checks {
        statements.push(check_statement(table, check));
    }
    statements
}

fn check_statement(table: &Table, check: &TableCheck) -> Statement {
    let span = check.condition.span;
    let columns = table.columns.iter();
    let row = columns.map(|column| variable(&column.name.text, span));
    let there = build::present(build::atom(None, &table.name, row.collect(), span));
    let broken = build::test(check.condition.clone().unary(UnaryOperator::Not));
    Statement::Constraint(ConstraintText {
        body: vec![there, broken],
        reason: Some(format!("a CHECK of {}", table.name.text)),
        check: Some(check.text.clone()),
        span,
    })
}

fn view(definition: &Definition, branches: &[Branched<'_>]) -> Statement {
    let columns = definition
        .columns
        .iter()
        .enumerate()
        .map(|(position, name)| {
            let type_name = branches
                .first()
                .map(|branch| branch.output_type(position))
                .unwrap_or_default();
            crate::strategy::language::syntax::ColumnText {
                name: name.clone(),
                type_name: Name {
                    text: type_name,
                    span: name.span,
                },
                nullable: branches
                    .iter()
                    .any(|branch| branch.output_nullable(position)),
                default: None,
            }
        });
    Statement::Relation(RelationDeclaration {
        kind: RelationKind::View,
        name: definition.view.clone(),
        columns: columns.collect(),
        span: definition.view.span,
    })
}
