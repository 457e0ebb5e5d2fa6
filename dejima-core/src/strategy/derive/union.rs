//! Unions: into which part a row belongs.

use std::collections::BTreeSet;

use super::branch::{Branched, shown_constants};
use super::build::{absent, constraint, present, test, variable};
use super::{ChoiceKind, Definition, Derived};
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, KeyDeclaration, Literal, Statement,
};
use crate::strategy::language::{Diagnostic, Span};

/// What says that a row belongs to a part: constants that it shows, conditions on what it shows.
fn belongs(branch: &Branched<'_>) -> Option<Expression> {
    let renamed = branch.belongs().into_iter().map(|condition| {
        condition.map_variables(&|name| {
            let output = branch.outputs.iter().position(
                |output| matches!(&output.kind, ExpressionKind::Variable(found) if found == name),
            );
            let shown = output.map(|position| branch.output_names[position].clone());
            ExpressionKind::Variable(shown.unwrap_or_else(|| name.to_owned()))
        })
    });
    let all = shown_constants(branch).into_iter().chain(renamed);
    all.reduce(|left, right| Expression::binary(BinaryOperator::And, left, right))
}

/// The table into which new rows go that could belong to several parts.
fn chosen(definition: &Definition) -> Option<&str> {
    definition
        .choices
        .iter()
        .find_map(|choice| match &choice.kind {
            ChoiceKind::InsertInto(table) => Some(table.as_str()),
            _ => None,
        })
}

/// A row that belongs to no part is refused.
pub(super) fn belonging(
    definition: &Definition,
    branches: &[Branched<'_>],
) -> Derived<Vec<Statement>> {
    let [first, _, ..] = branches else {
        return Ok(Vec::new());
    };
    if chosen(definition).is_some() {
        return Ok(Vec::new());
    }
    let span = first.span();
    let names = first.output_names.iter().map(|name| variable(name, span));
    let mut body: Vec<Literal> = vec![present(first.view_atom(names.collect()))];
    for branch in branches {
        let Some(condition) = belongs(branch) else {
            return Err(ask(definition, branches));
        };
        body.push(test(condition.is_not_true()));
    }
    let reason = format!("no part of {} shows such a row", definition.view.text);
    Ok(vec![constraint(body, &reason, span)])
}

fn ask(definition: &Definition, branches: &[Branched<'_>]) -> Box<Diagnostic> {
    let mut tables = branches
        .iter()
        .map(|branch| (branch.root_table().name.text.clone(), branch.span()));
    let (first, place) = tables.next().unwrap_or_default();
    let finding = Diagnostic::error(
        format!(
            "into which table is a new row of {} to be put?",
            definition.view.text
        ),
        place,
        format!("into {first}?"),
    );
    let finding = tables.fold(finding, |finding, (table, place)| {
        finding.and_at(place, format!("or into {table}?"))
    });
    Box::new(
        finding
            .note("what is selected from them does not say where a row came from")
            .help(format!("let each part show a constant of its own ('{first}' AS origin), or distinguish them by WHERE"))
            .help(format!("or say so in a line of the file: `-- put: insert into {first}`")),
    )
}

/// With a chosen table: a new row is put there only if no other part shows it, and into others never.
pub(super) fn elsewhere(branch: &Branched<'_>, all: &[Branched<'_>]) -> Derived<Vec<Literal>> {
    let Some(table) = chosen(branch.definition).filter(|_| all.len() > 1) else {
        return Ok(Vec::new());
    };
    let is_whole = |branch: &Branched<'_>| {
        branch.hidden().is_empty()
            && branch.groups.is_empty()
            && branch.tests.is_empty()
            && !branch.is_keyed()
    };
    if let Some(other) = all.iter().find(|branch| !is_whole(branch)) {
        let name = &other.root_table().name.text;
        return Err(Box::new(
            Diagnostic::error(
                "`-- put: insert into` is for unions of whole tables without keys",
                other.span(),
                format!("{name} is not shown whole, or has a key"),
            )
            .help("let each part show a constant of its own, or distinguish them by WHERE"),
        ));
    }
    if branch.root_table().name.text != table {
        let never = Expression::new(ExpressionKind::Boolean(false), branch.span());
        return Ok(vec![test(never)]);
    }
    let others = all
        .iter()
        .filter(|other| other.root_table().name.text != table);
    let rows = others.map(|other| {
        let row = other
            .row(other.root)
            .into_iter()
            .map(|value| translated(other, branch, value));
        absent(other.root_atom(None, row.collect()))
    });
    Ok(rows.collect())
}

/// A value of one part as the other calls it.
fn translated(from: &Branched<'_>, to: &Branched<'_>, value: Expression) -> Expression {
    let position = from
        .view_row()
        .iter()
        .position(|shown| shown.kind == value.kind);
    match position {
        Some(position) => to.view_row()[position].clone(),
        None => value,
    }
}

/// The key of the view: that of the one table, or of each with the constant that tells them apart.
pub(super) fn key(definition: &Definition, branches: &[Branched<'_>]) -> Option<Statement> {
    let mut keys = BTreeSet::new();
    for branch in branches {
        if !branch.is_keyed() {
            return None;
        }
        let row = branch.row(branch.root);
        let mut key = BTreeSet::new();
        for column in branch.key() {
            match &row[column].kind {
                ExpressionKind::Variable(_) => {
                    key.insert(
                        branch
                            .view_row()
                            .iter()
                            .position(|shown| shown.kind == row[column].kind)?,
                    );
                }
                _ if branches.len() > 1 => return None,
                _ => {}
            }
        }
        keys.insert(key);
    }
    let mut keys = keys.into_iter();
    let (Some(mut key), None) = (keys.next(), keys.next()) else {
        return None;
    };
    if branches.len() > 1 {
        key.insert(discriminator(branches)?);
    }
    let span: Span = definition.view.span;
    (!key.is_empty()).then(|| {
        Statement::Key(KeyDeclaration {
            relation: definition.view.clone(),
            columns: key
                .into_iter()
                .map(|position| definition.columns[position].clone())
                .collect(),
            is_primary: true,
            span,
        })
    })
}

/// The column in which every part shows another constant.
fn discriminator(branches: &[Branched<'_>]) -> Option<usize> {
    let columns = branches.first()?.outputs.len();
    (0..columns).find(|&column| {
        let constants: Vec<_> = branches
            .iter()
            .map(|branch| &branch.outputs[column])
            .collect();
        let is_constant = |output: &&Expression| {
            output.variables().is_empty() && output.kind != ExpressionKind::Null
        };
        let differ = constants.iter().enumerate().all(|(position, constant)| {
            constants[..position]
                .iter()
                .all(|other| other.kind != constant.kind)
        });
        constants.iter().all(is_constant) && differ
    })
}
