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
use crate::strategy::language::syntax::BinaryOperator;
use crate::strategy::program::{Body, Expr, Predicate, Program, Role, Rule, Scope, Step};
use encode::{AFTER, Encoder, UNCHANGED, WANTED, World, relation_name};
use expression::{FUNCTIONS, OPAQUE_ORDER, TEXT_ORDER};
use formula::Formula;
use term::{DATATYPES, column_sort};

/// Scripts that ask for a state in which the obligation does not hold (for [`Obligation::Fulfillable`]: for a wanted row), each in one
/// of the ways in which it could fail. Only together they are the whole question.
pub fn scripts(program: &Program, obligation: Obligation) -> Vec<String> {
    let mut encoder = Encoder::new(program);
    let ways = question(&mut encoder, obligation).len();
    (0..ways)
        .map(|way| script(program, obligation, way))
        .collect()
}

fn script(program: &Program, obligation: Obligation, way: usize) -> String {
    let mut encoder = Encoder::new(program);
    let needs_wish = !matches!(
        obligation,
        Obligation::GetPut | Obligation::Shown(_) | Obligation::ShownNotNull(_)
    );
    let mut asserted = constraints(&mut encoder, Scope::Sources, WANTED);
    if needs_wish {
        asserted.extend(constraints(&mut encoder, Scope::View, WANTED));
    }
    if matches!(
        obligation,
        Obligation::PutGet | Obligation::Kept(_) | Obligation::Disjoint(_)
    ) {
        asserted.extend(no_nulls(&mut encoder));
    }
    asserted.extend(question(&mut encoder, obligation).into_iter().nth(way));
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
    asserted.push(Formula::or(question(&mut encoder, obligation)));
    document(&encoder, &asserted)
}

/// The script that asks whether a rule gives other rows than these in one given state. Rows with NULL where none may be are not asked for.
pub fn script_of_rule(
    program: &Program,
    rule: &Rule,
    case: &super::Case,
    rows: &crate::strategy::evaluate::Rows,
) -> String {
    let mut encoder = Encoder::new(program);
    let mut asserted = Vec::new();
    for source in program.sources() {
        asserted.push(exactly(&mut encoder, source, case.before.rows(source)));
    }
    asserted.push(exactly(&mut encoder, program.view, &case.wanted));
    let relation = rule.head.relation();
    let (names, row) = encoder.row(relation);
    let given = encoder.rule(rule, &row, WANTED);
    let columns = &program.relation(relation).columns;
    let mut listed = Vec::new();
    for expected in rows {
        let values = expected.iter().zip(columns).zip(&row);
        listed.push(Formula::and(values.map(|((value, column), term)| {
            encoder.constants.term(value, &column.sort).same(term)
        })));
    }
    let listed = Formula::or(listed);
    let surplus = Formula::and([given.clone(), listed.clone().not()]);
    let missing = Formula::and([listed, given.not()]);
    asserted.push(Formula::exists(names, Formula::or([surplus, missing])));
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
        one_of.push(Formula::and(
            any.iter().zip(&terms).map(|(any, term)| any.same(term)),
        ));
    }
    let another = Formula::and([encoder.stored(relation, &any), Formula::or(one_of).not()]);
    listed.push(Formula::exists(names, another).not());
    Formula::and(listed)
}

fn constraints(encoder: &mut Encoder<'_>, scope: Scope, world: World) -> Vec<Formula> {
    let program = encoder.program;
    let of_scope = program
        .constraints
        .iter()
        .filter(|constraint| constraint.scope == scope);
    of_scope
        .map(|constraint| encoder.body(&constraint.body, world).not())
        .collect()
}

