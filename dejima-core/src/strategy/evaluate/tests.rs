use super::*;
use crate::strategy::language::{Sources, parse, resolve};

fn program(text: &str) -> Program {
    let mut sources = Sources::default();
    let file = sources.add("test.dl", text);
    let (document, findings) = parse(file, text);
    let text = |finding: &crate::strategy::language::Diagnostic| finding.render(&sources);
    assert_eq!(findings.iter().map(text).collect::<String>(), "");
    let (program, findings) = resolve(&document);
    assert_eq!(findings.iter().map(text).collect::<String>(), "");
    program.expect("no findings")
}

fn rows(rows: &[&[&str]]) -> Rows {
    let value = |text: &&str| match text.parse() {
        Ok(number) => Value::Integer(number),
        Err(_) if *text == "NULL" => Value::Null,
        Err(_) => Value::from(*text),
    };
    rows.iter()
        .map(|row| row.iter().map(value).collect())
        .collect()
}

const PROJECTION: &str = "source r('A':int, 'B':string).  view v('A':int).
-r(X,Y) :- r(X,Y), not v(X).
+r(X,Y) :- v(X), not r(X,_), Y = 'x'.
v(X) :- r(X,_).";

#[test]
fn put_deletes_what_is_not_wanted_and_inserts_what_is() {
    let program = program(PROJECTION);
    let database = Database([(0, rows(&[&["1", "a"], &["2", "b"]]))].into());
    assert_eq!(get(&program, &database), Ok(rows(&[&["1"], &["2"]])));
    let change = put(&program, &database, &rows(&[&["2"], &["3"]])).expect("no arithmetic");
    assert_eq!(change.deleted, [(0, rows(&[&["1", "a"]]))].into());
    assert_eq!(change.inserted, [(0, rows(&[&["3", "x"]]))].into());
    let after = change.applied_to(&database);
    assert_eq!(after.rows(0), &rows(&[&["2", "b"], &["3", "x"]]));
}

#[test]
fn what_nobody_wrote_is_derived_from_put() {
    let without_get = PROJECTION.replace("v(X) :- r(X,_).", "");
    let program = program(&without_get);
    assert!(program.get_is_derived);
    let database = Database([(0, rows(&[&["1", "a"]]))].into());
    assert_eq!(get(&program, &database), Ok(rows(&[&["1"]])));
}

#[test]
fn null_is_the_same_in_rows_and_unequal_in_comparisons() {
    let program = program(
        "source r(a: int, b: int null). view v(a: int, b: int null).
         +r(A, B) :- v(A, B), not r(A, B).
         -r(A, B) :- r(A, B), not v(A, B).
         _|_ :- v(A, B), B = B, B <> 1.",
    );
    let database = Database([(0, rows(&[&["1", "NULL"]]))].into());
    let wanted = rows(&[&["1", "NULL"]]);
    let evaluation = Evaluation::of(&program, &database, &wanted).expect("no arithmetic");
    assert_eq!(evaluation.change(), Change::default());
    assert_eq!(evaluation.witness(&program.constraints[0].body), Ok(None));
}
