//! What is simulated: peers, the Dejima tables they share, and how their clients fight for rows.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::delta::{Column, Schema};
use dejima_core::name::{PeerName, TableName};
use dejima_core::transaction::Membership;

use crate::graph::Graph;
use crate::random::Random;
use crate::weather::Weather;

/// A Dejima table over attributes; its key is the attribute `k`, and every member has a base table of its own
/// with all attributes that it shares.
#[derive(Clone, Debug)]
pub struct SharedTable {
    /// Its name.
    pub name: TableName,
    /// Attributes, `k` first.
    pub attributes: Vec<String>,
    /// Positions of the members among the peers.
    pub members: Vec<usize>,
}

/// Peculiarities of one peer's base table.
#[derive(Clone, Debug, Default)]
pub struct Character {
    /// A trigger writes these attributes in upper case.
    pub upper_case: BTreeSet<String>,
    /// A CHECK constraint refuses the value "bad" in these.
    pub refuses_bad: BTreeSet<String>,
}

/// Everything that a seed decides before the first event.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Names of the peers.
    pub peers: Vec<PeerName>,
    /// Peculiarities, one a peer.
    pub characters: Vec<Character>,
    /// The Dejima tables.
    pub tables: Vec<SharedTable>,
    /// The weather until the heal phase.
    pub weather: Weather,
    /// Number of client transactions to begin.
    pub transactions: u64,
    /// Number of different keys that they fight for.
    pub keys: u64,
    /// How many of a thousand transactions are taken in tiny batches.
    pub batched: u64,
}

impl Scenario {
    /// The worked example: a triangle of bank, government and insurer.
    pub fn triangle() -> Self {
        let table = |name: &str, attributes: &[&str], members: &[usize]| SharedTable {
            name: TableName::new(name).expect("a plain name"),
            attributes: attributes
                .iter()
                .map(|attribute| (*attribute).to_owned())
                .collect(),
            members: members.to_vec(),
        };
        let peer = |name| PeerName::new(name).expect("a plain name");
        Self {
            peers: vec![peer("bank"), peer("government"), peer("insurance")],
            characters: vec![Character::default(); 3],
            tables: vec![
                table("ShareGovBank", &["k", "phone", "address"], &[0, 1]),
                table("ShareGovInsurance", &["k", "address", "birthdate"], &[1, 2]),
                table("ShareRiskFactor", &["k", "risk_factor"], &[0, 2]),
            ],
            weather: Weather::calm(),
            transactions: 0,
            keys: 3,
            batched: 0,
        }
    }

    /// Peers `p0`, `p1`, … in calm weather that share one attribute `a` by tables with these members.
    pub fn of_tables(members: &[&[usize]]) -> Self {
        let peers = members
            .iter()
            .copied()
            .flatten()
            .max()
            .map_or(0, |at| at + 1);
        let tables = members.iter().map(|members| members.to_vec()).collect();
        Self::of_graph(Graph { peers, tables }, |attribute| *attribute == "a")
    }

    /// A scenario for a seed: one in four is the triangle, the others are any graph of 2 to 12 peers.
    pub fn random(random: &mut Random) -> Self {
        let mut scenario = if random.chance(250) {
            Self::triangle()
        } else {
            let graph = Graph::random(random);
            Self::of_graph(graph, |_| random.chance(500))
        };
        for character in &mut scenario.characters {
            for attribute in ["a", "b", "address", "phone"] {
                if random.chance(30) {
                    character.upper_case.insert(attribute.into());
                }
                if random.chance(100) {
                    character.refuses_bad.insert(attribute.into());
                }
            }
        }
        scenario.weather = Weather::random(random);
        scenario.transactions = 4 + random.below(40);
        scenario.keys = 1 + random.below(6);
        scenario.batched = random.one_of(&[0, 500, 1_000]);
        scenario
    }

    /// The tables show the key, and of the four attributes those that are picked.
    fn of_graph(graph: Graph, mut picks: impl FnMut(&&str) -> bool) -> Self {
        let Graph { peers, tables } = graph;
        let mut table = |(at, members): (usize, Vec<usize>)| {
            let attributes = ["a", "b", "c", "d"].into_iter().filter(&mut picks);
            SharedTable {
                name: TableName::new(&format!("t{at}")).expect("a plain name"),
                attributes: ["k"]
                    .into_iter()
                    .chain(attributes)
                    .map(str::to_owned)
                    .collect(),
                members,
            }
        };
        Self {
            peers: (0..peers)
                .map(|at| PeerName::new(&format!("p{at}")).expect("a plain name"))
                .collect(),
            characters: vec![Character::default(); peers],
            tables: tables.into_iter().enumerate().map(&mut table).collect(),
            weather: Weather::calm(),
            transactions: 0,
            keys: 1,
            batched: 0,
        }
    }

    /// The Dejima tables of a peer.
    pub fn tables_of(&self, peer: usize) -> impl Iterator<Item = &SharedTable> {
        self.tables
            .iter()
            .filter(move |table| table.members.contains(&peer))
    }

    /// True if two peers share a Dejima table.
    pub fn are_acquainted(&self, one: usize, other: usize) -> bool {
        self.tables_of(one)
            .any(|table| table.members.contains(&other))
    }

    /// The position of a peer.
    pub fn position(&self, name: &PeerName) -> Option<usize> {
        self.peers.iter().position(|peer| peer == name)
    }

    /// All attributes of a peer's base table but the key.
    pub fn attributes_of(&self, peer: usize) -> BTreeSet<String> {
        self.tables_of(peer)
            .flat_map(|table| table.attributes[1..].iter().cloned())
            .collect()
    }

    /// What the peer's machine is told about its Dejima tables.
    pub fn memberships(&self, peer: usize) -> BTreeMap<TableName, Membership> {
        let membership = |table: &SharedTable| {
            let members = table
                .members
                .iter()
                .map(|&member| self.peers[member].clone())
                .collect();
            (
                table.name.clone(),
                Membership {
                    schema: table.schema(),
                    members: Ok(members),
                },
            )
        };
        self.tables_of(peer).map(membership).collect()
    }
}

impl SharedTable {
    fn schema(&self) -> Schema {
        let column = |name: &String| Column {
            name: name.clone(),
            type_name: "text".into(),
        };
        Schema {
            columns: self.attributes.iter().map(column).collect(),
            key: vec![0],
        }
    }
}
