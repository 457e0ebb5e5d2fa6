//! Transitions of transactions that are taken in batches.

use super::*;

/// The batch of three with this number; each has one row of two bytes.
fn portion(batch: u32) -> Portion {
    let rows_settled = u64::from(batch);
    Portion {
        batch,
        batches: 3,
        rows_settled,
        rows: 1,
        rows_total: 3,
        bytes_settled: 2 * rows_settled,
        bytes: 2,
        bytes_total: 6,
    }
}

fn row(name: &str, key: &str) -> Captured {
    Captured {
        statement: 1,
        table: table(name),
        old: None,
        new: Some(vec![value(key), value("x")]),
    }
}

fn first_batch(captured: Vec<Captured>) -> Input {
    Input::Callback {
        gid: gid("bank"),
        round: 0,
        captured,
        portion: Some(portion(0)),
    }
}

fn batch(number: u32, captured: Vec<Captured>) -> Input {
    let batch = Ok((captured, portion(number)));
    let gid = gid("bank");
    Input::Batch { gid, batch }
}

fn next_batch() -> Output {
    let gid = gid("bank");
    Output::NextBatch { gid }
}

/// The insert of this key into "left" or "right", as of a batch.
fn told(request: RequestId, name: &str, batch: u32, key: &str, patience_ms: Millis) -> Message {
    let cell = |text: &str| Cell {
        value: value(text),
        revision: 0,
    };
    let mut delta = Delta::default();
    let new = BTreeMap::from([(0, cell(key)), (1, cell("x"))]);
    delta.add(vec![key.into()], Change::Insert { new });
    Message::Propagate {
        gid: gid("bank"),
        request,
        table: table(name),
        group: group(name),
        batch,
        patience_ms,
        delta,
    }
}

fn vote(request: RequestId, patience_ms: Millis) -> Message {
    let gid = gid("bank");
    Message::Vote {
        gid,
        request,
        patience_ms,
    }
}

/// The usual time, and a millisecond for each of the three rows.
const PATIENCE_MS: Millis = 4_003;

/// A bank that has told the government the first of three batches.
fn telling() -> Machine {
    let mut bank = machine("bank", "gov", "insurer");
    assert_eq!(
        after(&mut bank, 0, first_batch(vec![row("left", "a")])),
        [send("gov", told(100, "left", 0, "a", PATIENCE_MS))]
    );
    bank
}

/// A bank whose first batch is settled.
fn between_batches() -> Machine {
    let mut bank = telling();
    let answer = received("gov", propagated("bank", 100, Ok(true)));
    assert_eq!(after(&mut bank, 1, answer), [next_batch()]);
    bank
}

#[test]
fn one_batch_after_the_other_is_told_and_all_are_voted_on_at_once() {
    let mut bank = between_batches();
    assert_eq!(bank.summaries()[0].state, "awaiting batch");
    assert_eq!(bank.summaries()[0].portion, Some(portion(0)));
    assert_eq!(
        after(&mut bank, 2, batch(1, vec![row("left", "b")])),
        [send("gov", told(101, "left", 1, "b", PATIENCE_MS))]
    );
    let answer = received("gov", propagated("bank", 101, Ok(false)));
    assert_eq!(after(&mut bank, 3, answer), [next_batch()]);
    assert_eq!(
        after(&mut bank, 4, batch(2, vec![row("left", "c")])),
        [send("gov", told(102, "left", 2, "c", PATIENCE_MS))]
    );
    assert_eq!(bank.summaries()[0].touched[&table("left")].inserted, 3);
    let answer = received("gov", propagated("bank", 102, Ok(false)));
    assert_eq!(
        after(&mut bank, 5, answer),
        [send("gov", vote(103, PATIENCE_MS))]
    );
    let tickets = tally(&[("bank", 100), ("bank", 101), ("bank", 102)]);
    let promise = received("gov", voted("bank", 103, tickets));
    assert!(matches!(
        after(&mut bank, 6, promise)[..],
        [Output::Callback {
            answer: CallbackAnswer::Voted { .. },
            ..
        }]
    ));
    assert_eq!(bank.summaries()[0].portion, None);
}

