//! A row that a transaction has promised to change, and another transaction that changes it next.

use super::*;

/// The bank's next transaction.
fn next_gid() -> Gid {
    Gid::new("bank:00000000-0000-4000-8000-000000000001").expect("a gid")
}

/// Its delta: `key` has another value.
fn change(request: RequestId, key: &str) -> Input {
    let changed = Cell {
        value: value("y"),
        revision: 0,
    };
    let mut delta = Delta::default();
    delta.add(
        vec![key.into()],
        Change::Update {
            old: BTreeMap::from([(1, value("x"))]),
            new: BTreeMap::from([(1, changed)]),
        },
    );
    let message = Message::Propagate {
        gid: next_gid(),
        request,
        table: table("left"),
        group: group("left"),
        batch: 0,
        patience_ms: 0,
        delta,
    };
    received("bank", message)
}

fn applies(outputs: &[Output]) -> bool {
    let apply = |output: &&Output| matches!(output, Output::Database(Request::Apply { gid, .. }) if *gid == next_gid());
    outputs.iter().filter(apply).count() == 1
}

#[test]
fn a_delta_waits_until_the_promised_change_of_its_row_is_durable() {
    let mut gov = in_doubt();
    assert_eq!(after(&mut gov, 6, change(10, "a")), []);
    assert_eq!(
        after(&mut gov, 7, change(10, "a")),
        [],
        "a repeated question"
    );
    let decision = received("bank", terminate("bank", 9, Decision::Commit));
    assert!(!applies(&after(&mut gov, 8, decision)));
    assert!(applies(&after(&mut gov, 9, finished(&[]))));
}

#[test]
fn a_delta_waits_for_an_abort_as_well() {
    let mut gov = in_doubt();
    assert_eq!(after(&mut gov, 6, change(10, "a")), []);
    let decision = received("bank", terminate("bank", 9, Decision::Abort));
    assert!(!applies(&after(&mut gov, 8, decision)));
    assert!(applies(&after(&mut gov, 9, finished(&[]))));
}

#[test]
fn a_delta_is_refused_when_the_decision_does_not_come() {
    let mut gov = in_doubt();
    assert_eq!(after(&mut gov, 6, change(10, "a")), []);
    let until = 6 + Limits::default().lock_wait_ms_max;
    assert_eq!(gov.poll_timeout(), Some(until));
    assert_eq!(after(&mut gov, until - 1, Input::Tick), []);
    let outputs = after(&mut gov, until, Input::Tick);
    assert_eq!(outputs.len(), 1);
    let refusal = refused(&outputs[0]);
    assert_eq!(refusal.sqlstate, sqlstate::SERIALIZATION_FAILURE);
    assert_eq!(
        refusal.detail,
        "Another transaction has promised to change the same row, and its decision has not come yet."
    );
    assert_ne!(gov.poll_timeout(), Some(until), "it waits no longer");
}

#[test]
fn a_delta_of_another_row_does_not_wait() {
    let mut gov = in_doubt();
    assert!(applies(&after(&mut gov, 6, change(10, "b"))));
}

#[test]
fn a_delta_does_not_wait_for_what_is_not_promised() {
    let mut gov = between();
    assert!(applies(&after(&mut gov, 6, change(10, "a"))));
}

#[test]
fn a_delta_that_is_aborted_while_it_waits_is_not_put() {
    let mut gov = in_doubt();
    after(&mut gov, 6, change(10, "a"));
    let abort = Message::Terminate {
        gid: next_gid(),
        request: 11,
        decision: Decision::Abort,
        cause: None,
    };
    after(&mut gov, 7, received("bank", abort));
    let decision = received("bank", terminate("bank", 9, Decision::Commit));
    after(&mut gov, 8, decision);
    let outputs = after(&mut gov, 9, finished(&[]));
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::Database(Request::Apply { .. })))
    );
}