/// The ways in which the obligation may not hold.
fn question(encoder: &mut Encoder<'_>, obligation: Obligation) -> Vec<Formula> {
    let program = encoder.program;
    let view = Predicate::Rows(program.view);
    match obligation {
        Obligation::Fulfillable => {
            let (names, row) = encoder.row(program.view);
            let wanted = encoder.holds(view, &row, WANTED);
            vec![Formula::exists(names, wanted)]
        }
        Obligation::Shown(position) => broken(encoder, position, UNCHANGED),
        Obligation::Kept(position) => broken(encoder, position, AFTER),
        Obligation::ShownNotNull(column) => any_null(encoder, view, column, UNCHANGED),
        Obligation::NotNull(relation, column) => {
            any_null(encoder, Predicate::Insert(relation), column, WANTED)
        }
        Obligation::Disjoint(relation) => {
            let (names, row) = encoder.row(relation);
            let inserted = encoder.holds(Predicate::Insert(relation), &row, WANTED);
            let deleted = encoder.holds(Predicate::Delete(relation), &row, WANTED);
            vec![Formula::exists(names, Formula::and([inserted, deleted]))]
        }
        Obligation::GetPut => {
            let written: Vec<usize> = program.written().collect();
            written
                .into_iter()
                .flat_map(|relation| changed(encoder, relation))
                .collect()
        }
        Obligation::PutGet => {
            let (names, row) = encoder.row(program.view);
            let wanted = encoder.holds(view, &row, WANTED);
            let shown = encoder.shown(&row, AFTER);
            let lost = Formula::and([wanted.clone(), shown.clone().not()]);
            let added = Formula::and([shown, wanted.not()]);
            let ways = [lost, added].into_iter();
            ways.map(|way| Formula::exists(names.clone(), way))
                .collect()
        }
    }
}

/// The constraint is broken: by one of the alternatives of its last condition.
fn broken(encoder: &mut Encoder<'_>, position: usize, world: World) -> Vec<Formula> {
    let body = &encoder.program.constraints[position].body;
    let Some((Step::Test(last), rest)) = body.steps.split_last() else {
        return vec![encoder.body(body, world)];
    };
    let with = |alternative: &Expr| Body {
        steps: [rest, &[Step::Test(alternative.clone())]].concat(),
        ..body.clone()
    };
    let bodies: Vec<Body> = alternatives(last).into_iter().map(with).collect();
    bodies
        .iter()
        .map(|body| encoder.body(body, world))
        .collect()
}

/// The conditions one of which is true if this is.
fn alternatives(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Binary(BinaryOperator::Or, left, right) => {
            [alternatives(left), alternatives(right)].concat()
        }
        _ => vec![condition],
    }
}

/// Put writes the base table although the Dejima table is as shown: by one of its rules.
fn changed(encoder: &mut Encoder<'_>, relation: usize) -> Vec<Formula> {
    let program = encoder.program;
    let mut ways = Vec::new();
    for head in [Predicate::Insert(relation), Predicate::Delete(relation)] {
        for rule in program.rules_of(head) {
            let (names, row) = encoder.row(relation);
            let given = encoder.rule(rule, &row, UNCHANGED);
            let before = encoder.stored(relation, &row);
            let effect = if head == Predicate::Insert(relation) {
                before.not()
            } else {
                // A row that is inserted, too, would stay; but then the deltas are not disjoint.
                before
            };
            ways.push(Formula::exists(names, Formula::and([given, effect])));
        }
    }
    ways
}

/// Put writes no NULL where none may be; that it does not is an obligation of its own.
fn no_nulls(encoder: &mut Encoder<'_>) -> Vec<Formula> {
    let targets = Obligation::of(encoder.program)
        .into_iter()
        .filter_map(|obligation| match obligation {
            Obligation::NotNull(relation, column) => Some((relation, column)),
            _ => None,
        });
    let targets: Vec<(usize, usize)> = targets.collect();
    let mut formulas = Vec::new();
    for (relation, column) in targets {
        let nulls = any_null(encoder, Predicate::Insert(relation), column, WANTED);
        formulas.extend(nulls.into_iter().map(Formula::not));
    }
    formulas
}

fn any_null(
    encoder: &mut Encoder<'_>,
    head: Predicate,
    column: usize,
    world: World,
) -> Vec<Formula> {
    let program = encoder.program;
    let rules: Vec<_> = program.rules_of(head).collect();
    rules
        .into_iter()
        .map(|rule| encoder.gives_null(rule, column, world))
        .collect()
}

fn document(encoder: &Encoder<'_>, asserted: &[Formula]) -> String {
    let mut declared = String::from(DATATYPES);
    declared.push_str(FUNCTIONS);
    for (relation, declaration) in encoder.program.relations.iter().enumerate() {
        if declaration.role != Role::Helper {
            let columns = declaration.columns.iter();
            let sorts: Vec<_> = columns
                .map(|column| column_sort(&column.sort, column.nullable))
                .collect();
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
