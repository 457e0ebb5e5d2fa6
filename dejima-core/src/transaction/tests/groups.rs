//! Groups that change, and members that are away, while transactions run.

use super::*;

/// A newcomer has joined both tables.
fn joined(me: &str, left: &str, right: &str) -> Input {
    Input::Members {
        tables: memberships(me, &[left, "new"], &[right, "new"]),
    }
}

/// News that change nothing here.
fn unchanged(me: &str, left: &str, right: &str) -> Input {
    Input::Members {
        tables: memberships(me, &[left], &[right]),
    }
}

fn is_lost_race(output: &Output) -> bool {
    refused(output).sqlstate == sqlstate::SERIALIZATION_FAILURE
}

#[test]
fn an_origin_whose_group_changes_before_the_last_promise_refuses() {
    let mut propagating = machine("bank", "gov", "insurer");
    after(&mut propagating, 0, call("bank"));
    let mut voting = machine("bank", "gov", "insurer");
    after(&mut voting, 0, call("bank"));
    let answer = propagated("bank", 100, Ok(true));
    after(&mut voting, 1, received("gov", answer));
    for bank in [&mut propagating, &mut voting] {
        assert_eq!(after(bank, 2, unchanged("bank", "gov", "insurer")), []);
        let outputs = after(bank, 3, joined("bank", "gov", "insurer"));
        assert!(is_lost_race(&outputs[0]));
        assert_eq!(outputs.len(), 2, "the government hears of it: {outputs:?}");
    }
}

#[test]
fn what_all_have_promised_is_not_touched_by_a_group_that_changes() {
    let mut bank = deciding();
    assert_eq!(after(&mut bank, 2, joined("bank", "gov", "insurer")), []);
    assert_eq!(bank.summaries()[0].state, "deciding");
    let mut gov = in_doubt();
    assert_eq!(after(&mut gov, 6, joined("gov", "bank", "insurer")), []);
    assert_eq!(gov.summaries()[0].state, "in doubt");
}

#[test]
fn a_table_that_the_transaction_does_not_touch_may_change() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let tables = memberships("bank", &["gov"], &["insurer", "new"]);
    assert_eq!(after(&mut bank, 1, Input::Members { tables }), []);
}

#[test]
fn a_participant_whose_group_changes_before_it_promises_refuses() {
    let mut gov = between();
    let outputs = after(&mut gov, 2, joined("gov", "bank", "insurer"));
    assert!(is_lost_race(&outputs[0]));
    let rollback = Output::Database(Request::Rollback { gid: gid("bank") });
    assert_eq!(outputs[1], rollback);

    let mut gov = between();
    let closed = received("insurer", propagated("bank", 100, Ok(true)));
    after(&mut gov, 2, closed);
    let vote = Message::Vote {
        gid: gid("bank"),
        request: 8,
        patience_ms: 0,
    };
    after(&mut gov, 3, received("bank", vote));
    let outputs = after(&mut gov, 4, joined("gov", "bank", "insurer"));
    assert!(is_lost_race(&outputs[0]));
}

#[test]
fn a_vote_that_comes_after_the_group_has_changed_hears_why() {
    let mut gov = between();
    let closed = received("insurer", propagated("bank", 100, Ok(true)));
    after(&mut gov, 2, closed);
    after(&mut gov, 3, joined("gov", "bank", "insurer"));
    let vote = |request| Message::Vote {
        gid: gid("bank"),
        request,
        patience_ms: 0,
    };
    let outputs = after(&mut gov, 4, received("bank", vote(8)));
    assert!(is_lost_race(&outputs[0]), "not rolled back yet");
    let rolled_back = Answer::RolledBack { gid: gid("bank") };
    after(&mut gov, 5, Input::Database(rolled_back));
    let outputs = after(&mut gov, 6, received("bank", vote(9)));
    assert!(is_lost_race(&outputs[0]), "ended");
}

#[test]
fn a_group_that_changes_between_two_rounds_is_told_at_the_next() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let mut delta = insert("y");
    if let Some(Change::Insert { new }) = delta.rows.values_mut().next() {
        let value = value("y");
        new.insert(1, Cell { value, revision: 1 });
    }
    let back = Message::Propagate {
        gid: gid("bank"),
        request: 7,
        table: table("left"),
        group: group("left"),
        batch: 0,
        patience_ms: 0,
        delta,
    };
    after(&mut bank, 1, received("gov", back));
    after(
        &mut bank,
        2,
        received("gov", propagated("bank", 100, Ok(true))),
    );
    assert_eq!(bank.summaries()[0].state, "awaiting round");
    assert_eq!(after(&mut bank, 3, joined("bank", "gov", "insurer")), []);
    let again = Input::Callback {
        gid: gid("bank"),
        round: 1,
        captured: vec![],
        portion: None,
    };
    assert!(is_lost_race(&after(&mut bank, 4, again)[0]));
}

