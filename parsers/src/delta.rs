//! Deltas of other peers, and captures of the hook.

use std::collections::BTreeMap;

use dejima_core::delta::{Captured, Column, Net, Row, Schema, Value};
use dejima_core::name::TableName;
use dejima_peer::wire::{Head, IncomingDelta, Parts};
use dejima_proto::v1;
use prost::Message;

use crate::frames::{frames, input, message};
use crate::refusal::assert_plain;

const GID: &str = "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";

/// Columns a (key), b, c, d (key).
pub(crate) fn schema() -> Schema {
    let column = |name: &str| Column {
        name: name.into(),
        type_name: "text".into(),
    };
    Schema {
        columns: ["a", "b", "c", "d"].map(column).to_vec(),
        key: vec![0, 3],
    }
}

/// The parts of one delta: what is taken in leaves as it came, and PostgreSQL can store each value of it.
pub(crate) fn delta(bytes: &[u8]) {
    let parts = frames(bytes).map(|(_, part)| v1::PropagateRequest::decode(part));
    let Ok(parts) = parts.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return };
    let schema = schema();
    let incoming = IncomingDelta::new(first).and_then(|mut incoming| {
        parts.try_for_each(|part| incoming.add(part))?;
        Ok((incoming.head.clone(), incoming.into_delta(&schema)?))
    });
    let (head, delta) = match incoming {
        Ok(taken) => taken,
        Err(error) => return assert_plain(&error.to_string(), 1_000),
    };
    assert!(!format!("{delta:?}").contains('\0'));
    let again = sent(
        head.clone(),
        &schema,
        Parts::new(head, &schema, delta.clone()),
    );
    assert_eq!(again, delta);
}

fn sent(head: Head, schema: &Schema, mut parts: Parts) -> dejima_core::delta::Delta {
    let first = parts.next().expect("there is always one");
    let mut incoming = IncomingDelta::new(first).expect("it was taken in before");
    parts
        .try_for_each(|part| incoming.add(part))
        .expect("all have one head");
    assert!(incoming.head == head && incoming.fits(schema));
    incoming.into_delta(schema).expect("it was taken in before")
}

/// The log of a transaction: what is taken in is the same when it is read again, and its net change can be told.
pub(crate) fn capture(bytes: &[u8]) {
    let Ok(captured) = Captured::read(bytes) else {
        return;
    };
    let sections: String = captured.iter().map(section).collect();
    assert_eq!(Captured::read(sections.as_bytes()).as_ref(), Ok(&captured));
    let mut nets: BTreeMap<TableName, (Net, Vec<Captured>)> = BTreeMap::new();
    for entry in captured {
        let (_, rows) = nets.entry(entry.table.clone()).or_default();
        rows.push(entry);
    }
    for (net, rows) in nets.values_mut() {
        if let Ok(touched) = net.absorb(&schema(), rows) {
            for row in touched {
                net.change(&row);
                net.current(&row);
            }
        }
    }
}

/// As the hook would write the row alone.
fn section(entry: &Captured) -> String {
    let heading = serde_json::to_string(&(entry.statement, 0, &entry.table)).expect("it was JSON");
    let value = |value: &Value| match value {
        None => "NULL".to_owned(),
        Some(text) => format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
    };
    let side = |row: &Option<Row>| {
        let columns = row.iter().flatten().map(value);
        columns.collect::<Vec<_>>().join("\n")
    };
    format!("{heading}\n{};\n{};\n", side(&entry.old), side(&entry.new))
}

/// A delta of one insert, one update and one delete, in one part.
pub(crate) fn request(group: u64) -> v1::PropagateRequest {
    let cell = |column, value: Option<&str>| v1::Cell {
        column,
        value: value.map(str::to_owned),
        revision: 0,
    };
    let old = |column, value: Option<&str>| v1::OldCell {
        column,
        value: value.map(str::to_owned),
    };
    let row = |key: [&str; 2], change| v1::Row {
        key: key.map(str::to_owned).to_vec(),
        change: Some(change),
    };
    let insert = v1::Insert {
        cells: vec![cell(0, Some("k")), cell(3, Some("l")), cell(1, None)],
    };
    let update = v1::Update {
        old: vec![old(1, Some("x"))],
        new: vec![cell(1, Some("'; DROP TABLE x; --")), cell(0, Some("n"))],
    };
    let delete = v1::Delete {
        old: vec![old(1, None), old(2, Some("{\"}"))],
    };
    v1::PropagateRequest {
        from: "bank".into(),
        gid: GID.into(),
        request: 7,
        table: "T".into(),
        columns: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        rows: vec![
            row(["k", "l"], v1::row::Change::Insert(insert)),
            row(["m", "l"], v1::row::Change::Update(update)),
            row(["o", "l"], v1::row::Change::Delete(delete)),
        ],
        patience_ms: 4_000,
        batch: 0,
        group,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut second = request(1);
    for row in &mut second.rows {
        row.key[0].push('2');
    }
    let captures = [
        "[1,0,\"T\"]\n;\n'a'\nNULL\n''\n'd';\n[2,0,\"T\"]\n'a'\nNULL\n''\n'd';\n'b'\n'x'\n\n;\n[3,0,\"T\"]\n'b'\n'x'\n''\n'd';\n;\n",
        "[1,0,\"T\"]\n'a','b',NULL\n'1','2',NULL\nNULL,NULL,NULL\n'd','d',NULL;\n'b','a','c'\n'1','2','3'\n\n'd','d','d';\n",
        "[-9,7,\"T'; --\"]\n;\nE'''\\\\\n;,'\n'NULL'\nNULL\n'😀';\n",
    ];
    let deltas = [
        input([message(0, &request(1))]),
        input([message(0, &request(1)), message(0, &second)]),
    ];
    deltas
        .into_iter()
        .chain(captures.map(|text| text.as_bytes().to_vec()))
        .collect()
}
