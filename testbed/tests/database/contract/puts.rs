//! Apply: what it changes, what it captures, what it refuses.

use dejima_core::transaction::Decision;

use super::*;
use crate::bed::row;

contract!(
    a_put_tells_what_it_changed_in_every_dejima_table,
    a_second_put_sees_the_first,
    rows_of_one_put_are_captured_together,
    a_moved_key_is_one_change,
    a_put_that_changes_nothing_captures_nothing,
    null_is_a_value_of_an_update,
    old_values_that_are_gone_are_stale,
    a_row_that_is_gone_is_stale,
    a_present_key_cannot_be_inserted,
    a_row_cannot_move_to_a_present_key,
    a_check_refuses,
    what_is_not_shared_is_refused,
    a_refusal_takes_back_what_the_transaction_put_before,
);

type Image = Option<Vec<dejima_core::delta::Value>>;

fn of(table: &str, old: Image, new: Image) -> Told {
    (table.to_owned(), old, new)
}

async fn a_put_tells_what_it_changed_in_every_dejima_table(mut s: impl Subject) {
    let rows = vec![insert(&[("k", "1"), ("a", "x"), ("b", "y")])];
    assert_eq!(
        s.captured(put(1, "AB", rows)).await,
        [
            of("AB", None, row(&["1", "x", "Y"])),
            of("BC", None, row(&["1", "Y", "NULL"]))
        ],
        "the trigger's value, and the other table's rows"
    );
    let rows = vec![update("1", &[("c", "NULL")], &[("c", "z")])];
    assert_eq!(
        s.captured(put(1, "BC", rows)).await,
        [of("BC", row(&["1", "Y", "NULL"]), row(&["1", "Y", "z"]))],
        "nothing of the table that does not show the column"
    );
    let rows = vec![delete("1", &[("b", "Y"), ("c", "z")])];
    assert_eq!(
        s.captured(put(1, "BC", rows)).await,
        [
            of("AB", row(&["1", "x", "Y"]), None),
            of("BC", row(&["1", "Y", "z"]), None)
        ]
    );
    assert_eq!(s.facts().await, Facts::default());
}

async fn a_second_put_sees_the_first(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")])]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.refused(change(2, "1")).await, "40001");
    let rows = vec![update("1", &[("a", "y")], &[("a", "z")])];
    assert_eq!(
        s.captured(put(1, "AB", rows)).await,
        [of("AB", row(&["1", "y", "NULL"]), row(&["1", "z", "NULL"]))]
    );
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
    assert_eq!(s.facts().await, Facts::rows(&["1 z - -"]));
}

async fn rows_of_one_put_are_captured_together(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")]), ("2", &[("a", "x")])]).await;
    let rows = vec![
        delete("1", &[("a", "x")]),
        update("2", &[("a", "x")], &[("a", "y")]),
        insert(&[("k", "3")]),
    ];
    assert_eq!(
        s.captured(put(1, "AB", rows)).await,
        [
            of("AB", None, row(&["3", "NULL", "NULL"])),
            of("AB", row(&["1", "x", "NULL"]), None),
            of("AB", row(&["2", "x", "NULL"]), row(&["2", "y", "NULL"])),
            of("BC", None, row(&["3", "NULL", "NULL"])),
            of("BC", row(&["1", "NULL", "NULL"]), None),
        ]
    );
}

async fn a_moved_key_is_one_change(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x"), ("c", "z")])]).await;
    let rows = vec![update("1", &[("k", "1")], &[("k", "2")])];
    assert_eq!(
        s.captured(put(1, "AB", rows)).await,
        [
            of("AB", row(&["1", "x", "NULL"]), row(&["2", "x", "NULL"])),
            of("BC", row(&["1", "NULL", "z"]), row(&["2", "NULL", "z"])),
        ]
    );
    s.execute(prepare(1, &[])).await;
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(s.facts().await, Facts::rows(&["2 x - z"]));
}

