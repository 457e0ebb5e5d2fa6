//! What members say to the machine of transactions, in any order, while its database and its own clients do what they do.

use std::collections::VecDeque;

use dejima_core::delta::Captured;
use dejima_core::name::{PeerName, TableName};
use dejima_core::refusal::Refusal;
use dejima_core::transaction::{
    Answer, Decision, GroupVersion, Input, Limits, Machine, Membership, Message, Outcome, Output,
    Portion, Recovered, Request, Silence, Tally,
};
use dejima_peer::wire::{IncomingDelta, decision_from_wire, gid, peer, refusal_from_wire};
use dejima_proto::v1;
use prost::Message as _;

use crate::delta::{request, schema};
use crate::frames::{frames, input, message};

const ME: &str = "gov";
const OTHERS: [&str; 2] = ["bank", "insurer"];
const GID: &str = "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";
/// Longer than a peer may be told to have patience.
const WEEK_MS: u64 = 8 * 24 * 60 * 60 * 1_000;

const PROPAGATE: u8 = 0;
const VOTE: u8 = 1;
const TERMINATE: u8 = 2;
const INQUIRE: u8 = 3;
const REPLY: u8 = 4;
const DATABASE: u8 = 5;
const TIME: u8 = 6;
const HOOK: u8 = 7;

/// Whatever members say, the machine goes on, and nobody makes it wait for ever.
pub(crate) fn transactions(bytes: &[u8]) {
    let mut bed = Bed::new();
    for (number, (kind, bytes)) in (0..).zip(frames(bytes)) {
        if let Some(event) = bed.event(kind, bytes, number) {
            bed.handle(event);
        }
    }
}

/// The machine, and what it has asked of others and of its database.
struct Bed {
    machine: Machine,
    now: u64,
    asked: VecDeque<(PeerName, Message)>,
    requests: VecDeque<Request>,
}

impl Bed {
    fn new() -> Self {
        let name = |name: &str| PeerName::new(name).expect("a name");
        let membership = || Membership {
            schema: schema(),
            members: Ok(members()),
        };
        let tables = ["T", "V"]
            .map(|table| (TableName::new(table).expect("a name"), membership()))
            .into();
        let mut bed = Self {
            machine: Machine::new(name(ME), Limits::default(), 100),
            now: 0,
            asked: VecDeque::new(),
            requests: VecDeque::new(),
        };
        bed.handle(Input::Members { tables });
        bed.handle(Input::Started);
        bed.requests.clear();
        let found = Recovered::default();
        bed.handle(Input::Database(Answer::Recovered { found }));
        bed
    }

