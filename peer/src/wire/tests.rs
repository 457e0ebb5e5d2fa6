//! Round trips, and what is not let in.

use std::collections::BTreeMap;
use std::sync::Arc;

use dejima_core::delta::{Cell, Change, Column, Delta, Key, Schema, Value};
use dejima_core::group::{Attribute, Fact, Shape};
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::refusal::Refusal;
use dejima_core::transaction::GroupVersion;
use dejima_proto::v1;
use proptest::prelude::*;
use prost::Message;

use super::*;

mod hostile;

const GROUP: GroupVersion = GroupVersion(0xfeed_face_cafe_beef);
const GID: &str = "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";

fn schema() -> Schema {
    let column = |name: &str| Column {
        name: name.into(),
        type_name: "text".into(),
    };
    Schema {
        columns: ["a", "b", "c", "d"].map(column).to_vec(),
        key: vec![0, 2],
    }
}

fn value() -> impl Strategy<Value = Value> {
    proptest::option::of("\\PC{0,5}".prop_map(Arc::from))
}

fn cell() -> impl Strategy<Value = Cell> {
    (value(), 0..4_u32).prop_map(|(value, revision)| Cell { value, revision })
}

fn olds() -> impl Strategy<Value = BTreeMap<u16, Value>> {
    proptest::collection::btree_map(0..4_u16, value(), 0..4)
}

/// Cells of the columns that are no key.
fn cells() -> impl Strategy<Value = BTreeMap<u16, Cell>> {
    proptest::collection::btree_map(prop_oneof![Just(1_u16), Just(3_u16)], cell(), 0..3)
}

fn row() -> impl Strategy<Value = (Key, Change)> {
    let key = proptest::collection::vec("[a-z]{0,4}".prop_map(Arc::<str>::from), 2);
    let insert = |(key, mut new): (Key, BTreeMap<u16, Cell>)| {
        for (column, part) in [0, 2].into_iter().zip(&key) {
            new.insert(
                column,
                Cell {
                    value: Some(part.clone()),
                    revision: 0,
                },
            );
        }
        (key, Change::Insert { new })
    };
    prop_oneof![
        (key.clone(), cells()).prop_map(insert),
        (key.clone(), olds(), cells())
            .prop_map(|(key, old, new)| (key, Change::Update { old, new })),
        (key, olds()).prop_map(|(key, old)| (key, Change::Delete { old })),
    ]
}

fn delta(rows: impl IntoIterator<Item = (Key, Change)>) -> Delta {
    let mut delta = Delta::default();
    rows.into_iter()
        .for_each(|(key, change)| delta.add(key, change));
    delta
}

fn parts(delta: Delta) -> Vec<v1::PropagateRequest> {
    let head = Head {
        from: PeerName::new("bank").expect("a name"),
        gid: Gid::new(GID).expect("a gid"),
        request: 7,
        table: TableName::new("T").expect("a name"),
        group: GROUP,
        batch: 3,
        patience_ms: 4_000,
    };
    Parts::new(head, &schema(), delta).collect()
}

fn put_together(parts: Vec<v1::PropagateRequest>) -> Result<Delta, Invalid> {
    let mut parts = parts.into_iter();
    let mut incoming = IncomingDelta::new(parts.next().expect("there is always one"))?;
    parts.try_for_each(|part| incoming.add(part))?;
    assert!(incoming.fits(&schema()) && incoming.head.group == GROUP);
    incoming.into_delta(&schema())
}

proptest! {
    #[test]
    fn a_delta_arrives_as_it_left(rows in proptest::collection::vec(row(), 0..20)) {
        let delta = delta(rows);
        let through_bytes = |part: v1::PropagateRequest| v1::PropagateRequest::decode(&part.encode_to_vec()[..]).expect("it was encoded");
        let arrived = parts(delta.clone()).into_iter().map(through_bytes).collect();
        prop_assert_eq!(put_together(arrived), Ok(delta));
    }

    #[test]
    fn a_refusal_arrives_as_it_left(sqlstate in "[0-9A-Z]{5}", words in proptest::array::uniform3(any::<String>())) {
        let [message, detail, hint] = words.map(|text| plain::lines(&text, 1_000));
        let refusal = Refusal { peer: PeerName::new("gov").expect("a name"), sqlstate, message, detail, hint };
        prop_assert_eq!(refusal_from_wire(refusal_to_wire(refusal.clone())), Ok(refusal));
    }

    #[test]
    fn a_fact_arrives_as_it_left(names in proptest::collection::btree_set("\\PC{1,6}", 1..6), incarnation: u64, is_whole: bool, has_left: bool) {
        let linked = Attribute { table: TableName::new("B").expect("a name"), column: "x".into() };
        let columns: Vec<_> = names.into_iter().map(|name| Column { name, type_name: "numeric(10,2)".into() }).collect();
        let key = (0..u16::try_from(columns.len()).expect("few")).rev().step_by(2).collect();
        let fact = Fact {
            peer: PeerName::new("gov").expect("a name"),
            address: "http://127.0.0.1:7001".into(),
            incarnation,
            shape: Arc::new(Shape {
                table: TableName::new("A \"table\"").expect("a name"),
                links: columns.iter().map(|column| (column.name.clone(), [linked.clone()].into())).collect(),
                schema: is_whole.then_some(Schema { columns, key }),
                has_left,
            }),
        };
        prop_assert_eq!(fact_from_wire(fact_to_wire(&fact)), Ok(fact));
    }
}

