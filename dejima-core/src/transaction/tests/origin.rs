//! The origin's transitions.

use super::*;

#[test]
fn invariant_2_the_origin_commits_when_the_database_says_so_and_not_before() {
    let mut bank = deciding();
    assert_eq!(bank.poll_timeout(), Some(3));
    assert_eq!(
        after(&mut bank, 3, Input::Tick),
        [ask_outcome(vec![gid("bank")])]
    );
    assert_eq!(after(&mut bank, 4, outcome(Outcome::Pending)), []);
    assert_eq!(
        after(&mut bank, 6, Input::Tick),
        [ask_outcome(vec![gid("bank")])]
    );
    let commit = send("gov", terminate("bank", 102, Decision::Commit));
    assert_eq!(after(&mut bank, 7, outcome(committed())), [commit]);
    let done = received(
        "gov",
        Message::Terminated {
            gid: gid("bank"),
            request: 102,
        },
    );
    assert_eq!(after(&mut bank, 8, done), []);
    forgets(&mut bank);
}

#[test]
fn invariant_2_a_lost_hook_says_nothing_after_the_vote() {
    let mut bank = deciding();
    assert_eq!(
        after(&mut bank, 3, Input::CallbackLost { gid: gid("bank") }),
        [ask_outcome(vec![gid("bank")])]
    );
    let abort = send("gov", terminate("bank", 102, Decision::Abort));
    assert_eq!(after(&mut bank, 4, outcome(Outcome::Aborted)), [abort]);
}

#[test]
fn a_lost_hook_aborts_before_the_vote() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let abort = send("gov", terminate("bank", 101, Decision::Abort));
    assert_eq!(
        after(&mut bank, 1, Input::CallbackLost { gid: gid("bank") }),
        [abort]
    );
}

#[test]
fn what_nobody_shares_needs_no_vote() {
    let mut bank = machine("bank", "gov", "insurer");
    let nothing = Input::Callback {
        gid: gid("bank"),
        round: 0,
        captured: vec![],
        portion: None,
    };
    let unshared = Output::Callback {
        gid: gid("bank"),
        answer: CallbackAnswer::Unshared,
    };
    assert_eq!(after(&mut bank, 0, nothing), [unshared]);
    assert!(bank.is_quiet());
}

#[test]
fn an_unreachable_peer_refuses_with_class_08_and_aborts_the_others() {
    let mut bank = machine("bank", "gov", "insurer");
    let both = Input::Callback {
        gid: gid("bank"),
        round: 0,
        captured: vec![captured("left", "x"), captured("right", "x")],
        portion: None,
    };
    assert_eq!(after(&mut bank, 0, both).len(), 2);
    let lost = Input::Undelivered {
        to: peer("gov"),
        gid: gid("bank"),
        request: 100,
        silence: Silence {
            why: "refused".into(),
            is_away: true,
        },
    };
    let outputs = after(&mut bank, 1, lost);
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::CONNECTION_FAILURE);
    assert_eq!(refused(&outputs[0]).peer, peer("gov"));
    let aborts = [
        send("gov", terminate("bank", 102, Decision::Abort)),
        send("insurer", terminate("bank", 103, Decision::Abort)),
    ];
    assert_eq!(outputs[1..], aborts);
}

#[test]
fn the_origin_gives_up_at_its_deadline() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let deadline = bank.poll_timeout().expect("a deadline");
    assert_eq!(
        deadline,
        Limits::default().transaction_ms_max + 1,
        "one row: one millisecond more"
    );
    let outputs = after(&mut bank, deadline, Input::Tick);
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::QUERY_CANCELED);
}

#[test]
fn a_lost_part_is_noticed_in_the_vote() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    after(
        &mut bank,
        1,
        received("gov", propagated("bank", 100, Ok(true))),
    );
    let partial = received("gov", voted("bank", 101, Tally::default()));
    let outputs = after(&mut bank, 2, partial);
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::SERIALIZATION_FAILURE
    );
    assert_eq!(
        outputs[1],
        send("gov", terminate("bank", 102, Decision::Abort))
    );
}

/// What the simulator found: the second delta opens the transaction again, at a peer that lost the first.
#[test]
fn a_restarted_participant_cannot_promise_a_part_for_the_whole() {
    let mut bank = machine("bank", "gov", "gov");
    let both = Input::Callback {
        gid: gid("bank"),
        round: 0,
        captured: vec![captured("left", "x"), captured("right", "x")],
        portion: None,
    };
    let deltas = after(&mut bank, 0, both);
    let [
        Output::Send { message: first, .. },
        Output::Send {
            message: second, ..
        },
    ] = &deltas[..]
    else {
        panic!("two deltas: {deltas:?}");
    };
    for (delta, name) in [(first, "left"), (second, "right")] {
        // Each time a new machine: what the one before had put is rolled back with its session.
        let mut gov = machine("gov", "bank", "bank");
        after(&mut gov, 1, received("bank", delta.clone()));
        let applied = Answer::Applied {
            gid: gid("bank"),
            captured: vec![captured(name, "x")],
        };
        let answers = after(&mut gov, 2, Input::Database(applied));
        let [
            Output::Send {
                message: answer, ..
            },
        ] = &answers[..]
        else {
            panic!("one answer: {answers:?}");
        };
        let votes = after(&mut bank, 3, received("gov", answer.clone()));
        let [Output::Send { message: vote, .. }] = &votes[..] else {
            continue;
        };
        after(&mut gov, 4, received("bank", vote.clone()));
        let prepared = Input::Database(Answer::Prepared { gid: gid("bank") });
        let promises = after(&mut gov, 5, prepared);
        let [
            Output::Send {
                message: promise, ..
            },
        ] = &promises[..]
        else {
            panic!("one promise: {promises:?}");
        };
        let outputs = after(&mut bank, 6, received("gov", promise.clone()));
        assert_eq!(
            refused(&outputs[0]).sqlstate,
            sqlstate::SERIALIZATION_FAILURE
        );
        return;
    }
    panic!("the origin never asked for the vote");
}

