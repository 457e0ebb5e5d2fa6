//! In doubt: who is asked, whose word counts, and what the operator may do.

use super::*;

fn unanswered(to: &str, request: RequestId) -> Input {
    Input::Undelivered {
        to: peer(to),
        gid: gid("bank"),
        request,
        silence: Silence {
            why: "refused".into(),
            is_away: true,
        },
    }
}

/// In doubt, and its parent has not answered the first inquiry.
fn abandoned() -> Machine {
    let mut gov = in_doubt();
    let now = gov.poll_timeout().expect("it will ask");
    let asked = after(&mut gov, now, Input::Tick);
    assert_eq!(asked, [send("bank", inquire("bank", 102, "bank"))]);
    assert_eq!(after(&mut gov, now, unanswered("bank", 102)), []);
    gov
}

fn resolve(decision: Decision, is_forced: bool) -> Input {
    Input::Resolve {
        gid: gid("bank"),
        decision,
        is_forced,
    }
}

fn resolved(answer: ResolveAnswer) -> Output {
    Output::Resolved {
        gid: gid("bank"),
        answer,
    }
}

fn resolution(decision: Decision, children: &[&str]) -> Resolution {
    Resolution {
        gid: gid("bank"),
        parent: peer("bank"),
        children: children.iter().copied().map(peer).collect(),
        decision,
    }
}

#[test]
fn a_silent_parent_makes_it_ask_everybody_who_may_know() {
    let mut gov = abandoned();
    let now = gov.poll_timeout().expect("it will ask again");
    let asked = [
        send("bank", inquire("bank", 103, "bank")),
        send("insurer", inquire("bank", 104, "bank")),
    ];
    assert_eq!(after(&mut gov, now, Input::Tick), asked);
    let ignorant = received("insurer", decided("bank", 104, None));
    assert_eq!(after(&mut gov, now, ignorant), []);
    assert_eq!(after(&mut gov, now, unanswered("bank", 103)), []);
    assert_eq!(gov.summaries()[0].state, "in doubt");
    let now = gov.poll_timeout().expect("it will ask again");
    after(&mut gov, now, Input::Tick);
    let knows = received("insurer", decided("bank", 106, Some(Decision::Commit)));
    let told = send("insurer", terminate("bank", 107, Decision::Commit));
    let finish = finish(Decision::Commit);
    assert_eq!(after(&mut gov, now, knows), [finish, told]);
}

#[test]
fn invariant_2_ignorance_means_abort_only_at_the_parent() {
    let mut gov = machine("gov", "bank", "insurer");
    let asked = received("insurer", inquire("tax", 1, "bank"));
    let answer = send("insurer", decided("tax", 1, None));
    assert_eq!(after(&mut gov, 0, asked), [answer]);
    let asked = received("insurer", inquire("tax", 2, "gov"));
    let answer = send("insurer", decided("tax", 2, Some(Decision::Abort)));
    assert_eq!(after(&mut gov, 0, asked), [answer]);
}

#[test]
fn invariant_2_at_the_origin_an_absent_row_means_abort_only_to_its_own_child() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, received("insurer", inquire("bank", 1, "gov")));
    after(&mut bank, 0, received("gov", inquire("bank", 2, "bank")));
    let answers = [
        send("insurer", decided("bank", 1, None)),
        send("gov", decided("bank", 2, Some(Decision::Abort))),
    ];
    assert_eq!(after(&mut bank, 1, outcome(Outcome::Aborted)), answers);
}

#[test]
fn invariant_2_an_abort_chosen_alone_is_told_to_nobody_but_children() {
    let mut gov = between();
    let idle = gov.poll_timeout().expect("it gives up");
    after(&mut gov, idle, Input::Tick);
    let asked = received("insurer", inquire("bank", 1, "bank"));
    let answer = send("insurer", decided("bank", 1, None));
    assert_eq!(after(&mut gov, idle, asked), [answer]);
    let asked = received("insurer", inquire("bank", 2, "gov"));
    let answer = send("insurer", decided("bank", 2, Some(Decision::Abort)));
    assert_eq!(after(&mut gov, idle, asked), [answer]);
}

#[test]
fn invariant_2_after_the_promise_only_the_parents_word_counts() {
    let mut gov = in_doubt();
    let abort = received("insurer", terminate("bank", 9, Decision::Abort));
    let acknowledged = Message::Terminated {
        gid: gid("bank"),
        request: 9,
    };
    assert_eq!(
        after(&mut gov, 6, abort),
        [send("insurer", acknowledged)],
        "it need not say so again"
    );
    assert_eq!(gov.summaries()[0].state, "in doubt");
}

#[test]
fn a_peer_that_answers_again_is_asked_and_told_at_once() {
    let mut gov = abandoned();
    let peer = peer("bank");
    let asked = after(&mut gov, 4_010, Input::Reachable { peer });
    assert_eq!(asked[0], send("bank", inquire("bank", 103, "bank")));
}

