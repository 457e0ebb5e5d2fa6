//! Restarts.

use super::*;

#[test]
fn a_restarted_peer_takes_up_what_it_left() {
    let mut gov = Machine::new(peer("gov"), Limits::default(), FIRST);
    after(&mut gov, 0, Input::Started);
    let early = received("bank", inquire("gov", 1, "gov"));
    assert_eq!(after(&mut gov, 1, early), [], "it does not know yet");
    let failed = Answer::RecoveryFailed { why: "down".into() };
    assert_eq!(after(&mut gov, 2, Input::Database(failed)), []);
    let again = gov.poll_timeout().expect("it will ask again");
    assert_eq!(
        after(&mut gov, again, Input::Tick),
        [Output::Database(Request::Recover)]
    );
    let found = Recovered {
        decided: vec![(gid("gov"), vec![peer("insurer")])],
        prepared: vec![(gid("bank"), peer("bank"))],
        finished: vec![(gid("tax"), vec![peer("insurer")])],
        resolved: vec![],
    };
    let outputs = after(&mut gov, 300, Input::Database(Answer::Recovered { found }));
    let expected = [
        send("insurer", terminate("gov", 100, Decision::Commit)),
        send("insurer", terminate("tax", 101, Decision::Commit)),
        send("bank", decided("gov", 1, Some(Decision::Commit))),
        send("bank", inquire("bank", 102, "bank")),
    ];
    assert_eq!(outputs, expected);
    let told = decided("bank", 102, Some(Decision::Abort));
    assert_eq!(
        after(&mut gov, 301, received("bank", told)),
        [finish(Decision::Abort)]
    );
}

#[test]
fn invariant_2_an_unknown_transaction_of_ours_is_looked_up_in_the_database() {
    let mut bank = machine("bank", "gov", "insurer");
    let inquiry = received("gov", inquire("bank", 1, "bank"));
    assert_eq!(
        after(&mut bank, 0, inquiry.clone()),
        [ask_outcome(vec![gid("bank")])]
    );
    let wait = send("gov", decided("bank", 1, None));
    assert_eq!(after(&mut bank, 1, outcome(Outcome::Pending)), [wait]);
    assert_eq!(
        after(&mut bank, 2, inquiry),
        [ask_outcome(vec![gid("bank")])]
    );
    let aborted = send("gov", decided("bank", 1, Some(Decision::Abort)));
    assert_eq!(after(&mut bank, 3, outcome(Outcome::Aborted)), [aborted]);
}

/// The participant row can be read only after COMMIT PREPARED. If its children were not told, they would ask some day,
/// when nobody here remembers, and ignorance of a parent means abort.
#[test]
fn invariant_1_a_restarted_participant_tells_the_children_of_its_row() {
    let found = Recovered {
        prepared: vec![(gid("bank"), peer("bank"))],
        ..Recovered::default()
    };
    let (mut gov, outputs) = restarted(found);
    assert_eq!(outputs, [send("bank", inquire("bank", 100, "bank"))]);
    let told = received("bank", decided("bank", 100, Some(Decision::Commit)));
    let finish = Request::Finish {
        gid: gid("bank"),
        parent: peer("bank"),
        decision: Decision::Commit,
        asks_children: true,
    };
    assert_eq!(after(&mut gov, 1, told), [Output::Database(finish)]);
    let told = send("insurer", terminate("bank", 101, Decision::Commit));
    assert_eq!(after(&mut gov, 2, finished(&["insurer"])), [told]);
    let acknowledged = Message::Terminated {
        gid: gid("bank"),
        request: 101,
    };
    after(&mut gov, 3, received("insurer", acknowledged));
    forgets(&mut gov);
}

/// The client's COMMIT came after the restart, so the decision row was not found at the start.
#[test]
fn a_decision_row_that_becomes_visible_after_a_restart_is_told_and_forgotten() {
    let mut bank = machine("bank", "gov", "insurer");
    after(&mut bank, 0, received("gov", inquire("bank", 1, "bank")));
    let outputs = after(&mut bank, 1, outcome(committed()));
    let expected = [
        send("gov", terminate("bank", 100, Decision::Commit)),
        send("gov", decided("bank", 1, Some(Decision::Commit))),
    ];
    assert_eq!(outputs, expected);
    let acknowledged = Message::Terminated {
        gid: gid("bank"),
        request: 100,
    };
    after(&mut bank, 2, received("gov", acknowledged));
    forgets(&mut bank);
}

#[test]
fn what_the_database_could_not_forget_it_is_asked_again() {
    let found = Recovered {
        finished: vec![(gid("bank"), vec![peer("insurer")])],
        ..Recovered::default()
    };
    let (mut gov, _) = restarted(found);
    let acknowledged = Message::Terminated {
        gid: gid("bank"),
        request: 100,
    };
    after(&mut gov, 1, received("insurer", acknowledged));
    forgets(&mut gov);
    let gids = vec![gid("bank")];
    let why = "down".to_owned();
    after(
        &mut gov,
        50,
        Input::Database(Answer::NotForgotten { gids, why }),
    );
    forgets(&mut gov);
}
