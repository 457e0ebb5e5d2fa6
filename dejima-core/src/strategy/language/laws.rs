//! What is printed reads as the same: for random expressions, and for every strategy of the corpus.

use std::path::Path;

use proptest::prelude::*;

use super::syntax::{
    BinaryOperator, Document, Expression, ExpressionKind, Function, Literal, Statement,
    UnaryOperator,
};
use super::{File, Format, Span, parse, read, resolve};

fn leaf() -> impl Strategy<Value = ExpressionKind> {
    prop_oneof![
        "[A-Z][a-z]{0,2}'?".prop_map(ExpressionKind::Variable),
        Just(ExpressionKind::Variable("strange name".into())),
        Just(ExpressionKind::Variable("not".into())),
        (-20i64..20).prop_map(|number| ExpressionKind::Number(number.to_string())),
        Just(ExpressionKind::Number("1.50".into())),
        "[a-z' %]{0,4}".prop_map(ExpressionKind::Text),
        any::<bool>().prop_map(ExpressionKind::Boolean),
        Just(ExpressionKind::Null),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    use BinaryOperator::{
        Add, And, Concatenate, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Like,
        Multiply, NotEqual, Or, Same, Subtract,
    };
    let made = |kind| Expression::new(kind, Span::default());
    leaf()
        .prop_map(made)
        .prop_recursive(4, 24, 3, move |inner| {
            let binary = prop::sample::select(vec![
                Add,
                Subtract,
                Multiply,
                Divide,
                Concatenate,
                Equal,
                NotEqual,
                Less,
                LessOrEqual,
                Greater,
                GreaterOrEqual,
                Same,
                Like,
                And,
                Or,
            ]);
            let unary = prop::sample::select(vec![
                UnaryOperator::Negate,
                UnaryOperator::Not,
                UnaryOperator::IsNull,
                UnaryOperator::IsTrue,
            ]);
            prop_oneof![
                (binary, inner.clone(), inner.clone())
                    .prop_map(|(operator, left, right)| Expression::binary(operator, left, right)),
                (unary, inner.clone()).prop_map(|(operator, operand)| operand.unary(operator)),
                prop::collection::vec(inner, 1..3).prop_map(move |arguments| made(
                    ExpressionKind::Call(Function::Coalesce, arguments)
                )),
            ]
        })
}

/// The condition of a constraint, without places.
fn condition(document: &Document) -> Option<Expression> {
    match document.statements.first()? {
        Statement::Constraint(constraint) => match constraint.body.first()? {
            Literal::Condition(condition) => Some(condition.clone().placed(Span::default())),
            Literal::Atom { .. } => None,
        },
        _ => None,
    }
}

proptest! {
    #[test]
    fn a_printed_expression_reads_as_the_same(wanted in expression()) {
        // In parentheses, so that it may begin and contain anything.
        let text = format!("_|_ :- ({wanted}).");
        let (document, findings) = parse(0, &text);
        prop_assert!(findings.is_empty(), "{text}\n{findings:?}");
        prop_assert_eq!(condition(&document), Some(wanted), "{}", text);
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "(source r|view v|\\(|\\)|X|'A'|:|int|,|\\.|:-|not|-|\\+|_|=|null|\\[|\\]|PK|é|%|'|\"| |\n|1|\\|\\|){0,40}") {
        for format in [Format::Datalog, Format::Sql, Format::Toml] {
            for reading in read(File { name: "strange", text: &text }, format, None) {
                reading.findings.iter().for_each(|finding| drop(finding.render(&reading.sources)));
            }
        }
    }

    #[test]
    fn no_query_is_too_strange(text in "(SELECT|\\*| a|, |b| FROM|t|u|JOIN| ON |=|WHERE |EXISTS|\\(|\\)|UNION |EXCEPT |NULL|IS | AND |'x'|1|\n|é| ){0,30}") {
        let text = format!("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE u (a int, b text); CREATE VIEW v AS SELECT {text}");
        for reading in read(File { name: "strange", text: &text }, Format::Sql, None) {
            reading.findings.iter().for_each(|finding| drop(finding.render(&reading.sources)));
        }
    }
}

/// All files below the corpus.
fn corpus() -> Vec<std::path::PathBuf> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../strategies")];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)
            .expect("the folder is there")
            .flatten()
        {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}

#[test]
fn a_printed_strategy_reads_as_the_same() {
    let mut compared = 0;
    for path in corpus() {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).expect("a file");
        let format = Format::of(&name).filter(|format| *format != Format::Toml);
        let Some(format) = format else { continue };
        let file = File {
            name: &name,
            text: &text,
        };
        for reading in read(file, format, None) {
            let Some(program) = reading.program else {
                continue;
            };
            let printed = reading.document.to_string();
            let (again, findings) = parse(0, &printed);
            assert_eq!(findings, [], "{name}\n{printed}");
            assert_eq!(again.to_string(), printed, "{name}");
            let (meaning, _) = resolve(&again);
            let meaning = meaning.expect("it has one");
            assert_eq!(meaning.rules.len(), program.rules.len(), "{name}");
            for (left, right) in meaning.rules.iter().zip(&program.rules) {
                assert_eq!(
                    (left.head, &left.arguments, &left.body),
                    (right.head, &right.arguments, &right.body),
                    "{name}"
                );
            }
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared} strategies");
}
