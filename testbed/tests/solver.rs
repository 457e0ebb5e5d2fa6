//! The formulas for the solver say what the evaluator does: on random programs and random states the solver's answer to whether an
//! obligation fails there is what evaluation says. A formula that says too little would prove what is wrong.

use std::time::Duration;

use dejima_core::strategy::check::random::Random;
use dejima_core::strategy::check::{
    Answer, Case, Domain, Obligation, Solver, Z3, script_in, script_of_rule,
};
use dejima_core::strategy::evaluate::{Database, Evaluation, Failure, Rows, get};
use dejima_core::strategy::language::{File, Format, read};
use dejima_core::strategy::program::{Predicate, Program, RelationId, Scope};

const PROGRAMS: usize = 120;
const CASES: usize = 3;
const DECLARATIONS: &str =
    "source r(a: int, b: int null). source s(a: int null, t: text). view v(a: int, b: int null).
    source u(d: date null, n: numeric null, f: boolean null).\n";
const POSITIVE: &[&str] = &[
    "r(X, Y)",
    "r(X, _)",
    "r(Z, Y)",
    "s(X, T)",
    "s(Y, 'a')",
    "r(Y, X)",
    "s(Y, T)",
    "h(X, Y)",
    "u(D, N, F)",
    "r(X, null)",
    "s(X, _)",
];
const OTHERS: &[&str] = &[
    "not r(X, _)",
    "not s(Y, _)",
    "not r(Y, X)",
    "not r(X, 1)",
    "not r(_, Y)",
    "not r(X, null)",
    "not h(X, Y)",
    "X < Y",
    "X = 1",
    "not Y = 2",
    "Y is null",
    "Y is not null",
    "X + 1 = Y",
    "coalesce(Y, 0) > X",
    "Y is not distinct from X",
    "(X = 1 or Y is null)",
    "T = 'a'",
    "T <> 'a'",
    "(Y > 1) is not true",
    "not (X = 1 and Y = 1)",
    "Y * 2 >= X",
    "Y = X - 1",
    "N > X",
    "N + 0.5 > 1",
    "F",
    "not F",
    "D >= '2024-01-01'",
    "D + 1 > '2024-01-02'",
    "N is distinct from Y",
    "X / 2 = 0",
];
const WISH: &[&str] = &[
    "v(X, Y)",
    "not v(X, Y)",
    "not v(X, _)",
    "v(X, _)",
    "v(Y, X)",
];
const HEADS: &[&str] = &[
    "+r(X, Y)",
    "-r(X, Y)",
    "+s(X, 'a')",
    "-s(Y, T)",
    "+s(Y, T)",
    "-r(X, null)",
    "+r(X, 1)",
];

/// A program, if the parts happen to make one.
fn program(random: &mut Random) -> Option<Program> {
    let mut text = DECLARATIONS.to_owned();
    let body = |random: &mut Random, wish: bool| {
        let mut parts = vec![*random.of(POSITIVE)];
        for _ in 0..random.below(3) {
            let kind = if random.below(3) == 0 {
                POSITIVE
            } else {
                OTHERS
            };
            parts.push(*random.of(kind));
        }
        if wish {
            parts.push(*random.of(WISH));
        }
        parts.join(", ")
    };
    text.push_str("h(X, Y) :- r(X, Z), s(Y, _), Z > X.\nh(X, X) :- r(X, 1).\n");
    for _ in 0..=random.below(2) {
        text.push_str(&format!("v(X, Y) :- {}.\n", body(random, false)));
    }
    for _ in 0..=random.below(3) {
        let head = *random.of(HEADS);
        text.push_str(&format!("{head} :- {}.\n", body(random, true)));
    }
    // One condition by itself, so that every one of them meets NULL.
    let (first, second) = (*random.of(OTHERS), *random.of(OTHERS));
    text.push_str(&format!(
        "+r(X, Y) :- v(X, Y), {first}.\n-r(X, Y) :- r(X, Y), {second}.\n"
    ));
    text.push_str("PK(r, [a]). UNIQUE(s, [a]). FK(s, [a], r, [a]).\n");
    let file = File {
        name: "random.dl",
        text: &text,
    };
    read(file, Format::Datalog, None).pop()?.program
}

fn rows(random: &mut Random, domain: &Domain, relation: RelationId) -> Rows {
    let number = random.below(3);
    (0..number)
        .map(|_| {
            domain
                .columns(relation)
                .iter()
                .map(|values| random.of(values).clone())
                .collect()
        })
        .collect()
}

fn case(random: &mut Random, program: &Program) -> Case {
    let domain = Domain::of(program);
    let sources: Vec<RelationId> = program.sources().collect();
    let tables = sources
        .into_iter()
        .map(|source| (source, rows(random, &domain, source)));
    let before = Database(tables.collect());
    let wanted = rows(random, &domain, program.view);
    Case { before, wanted }
}

