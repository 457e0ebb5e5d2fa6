//! A participant's transitions.

use super::*;

#[test]
fn a_participant_answers_for_its_subtree_and_passes_the_decision_on() {
    let mut gov = in_doubt();
    let told = after(
        &mut gov,
        6,
        received("bank", terminate("bank", 9, Decision::Commit)),
    );
    assert_eq!(
        told,
        [
            finish(Decision::Commit),
            send("insurer", terminate("bank", 102, Decision::Commit))
        ]
    );
    let durable = after(&mut gov, 7, finished(&[]));
    assert_eq!(
        durable,
        [send(
            "bank",
            Message::Terminated {
                gid: gid("bank"),
                request: 9
            }
        )]
    );
    let below = received(
        "insurer",
        Message::Terminated {
            gid: gid("bank"),
            request: 102,
        },
    );
    assert_eq!(after(&mut gov, 8, below), []);
    forgets(&mut gov);
}

#[test]
fn a_commit_that_fails_is_tried_for_ever_and_acknowledged_only_when_durable() {
    let mut gov = in_doubt();
    after(
        &mut gov,
        6,
        received("bank", terminate("bank", 9, Decision::Commit)),
    );
    let mut now = 6;
    for _ in 0..20 {
        let failed = Answer::Failed {
            gids: vec![gid("bank")],
            why: "down".into(),
        };
        assert_eq!(after(&mut gov, now, Input::Database(failed)), []);
        now = gov.poll_timeout().expect("it will try again");
        assert_eq!(
            after(&mut gov, now, Input::Tick),
            [finish(Decision::Commit)]
        );
    }
    let durable = after(&mut gov, now, finished(&[]));
    assert_eq!(
        durable,
        [send(
            "bank",
            Message::Terminated {
                gid: gid("bank"),
                request: 9
            }
        )]
    );
}

#[test]
fn invariant_2_in_doubt_nobody_presumes_and_the_parent_is_asked() {
    let mut gov = in_doubt();
    let mut now = 5;
    for request in 102..110 {
        now = gov.poll_timeout().expect("it will ask");
        let inquiry = send("bank", inquire("bank", request, "bank"));
        assert_eq!(after(&mut gov, now, Input::Tick), [inquiry]);
        let undecided = decided("bank", request, None);
        assert_eq!(after(&mut gov, now, received("bank", undecided)), []);
    }
    assert!(now > 10_000, "an hour would be the same");
    assert_eq!(gov.summaries()[0].state, "in doubt");
}

#[test]
fn a_commit_is_taken_from_the_parent_alone() {
    let mut gov = in_doubt();
    assert_eq!(
        after(
            &mut gov,
            6,
            received("insurer", terminate("bank", 9, Decision::Commit))
        ),
        []
    );
    assert_eq!(gov.summaries()[0].state, "in doubt");
}

#[test]
fn a_vote_is_given_to_the_parent_alone() {
    let mut gov = between();
    after(
        &mut gov,
        2,
        received("insurer", propagated("bank", 100, Ok(true))),
    );
    let outputs = after(
        &mut gov,
        3,
        received(
            "insurer",
            Message::Vote {
                gid: gid("bank"),
                request: 5,
                patience_ms: 0,
            },
        ),
    );
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::PROTOCOL_VIOLATION);
}

#[test]
fn a_refusal_below_goes_up_and_ends_the_subtree() {
    let mut gov = between();
    let check = check_violation();
    let outputs = after(
        &mut gov,
        2,
        received("insurer", propagated("bank", 100, Err(check.clone()))),
    );
    let up = send("bank", propagated("bank", 7, Err(check.clone())));
    let rollback = Output::Database(Request::Rollback { gid: gid("bank") });
    assert_eq!(
        outputs,
        [up, rollback, send("insurer", aborts(101, &check))]
    );
}

#[test]
fn whoever_hears_of_an_abort_by_a_roundabout_way_hears_its_cause() {
    let mut gov = between();
    let check = check_violation();
    let told = received("insurer", aborts(9, &check));
    let outputs = after(&mut gov, 2, told);
    let up = send("bank", propagated("bank", 7, Err(check.clone())));
    let on = send("insurer", aborts(101, &check));
    assert_eq!([&outputs[0], &outputs[2]], [&up, &on]);
    let again = received("bank", propagate("bank", 8, "left"));
    let answer = [send("bank", propagated("bank", 8, Err(check.clone())))];
    assert_eq!(after(&mut gov, 3, again.clone()), answer);

    let mut gov = machine("gov", "bank", "insurer");
    let early = received("insurer", aborts(9, &check));
    after(&mut gov, 0, early);
    assert_eq!(after(&mut gov, 1, again), answer, "it came too late");
    let vote = Message::Vote {
        gid: gid("bank"),
        request: 10,
        patience_ms: 0,
    };
    let outputs = after(&mut gov, 2, received("bank", vote));
    assert_eq!(refused(&outputs[0]), &check);
}