    fn handle(&mut self, event: Input) {
        self.machine.handle(self.now, event);
        let mut unread = vec![];
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { to, message } if is_question(&message) => {
                    self.asked.push_back((to, message));
                }
                Output::Database(request) => self.requests.push_back(request),
                Output::NextBatch { gid } => unread.push(gid),
                Output::Send { .. } | Output::Callback { .. } | Output::Resolved { .. } => {}
            }
        }
        for gid in unread {
            let batch = Err("the file is gone".to_owned());
            self.handle(Input::Batch { gid, batch });
        }
        let due = self.machine.poll_timeout();
        assert!(due.is_none_or(|due| due <= self.now + WEEK_MS), "{due:?}");
        self.machine.summaries();
    }

    fn event(&mut self, kind: u8, bytes: &[u8], number: u64) -> Option<Input> {
        let received = |from: &str, message| {
            Some(Input::Received {
                from: peer(from).ok()?,
                message,
            })
        };
        match kind % 8 {
            PROPAGATE => propagated(bytes, number),
            VOTE => {
                let v1::VoteRequest {
                    from,
                    gid: told,
                    patience_ms,
                } = v1::VoteRequest::decode(bytes).ok()?;
                let gid = gid(&told).ok()?;
                received(
                    &from,
                    Message::Vote {
                        gid,
                        request: number,
                        patience_ms,
                    },
                )
            }
            TERMINATE => {
                let told = v1::TerminateRequest::decode(bytes).ok()?;
                let message = Message::Terminate {
                    gid: gid(&told.gid).ok()?,
                    request: number,
                    decision: decision_from_wire(told.decision).ok()??,
                    cause: told.cause.map(refusal_from_wire).transpose().ok()?,
                };
                received(&told.from, message)
            }
            INQUIRE => {
                let told = v1::InquireRequest::decode(bytes).ok()?;
                let message = Message::Inquire {
                    gid: gid(&told.gid).ok()?,
                    request: number,
                    parent: peer(&told.parent).ok()?,
                };
                received(&told.from, message)
            }
            REPLY => self.reply(bytes),
            DATABASE => self.database(bytes),
            TIME => {
                self.now += u64::from(*bytes.first()?) * 100;
                Some(Input::Tick)
            }
            _ => {
                let (&first, capture) = bytes.split_first()?;
                Some(Input::Callback {
                    gid: gid(&GID.replace("bank", ME)).ok()?,
                    round: u32::from(first % 4),
                    captured: Captured::read(capture).ok()?,
                    portion: portion(first / 4),
                })
            }
        }
    }

    fn reply(&mut self, bytes: &[u8]) -> Option<Input> {
        let (from, question) = self.asked.pop_front()?;
        let (gid, request) = told_of(&question);
        let message = answer_to(&question, bytes);
        Some(match message {
            Some(message) => Input::Received { from, message },
            None => Input::Undelivered {
                to: from,
                gid,
                request,
                silence: Silence {
                    why: "x".into(),
                    is_away: bytes.first().is_some_and(|byte| byte % 2 == 0),
                },
            },
        })
    }

    /// The database does as it is asked, or says that it cannot; what a put has captured stands in the bytes.
    fn database(&mut self, bytes: &[u8]) -> Option<Input> {
        let (is_done, capture) = match bytes.split_first() {
            Some((byte, capture)) => (byte % 4 != 0, capture),
            None => (true, bytes),
        };
        let why = || "x".to_owned();
        let refused = |gid| Answer::Refused {
            gid,
            refusal: Refusal::resolved(&PeerName::new(ME).expect("a name")),
        };
        let finished = |gid| Answer::Finished {
            gid,
            children: vec![],
        };
        let answer = match self.requests.pop_front()? {
            Request::Apply { gid, .. } if is_done => Answer::Applied {
                captured: Captured::read(capture).unwrap_or_default(),
                gid,
            },
            Request::Prepare { gid, .. } if is_done => Answer::Prepared { gid },
            Request::Apply { gid, .. } | Request::Prepare { gid, .. } => refused(gid),
            Request::Rollback { gid } => Answer::RolledBack { gid },
            Request::Finish { gid, .. } | Request::Settle { gid, .. } if is_done => finished(gid),
            Request::Resolve { resolution } if is_done => finished(resolution.gid),
            Request::Finish { gid, .. } | Request::Settle { gid, .. } => Answer::Failed {
                gids: vec![gid],
                why: why(),
            },
            Request::Resolve { resolution } => Answer::Failed {
                gids: vec![resolution.gid],
                why: why(),
            },
            Request::Outcomes { gids } if is_done => Answer::Outcomes {
                outcomes: gids
                    .into_iter()
                    .map(|gid| (gid, Outcome::Aborted))
                    .collect(),
            },
            Request::Outcomes { gids } => Answer::Failed { gids, why: why() },
            Request::Forget { .. } if is_done => return None,
            Request::Forget { gids } => Answer::NotForgotten { gids, why: why() },
            Request::Recover => return None,
        };
        Some(Input::Database(answer))
    }
}

fn members() -> Vec<PeerName> {
    let names = OTHERS.iter().chain([&ME]);
    names
        .map(|name| PeerName::new(name).expect("a name"))
        .collect()
}

/// Not of a large capture, or the first batch of so many.
fn portion(batches: u8) -> Option<Portion> {
    (batches > 0).then(|| Portion {
        batches: batches.into(),
        rows: 1,
        rows_total: batches.into(),
        ..Portion::default()
    })
}

/// A member that is no fool sees the members that this peer sees; one that does not is refused before anything is done.
fn propagated(bytes: &[u8], number: u64) -> Option<Input> {
    let incoming = IncomingDelta::new(v1::PropagateRequest::decode(bytes).ok()?).ok()?;
    let head = incoming.head.clone();
    let group = match head.group.0 {
        0 => GroupVersion(0),
        _ => GroupVersion::of(&members()),
    };
    Some(Input::Received {
        from: head.from,
        message: Message::Propagate {
            gid: head.gid,
            request: head.request.wrapping_add(number % 2),
            table: head.table,
            group,
            batch: head.batch,
            patience_ms: head.patience_ms,
            delta: incoming.into_delta(&schema()).ok()?,
        },
    })
}

