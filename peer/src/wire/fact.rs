//! Facts of detection, and what is said with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use dejima_core::delta::{Column, Schema};
use dejima_core::group::{Attribute, Covered, Fact, Heard, Links, Said, Shape};
use dejima_core::name::{IDENTIFIER_BYTES_MAX, TableName};
use dejima_core::plain;
use dejima_proto::v1;
use tonic::transport::Uri;

use super::{Invalid, SHOWN_CHARS_MAX, peer, storable, table};

/// PostgreSQL gives a view no more columns (MaxTupleAttributeNumber).
const COLUMNS_MAX: usize = 1_664;
/// A name of a type has its schema's name, quotes and a length.
const TYPE_BYTES_MAX: usize = 4 * IDENTIFIER_BYTES_MAX + 64;
/// A host's name has at most 253 bytes (RFC 1035).
const ADDRESS_BYTES_MAX: usize = 300;

/// One half of an Exchange, to be sent.
pub fn said_to_wire(said: &Said) -> (Vec<v1::Fact>, Option<v1::Covered>, Option<v1::Heard>) {
    let Covered {
        life,
        after,
        upto,
        is_partly,
    } = said.covers;
    let covers = v1::Covered {
        life,
        after,
        upto,
        is_partly,
    };
    let heard = v1::Heard {
        life: said.heard.life,
        upto: said.heard.upto,
    };
    let facts = said.facts.iter().map(|fact| fact_to_wire(fact));
    (facts.collect(), Some(covers), Some(heard))
}

/// One half of an Exchange that was received.
pub fn said_from_wire(
    facts: Vec<v1::Fact>,
    covers: Option<v1::Covered>,
    heard: Option<v1::Heard>,
) -> Result<Said, Invalid> {
    let facts = facts
        .into_iter()
        .map(|fact| fact_from_wire(fact).map(Arc::new));
    let covers = covers.unwrap_or_default();
    let heard = heard.unwrap_or_default();
    Ok(Said {
        facts: facts.collect::<Result<_, _>>()?,
        covers: Covered {
            life: covers.life,
            after: covers.after,
            upto: covers.upto,
            is_partly: covers.is_partly,
        },
        heard: Heard {
            life: heard.life,
            upto: heard.upto,
        },
    })
}

/// A fact, to be sent.
pub fn fact_to_wire(fact: &Fact) -> v1::Fact {
    let shape = &fact.shape;
    let linked = |column: &str| {
        let linked = shape.links.get(column).into_iter().flatten();
        linked.map(attribute_to_wire).collect()
    };
    let (columns, key) = match &shape.schema {
        Some(schema) => {
            let columns = schema.columns.iter().map(|column| v1::Column {
                name: column.name.clone(),
                r#type: column.type_name.clone(),
                linked: linked(&column.name),
            });
            let key = schema.key.iter();
            let key = key.map(|&column| schema.column_name(column).to_owned());
            (columns.collect(), key.collect())
        }
        None => {
            let columns = shape.links.keys().map(|column| v1::Column {
                name: column.clone(),
                r#type: String::new(),
                linked: linked(column),
            });
            (columns.collect(), Vec::new())
        }
    };
    v1::Fact {
        peer: fact.peer.to_string(),
        address: fact.address.to_string(),
        incarnation: fact.incarnation,
        table: shape.table.to_string(),
        columns,
        key,
        has_left: shape.has_left,
    }
}

/// A fact that was received.
pub fn fact_from_wire(fact: v1::Fact) -> Result<Fact, Invalid> {
    let table = table(&fact.table)?;
    if !is_address(&fact.address) {
        return Err(Invalid::Contradiction(format!(
            "\"{}\" is no peer's address",
            plain::line(&fact.address, SHOWN_CHARS_MAX)
        )));
    }
    if fact.columns.len() > COLUMNS_MAX {
        let why = format!("Dejima table \"{table}\" has too many columns");
        return Err(Invalid::Contradiction(why));
    }
    let links = links(&fact.columns)?;
    let schema = schema(&table, &fact.key, fact.columns)?;
    Ok(Fact {
        peer: peer(&fact.peer)?,
        address: fact.address.into(),
        incarnation: fact.incarnation,
        shape: Arc::new(Shape {
            table,
            schema,
            links,
            has_left: fact.has_left,
        }),
    })
}

/// An attribute, to be sent.
pub fn attribute_to_wire(attribute: &Attribute) -> v1::Attribute {
    v1::Attribute {
        table: attribute.table.to_string(),
        column: attribute.column.clone(),
    }
}

/// Whether a peer could be called there. A URI's parser passes over whatever follows a `#`.
pub(crate) fn is_address(address: &str) -> bool {
    let has_scheme = address.starts_with("http://") || address.starts_with("https://");
    let is_plain = address
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    has_scheme && is_plain && address.len() <= ADDRESS_BYTES_MAX && address.parse::<Uri>().is_ok()
}

/// The name of a column at some peer: what PostgreSQL takes for one.
fn column_name(name: &str) -> Result<String, Invalid> {
    if (1..=IDENTIFIER_BYTES_MAX).contains(&name.len()) {
        return Ok(storable(name.to_owned())?.as_ref().to_owned());
    }
    Err(Invalid::Contradiction(format!(
        "\"{}\" is no name of a column",
        plain::line(name, SHOWN_CHARS_MAX)
    )))
}

fn type_name(name: String) -> Result<String, Invalid> {
    if name.len() <= TYPE_BYTES_MAX {
        return Ok(storable(name)?.as_ref().to_owned());
    }
    Err(Invalid::Contradiction(format!(
        "\"{}\" is no name of a type",
        plain::line(&name, SHOWN_CHARS_MAX)
    )))
}

fn links(columns: &[v1::Column]) -> Result<Links, Invalid> {
    let attribute = |attribute: &v1::Attribute| {
        Ok(Attribute {
            table: table(&attribute.table)?,
            column: column_name(&attribute.column)?,
        })
    };
    let linked = |column: &v1::Column| {
        let linked = column.linked.iter().map(attribute);
        Ok((
            column_name(&column.name)?,
            linked.collect::<Result<BTreeSet<_>, Invalid>>()?,
        ))
    };
    columns.iter().map(linked).collect()
}

/// Columns and key, if the fact names a key.
fn schema(
    table: &TableName,
    key: &[String],
    columns: Vec<v1::Column>,
) -> Result<Option<Schema>, Invalid> {
    let position = |name: &String| {
        let at = columns.iter().position(|column| column.name == *name);
        at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| {
            Invalid::Contradiction(format!(
                "key column \"{}\" is none of the columns of \"{table}\"",
                plain::line(name, SHOWN_CHARS_MAX)
            ))
        })
    };
    let key = key.iter().map(position).collect::<Result<Vec<_>, _>>()?;
    if key.is_empty() {
        return Ok(None);
    }
    let column = |column: v1::Column| {
        Ok(Column {
            name: column.name,
            type_name: type_name(column.r#type)?,
        })
    };
    let columns = columns.into_iter().map(column);
    Ok(Some(Schema {
        columns: columns.collect::<Result<_, Invalid>>()?,
        key,
    }))
}