#[test]
fn a_database_that_answers_again_is_asked_at_once() {
    let mut gov = in_doubt();
    let commit = received("bank", terminate("bank", 9, Decision::Commit));
    after(&mut gov, 6, commit);
    for _ in 0..10 {
        let failed = Answer::Failed {
            gids: vec![gid("bank")],
            why: "down".into(),
        };
        let now = gov.poll_timeout().unwrap_or(6);
        after(&mut gov, now, Input::Tick);
        after(&mut gov, now, Input::Database(failed));
    }
    let trouble = gov.summaries()[0].trouble.clone().expect("it is shown");
    assert_eq!((trouble.attempts, trouble.why.as_str()), (10, "down"));
    let due = gov.poll_timeout().expect("it tries again");
    let works = Answer::Outcomes { outcomes: vec![] };
    assert_eq!(
        after(&mut gov, due - 5_000, Input::Database(works)),
        [finish(Decision::Commit)]
    );
}

#[test]
fn the_operator_learns_a_decision_that_somebody_knows() {
    let mut gov = in_doubt();
    let asked = [
        send("bank", inquire("bank", 102, "bank")),
        send("insurer", inquire("bank", 103, "bank")),
    ];
    assert_eq!(after(&mut gov, 6, resolve(Decision::Abort, false)), asked);
    let knows = received("insurer", decided("bank", 103, Some(Decision::Commit)));
    let answer = ResolveAnswer::Decided {
        decision: Decision::Commit,
        by: peer("insurer"),
    };
    let outputs = after(&mut gov, 7, knows);
    assert_eq!(outputs[0], resolved(answer), "not what he chose");
    assert_eq!(outputs[1], finish(Decision::Commit));
}

#[test]
fn the_operator_must_insist_where_nobody_knows_and_the_truth_is_still_asked_for() {
    let mut gov = in_doubt();
    after(&mut gov, 6, resolve(Decision::Abort, false));
    after(&mut gov, 7, received("insurer", decided("bank", 103, None)));
    let asked = vec![
        (peer("bank"), "refused".to_owned()),
        (peer("insurer"), "does not know the decision".to_owned()),
    ];
    assert_eq!(
        after(&mut gov, 8, unanswered("bank", 102)),
        [resolved(ResolveAnswer::Unknown { asked })]
    );
    assert_eq!(gov.summaries()[0].state, "in doubt");

    let noted = Request::Resolve {
        resolution: resolution(Decision::Abort, &["insurer"]),
    };
    assert_eq!(
        after(&mut gov, 9, resolve(Decision::Abort, true)),
        [Output::Database(noted)]
    );
    let early = received("bank", terminate("bank", 9, Decision::Commit));
    assert_eq!(after(&mut gov, 10, early.clone()), [], "first things first");
    assert_eq!(
        after(&mut gov, 11, finished(&[])),
        [resolved(ResolveAnswer::Done)]
    );
    let asked = received("insurer", inquire("bank", 4, "gov"));
    let answer = send("insurer", decided("bank", 4, None));
    assert_eq!(
        after(&mut gov, 12, asked),
        [answer],
        "what one operator chose is no decision for others"
    );

    let told = send("insurer", terminate("bank", 104, Decision::Commit));
    let settle = Output::Database(Request::Settle {
        gid: gid("bank"),
        decision: Decision::Commit,
    });
    assert_eq!(after(&mut gov, 13, early), [settle, told]);
    let acknowledged = Message::Terminated {
        gid: gid("bank"),
        request: 9,
    };
    assert_eq!(
        after(&mut gov, 14, finished(&[])),
        [send("bank", acknowledged)]
    );
}

#[test]
fn what_the_operator_ended_is_taken_up_after_a_restart() {
    let resolution = resolution(Decision::Commit, &[]);
    let found = Recovered {
        finished: vec![(gid("bank"), vec![peer("insurer")])],
        resolved: vec![resolution],
        ..Recovered::default()
    };
    let (gov, outputs) = restarted(found);
    let resolution = self::resolution(Decision::Commit, &["insurer"]);
    let expected = [
        Output::Database(Request::Resolve { resolution }),
        send("bank", inquire("bank", 100, "bank")),
    ];
    assert_eq!(outputs, expected, "its children are not told what he chose");
    assert_eq!(gov.summaries()[0].state, "committed by its operator");
}

#[test]
fn the_operator_may_abort_before_the_promise_and_not_commit() {
    let mut gov = between();
    let outputs = after(&mut gov, 2, resolve(Decision::Commit, true));
    assert!(matches!(
        &outputs[..],
        [Output::Resolved {
            answer: ResolveAnswer::Refused { .. },
            ..
        }]
    ));
    let outputs = after(&mut gov, 3, resolve(Decision::Abort, false));
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::QUERY_CANCELED);
    let answer = ResolveAnswer::Decided {
        decision: Decision::Abort,
        by: peer("gov"),
    };
    assert_eq!(outputs.last(), Some(&resolved(answer)));
}

#[test]
fn invariant_2_at_the_origin_the_operator_cannot_decide() {
    let mut bank = deciding();
    for decision in [Decision::Commit, Decision::Abort] {
        let outputs = after(&mut bank, 2, resolve(decision, true));
        assert!(
            matches!(
                &outputs[..],
                [Output::Resolved {
                    answer: ResolveAnswer::Refused { .. },
                    ..
                }]
            ),
            "{outputs:?}"
        );
    }
    assert_eq!(bank.summaries()[0].state, "deciding");
}
