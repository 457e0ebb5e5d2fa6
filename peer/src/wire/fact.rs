//! Facts of detection.

use dejima_core::delta::{Column, Schema};
use dejima_core::group::Fact;
use dejima_proto::v1;

use super::{Invalid, peer, table};

/// A fact, to be sent.
pub fn fact_to_wire(fact: Fact) -> v1::Fact {
    let key = fact
        .schema
        .key
        .iter()
        .map(|&column| fact.schema.column_name(column).to_owned())
        .collect();
    let column = |column: Column| v1::Column {
        name: column.name,
        r#type: column.type_name,
    };
    v1::Fact {
        peer: fact.peer.into(),
        address: fact.address,
        incarnation: fact.incarnation,
        table: fact.table.into(),
        columns: fact.schema.columns.into_iter().map(column).collect(),
        key,
    }
}

/// A fact that was received.
pub fn fact_from_wire(fact: v1::Fact) -> Result<Fact, Invalid> {
    let table = table(&fact.table)?;
    if !fact.address.starts_with("http://") && !fact.address.starts_with("https://") {
        return Err(Invalid::Contradiction(format!(
            "\"{}\" is no peer's address",
            fact.address
        )));
    }
    let position = |name: &String| {
        let at = fact.columns.iter().position(|column| column.name == *name);
        at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| {
            Invalid::Contradiction(format!(
                "key column \"{name}\" is none of the columns of \"{table}\""
            ))
        })
    };
    let key = fact
        .key
        .iter()
        .map(position)
        .collect::<Result<Vec<_>, _>>()?;
    if key.is_empty() {
        return Err(Invalid::Missing("the key"));
    }
    let columns = fact.columns.into_iter().map(|column| Column {
        name: column.name,
        type_name: column.r#type,
    });
    Ok(Fact {
        peer: peer(&fact.peer)?,
        address: fact.address,
        incarnation: fact.incarnation,
        table,
        schema: Schema {
            columns: columns.collect(),
            key,
        },
    })
}
