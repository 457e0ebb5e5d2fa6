//! What a peer can know of another: facts, and how two facts about the same thing join.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::delta::Schema;
use crate::name::{PeerName, TableName};

/// A column of a Dejima table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attribute {
    /// The Dejima table.
    pub table: TableName,
    /// Its column.
    pub column: String,
}

/// For columns of one Dejima table, which columns of other Dejima tables come from the same base column.
pub type Links = BTreeMap<String, BTreeSet<Attribute>>;

/// How a peer shares a Dejima table, as far as whoever knows it may know it. Peers that map a table in the same way
/// have equal shapes, so they are kept once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    /// The Dejima table.
    pub table: TableName,
    /// Its columns and key; only members of the Dejima table get to know them (invariant 5). A shape without it is
    /// *partial*.
    #[serde(default)]
    pub schema: Option<Schema>,
    /// The columns that whoever knows the shape may know of, all of them if the schema is there, and what hangs
    /// together with each at the peer.
    #[serde(default)]
    pub links: Links,
    /// Whether the peer has ceased to share the table. What it shared before stays in the shape: those whom it
    /// concerned are those whom its end concerns.
    #[serde(default)]
    pub has_left: bool,
}

impl Shape {
    /// Whether it lacks what only members of the Dejima table may know.
    pub fn is_partial(&self) -> bool {
        self.schema.is_none()
    }

    /// The columns that are known, as attributes of the Dejima table.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> {
        let of_schema = self.schema.iter().flat_map(|schema| &schema.columns);
        let names = of_schema
            .map(|column| &column.name)
            .filter(|name| !self.links.contains_key(*name));
        names.chain(self.links.keys()).map(|column| Attribute {
            table: self.table.clone(),
            column: column.clone(),
        })
    }

    /// Whether whoever knows this shape of a peer knows the other one too.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let is_linked = |(column, linked): (&String, &BTreeSet<Attribute>)| {
            let known = self.links.get(column);
            known.is_some_and(|known| linked.is_subset(known))
        };
        match (self.is_partial(), other.is_partial()) {
            (false, _) => true,
            (true, false) => false,
            (true, true) => other.links.iter().all(is_linked),
        }
    }

    /// All that both of two partial shapes, of one peer at one incarnation, say.
    fn unite(&self, other: &Self) -> Self {
        let mut united = self.clone();
        for (column, linked) in &other.links {
            let known = united.links.entry(column.clone()).or_default();
            known.extend(linked.iter().cloned());
        }
        united.has_left |= other.has_left;
        united
    }
}

/// Peer `peer`, at incarnation `incarnation`, shares a Dejima table in this shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The peer.
    pub peer: PeerName,
    /// Where its services are reached.
    pub address: Arc<str>,
    /// Counts the peer's starts and hours.
    pub incarnation: u64,
    /// What it shares, and how.
    #[serde(flatten)]
    pub shape: Arc<Shape>,
}

impl Fact {
    /// The Dejima table.
    pub fn table(&self) -> &TableName {
        &self.shape.table
    }

    /// Whether the peer is a member of the Dejima table, as far as is known.
    pub fn is_membership(&self) -> bool {
        !self.shape.is_partial() && !self.shape.has_left
    }

    /// What is known when both facts, of one peer and one Dejima table, are known.
    ///
    /// A whole fact replaces a partial one, of whatever incarnation: partial ones come from peers that do not share the
    /// Dejima table, and those have no say in who its members are. Of two whole or two partial facts the higher incarnation
    /// replaces the lower. Two whole facts of one incarnation that differ must not be (two peers use one name); the order
    /// of their contents makes the join the same everywhere even then.
    pub fn join(&self, other: &Self) -> Self {
        let is_partial = self.shape.is_partial();
        let rank = |fact: &Self| (!fact.shape.is_partial(), fact.incarnation);
        match rank(self).cmp(&rank(other)) {
            Ordering::Greater => self.clone(),
            Ordering::Less => other.clone(),
            Ordering::Equal if is_partial => Self {
                peer: self.peer.clone(),
                address: Arc::clone((&self.address).max(&other.address)),
                incarnation: self.incarnation,
                shape: Arc::new(self.shape.unite(&other.shape)),
            },
            Ordering::Equal => {
                let contents =
                    |fact: &'_ Self| (Arc::clone(&fact.shape), Arc::clone(&fact.address));
                if contents(self) >= contents(other) {
                    self.clone()
                } else {
                    other.clone()
                }
            }
        }
    }
}
