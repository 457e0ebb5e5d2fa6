//! Which peer shares what, and whom it knows at the start.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::delta::{Column, Schema};
use dejima_core::group::{Attribute, Links, Share};
use dejima_core::name::{PeerName, TableName};

use crate::random::Random;

/// A peer before it starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub peer: PeerName,
    /// Where it is reached.
    pub address: String,
    /// What it shares, with its seeds.
    pub shares: Vec<Share>,
}

/// All peers.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// In no particular order.
    pub plans: Vec<Plan>,
}

/// A kind of organisation, and its Dejima tables, each with the columns beside the person's name.
type Kind = (&'static str, [(&'static str, &'static [&'static str]); 2]);

const PERSON: [(&str, &str); 2] = [("first_name", "first_name"), ("last_name", "last_name")];

/// The worked example.
const KINDS: [Kind; 3] = [
    (
        "bank",
        [
            ("ShareGovBank", &["address", "phone"]),
            ("ShareRiskFactor", &["risk_factor"]),
        ],
    ),
    (
        "gov",
        [
            ("ShareGovBank", &["address", "phone"]),
            ("ShareGovInsurance", &["address", "birthdate"]),
        ],
    ),
    (
        "insurance",
        [
            ("ShareGovInsurance", &["address", "birthdate"]),
            ("ShareRiskFactor", &["risk_factor"]),
        ],
    ),
];

impl Topology {
    /// Peers of the worked example: `(name, kind, seeds by Dejima table)`, the kind `bank`, `government` or `insurance`.
    pub fn worked_example<'a>(
        peers: impl IntoIterator<Item = (&'a str, &'a str, BTreeMap<String, Vec<String>>)>,
    ) -> Self {
        let plan = |(name, kind, seeds): (&str, &str, BTreeMap<String, Vec<String>>)| {
            let tables = KINDS.iter().find(|(known, _)| kind.starts_with(known));
            let tables = tables
                .unwrap_or_else(|| panic!("\"{kind}\" is no kind of the example"))
                .1;
            let names = tables.map(|(table, _)| table);
            let shares = tables.iter().map(|(table, more)| {
                let seeds = seeds
                    .get(*table)
                    .into_iter()
                    .flatten()
                    .map(|seed| address(seed));
                share(table, more, &names, &tables, seeds.collect())
            });
            Plan {
                peer: peer(name),
                address: address(name),
                shares: shares.collect(),
            }
        };
        Self {
            plans: peers.into_iter().map(plan).collect(),
        }
    }

    /// So many peers that share one Dejima table. Each knows one other, so that the seeds are a random spanning tree.
    pub fn spanning_tree(random: &mut Random, peers: usize) -> Self {
        let columns = schema(PERSON.map(|(name, _)| name.to_owned()).into_iter());
        // All hold one shape in memory, and so the same facts: each of its own would be a copy for every two peers.
        let people = Share::new(table_name("People"), columns, Links::new(), Vec::new());
        let plan = |at: usize| {
            let seed = (at > 0).then(|| address(&format!("p{}", random.index(at))));
            let mut people = people.clone();
            people.seeds.extend(seed);
            Plan {
                peer: peer(&format!("p{at}")),
                address: address(&format!("p{at}")),
                shares: vec![people],
            }
        };
        let mut plans: Vec<_> = (0..peers).map(plan).collect();
        random.shuffle(&mut plans);
        Self { plans }
    }

    /// So many peers of the worked example, a third of each kind. Each knows one other for each of its Dejima tables, so that
    /// their seeds are a random tree.
    pub fn random_tree(random: &mut Random, peers: usize) -> Self {
        let mut earlier: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut listed = Vec::new();
        for at in 0..peers {
            let (kind, tables) = KINDS[at % KINDS.len()];
            let name = format!("{kind}{at}");
            let mut seeds = BTreeMap::new();
            for (table, _) in tables {
                let known = earlier.entry(table).or_default();
                if !known.is_empty() {
                    let seed = known[random.index(known.len())].clone();
                    seeds.insert(table.to_owned(), vec![seed]);
                }
                known.push(name.clone());
            }
            listed.push((name, kind, seeds));
        }
        random.shuffle(&mut listed);
        Self::worked_example(
            listed
                .iter()
                .map(|(name, kind, seeds)| (name.as_str(), *kind, seeds.clone())),
        )
    }

    /// Peers that share any Dejima tables with any links between their columns. Each knows one earlier peer for each table.
    pub fn random_graph(random: &mut Random, peers: usize, tables: usize) -> Self {
        let names: Vec<TableName> = (0..tables)
            .map(|at| table_name(&format!("T{at}")))
            .collect();
        let widths: Vec<usize> = names.iter().map(|_| 1 + random.index(4)).collect();
        let mut earlier: BTreeMap<&TableName, Vec<String>> = BTreeMap::new();
        let mut plans = Vec::new();
        for at in 0..peers {
            let name = format!("p{at}");
            let mut picked: BTreeSet<usize> = (0..=random.index(3))
                .map(|_| random.index(tables))
                .collect();
            // One in four bridges far ends.
            if random.chance(250) {
                picked.insert(random.index(tables));
            }
            // Each column comes from one of a few base columns, so that some come from the same.
            let columns: BTreeMap<Attribute, usize> = picked
                .iter()
                .flat_map(|&table| (0..widths[table]).map(move |column| (table, column)))
                .map(|(table, column)| {
                    (
                        attribute(&names[table], &format!("c{column}")),
                        random.index(6),
                    )
                })
                .collect();
            let shares = picked.iter().map(|&table| {
                let of_table = columns
                    .iter()
                    .filter(|(attribute, _)| attribute.table == names[table]);
                let links = of_table.map(|(attribute, base)| {
                    let same = columns
                        .iter()
                        .filter(|(other, from)| *from == base && other.table != attribute.table);
                    (
                        attribute.column.clone(),
                        same.map(|(other, _)| other.clone()).collect(),
                    )
                });
                let known = earlier.entry(&names[table]).or_default();
                let seeds = known
                    .last()
                    .map(|_| vec![known[random.index(known.len())].clone()]);
                known.push(address(&name));
                Share::new(
                    names[table].clone(),
                    schema((0..widths[table]).map(|column| format!("c{column}"))),
                    links.collect(),
                    seeds.unwrap_or_default(),
                )
            });
            let shares = shares.collect();
            plans.push(Plan {
                peer: peer(&name),
                address: address(&name),
                shares,
            });
        }
        random.shuffle(&mut plans);
        Self { plans }
    }
}

