//! Transitions: a state, one input, the whole list of outputs.

use std::collections::BTreeMap;

use super::*;
use crate::delta::{Captured, Cell, Change, Column, Delta, Put, PutRow, Schema, Value};
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::{Refusal, sqlstate};

const FIRST: RequestId = 100;

fn peer(name: &str) -> PeerName {
    PeerName::new(name).expect("a peer name")
}

fn table(name: &str) -> TableName {
    TableName::new(name).expect("a table name")
}

fn gid(origin: &str) -> Gid {
    Gid::new(&format!("{origin}:00000000-0000-4000-8000-000000000000")).expect("a gid")
}

fn value(text: &str) -> Value {
    Some(text.into())
}

/// `me` shares "left" with `left` and "right" with `right`; both have the columns k (key) and v.
fn machine(me: &str, left: &str, right: &str) -> Machine {
    let column = |name: &str| Column {
        name: name.into(),
        type_name: "text".into(),
    };
    let schema = Schema {
        columns: vec![column("k"), column("v")],
        key: vec![0],
    };
    let membership = |other| Membership {
        schema: schema.clone(),
        members: Ok(vec![peer(me), peer(other)]),
    };
    let tables = BTreeMap::from([
        (table("left"), membership(left)),
        (table("right"), membership(right)),
    ]);
    let mut machine = Machine::new(peer(me), Limits::default(), FIRST);
    machine.handle(0, Input::Members { tables });
    machine.handle(0, Input::Started);
    assert_eq!(outputs(&mut machine), [Output::Database(Request::Recover)]);
    machine.handle(
        0,
        Input::Database(Answer::Recovered {
            found: Recovered::default(),
        }),
    );
    assert_eq!(outputs(&mut machine), []);
    machine
}

fn outputs(machine: &mut Machine) -> Vec<Output> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn after(machine: &mut Machine, now: Millis, input: Input) -> Vec<Output> {
    machine.handle(now, input);
    outputs(machine)
}

fn captured(name: &str, new: &str) -> Captured {
    Captured {
        statement: 1,
        table: table(name),
        old: None,
        new: Some(vec![value("a"), value(new)]),
    }
}

fn insert(new: &str) -> Delta {
    let cell = |text: &str| Cell {
        value: value(text),
        revision: 0,
    };
    let mut delta = Delta::default();
    delta.add(
        vec!["a".into()],
        Change::Insert {
            new: BTreeMap::from([(0, cell("a")), (1, cell(new))]),
        },
    );
    delta
}

fn put(name: &str, new: &str) -> Put {
    let new = BTreeMap::from([("k".to_owned(), value("a")), ("v".to_owned(), value(new))]);
    Put {
        table: table(name),
        rows: vec![PutRow::Insert { new }],
    }
}

fn send(to: &str, message: Message) -> Output {
    Output::Send {
        to: peer(to),
        message,
    }
}

fn received(from: &str, message: Message) -> Input {
    Input::Received {
        from: peer(from),
        message,
    }
}

/// The patience is what the origin says who captured one row, and the government who captured two.
fn propagate(origin: &str, request: RequestId, name: &str) -> Message {
    let rows = if name == "left" { 1 } else { 2 };
    Message::Propagate {
        gid: gid(origin),
        request,
        table: table(name),
        patience_ms: Limits::default().transaction_ms_max + rows,
        delta: insert("x"),
    }
}

fn propagated(origin: &str, request: RequestId, result: Result<bool, Refusal>) -> Message {
    Message::Propagated {
        gid: gid(origin),
        request,
        result,
    }
}

fn voted(origin: &str, request: RequestId, tally: Tally) -> Message {
    Message::Voted {
        gid: gid(origin),
        request,
        result: Ok(tally),
    }
}

fn tally(tickets: &[(&str, RequestId)]) -> Tally {
    let mut tally = Tally::default();
    for (from, request) in tickets {
        tally.add_ticket(&peer(from), *request);
    }
    tally
}

fn terminate(origin: &str, request: RequestId, decision: Decision) -> Message {
    Message::Terminate {
        gid: gid(origin),
        request,
        decision,
    }
}

fn call(origin: &str) -> Input {
    Input::Callback {
        gid: gid(origin),
        round: 0,
        captured: vec![captured("left", "x")],
    }
}

