//! What members say to the machine of detection, in any order.

use std::collections::BTreeMap;

use dejima_core::delta::Schema;
use dejima_core::group::{Identity, Input, Limits, Links, Machine, Output, Share};
use dejima_core::name::{PeerName, TableName};
use dejima_peer::wire::{peer, said_from_wire};
use dejima_proto::v1;
use prost::Message;

use crate::delta::schema;
use crate::fact::{fact, request};
use crate::frames::{frames, input, message};

const ME: &str = "bank";
const SEED: &str = "http://gov:7001";

const ASKED: u8 = 0;
const ANSWERED: u8 = 1;
const UNANSWERED: u8 = 2;
const TIME: u8 = 3;
const COUNTED: u8 = 4;

/// Whatever members say, the machine goes on: it says who they are, and is a member itself.
pub(crate) fn groups(bytes: &[u8]) {
    let mut machine = machine();
    let mut now = 0;
    let mut asked: BTreeMap<u64, String> = BTreeMap::new();
    for (call, (kind, bytes)) in (0..).zip(frames(bytes)) {
        let Some(event) = event(kind, bytes, call, &mut now, &mut asked) else {
            continue;
        };
        machine.handle(now, event);
        while let Some(output) = machine.poll_output() {
            if let Output::Ask { address, .. } = output {
                asked.insert(call, address);
            }
        }
        assert!(
            machine
                .poll_timeout()
                .is_none_or(|due| due <= now + 3_600_000)
        );
    }
    let me = PeerName::new(ME).expect("a name");
    for group in machine.groups() {
        assert!(group.members.contains(&me), "{group:?}");
    }
    machine.peers();
    machine.peer_groups();
}

fn event(
    kind: u8,
    bytes: &[u8],
    call: u64,
    now: &mut u64,
    asked: &mut BTreeMap<u64, String>,
) -> Option<Input> {
    Some(match kind % 5 {
        ASKED => {
            let request = v1::ExchangeRequest::decode(bytes).ok()?;
            Input::Asked {
                call,
                from: peer(&request.from).ok()?,
                said: said_from_wire(request.facts, request.covers, request.heard).ok()?,
            }
        }
        ANSWERED => {
            let request = v1::ExchangeRequest::decode(bytes).ok()?;
            Input::Answered {
                address: asked.pop_first()?.1,
                from: peer(&request.from).ok()?,
                said: said_from_wire(request.facts, request.covers, request.heard).ok()?,
            }
        }
        UNANSWERED => Input::Unanswered {
            address: asked.pop_first()?.1,
            why: "x".into(),
        },
        TIME => {
            *now += u64::from(*bytes.first()?) * 50;
            Input::Tick
        }
        _ => Input::Counted {
            incarnation: u64::from(*bytes.first()?),
        },
    })
}

fn machine() -> Machine {
    let schema: Schema = schema();
    let table = |name: &str| TableName::new(name).expect("a name");
    let shares = vec![
        Share::new(table("T"), schema.clone(), Links::new(), vec![SEED.into()]),
        Share::new(table("V"), schema, Links::new(), vec![]),
    ];
    let me = Identity {
        peer: PeerName::new(ME).expect("a name"),
        address: "http://bank:7001".into(),
        incarnation: 2,
    };
    Machine::new(me, shares, vec![], Limits::default())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut overtaken = request("gov");
    overtaken.facts.push(fact(ME, 9, true));
    let mut left = request("gov");
    left.facts[0].has_left = true;
    left.facts[0].incarnation = 4;
    let calls = [
        (TIME, vec![100]),
        message(ANSWERED, &request("gov")),
        message(ASKED, &request("insurer")),
        (COUNTED, vec![3]),
        message(ASKED, &overtaken),
        (TIME, vec![100]),
        (UNANSWERED, vec![]),
        message(ASKED, &left),
    ];
    vec![input(calls.clone()), input(calls.into_iter().rev())]
}