/// Whether the obligation fails, by evaluation; `None` where NULL would be written that the formulas take for refused.
fn fails(program: &Program, obligation: Obligation, case: &Case) -> Result<Option<bool>, Failure> {
    let shown = get(program, &case.before)?;
    let view = &program.view().columns;
    let has_null = |rows: &Rows, columns: &[dejima_core::strategy::program::Column]| {
        rows.iter().any(|row| {
            row.iter()
                .zip(columns)
                .any(|(value, column)| value.is_null() && !column.nullable)
        })
    };
    let change = case.change(program)?;
    let writes_null = change
        .inserted
        .iter()
        .any(|(source, rows)| has_null(rows, &program.relation(*source).columns));
    let unchanged = Case {
        wanted: shown.clone(),
        before: case.before.clone(),
    };
    let after = change.applied_to(&case.before);
    let none = Rows::new();
    Ok(match obligation {
        Obligation::NotNull(source, column) => {
            let rows = change.inserted.get(&source).unwrap_or(&none);
            Some(rows.iter().any(|row| row[column].is_null()))
        }
        Obligation::ShownNotNull(column) => Some(shown.iter().any(|row| row[column].is_null())),
        _ if writes_null || has_null(&shown, view) => None,
        Obligation::Disjoint(source) => {
            let of = |rows: Option<&Rows>| rows.cloned().unwrap_or_default();
            Some(!of(change.inserted.get(&source)).is_disjoint(&of(change.deleted.get(&source))))
        }
        Obligation::PutGet => {
            let after = get(program, &after)?;
            if has_null(&after, view) {
                None
            } else {
                Some(after != case.wanted)
            }
        }
        Obligation::Kept(position) => {
            let evaluation = Evaluation::of(program, &after, &none)?;
            Some(
                evaluation
                    .witness(&program.constraints[position].body)?
                    .is_some(),
            )
        }
        Obligation::GetPut => {
            let change = unchanged.change(program)?;
            let nulls = change
                .inserted
                .iter()
                .any(|(source, rows)| has_null(rows, &program.relation(*source).columns));
            let added = change
                .inserted
                .iter()
                .any(|(source, rows)| !rows.is_subset(case.before.rows(*source)));
            let removed = change
                .deleted
                .iter()
                .any(|(source, rows)| !rows.is_disjoint(case.before.rows(*source)));
            if nulls { None } else { Some(added || removed) }
        }
        Obligation::Fulfillable | Obligation::Shown(_) => None,
    })
}

#[test]
fn the_formulas_say_what_the_evaluator_does() {
    let mut solver: Z3 = dejima_testbed::solver(Duration::from_secs(2)).expect("z3");
    let mut random = Random::new(11);
    let (mut programs, mut holds, mut broken, mut undecided) = (0, 0, 0, 0);
    while programs < PROGRAMS {
        let Some(program) = program(&mut random) else {
            continue;
        };
        assert!(
            program
                .constraints
                .iter()
                .all(|constraint| constraint.scope == Scope::Sources)
        );
        assert!(
            program
                .rules
                .iter()
                .any(|rule| matches!(rule.head, Predicate::Insert(_) | Predicate::Delete(_)))
        );
        programs += 1;
        let case = case(&mut random, &program);
        for obligation in Obligation::of(&program) {
            let Ok(Some(expected)) = fails(&program, obligation, &case) else {
                continue;
            };
            let script = script_in(&program, obligation, &case);
            match (solver.solve(&script), expected) {
                (Answer::Unsatisfiable, false) => holds += 1,
                (Answer::Satisfiable, true) => broken += 1,
                (Answer::Unknown(why), _) if why.contains("in time") => undecided += 1,
                (answer, _) => panic!(
                    "{answer:?}, and evaluation says {expected}: {}\n{program:#?}\n{case:#?}\n{script}",
                    obligation.name(&program)
                ),
            }
        }
    }
    println!("{programs} programs: {holds} hold, {broken} are broken, {undecided} undecided");
    assert!(
        holds > 200 && broken > 80 && undecided * 10 < holds,
        "{holds} {broken} {undecided}"
    );
}

#[test]
fn each_rule_gives_the_rows_that_the_evaluator_says() {
    let mut solver: Z3 = dejima_testbed::solver(Duration::from_secs(2)).expect("z3");
    let mut random = Random::new(23);
    let (mut programs, mut same, mut undecided) = (0, 0, 0);
    while programs < PROGRAMS {
        let Some(program) = program(&mut random) else {
            continue;
        };
        programs += 1;
        for _ in 0..CASES {
            let case = case(&mut random, &program);
            let Ok(evaluation) = Evaluation::of(&program, &case.before, &case.wanted) else {
                continue;
            };
            for rule in &program.rules {
                let Ok(mut rows) = evaluation.rows_by(rule) else {
                    continue;
                };
                let columns = &program.relation(rule.head.relation()).columns;
                rows.retain(|row| {
                    row.iter()
                        .zip(columns)
                        .all(|(value, column)| column.nullable || !value.is_null())
                });
                let script = script_of_rule(&program, rule, &case, &rows);
                match solver.solve(&script) {
                    Answer::Unsatisfiable => same += 1,
                    Answer::Unknown(why) if why.contains("in time") => undecided += 1,
                    answer => panic!("{answer:?}: {rule:#?}\n{rows:?}\n{case:#?}\n{script}"),
                }
            }
        }
    }
    println!("{programs} programs: {same} rules give the same rows, {undecided} undecided");
    assert!(same > 1_000 && undecided * 20 < same, "{same} {undecided}");
}