fn refused(output: &Output) -> &Refusal {
    match output {
        Output::Callback {
            answer: CallbackAnswer::Refused { refusal },
            ..
        }
        | Output::Send {
            message:
                Message::Propagated {
                    result: Err(refusal),
                    ..
                },
            ..
        }
        | Output::Send {
            message:
                Message::Voted {
                    result: Err(refusal),
                    ..
                },
            ..
        } => refusal,
        other => panic!("no refusal: {other:?}"),
    }
}

/// An origin that waits for the outcome of a transaction with participant `gov`.
fn deciding() -> Machine {
    let mut bank = machine("bank", "gov", "insurer");
    assert_eq!(
        after(&mut bank, 0, call("bank")),
        [send("gov", propagate("bank", 100, "left"))]
    );
    let answer = received("gov", propagated("bank", 100, Ok(true)));
    assert_eq!(
        after(&mut bank, 1, answer),
        [send(
            "gov",
            Message::Vote {
                gid: gid("bank"),
                request: 101
            }
        )]
    );
    let answer = CallbackAnswer::Voted {
        participants: vec![peer("gov")],
    };
    let promise = received("gov", voted("bank", 101, tally(&[("bank", 100)])));
    assert_eq!(
        after(&mut bank, 2, promise),
        [Output::Callback {
            gid: gid("bank"),
            answer
        }]
    );
    bank
}

/// The rows go a little later, with those of other transactions.
fn forgets(machine: &mut Machine) {
    assert!(machine.summaries().is_empty() && !machine.is_quiet());
    let due = machine.poll_timeout().expect("it will forget");
    let gids = vec![gid("bank")];
    let forget = Output::Database(Request::Forget { gids });
    assert_eq!(after(machine, due, Input::Tick), [forget]);
    assert!(machine.is_quiet());
}

fn ask_outcome(gids: Vec<Gid>) -> Output {
    Output::Database(Request::Outcomes { gids })
}

fn outcome(outcome: Outcome) -> Input {
    Input::Database(Answer::Outcomes {
        outcomes: vec![(gid("bank"), outcome)],
    })
}

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
    assert_eq!(after(&mut bank, 7, outcome(Outcome::Committed)), [commit]);
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
    };
    assert_eq!(after(&mut bank, 0, both).len(), 2);
    let lost = Input::Undelivered {
        to: peer("gov"),
        gid: gid("bank"),
        request: 100,
        why: "refused".into(),
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
            answer: CallbackAnswer::Apply { puts },
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
    };
    assert_eq!(
        after(&mut bank, 3, again),
        [send(
            "gov",
            Message::Vote {
                gid: gid("bank"),
                request: 101
            }
        )]
    );
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

/// A government between bank ("left") and insurer ("right") that has put the bank's delta and told the insurer.
fn between() -> Machine {
    let mut gov = machine("gov", "bank", "insurer");
    let apply = Output::Database(Request::Apply {
        gid: gid("bank"),
        puts: vec![put("left", "x")],
    });
    assert_eq!(
        after(&mut gov, 0, received("bank", propagate("bank", 7, "left"))),
        [apply]
    );
    let applied = Answer::Applied {
        gid: gid("bank"),
        captured: vec![captured("left", "x"), captured("right", "x")],
    };
    let outputs = after(&mut gov, 1, Input::Database(applied));
    assert_eq!(outputs, [send("insurer", propagate("bank", 100, "right"))]);
    gov
}

/// The same, in doubt.
fn in_doubt() -> Machine {
    let mut gov = between();
    let closed = after(
        &mut gov,
        2,
        received("insurer", propagated("bank", 100, Ok(true))),
    );
    assert_eq!(closed, [send("bank", propagated("bank", 7, Ok(true)))]);
    let vote = received(
        "bank",
        Message::Vote {
            gid: gid("bank"),
            request: 8,
        },
    );
    let prepare = Request::Prepare {
        gid: gid("bank"),
        parent: peer("bank"),
        children: vec![peer("insurer")],
    };
    let asked = send(
        "insurer",
        Message::Vote {
            gid: gid("bank"),
            request: 101,
        },
    );
    assert_eq!(after(&mut gov, 3, vote), [Output::Database(prepare), asked]);
    assert_eq!(
        after(
            &mut gov,
            4,
            Input::Database(Answer::Prepared { gid: gid("bank") })
        ),
        []
    );
    let promise = received("insurer", voted("bank", 101, tally(&[("gov", 100)])));
    let all = tally(&[("bank", 7)]);
    assert_eq!(
        after(&mut gov, 5, promise),
        [send("bank", voted("bank", 8, all))]
    );
    gov
}

