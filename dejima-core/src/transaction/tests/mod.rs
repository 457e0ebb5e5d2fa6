//! Transitions: a state, one input, the whole list of outputs.

use std::collections::BTreeMap;

use super::*;

mod batches;
mod doubt;
mod groups;
mod held;
mod origin;
mod participant;
mod recovery;

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
fn memberships(me: &str, left: &[&str], right: &[&str]) -> BTreeMap<TableName, Membership> {
    let column = |name: &str| Column {
        name: name.into(),
        type_name: "text".into(),
    };
    let schema = Schema {
        columns: vec![column("k"), column("v")],
        key: vec![0],
    };
    let membership = |others: &[&str]| Membership {
        schema: schema.clone(),
        members: Ok([me].iter().chain(others).copied().map(peer).collect()),
    };
    BTreeMap::from([
        (table("left"), membership(left)),
        (table("right"), membership(right)),
    ])
}

/// Shares so, and has asked what it left unfinished.
fn starting(me: &str, left: &str, right: &str) -> Machine {
    let tables = memberships(me, &[left], &[right]);
    let mut machine = Machine::new(peer(me), Limits::default(), FIRST);
    machine.handle(0, Input::Members { tables });
    machine.handle(0, Input::Started);
    assert_eq!(outputs(&mut machine), [Output::Database(Request::Recover)]);
    machine
}

/// The same, with nothing left unfinished.
fn machine(me: &str, left: &str, right: &str) -> Machine {
    let mut machine = starting(me, left, right);
    let found = Recovered::default();
    machine.handle(0, Input::Database(Answer::Recovered { found }));
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
        group: group(name),
        batch: 0,
        patience_ms: Limits::default().transaction_ms_max + rows,
        delta: insert("x"),
    }
}

/// Bank and government share "left", government and insurer "right".
fn group(name: &str) -> GroupVersion {
    let other = if name == "left" { "bank" } else { "insurer" };
    GroupVersion::of(&[peer("gov"), peer(other)])
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
        cause: None,
    }
}

/// An abort that is not the origin's.
fn aborts(request: RequestId, cause: &Refusal) -> Message {
    Message::Terminate {
        gid: gid("bank"),
        request,
        decision: Decision::Abort,
        cause: Some(cause.clone()),
    }
}

fn check_violation() -> Refusal {
    Refusal {
        sqlstate: "23514".into(),
        ..Refusal::unreachable(&peer("insurer"), "")
    }
}

fn call(origin: &str) -> Input {
    Input::Callback {
        gid: gid(origin),
        round: 0,
        captured: vec![captured("left", "x")],
        portion: None,
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
                request: 101,
                patience_ms: 4_001
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
            patience_ms: 0,
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
            patience_ms: 4_002,
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
        asks_children: false,
    })
}

fn finished(children: &[&str]) -> Input {
    Input::Database(Answer::Finished {
        gid: gid("bank"),
        children: children.iter().copied().map(peer).collect(),
    })
}

fn committed() -> Outcome {
    Outcome::Committed {
        participants: vec![peer("gov")],
    }
}

fn inquire(origin: &str, request: RequestId, parent: &str) -> Message {
    Message::Inquire {
        gid: gid(origin),
        request,
        parent: peer(parent),
    }
}

fn decided(origin: &str, request: RequestId, decision: Option<Decision>) -> Message {
    Message::Decided {
        gid: gid(origin),
        request,
        decision,
    }
}

/// A government that has just been started, and what it wants at once.
fn restarted(found: Recovered) -> (Machine, Vec<Output>) {
    let mut gov = starting("gov", "bank", "insurer");
    let outputs = after(&mut gov, 0, Input::Database(Answer::Recovered { found }));
    (gov, outputs)
}