async fn a_put_that_changes_nothing_captures_nothing(mut s: impl Subject) {
    s.given(&[("1", &[("b", "y")])]).await;
    let rows = vec![update("1", &[("b", "Y")], &[("b", "y")])];
    assert_eq!(s.captured(put(1, "BC", rows)).await, []);
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
    assert!(s.is_locked("1").await);
}

async fn null_is_a_value_of_an_update(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")])]).await;
    let rows = vec![update("1", &[("a", "x")], &[("a", "NULL")])];
    assert_eq!(
        s.captured(put(1, "AB", rows)).await,
        [of(
            "AB",
            row(&["1", "x", "NULL"]),
            row(&["1", "NULL", "NULL"])
        )]
    );
    let rows = vec![update("1", &[("a", "NULL")], &[("a", "")])];
    assert_eq!(
        s.captured(put(1, "AB", rows)).await,
        [of(
            "AB",
            row(&["1", "NULL", "NULL"]),
            row(&["1", "", "NULL"])
        )]
    );
}

/// A refused put leaves nothing open and nothing locked.
async fn refuses(s: &mut impl Subject, request: Request, sqlstate: &str) {
    assert_eq!(s.refused(request.clone()).await, sqlstate, "{request:?}");
    assert_eq!(s.refused(prepare(1, &[])).await, "40001", "nothing is open");
    assert!(!s.is_locked("1").await);
}

async fn old_values_that_are_gone_are_stale(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")])]).await;
    for rows in [
        update("1", &[("a", "w")], &[("a", "y")]),
        update("1", &[("a", "NULL")], &[("a", "y")]),
        delete("1", &[("a", "w")]),
        delete("1", &[("a", "x"), ("b", "w")]),
    ] {
        refuses(&mut s, put(1, "AB", vec![rows]), "40001").await;
    }
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
}

async fn a_row_that_is_gone_is_stale(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")])]).await;
    for rows in [update("2", &[], &[("a", "y")]), delete("2", &[])] {
        refuses(&mut s, put(1, "AB", vec![rows]), "40001").await;
    }
}

async fn a_present_key_cannot_be_inserted(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")])]).await;
    let rows = vec![insert(&[("k", "1"), ("a", "x")])];
    refuses(&mut s, put(1, "AB", rows), "40001").await;
}

async fn a_row_cannot_move_to_a_present_key(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")]), ("2", &[("a", "x")])]).await;
    let rows = vec![update("1", &[("k", "1")], &[("k", "2")])];
    refuses(&mut s, put(1, "AB", rows), "23505").await;
    assert!(!s.is_locked("2").await);
}

async fn a_check_refuses(mut s: impl Subject) {
    s.given(&[("1", &[("c", "x")])]).await;
    let rows = vec![update("1", &[("c", "x")], &[("c", "Bad")])];
    refuses(&mut s, put(1, "BC", rows), "23514").await;
    let rows = vec![insert(&[("k", "2"), ("c", "bad")])];
    refuses(&mut s, put(1, "BC", rows), "23514").await;
    assert_eq!(s.facts().await, Facts::rows(&["1 - - x"]));
}

async fn what_is_not_shared_is_refused(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")])]).await;
    let rows = || vec![update("1", &[("a", "x")], &[("a", "y")])];
    refuses(&mut s, put(1, "CA", rows()), "42P01").await;
    refuses(&mut s, put(1, "BC", rows()), "42703").await;
}

async fn a_refusal_takes_back_what_the_transaction_put_before(mut s: impl Subject) {
    s.given(&[("1", &[("a", "x")]), ("2", &[("a", "x")])]).await;
    s.captured(change(1, "1")).await;
    assert!(s.is_locked("1").await);
    let rows = vec![update("2", &[("a", "w")], &[("a", "y")])];
    refuses(&mut s, put(1, "AB", rows), "40001").await;
    // The gid may be used again, and finds what is committed.
    s.captured(change(1, "1")).await;
}