fn finish(decision: Decision) -> Output {
    Output::Database(Request::Finish {
        gid: gid("bank"),
        parent: peer("bank"),
        decision,
    })
}

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
    let durable = after(
        &mut gov,
        7,
        Input::Database(Answer::Finished { gid: gid("bank") }),
    );
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
    let durable = after(
        &mut gov,
        now,
        Input::Database(Answer::Finished { gid: gid("bank") }),
    );
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
        let inquiry = send(
            "bank",
            Message::Inquire {
                gid: gid("bank"),
                request,
            },
        );
        assert_eq!(after(&mut gov, now, Input::Tick), [inquiry]);
        let undecided = Message::Decided {
            gid: gid("bank"),
            request,
            decision: None,
        };
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
            },
        ),
    );
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::PROTOCOL_VIOLATION);
}

#[test]
fn a_refusal_below_goes_up_and_ends_the_subtree() {
    let mut gov = between();
    let check = Refusal {
        sqlstate: "23514".into(),
        ..Refusal::unreachable(&peer("insurer"), "")
    };
    let outputs = after(
        &mut gov,
        2,
        received("insurer", propagated("bank", 100, Err(check.clone()))),
    );
    let up = send("bank", propagated("bank", 7, Err(check)));
    let rollback = Output::Database(Request::Rollback { gid: gid("bank") });
    assert_eq!(
        outputs,
        [
            up,
            rollback,
            send("insurer", terminate("bank", 101, Decision::Abort))
        ]
    );
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
            },
        ),
    );
    refused(&late[0]);
}

#[test]
fn invariant_5_only_members_speak_of_a_table() {
    let mut gov = machine("gov", "bank", "insurer");
    let outputs = after(&mut gov, 0, received("bank", propagate("bank", 7, "right")));
    assert_eq!(refused(&outputs[0]).sqlstate, sqlstate::PROTOCOL_VIOLATION);
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
fn invariant_3_two_values_for_one_attribute_conflict() {
    let mut gov = between();
    let other = Message::Propagate {
        gid: gid("bank"),
        request: 3,
        table: table("right"),
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
fn a_restarted_peer_takes_up_what_it_left() {
    let mut gov = Machine::new(peer("gov"), Limits::default(), FIRST);
    after(&mut gov, 0, Input::Started);
    let early = received(
        "bank",
        Message::Inquire {
            gid: gid("gov"),
            request: 1,
        },
    );
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
    };
    let outputs = after(&mut gov, 300, Input::Database(Answer::Recovered { found }));
    let expected = [
        send("insurer", terminate("gov", 100, Decision::Commit)),
        send("insurer", terminate("tax", 101, Decision::Commit)),
        send(
            "bank",
            Message::Decided {
                gid: gid("gov"),
                request: 1,
                decision: Some(Decision::Commit),
            },
        ),
        send(
            "bank",
            Message::Inquire {
                gid: gid("bank"),
                request: 102,
            },
        ),
    ];
    assert_eq!(outputs, expected);
    let told = Message::Decided {
        gid: gid("bank"),
        request: 102,
        decision: Some(Decision::Abort),
    };
    assert_eq!(
        after(&mut gov, 301, received("bank", told)),
        [finish(Decision::Abort)]
    );
}

#[test]
fn invariant_2_an_unknown_transaction_of_ours_is_looked_up_in_the_database() {
    let mut bank = machine("bank", "gov", "insurer");
    let inquiry = received(
        "gov",
        Message::Inquire {
            gid: gid("bank"),
            request: 1,
        },
    );
    assert_eq!(
        after(&mut bank, 0, inquiry.clone()),
        [ask_outcome(vec![gid("bank")])]
    );
    let wait = send(
        "gov",
        Message::Decided {
            gid: gid("bank"),
            request: 1,
            decision: None,
        },
    );
    assert_eq!(after(&mut bank, 1, outcome(Outcome::Pending)), [wait]);
    assert_eq!(
        after(&mut bank, 2, inquiry),
        [ask_outcome(vec![gid("bank")])]
    );
    let aborted = send(
        "gov",
        Message::Decided {
            gid: gid("bank"),
            request: 1,
            decision: Some(Decision::Abort),
        },
    );
    assert_eq!(after(&mut bank, 3, outcome(Outcome::Aborted)), [aborted]);
}