#[test]
fn who_sees_other_members_is_refused() {
    for joined_first in ["gov", "bank"] {
        let mut gov = machine("gov", "bank", "insurer");
        let mut bank = machine("bank", "gov", "insurer");
        if joined_first == "gov" {
            after(&mut gov, 0, joined("gov", "bank", "insurer"));
        } else {
            after(&mut bank, 0, joined("bank", "gov", "insurer"));
        }
        let sent = after(&mut bank, 1, call("bank"));
        let Output::Send { message, .. } = &sent[0] else {
            panic!("{sent:?}");
        };
        let outputs = after(&mut gov, 2, received("bank", message.clone()));
        assert!(is_lost_race(&outputs[0]) && gov.is_quiet());
    }
}

#[test]
fn a_delta_that_waited_while_the_group_changed_is_refused() {
    let mut gov = machine("gov", "bank", "insurer");
    after(&mut gov, 0, received("bank", propagate("bank", 7, "left")));
    // The database still puts the first delta.
    let second = received("insurer", propagate("bank", 9, "right"));
    assert_eq!(after(&mut gov, 1, second), []);
    let tables = memberships("gov", &["bank"], &["insurer", "new"]);
    assert_eq!(after(&mut gov, 2, Input::Members { tables }), []);
    let applied = Answer::Applied {
        gid: gid("bank"),
        captured: vec![captured("left", "x")],
    };
    let outputs = after(&mut gov, 3, Input::Database(applied));
    let refusals = outputs.iter().filter(|output| match output {
        Output::Send {
            message: Message::Propagated { result, .. },
            ..
        } => result.is_err(),
        _ => false,
    });
    assert!(refusals.clone().count() == 1 && refusals.clone().all(is_lost_race));
}

#[test]
fn nothing_is_sent_while_a_member_is_away() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let lost = |gid, request| Input::Undelivered {
        to: peer("gov"),
        gid,
        request,
        silence: Silence {
            why: "connection refused".into(),
            is_away: true,
        },
    };
    after(&mut bank, 1, lost(gid("bank"), 100));
    let numbered = |number: u32| {
        Gid::new(&format!("bank:{number:08}-0000-4000-8000-000000000000")).expect("a gid")
    };
    let both = |number| Input::Callback {
        gid: numbered(number),
        round: 0,
        captured: vec![captured("right", "x"), captured("left", "x")],
        portion: None,
    };
    let outputs = after(&mut bank, 2, both(1));
    assert_eq!(outputs.len(), 1, "the insurer hears nothing: {outputs:?}");
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::CONNECTION_FAILURE);
    assert_eq!(refused(&outputs[0]).peer, peer("gov"));
    let is_sent = |outputs: &[Output]| {
        let is_send = |output: &Output| matches!(output, Output::Send { .. });
        outputs.len() == 2 && outputs.iter().all(is_send)
    };
    assert!(is_sent(&after(&mut bank, 251, both(2))), "a while later");
    // Nobody waits for the answer to an abort: that it is lost is no news of the peer.
    after(&mut bank, 252, lost(gid("bank"), 101));
    assert!(is_sent(&after(&mut bank, 252, both(5))));
    after(&mut bank, 252, lost(numbered(2), 102));
    assert_eq!(after(&mut bank, 253, both(3)).len(), 1);
    let reachable = Input::Reachable { peer: peer("gov") };
    after(&mut bank, 254, reachable);
    assert!(is_sent(&after(&mut bank, 255, both(4))), "it is back");
}

#[test]
fn a_peer_that_is_slow_is_not_away() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let slow = Input::Undelivered {
        to: peer("gov"),
        gid: gid("bank"),
        request: 100,
        silence: Silence {
            why: "no answer within 4000 ms".into(),
            is_away: false,
        },
    };
    after(&mut bank, 4_000, slow);
    let next = Input::Callback {
        gid: Gid::new("bank:00000001-0000-4000-8000-000000000000").expect("a gid"),
        round: 0,
        captured: vec![captured("left", "x")],
        portion: None,
    };
    let outputs = after(&mut bank, 4_001, next);
    assert!(matches!(outputs[..], [Output::Send { .. }]), "{outputs:?}");
}
