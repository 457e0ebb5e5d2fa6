//! What a peer can know of another: facts, joined by incarnation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::delta::Schema;
use crate::name::{PeerName, TableName};

/// Peer `peer`, at incarnation `incarnation`, shares Dejima table `table` with this schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The peer.
    pub peer: PeerName,
    /// Where its services are reached.
    pub address: String,
    /// Counts the peer's starts.
    pub incarnation: u64,
    /// The Dejima table.
    pub table: TableName,
    /// Its columns and key.
    pub schema: Schema,
}

impl Fact {
    /// Whether this fact replaces the other one of the same peer and table.
    ///
    /// The incarnation decides. Two different facts of one incarnation must not be (two peers use one name);
    /// the order of their contents makes the join the same everywhere even then.
    fn replaces(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(&self) -> (u64, &str, Vec<(&str, &str)>, &[u16]) {
        let columns = &self.schema.columns;
        let columns = columns
            .iter()
            .map(|c| (c.name.as_str(), c.type_name.as_str()))
            .collect();
        (self.incarnation, &self.address, columns, &self.schema.key)
    }
}

/// What joining one fact did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The peer was not known to share the table.
    New,
    /// The peer has started again since, perhaps elsewhere or with other columns.
    Newer,
    /// Nothing new.
    Known,
    /// Same incarnation, other contents: two peers use one name.
    Ambiguous,
}

/// A set of facts: for each peer and Dejima table the one of the highest incarnation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    by_table: BTreeMap<(TableName, PeerName), Fact>,
}

impl Facts {
    /// Takes in one fact.
    pub fn learn(&mut self, fact: Fact) -> Joined {
        let place = (fact.table.clone(), fact.peer.clone());
        let joined = match self.by_table.get(&place) {
            None => Joined::New,
            Some(known) if *known == fact => Joined::Known,
            Some(known) if known.incarnation == fact.incarnation => {
                if fact.replaces(known) {
                    self.by_table.insert(place, fact);
                }
                return Joined::Ambiguous;
            }
            Some(known) if fact.replaces(known) => Joined::Newer,
            Some(_) => Joined::Known,
        };
        if joined != Joined::Known {
            self.by_table.insert(place, fact);
        }
        joined
    }

    /// The union of both: commutes, associates, is idempotent.
    pub fn join(mut self, other: Self) -> Self {
        for fact in other.by_table.into_values() {
            self.learn(fact);
        }
        self
    }

    /// All facts, by table and peer.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.by_table.values()
    }

    /// The facts of one Dejima table, by peer.
    pub fn of_table(&self, table: &TableName) -> impl Iterator<Item = &Fact> {
        self.iter().filter(move |fact| fact.table == *table)
    }

    /// The facts of one peer, by table.
    pub fn of_peer(&self, peer: &PeerName) -> impl Iterator<Item = &Fact> {
        self.iter().filter(move |fact| fact.peer == *peer)
    }

    /// What is known of one peer and table.
    pub fn of(&self, table: &TableName, peer: &PeerName) -> Option<&Fact> {
        self.by_table.get(&(table.clone(), peer.clone()))
    }
}

impl FromIterator<Fact> for Facts {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut all = Self::default();
        for fact in facts {
            all.learn(fact);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::Column;

    prop_compose! {
        fn fact()(
            peer in 0..3_u8, table in 0..3_u8, incarnation in 0..3_u64, port in 0..2_u8, columns in 1..3_usize
        ) -> Fact {
            let column = |at: usize| Column { name: format!("c{at}"), type_name: "text".into() };
            Fact {
                peer: PeerName::new(&format!("p{peer}")).expect("a name"),
                address: format!("http://127.0.0.1:{port}"),
                incarnation,
                table: TableName::new(&format!("T{table}")).expect("a name"),
                schema: Schema { columns: (0..columns).map(column).collect(), key: vec![0] },
            }
        }
    }

    prop_compose! {
        fn facts()(facts in proptest::collection::vec(fact(), 0..8)) -> Facts {
            facts.into_iter().collect()
        }
    }

    proptest! {
        #[test]
        fn join_commutes(a in facts(), b in facts()) {
            prop_assert_eq!(a.clone().join(b.clone()), b.join(a));
        }

        #[test]
        fn join_associates(a in facts(), b in facts(), c in facts()) {
            prop_assert_eq!(a.clone().join(b.clone()).join(c.clone()), a.join(b.join(c)));
        }

        #[test]
        fn join_is_idempotent(a in facts()) {
            prop_assert_eq!(a.clone().join(a.clone()), a);
        }

        #[test]
        fn the_highest_incarnation_stays(facts in proptest::collection::vec(fact(), 1..8)) {
            let all: Facts = facts.iter().cloned().collect();
            for fact in facts {
                let known = all.of(&fact.table, &fact.peer).expect("it was learnt");
                prop_assert!(known.incarnation >= fact.incarnation);
            }
        }
    }
}