#[test]
fn the_next_batch_waits_for_every_answer() {
    let mut bank = machine("bank", "gov", "insurer");
    let both = vec![row("left", "a"), row("right", "a")];
    assert_eq!(after(&mut bank, 0, first_batch(both)).len(), 2);
    let early = batch(1, vec![row("left", "b")]);
    assert_eq!(after(&mut bank, 0, early), [], "nobody has asked for it");
    let answer = |from, request| received(from, propagated("bank", request, Ok(true)));
    assert_eq!(after(&mut bank, 1, answer("gov", 100)), []);
    assert_eq!(after(&mut bank, 2, answer("insurer", 101)), [next_batch()]);
}

#[test]
fn a_batch_that_changes_nothing_is_followed_by_the_next() {
    let mut bank = between_batches();
    assert_eq!(after(&mut bank, 2, batch(1, vec![])), [next_batch()]);
    assert_eq!(
        after(&mut bank, 3, batch(2, vec![])),
        [send("gov", vote(101, PATIENCE_MS - 2))]
    );
}

#[test]
fn a_settled_row_is_not_touched_again_at_the_origin() {
    let mut bank = between_batches();
    let again = Captured {
        old: row("left", "a").new,
        new: None,
        ..row("left", "a")
    };
    let outputs = after(&mut bank, 2, batch(1, vec![again]));
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::PROGRAM_LIMIT_EXCEEDED
    );
    assert_eq!(
        outputs[1],
        send("gov", terminate("bank", 101, Decision::Abort))
    );
}

#[test]
fn what_comes_back_for_a_settled_row_is_refused() {
    let mut bank = between_batches();
    after(&mut bank, 2, batch(1, vec![row("left", "b")]));
    let back = received("gov", told(7, "left", 1, "a", 0));
    let outputs = after(&mut bank, 3, back);
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::PROGRAM_LIMIT_EXCEEDED
    );
}

#[test]
fn a_delta_that_comes_twice_to_the_origin_is_counted_once() {
    let mut bank = telling();
    let back = received("gov", told(7, "left", 0, "z", 0));
    let answer = [send("gov", propagated("bank", 7, Ok(false)))];
    assert_eq!(after(&mut bank, 1, back.clone()), answer);
    assert_eq!(after(&mut bank, 2, back.clone()), answer);
    let applies = after(
        &mut bank,
        3,
        received("gov", propagated("bank", 100, Ok(true))),
    );
    assert!(matches!(
        applies[..],
        [Output::Callback {
            answer: CallbackAnswer::Apply { batch: 0, .. },
            ..
        }]
    ));
    let put = Input::Callback {
        gid: gid("bank"),
        round: 1,
        captured: vec![row("left", "z")],
        portion: None,
    };
    assert_eq!(after(&mut bank, 4, put), [next_batch()]);
    assert_eq!(
        after(&mut bank, 5, back),
        answer,
        "late, of a settled batch"
    );
    after(&mut bank, 6, batch(1, vec![]));
    after(&mut bank, 7, batch(2, vec![]));
    let tickets = tally(&[("bank", 100), ("gov", 7)]);
    let promise = received("gov", voted("bank", 101, tickets));
    assert!(matches!(
        after(&mut bank, 8, promise)[..],
        [Output::Callback {
            answer: CallbackAnswer::Voted { .. },
            ..
        }]
    ));
}

#[test]
fn a_batch_that_cannot_be_read_refuses_the_client() {
    let mut bank = between_batches();
    let lost = Input::Batch {
        gid: gid("bank"),
        batch: Err("no space".into()),
    };
    let outputs = after(&mut bank, 2, lost);
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::IO_ERROR);
    let abort = send("gov", terminate("bank", 101, Decision::Abort));
    assert_eq!(outputs[1], abort);
}

#[test]
fn between_two_batches_client_and_operator_can_abort() {
    let abort = send("gov", terminate("bank", 101, Decision::Abort));
    let mut bank = between_batches();
    let lost = Input::CallbackLost { gid: gid("bank") };
    assert_eq!(after(&mut bank, 2, lost), std::slice::from_ref(&abort));
    let late = batch(1, vec![row("left", "b")]);
    assert_eq!(after(&mut bank, 3, late), []);

    let mut bank = between_batches();
    let resolve = Input::Resolve {
        gid: gid("bank"),
        decision: Decision::Abort,
        is_forced: false,
    };
    let outputs = after(&mut bank, 2, resolve);
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::QUERY_CANCELED);
    assert_eq!(outputs[1], abort);
}

