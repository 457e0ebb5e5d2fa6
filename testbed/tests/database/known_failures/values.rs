//! Failure: no NULLs, no dates, no numerics.

use dejima_core::delta::PutRow;
use dejima_core::transaction::Answer;

use super::{Cells, rows, run, served};
use crate::bed::{apply, commit, programmed, row};

const TABLE: &str = "CREATE TABLE invoice (id integer PRIMARY KEY, due date, paid timestamptz, amount numeric(30,10), rate numeric, note text);";
const COLUMNS: [&str; 6] = ["id", "due", "paid", "amount", "rate", "note"];
const STORED: &str = "SELECT ARRAY[id::text, due::text, paid::text, amount::text, rate::text, note] FROM invoice ORDER BY id";

/// All but the key, in the form in which PostgreSQL prints it under `DateStyle = ISO` and `TimeZone = UTC`.
const VALUES: [[Option<&str>; 5]; 5] = [
    [None; 5],
    [
        Some("2020-01-01"),
        Some("2024-02-29 23:59:59.999999+00"),
        Some("99999999999999999999.0123456789"),
        Some("0.00000000000000000001"),
        Some(""),
    ],
    [
        Some("infinity"),
        Some("-infinity"),
        Some("-0.0000000001"),
        Some("NaN"),
        Some("null"),
    ],
    [
        Some("5874897-12-31"),
        Some("0044-03-15 12:00:00+00 BC"),
        Some("1.1000000000"),
        Some("1.10"),
        Some("two\nlines\t"),
    ],
    [
        None,
        Some("294276-12-31 23:59:59.999999+00"),
        Some("NaN"),
        Some("-Infinity"),
        Some(" "),
    ],
];

/// Rows with these values and the keys from `first` on.
fn invoices(first: usize) -> Vec<Cells> {
    let of = |(at, values): (usize, &[Option<&str>; 5])| {
        let key = Some((first + at).to_string());
        let values = values.iter().map(|value| value.map(str::to_owned));
        std::iter::once(key).chain(values).collect()
    };
    VALUES.iter().enumerate().map(of).collect()
}

/// `(…), (…)` for an INSERT; every constant is of type unknown.
fn constants(invoices: &[Cells]) -> String {
    let constant = |cell: &Option<String>| {
        let text = cell.as_deref().map(dejima_core::strategy::literal);
        text.unwrap_or_else(|| "NULL".to_owned())
    };
    let tuple = |invoice: &Cells| {
        let cells: Vec<_> = invoice.iter().map(constant).collect();
        format!("({})", cells.join(", "))
    };
    invoices.iter().map(tuple).collect::<Vec<_>>().join(", ")
}

fn inserted(invoices: &[Cells]) -> Vec<PutRow> {
    let cells = |invoice: &Cells| {
        let named = COLUMNS.iter().zip(invoice);
        named
            .map(|(name, cell)| ((*name).to_owned(), cell.as_deref().map(Into::into)))
            .collect()
    };
    let rows = invoices.iter();
    rows.map(|invoice| PutRow::Insert {
        new: cells(invoice),
    })
    .collect()
}

/// NULLs, dates, instants and numerics go through a strategy in both directions and by every way as they are, whatever the
/// client's settings, and a condition on a date takes NULL for what it is.
#[tokio::test]
async fn nulls_dates_and_numerics_go_both_ways() {
    let view = "CREATE VIEW \"T\" AS SELECT id, due, paid, amount, rate, note FROM invoice WHERE due IS NULL OR due >= DATE '2020-01-01'";
    let table = programmed(&format!("{TABLE} {view}"));
    let (bed, database) = served("values", TABLE, table).await;
    let client = bed.client().await;
    run(
        &client,
        "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET IntervalStyle = 'sql_standard'",
    )
    .await;
    let observer = bed.session("postgres").await;
    run(&observer, "SET DateStyle = 'ISO'; SET TimeZone = 'UTC'").await;
    let told = || -> Vec<Option<Vec<_>>> { bed.told(0).into_iter().map(|told| told.2).collect() };
    let values_of = |invoices: &[Cells]| -> Vec<Option<Vec<_>>> {
        let value = |cell: &Option<String>| cell.as_deref().map(Into::into);
        let rows = invoices.iter();
        rows.map(|invoice| Some(invoice.iter().map(value).collect()))
            .collect()
    };

    let (base, view, put) = (invoices(1), invoices(11), invoices(21));
    run(
        &client,
        &format!("INSERT INTO invoice VALUES {}", constants(&base)),
    )
    .await;
    assert_eq!(sorted(told()), sorted(values_of(&base)), "derived");
    run(
        &client,
        &format!(
            "INSERT INTO dejima_tables.\"T\" VALUES {}",
            constants(&view)
        ),
    )
    .await;
    assert_eq!(sorted(told()), sorted(values_of(&view)), "through the view");

    let gid = bed.gid(1);
    let answer = database.execute(apply(&gid, "T", inserted(&put))).await;
    let Some(Answer::Applied { captured, .. }) = answer else {
        panic!("{answer:?}")
    };
    let captured: Vec<_> = captured.into_iter().map(|captured| captured.new).collect();
    assert_eq!(sorted(captured), sorted(values_of(&put)), "put");
    commit(&database, &gid).await;
    assert_eq!(rows(&observer, STORED).await, [base, view, put].concat());

    // To NULL and back, and out of the condition.
    run(
        &client,
        "UPDATE invoice SET due = NULL, rate = NULL, note = NULL WHERE id = 2",
    )
    .await;
    let amount = "99999999999999999999.0123456789";
    let paid = "2024-02-29 23:59:59.999999+00";
    let emptied = ["2", "NULL", paid, amount, "NULL", "NULL"];
    assert_eq!(told(), [row(&emptied)]);
    run(
        &client,
        "UPDATE dejima_tables.\"T\" SET rate = 1.50, due = '2024-02-29' WHERE id = 2",
    )
    .await;
    let filled = ["2", "2024-02-29", paid, amount, "1.50", "NULL"];
    assert_eq!(told(), [row(&filled)]);
    run(
        &client,
        "UPDATE invoice SET due = '2019-12-31' WHERE id = 2",
    )
    .await;
    assert_eq!(bed.told(0), [("T".into(), row(&filled), None)]);
    let hidden = "UPDATE dejima_tables.\"T\" SET due = '2019-12-31' WHERE id = 3";
    let error = client
        .batch_execute(hidden)
        .await
        .expect_err("it would not be shown");
    assert_eq!(
        error.code().map(|code| code.code()),
        Some("44000"),
        "{error:?}"
    );
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}
