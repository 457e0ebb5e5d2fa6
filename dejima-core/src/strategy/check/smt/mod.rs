//! Obligations as questions to a solver, in SMT-LIB 2.6.
//!
//! The base tables and the wanted Dejima table are predicates of which nothing is known but the constraints. A script asks for a state in
//! which the obligation does not hold: if there is none ("unsat"), it is proved, for tables of every size.

mod encode;
mod expression;
mod formula;
mod term;

use std::fmt::Write;

use super::Obligation;
use crate::strategy::program::{Predicate, Program, Role, Scope};
use encode::{AFTER, Encoder, UNCHANGED, WANTED, World, relation_name};
use expression::{FUNCTIONS, OPAQUE_ORDER, TEXT_ORDER};
use formula::Formula;
use term::{DATATYPES, column_sort};

/// The script that asks for a state in which the obligation does not hold; for [`Obligation::Fulfillable`], for a wanted row.
pub fn script(program: &Program, obligation: Obligation) -> String {
    let mut encoder = Encoder::new(program);
    let needs_wish = !matches!(
        obligation,
        Obligation::GetPut | Obligation::Shown(_) | Obligation::ShownNotNull(_)
    );
    let mut asserted = constraints(&mut encoder, Scope::Sources, WANTED);
    if needs_wish {
        asserted.extend(constraints(&mut encoder, Scope::View, WANTED));
    }
    asserted.push(question(&mut encoder, obligation));
    document(&encoder, &asserted)
}

/// The script that asks whether put violates an obligation in one given state; the answer is known from evaluation.
pub fn script_in(program: &Program, obligation: Obligation, case: &super::Case) -> String {
    let mut encoder = Encoder::new(program);
    let mut asserted = Vec::new();
    for source in program.sources() {
        asserted.push(exactly(&mut encoder, source, case.before.rows(source)));
    }
    asserted.push(exactly(&mut encoder, program.view, &case.wanted));
    asserted.push(question(&mut encoder, obligation));
    document(&encoder, &asserted)
}

/// The relation has these rows and no others.
fn exactly(
    encoder: &mut Encoder<'_>,
    relation: usize,
    rows: &crate::strategy::evaluate::Rows,
) -> Formula {
    let program = encoder.program;
    let mut listed = Vec::new();
    let (names, any) = encoder.row(relation);
    let mut one_of = Vec::new();
    for row in rows {
        let columns = &program.relation(relation).columns;
        let terms: Vec<_> = row
            .iter()
            .zip(columns)
            .map(|(value, column)| encoder.constants.term(value, &column.sort))
            .collect();
        listed.push(encoder.stored(relation, &terms));
        one_of.push(Formula::and(any.iter().zip(&terms).map(|(any, term)| any.same(term))));
    }
    let another = Formula::and([encoder.stored(relation, &any), Formula::or(one_of).not()]);
    listed.push(Formula::exists(names, another).not());
    Formula::and(listed)
}

fn constraints(encoder: &mut Encoder<'_>, scope: Scope, world: World) -> Vec<Formula> {
    let program = encoder.program;
    let of_scope = program.constraints.iter().filter(|constraint| constraint.scope == scope);
    of_scope.map(|constraint| encoder.body(&constraint.body, world).not()).collect()
}

/// The obligation does not hold.
fn question(encoder: &mut Encoder<'_>, obligation: Obligation) -> Formula {
    let program = encoder.program;
    let view = Predicate::Rows(program.view);
    match obligation {
        Obligation::Fulfillable => {
            let (names, row) = encoder.row(program.view);
            let wanted = encoder.holds(view, &row, WANTED);
            Formula::exists(names, wanted)
        }
        Obligation::Shown(position) => {
            encoder.body(&program.constraints[position].body, UNCHANGED)
        }
        Obligation::Kept(position) => encoder.body(&program.constraints[position].body, AFTER),
        Obligation::ShownNotNull(column) => any_null(encoder, view, column, UNCHANGED),
        Obligation::NotNull(relation, column) => {
            any_null(encoder, Predicate::Insert(relation), column, WANTED)
        }
        Obligation::Disjoint(relation) => {
            let (names, row) = encoder.row(relation);
            let inserted = encoder.holds(Predicate::Insert(relation), &row, WANTED);
            let deleted = encoder.holds(Predicate::Delete(relation), &row, WANTED);
            Formula::exists(names, Formula::and([inserted, deleted]))
        }
        Obligation::GetPut => {
            let written: Vec<usize> = program.written().collect();
            Formula::or(written.into_iter().map(|relation| changed(encoder, relation)))
        }
        Obligation::PutGet => {
            let (names, row) = encoder.row(program.view);
            let wanted = encoder.holds(view, &row, WANTED);
            let shown = encoder.shown(&row, AFTER);
            let lost = Formula::and([wanted.clone(), shown.clone().not()]);
            let added = Formula::and([shown, wanted.not()]);
            Formula::exists(names, Formula::or([lost, added]))
        }
    }
}

/// Put writes the base table although the Dejima table is as shown.
fn changed(encoder: &mut Encoder<'_>, relation: usize) -> Formula {
    let (names, row) = encoder.row(relation);
    let inserted = encoder.holds(Predicate::Insert(relation), &row, UNCHANGED);
    let deleted = encoder.holds(Predicate::Delete(relation), &row, UNCHANGED);
    let before = encoder.stored(relation, &row);
    let added = Formula::and([inserted.clone(), before.clone().not()]);
    // A row that is inserted, too, stays.
    let removed = Formula::and([before, deleted, inserted.not()]);
    Formula::exists(names, Formula::or([added, removed]))
}

fn any_null(encoder: &mut Encoder<'_>, head: Predicate, column: usize, world: World) -> Formula {
    let program = encoder.program;
    let rules: Vec<_> = program.rules_of(head).collect();
    Formula::or(rules.into_iter().map(|rule| encoder.gives_null(rule, column, world)))
}

fn document(encoder: &Encoder<'_>, asserted: &[Formula]) -> String {
    let mut declared = String::from(DATATYPES);
    declared.push_str(FUNCTIONS);
    for (relation, declaration) in encoder.program.relations.iter().enumerate() {
        if declaration.role != Role::Helper {
            let columns = declaration.columns.iter();
            let sorts: Vec<_> =
                columns.map(|column| column_sort(&column.sort, column.nullable)).collect();
            let name = relation_name(relation);
            let _ = writeln!(declared, "(declare-fun {name} ({}) Bool)", sorts.join(" "));
        }
    }
    declared.push_str(&encoder.constants.declarations());
    let mut text = String::new();
    for formula in asserted {
        let _ = writeln!(text, "(assert {formula})");
    }
    for (used, axiom) in [("(rank ", TEXT_ORDER), ("(opaque_rank ", OPAQUE_ORDER)] {
        if text.contains(used) {
            declared.push_str(axiom);
        }
    }
    format!("{declared}{text}(check-sat)\n")
}