fn share(
    table: &str,
    more: &[&str],
    names: &[&str; 2],
    tables: &[(&str, &[&str]); 2],
    seeds: Vec<String>,
) -> Share {
    let columns: Vec<&str> = PERSON
        .iter()
        .map(|(name, _)| *name)
        .chain(more.iter().copied())
        .collect();
    let other = usize::from(names[0] == table);
    let others: Vec<&str> = PERSON
        .iter()
        .map(|(name, _)| *name)
        .chain(tables[other].1.iter().copied())
        .collect();
    let linked = |column: &str| {
        let same = others.iter().filter(|other| **other == column);
        same.map(|name| attribute(&table_name(names[other]), name))
            .collect()
    };
    let links: Links = columns
        .iter()
        .map(|column| ((*column).to_owned(), linked(column)))
        .collect();
    let schema = schema(columns.iter().map(|column| (*column).to_owned()));
    Share::new(table_name(table), schema, links, seeds)
}

fn schema(names: impl Iterator<Item = String>) -> Schema {
    let column = |name| Column {
        name,
        type_name: "text".into(),
    };
    Schema {
        columns: names.map(column).collect(),
        key: vec![0],
    }
}

fn attribute(table: &TableName, column: &str) -> Attribute {
    Attribute {
        table: table.clone(),
        column: column.to_owned(),
    }
}

fn peer(name: &str) -> PeerName {
    PeerName::new(name).expect("a name")
}

fn table_name(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

fn address(name: &str) -> String {
    format!("http://{name}:7000")
}
