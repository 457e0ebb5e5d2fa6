//! Failure: a strategy is taken for valid, and breaks the base table's key at the second insert.

use dejima_core::name::TableName;
use dejima_core::strategy::check::{Effort, Obligation, Verdict, check, explain};
use dejima_core::strategy::{TableDeclaration, TableProgram};
use dejima_testbed::CorpusFile;

use super::run;
use crate::bed::{bed, said};

/// The check refutes it, names the key, and its counterexample has the two rows. Who serves it all the same loses nothing:
/// the second insert is refused, and the first one stays.
#[tokio::test]
async fn a_strategy_that_breaks_a_key_at_the_second_insert_is_refuted() {
    let file = CorpusFile::open("refuted/second_insert.dl").expect("it is there");
    let reading = file.reading().expect("it is there");
    let program = reading.program.expect("it can be read");
    let report = check(&program, None, Effort::default());
    let is_refuted = |(_, verdict): &&(Obligation, Verdict)| matches!(verdict, Verdict::Refuted(_));
    let refuted: Vec<_> = report.verdicts.iter().filter(is_refuted).collect();
    let [(obligation, verdict)] = refuted[..] else {
        panic!("{refuted:?}")
    };
    assert_eq!(obligation.code(), "kept-constraint");
    let finding = explain(&program, *obligation, verdict).expect("it is refuted");
    let finding = finding.render(&reading.sources);
    for said in [
        "put breaks the key (code) of client",
        "refuted/second_insert.dl:26:1",
        "+client(I, C) :- shared(I)",
        "change  shared     id\n                           +  1\n                           +  2\n",
        "after   client     id  code\n                              1   'new'\n                              2   'new'\n",
    ] {
        assert!(finding.contains(said), "{said}:\n{finding}");
    }

    let base = "CREATE TABLE client (id integer PRIMARY KEY, code text NOT NULL UNIQUE)";
    let bed = bed("second_insert", base).await;
    let table = TableDeclaration::Program(TableProgram {
        table: TableName::new("shared").expect("a name"),
        program: program.into(),
    });
    let database = bed.connect().await;
    database.declare(&[table]).await.expect("it fits");
    bed.admin("GRANT USAGE ON SCHEMA dejima_tables TO client; GRANT ALL ON dejima_tables.shared TO client");
    let client = bed.client().await;
    run(&client, "INSERT INTO dejima_tables.shared VALUES (1)").await;
    let second = "INSERT INTO dejima_tables.shared VALUES (2)";
    let error = client
        .batch_execute(second)
        .await
        .expect_err("the key is taken");
    let (code, message, _) = said(error);
    assert_eq!(code, "23505");
    assert!(message.contains("client_code_key"), "{message}");
    assert_eq!(bed.admin("SELECT id, code FROM client"), "1|new");
}