#[test]
fn large_deltas_travel_in_parts() {
    let long: Arc<str> = "x".repeat(100_000).into();
    let row = |at: usize| {
        (
            vec![format!("{at:03}").into(), "k".into()],
            Change::Delete {
                old: BTreeMap::from([(1, Some(long.clone()))]),
            },
        )
    };
    let delta = delta((0..50).map(row));
    let sent = parts(delta.clone());
    assert_eq!(sent.len(), 5);
    assert!(
        sent.iter()
            .all(|part| part.encoded_len() < 2 << 20 && part.columns.len() == 4 && part.gid == GID)
    );
    assert_eq!(put_together(sent), Ok(delta));
}

#[test]
fn an_empty_delta_is_one_part() {
    assert_eq!(parts(Delta::default()).len(), 1);
}

fn cell_of(column: u32, value: Option<&str>) -> v1::Cell {
    v1::Cell {
        column,
        value: value.map(str::to_owned),
        revision: 0,
    }
}

fn with_row(row: v1::Row) -> Result<Delta, Invalid> {
    let mut part = parts(Delta::default()).remove(0);
    part.rows = vec![row];
    put_together(vec![part])
}

#[test]
fn wrong_rows_are_not_let_in() {
    let key = vec!["k".to_owned(), "l".to_owned()];
    let update = |new| {
        v1::row::Change::Update(v1::Update {
            old: Vec::new(),
            new,
        })
    };
    let insert = v1::row::Change::Insert(v1::Insert {
        cells: vec![cell_of(0, Some("k"))],
    });
    let old = v1::OldCell {
        column: 1,
        value: None,
    };
    let cases = [
        (
            v1::Row {
                key: key.clone(),
                change: None,
            },
            "a row's change is missing",
        ),
        (
            v1::Row {
                key: vec!["k".into()],
                change: Some(update(vec![])),
            },
            "a row's key has 1 values instead of 2",
        ),
        (
            v1::Row {
                key: key.clone(),
                change: Some(update(vec![cell_of(4, None)])),
            },
            "there is no column 4 among 4",
        ),
        (
            v1::Row {
                key: key.clone(),
                change: Some(update(vec![cell_of(65_536, None)])),
            },
            "there is no column 65536 among 4",
        ),
        (
            v1::Row {
                key: key.clone(),
                change: Some(update(vec![cell_of(2, None)])),
            },
            "a key column cannot be NULL",
        ),
        (
            v1::Row {
                key: key.clone(),
                change: Some(update(vec![cell_of(1, None), cell_of(1, None)])),
            },
            "a row speaks twice of column \"b\"",
        ),
        (
            v1::Row {
                key: key.clone(),
                change: Some(insert),
            },
            "an inserted row must set its key",
        ),
        (
            v1::Row {
                key,
                change: Some(v1::row::Change::Delete(v1::Delete {
                    old: vec![old.clone(), old],
                })),
            },
            "a row speaks twice of column \"b\"",
        ),
    ];
    for (row, expected) in cases {
        assert_eq!(
            with_row(row).expect_err("it is wrong").to_string(),
            expected
        );
    }
}

#[test]
fn wrong_heads_are_not_let_in() {
    let head = parts(Delta::default()).remove(0);
    let wrong = |change: fn(&mut v1::PropagateRequest)| {
        let mut part = head.clone();
        change(&mut part);
        part
    };
    assert!(IncomingDelta::new(wrong(|part| part.from = "'; DROP".into())).is_err());
    assert!(IncomingDelta::new(wrong(|part| part.gid = "x".into())).is_err());
    assert!(IncomingDelta::new(wrong(|part| part.table = String::new())).is_err());
    let mut incoming = IncomingDelta::new(head.clone()).expect("it is right");
    assert!(incoming.add(wrong(|part| part.table = "U".into())).is_err());
    assert!(decision_from_wire(3).is_err());
    assert!(
        refusal_from_wire(v1::Refusal {
            peer: "gov".into(),
            sqlstate: "4000".into(),
            ..v1::Refusal::default()
        })
        .is_err()
    );
}