#[test]
fn changes_that_come_back_are_put_in_another_round() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, call("bank"));
    let mut upper = insert("X");
    if let Some(Change::Insert { new }) = upper.rows.values_mut().next() {
        new.insert(
            1,
            Cell {
                value: value("X"),
                revision: 1,
            },
        );
    }
    let back = Message::Propagate {
        gid: gid("bank"),
        request: 7,
        table: table("left"),
        group: group("left"),
        batch: 0,
        patience_ms: 0,
        delta: upper,
    };
    assert_eq!(
        after(&mut bank, 1, received("gov", back)),
        [send("gov", propagated("bank", 7, Ok(false)))]
    );
    let outputs = after(
        &mut bank,
        2,
        received("gov", propagated("bank", 100, Ok(true))),
    );
    let [
        Output::Callback {
            answer: CallbackAnswer::Apply { puts, .. },
            ..
        },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    let old = BTreeMap::from([("v".to_owned(), value("x"))]);
    let new = BTreeMap::from([("v".to_owned(), value("X"))]);
    assert_eq!(
        puts[0].rows,
        [PutRow::Update {
            key: vec!["a".into()],
            old,
            new
        }]
    );
    let (old, new) = (
        Some(vec![value("a"), value("x")]),
        Some(vec![value("a"), value("X")]),
    );
    let captured = vec![Captured {
        statement: 2,
        table: table("left"),
        old,
        new,
    }];
    let again = Input::Callback {
        gid: gid("bank"),
        round: 1,
        captured,
        portion: None,
    };
    assert_eq!(
        after(&mut bank, 3, again),
        [send(
            "gov",
            Message::Vote {
                gid: gid("bank"),
                request: 101,
                patience_ms: 4_002
            }
        )]
    );
}

#[test]
fn a_vote_that_a_savepoint_took_back_is_not_taken_again() {
    let mut bank = deciding();
    let again = after(&mut bank, 2, call("bank"));
    assert_eq!(
        refused(&again[0]).sqlstate,
        sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE
    );
    assert_eq!(bank.summaries()[0].state, "deciding", "the row decides");
}

#[test]
fn members_that_are_not_known_yet_refuse_the_client() {
    let mut bank = machine("bank", "gov", "insurer");
    let mut tables = BTreeMap::from([(
        table("left"),
        Membership {
            schema: Schema {
                columns: vec![],
                key: vec![],
            },
            members: Err(vec!["http://gov:1".into()]),
        },
    )]);
    if let Some(left) = tables.get_mut(&table("left")) {
        let column = |name: &str| Column {
            name: name.into(),
            type_name: "text".into(),
        };
        left.schema = Schema {
            columns: vec![column("k"), column("v")],
            key: vec![0],
        };
    }
    bank.handle(0, Input::Members { tables });
    let outputs = after(&mut bank, 0, call("bank"));
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::CANNOT_CONNECT_NOW);
    assert!(bank.is_quiet());
}

#[test]
fn rows_that_no_history_explains_are_refused_for_what_they_are() {
    let mut bank = machine("bank", "gov", "insurer");
    let two_with_one_key = ["x", "y"].map(|old| Captured {
        old: Some(vec![value("a"), value(old)]),
        new: None,
        ..captured("left", "")
    });
    let call = Input::Callback {
        gid: gid("bank"),
        round: 0,
        captured: two_with_one_key.into(),
        portion: None,
    };
    let outputs = after(&mut bank, 0, call);
    let refusal = refused(&outputs[0]);
    assert_eq!(refusal.sqlstate, sqlstate::FEATURE_NOT_SUPPORTED);
    assert_eq!(
        refusal.detail,
        "The captured rows do not say how a row came to its key."
    );
    assert!(bank.is_quiet());
}

#[test]
fn a_stopping_peer_takes_nothing_new() {
    let mut bank = machine("bank", "gov", "insurer");
    bank.handle(0, Input::Stop);
    assert_eq!(
        refused(&after(&mut bank, 0, call("bank"))[0]).sqlstate,
        sqlstate::CANNOT_CONNECT_NOW
    );
    let outputs = after(&mut bank, 0, received("gov", propagate("gov", 1, "left")));
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::CANNOT_CONNECT_NOW);
}