#[test]
fn a_repeated_delta_is_answered_again_and_put_once() {
    let mut gov = between();
    assert_eq!(
        after(&mut gov, 2, received("bank", propagate("bank", 7, "left"))),
        []
    );
    after(
        &mut gov,
        3,
        received("insurer", propagated("bank", 100, Ok(true))),
    );
    let again = after(&mut gov, 4, received("bank", propagate("bank", 7, "left")));
    assert_eq!(again, [send("bank", propagated("bank", 7, Ok(true)))]);
}

#[test]
fn what_is_known_already_is_answered_at_once() {
    let mut gov = between();
    let back = after(
        &mut gov,
        2,
        received("insurer", propagate("bank", 3, "right")),
    );
    assert_eq!(back, [send("insurer", propagated("bank", 3, Ok(false)))]);
}

#[test]
fn a_participant_that_has_not_promised_aborts_alone() {
    let mut gov = between();
    let idle = gov.poll_timeout().expect("a bound");
    let outputs = after(&mut gov, idle, Input::Tick);
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::QUERY_CANCELED);
    assert_eq!(
        outputs[1],
        Output::Database(Request::Rollback { gid: gid("bank") })
    );
    let late = after(
        &mut gov,
        idle,
        received(
            "bank",
            Message::Vote {
                gid: gid("bank"),
                request: 8,
                patience_ms: 0,
            },
        ),
    );
    refused(&late[0]);
}

#[test]
fn invariant_5_only_members_speak_of_a_table() {
    let mut gov = machine("gov", "bank", "insurer");
    let outputs = after(&mut gov, 0, received("bank", propagate("bank", 7, "right")));
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::SERIALIZATION_FAILURE,
        "it may be joining"
    );
    let outputs = after(
        &mut gov,
        0,
        received("bank", propagate("bank", 8, "unknown")),
    );
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::PROTOCOL_VIOLATION);
    assert!(gov.is_quiet());
}

#[test]
fn an_ended_transaction_is_not_opened_again() {
    let mut gov = machine("gov", "bank", "insurer");
    let acknowledged = send(
        "bank",
        Message::Terminated {
            gid: gid("bank"),
            request: 9,
        },
    );
    let abort = received("bank", terminate("bank", 9, Decision::Abort));
    assert_eq!(after(&mut gov, 0, abort), [acknowledged]);
    refused(&after(&mut gov, 1, received("bank", propagate("bank", 7, "left")))[0]);
}

#[test]
fn a_put_that_loses_the_row_is_refused() {
    let mut gov = machine("gov", "bank", "insurer");
    after(&mut gov, 0, received("bank", propagate("bank", 7, "left")));
    let nothing = Answer::Applied {
        gid: gid("bank"),
        captured: vec![],
    };
    let outputs = after(&mut gov, 1, Input::Database(nothing));
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::WITH_CHECK_OPTION_VIOLATION
    );
}

#[test]
fn a_value_that_says_that_it_was_replaced_too_often_is_not_replaced_again() {
    let mut gov = machine("gov", "bank", "insurer");
    let Message::Propagate {
        gid: told,
        request,
        table,
        group,
        batch,
        patience_ms,
        mut delta,
    } = propagate("bank", 7, "left")
    else {
        panic!("a delta");
    };
    for change in delta.rows.values_mut() {
        if let Change::Insert { new } = change {
            new.values_mut().for_each(|cell| cell.revision = u32::MAX);
        }
    }
    let message = Message::Propagate {
        gid: told,
        request,
        table,
        group,
        batch,
        patience_ms,
        delta,
    };
    after(&mut gov, 0, received("bank", message));
    let other = Answer::Applied {
        gid: gid("bank"),
        captured: vec![captured("left", "X")],
    };
    let outputs = after(&mut gov, 1, Input::Database(other));
    let refusal = refused(&outputs[0]);
    assert_eq!(refusal.sqlstate, sqlstate::WITH_CHECK_OPTION_VIOLATION);
    assert!(refusal.detail.contains("do not settle"), "{refusal:?}");
}

#[test]
fn invariant_3_two_values_for_one_attribute_conflict() {
    let mut gov = between();
    let other = Message::Propagate {
        gid: gid("bank"),
        request: 3,
        table: table("right"),
        group: group("right"),
        batch: 0,
        patience_ms: 0,
        delta: insert("y"),
    };
    let outputs = after(&mut gov, 2, received("insurer", other));
    assert_eq!(
        refused(&outputs[0]).sqlstate,
        sqlstate::SERIALIZATION_FAILURE
    );
}

#[test]
fn a_table_is_at_rest_while_no_transaction_may_concern_it() {
    let at_rest = |gov: &Machine| ["left", "right"].map(|name| gov.is_at_rest(&table(name)));
    let mut gov = machine("gov", "bank", "insurer");
    assert_eq!(at_rest(&gov), [true, true]);
    after(&mut gov, 0, received("bank", propagate("bank", 7, "left")));
    assert_eq!(at_rest(&gov), [false, true]);
    let mut restarted = starting("gov", "bank", "insurer");
    let found = Recovered {
        prepared: vec![(gid("bank"), peer("bank"))],
        ..Recovered::default()
    };
    after(
        &mut restarted,
        0,
        Input::Database(Answer::Recovered { found }),
    );
    assert_eq!(
        at_rest(&restarted),
        [false, false],
        "nobody knows what it has changed"
    );
}