fn is_question(message: &Message) -> bool {
    matches!(
        message,
        Message::Propagate { .. }
            | Message::Vote { .. }
            | Message::Terminate { .. }
            | Message::Inquire { .. }
    )
}

fn told_of(message: &Message) -> (dejima_core::name::Gid, u64) {
    match message {
        Message::Propagate { gid, request, .. }
        | Message::Propagated { gid, request, .. }
        | Message::Vote { gid, request, .. }
        | Message::Voted { gid, request, .. }
        | Message::Terminate { gid, request, .. }
        | Message::Terminated { gid, request }
        | Message::Inquire { gid, request, .. }
        | Message::Decided { gid, request, .. } => (gid.clone(), *request),
    }
}

fn answer_to(question: &Message, bytes: &[u8]) -> Option<Message> {
    let (gid, request) = told_of(question);
    match question {
        Message::Propagate { .. } => {
            let result = match v1::PropagateResponse::decode(bytes).ok()?.result? {
                v1::propagate_response::Result::Applied(applied) => Ok(applied.adopted),
                v1::propagate_response::Result::Refused(refusal) => {
                    Err(refusal_from_wire(refusal).ok()?)
                }
            };
            Some(Message::Propagated {
                gid,
                request,
                result,
            })
        }
        Message::Vote { .. } => {
            let v1::VoteResponse { refused, tally } = v1::VoteResponse::decode(bytes).ok()?;
            let result = match refused {
                Some(refusal) => Err(refusal_from_wire(refusal).ok()?),
                None => Ok(Tally(tally)),
            };
            Some(Message::Voted {
                gid,
                request,
                result,
            })
        }
        Message::Terminate { .. } => {
            (!bytes.is_empty()).then_some(Message::Terminated { gid, request })
        }
        Message::Inquire { .. } => {
            let told = v1::InquireResponse::decode(bytes).ok()?;
            let decision: Option<Decision> = decision_from_wire(told.decision).ok()?;
            Some(Message::Decided {
                gid,
                request,
                decision,
            })
        }
        _ => None,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (from, told) = ("bank".to_owned(), GID.to_owned());
    let vote = v1::VoteRequest {
        from: from.clone(),
        gid: told.clone(),
        patience_ms: 4_000,
    };
    let terminate = |decision: v1::Decision| v1::TerminateRequest {
        from: from.clone(),
        gid: told.clone(),
        decision: decision.into(),
        cause: None,
    };
    let inquire = v1::InquireRequest {
        from: "insurer".into(),
        gid: told.clone(),
        parent: ME.into(),
    };
    let applied = v1::PropagateResponse {
        result: Some(v1::propagate_response::Result::Applied(v1::Applied {
            adopted: true,
        })),
    };
    let mut replaced = request(1);
    replaced.table = "V".into();
    replaced.request = 9;
    replaced.rows.truncate(1);
    let lines =
        b"\x01[1,0,\"V\"]\n;\n'k'\nNULL\nNULL\n'l';\n[2,0,\"T\"]\n;\n'k'\n'X'\nNULL\n'l';\n";
    let begin = [
        message(PROPAGATE, &request(1)),
        (DATABASE, lines.to_vec()),
        message(REPLY, &applied),
        message(REPLY, &applied),
        message(PROPAGATE, &replaced),
        (DATABASE, vec![1]),
        message(VOTE, &vote),
        (DATABASE, vec![1]),
        message(REPLY, &v1::VoteResponse::default()),
        (DATABASE, vec![1]),
    ];
    let end = |decision| {
        [
            message(INQUIRE, &inquire),
            (TIME, vec![60]),
            message(TERMINATE, &terminate(decision)),
            (DATABASE, vec![1]),
            (REPLY, vec![1]),
            (DATABASE, vec![1]),
        ]
    };
    let hook = [
        (HOOK, [&[0][..], &lines[1..]].concat()),
        message(REPLY, &applied),
        message(REPLY, &applied),
        message(REPLY, &v1::VoteResponse::default()),
        (TIME, vec![90]),
        (DATABASE, vec![1]),
    ];
    vec![
        input(begin.iter().cloned().chain(end(v1::Decision::Commit))),
        input(begin.into_iter().chain(end(v1::Decision::Abort))),
        input(hook),
    ]
}
