//! Facts of other peers, and facts that were stored.

use dejima_core::group::Fact;
use dejima_peer::wire::{fact_from_wire, fact_to_wire, said_from_wire, said_to_wire};
use dejima_proto::v1;
use prost::Message;

use crate::refusal::assert_plain;

/// Half an Exchange: what is taken in is said again in the same words, and can be stored and read again.
pub(crate) fn exchange(bytes: &[u8]) {
    let Ok(request) = v1::ExchangeRequest::decode(bytes) else {
        return;
    };
    let said = match said_from_wire(request.facts, request.covers, request.heard) {
        Ok(said) => said,
        Err(error) => return assert_plain(&error.to_string(), 1_000),
    };
    let (facts, covers, heard) = said_to_wire(&said);
    assert_eq!(said_from_wire(facts, covers, heard).as_ref(), Ok(&said));
    for fact in &said.facts {
        let stored = serde_json::to_string(fact).expect("facts are plain data");
        // PostgreSQL takes no NUL into a jsonb.
        assert!(!stored.contains("\\u0000"), "{stored}");
        let again: Fact = serde_json::from_str(&stored).expect("it was stored");
        assert_eq!(again, **fact);
    }
}

/// A stored fact, perhaps of another version: what is taken in can be said, and stored again.
pub(crate) fn stored_fact(bytes: &[u8]) {
    let Ok(fact) = serde_json::from_slice::<Fact>(bytes) else {
        return;
    };
    let stored = serde_json::to_vec(&fact).expect("facts are plain data");
    assert_eq!(
        serde_json::from_slice::<Fact>(&stored).ok(),
        Some(fact.clone())
    );
    // What was stored was taken in before; a fact that others would not take in is theirs to refuse.
    drop(fact_from_wire(fact_to_wire(&fact)));
}

/// Peer `peer` shares "T" and links its column b to column x of "U".
pub(crate) fn fact(peer: &str, incarnation: u64, is_whole: bool) -> v1::Fact {
    let linked = v1::Attribute {
        table: "U".into(),
        column: "x".into(),
    };
    let column = |name: &str| v1::Column {
        name: name.into(),
        r#type: if is_whole {
            "text".into()
        } else {
            String::new()
        },
        linked: if name == "b" {
            vec![linked.clone()]
        } else {
            vec![]
        },
    };
    v1::Fact {
        peer: peer.into(),
        address: format!("http://{peer}:7001"),
        incarnation,
        table: "T".into(),
        columns: ["a", "b", "c", "d"].map(column).to_vec(),
        key: if is_whole {
            vec!["a".into(), "d".into()]
        } else {
            vec![]
        },
        has_left: false,
    }
}

/// What a peer says that shares "T".
pub(crate) fn request(from: &str) -> v1::ExchangeRequest {
    v1::ExchangeRequest {
        from: from.into(),
        facts: vec![
            fact(from, 3, true),
            fact("insurer", 5, true),
            fact("other", 1, false),
        ],
        covers: Some(v1::Covered {
            life: 3,
            after: 0,
            upto: 3,
            is_partly: false,
        }),
        heard: Some(v1::Heard { life: 1, upto: 2 }),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let request = request("gov");
    let stored = request.facts.iter().cloned().map(|fact| {
        let fact = fact_from_wire(fact).expect("a seed is right");
        serde_json::to_vec(&fact).expect("facts are plain data")
    });
    // A URI's parser passes over what follows a `#`, also what cannot be stored.
    let mut unstorable = request.clone();
    unstorable.facts[1].address = "http://i#surer:\0\u{1}".into();
    let mut seeds = vec![request.encode_to_vec(), unstorable.encode_to_vec()];
    seeds.extend(stored);
    seeds
}