#[test]
fn a_change_of_the_groups_concerns_settled_rows_too() {
    let mut bank = between_batches();
    let tables = memberships("bank", &["gov", "new"], &["insurer"]);
    let outputs = after(&mut bank, 2, Input::Members { tables });
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::SERIALIZATION_FAILURE
    );
}

fn apply(name: &str, key: &str) -> Output {
    let new = BTreeMap::from([("k".to_owned(), value(key)), ("v".to_owned(), value("x"))]);
    let put = Put {
        table: table(name),
        rows: vec![PutRow::Insert { new }],
    };
    Output::Database(Request::Apply {
        gid: gid("bank"),
        puts: vec![put],
    })
}

fn applied(captured: Vec<Captured>) -> Input {
    let gid = gid("bank");
    Input::Database(Answer::Applied { gid, captured })
}

/// A government that has put the first batch and answered.
fn served() -> Machine {
    let mut gov = machine("gov", "bank", "insurer");
    let first = received("bank", told(7, "left", 0, "a", 0));
    assert_eq!(after(&mut gov, 0, first), [apply("left", "a")]);
    assert_eq!(
        after(&mut gov, 1, applied(vec![row("left", "a")])),
        [send("bank", propagated("bank", 7, Ok(true)))]
    );
    gov
}

#[test]
fn a_participant_settles_what_was_answered_when_the_next_batch_comes() {
    let mut gov = served();
    let second = received("bank", told(8, "left", 1, "b", 0));
    assert_eq!(after(&mut gov, 2, second), [apply("left", "b")]);
    assert_eq!(
        after(&mut gov, 3, applied(vec![row("left", "b")])),
        [send("bank", propagated("bank", 8, Ok(false)))]
    );
    assert_eq!(gov.summaries()[0].touched[&table("left")].inserted, 2);
    let repeated = received("bank", told(7, "left", 0, "a", 0));
    assert_eq!(
        after(&mut gov, 4, repeated),
        [send("bank", propagated("bank", 7, Ok(true)))],
        "as before, and not put again"
    );
    let touches = received("bank", told(9, "left", 1, "a", 0));
    let outputs = after(&mut gov, 5, touches);
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::PROGRAM_LIMIT_EXCEEDED
    );
    let rollback = Output::Database(Request::Rollback { gid: gid("bank") });
    assert_eq!(outputs[1], rollback);
}

#[test]
fn a_put_that_touches_a_settled_row_is_refused() {
    let mut gov = served();
    after(&mut gov, 2, received("bank", told(8, "left", 1, "b", 0)));
    let touched = Captured {
        old: row("left", "a").new,
        new: Some(vec![value("a"), value("y")]),
        ..row("left", "a")
    };
    let outputs = after(&mut gov, 3, applied(vec![row("left", "b"), touched]));
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::PROGRAM_LIMIT_EXCEEDED
    );
}

#[test]
fn a_delta_of_an_earlier_batch_that_was_never_heard_comes_too_late() {
    let mut gov = served();
    after(&mut gov, 2, received("bank", told(8, "left", 1, "b", 0)));
    after(&mut gov, 3, applied(vec![row("left", "b")]));
    let late = received("insurer", told(3, "right", 0, "c", 0));
    let outputs = after(&mut gov, 4, late);
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::SERIALIZATION_FAILURE
    );
}

#[test]
fn a_batch_that_begins_before_the_last_one_is_answered_is_refused() {
    let mut gov = between();
    let early = received("bank", told(8, "left", 1, "b", 0));
    let outputs = after(&mut gov, 2, early);
    let refusals: Vec<_> = outputs[..2].iter().map(refused).collect();
    assert_eq!(refusals[0].sqlstate, sqlstate::SERIALIZATION_FAILURE);
    assert_eq!(refusals[0], refusals[1], "both questions hear it");
}
