//! What is simulated: peers, the Dejima tables they share, and how bad the weather is.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::delta::{Column, Schema};
use dejima_core::name::{PeerName, TableName};
use dejima_core::transaction::Membership;

use crate::random::Random;

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

/// How bad the weather is, in so many of a thousand.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Messages lost.
    pub loss: u64,
    /// Questions delivered twice.
    pub repetition: u64,
    /// Messages that take very long.
    pub late: u64,
    /// Clients that take long between the vote and their COMMIT.
    pub slow_clients: u64,
    /// Clients that vanish, and helpers that die.
    pub client_deaths: u64,
    /// Peers that are killed, per client transaction.
    pub peer_deaths: u64,
    /// The highest ordinary delay of a message, in ms.
    pub delay_ms_max: u64,
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
        }
    }

    /// A scenario for a seed: one in four is the triangle, the others are any graph of two to six peers.
    pub fn random(random: &mut Random) -> Self {
        let mut scenario = if random.chance(250) {
            Self::triangle()
        } else {
            Self::graph(random)
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
        scenario.transactions = 4 + random.below(12);
        scenario.keys = 1 + random.below(4);
        scenario
    }

    fn graph(random: &mut Random) -> Self {
        let count = 2 + random.index(5);
        let peers = (0..count)
            .map(|at| PeerName::new(&format!("p{at}")).expect("a plain name"))
            .collect();
        // A random tree connects all; further tables close cycles and diamonds.
        let mut edges: Vec<Vec<usize>> = (1..count).map(|at| vec![random.index(at), at]).collect();
        for _ in 0..random.below(3) {
            let members: BTreeSet<usize> = (0..2 + random.index(3))
                .map(|_| random.index(count))
                .collect();
            if members.len() > 1 {
                edges.push(members.into_iter().collect());
            }
        }
        let table = |(at, members): (usize, Vec<usize>)| {
            let attributes = ["a", "b", "c", "d"]
                .into_iter()
                .filter(|_| random.chance(500));
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
        let tables = edges.into_iter().enumerate().map(table).collect();
        Self {
            peers,
            characters: vec![Character::default(); count],
            tables,
            weather: Weather::calm(),
            transactions: 0,
            keys: 1,
        }
    }

    /// The Dejima tables of a peer.
    pub fn tables_of(&self, peer: usize) -> impl Iterator<Item = &SharedTable> {
        self.tables
            .iter()
            .filter(move |table| table.members.contains(&peer))
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

impl Weather {
    /// Nothing is lost, everything is quick.
    pub fn calm() -> Self {
        Self {
            loss: 0,
            repetition: 0,
            late: 0,
            slow_clients: 0,
            client_deaths: 0,
            peer_deaths: 0,
            delay_ms_max: 3,
        }
    }

    fn random(random: &mut Random) -> Self {
        Self {
            loss: random.below(4) * 20,
            repetition: random.below(3) * 30,
            late: random.below(3) * 30,
            slow_clients: random.below(3) * 200,
            client_deaths: random.below(3) * 60,
            peer_deaths: random.below(3) * 60,
            delay_ms_max: 1 + random.below(30),
        }
    }
}
