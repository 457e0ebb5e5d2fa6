//! Who is who, who is told of whom, and which peer groups must come of it.

use std::collections::{BTreeMap, BTreeSet};

use dejima_proto::v1;
use dejima_testbed::{Detected, Organisation, Share};
use serde::Deserialize;

/// Each peer knows one seed for each of its Dejima tables.
const TOPOLOGY: &str = include_str!("topology-20.json");

/// All attributes of the example: which Dejima tables they go through.
const ATTRIBUTES: [(&[&str], &[&str]); 5] = [
    (&["ShareGovBank"], &["phone"]),
    (&["ShareGovInsurance"], &["birthdate"]),
    (&["ShareRiskFactor"], &["risk_factor"]),
    (&["ShareGovBank", "ShareGovInsurance"], &["address"]),
    (
        &["ShareGovBank", "ShareGovInsurance", "ShareRiskFactor"],
        &["first_name", "last_name"],
    ),
];

#[derive(Clone, Debug, Deserialize)]
struct Peer {
    peer: String,
    r#type: String,
    /// By Dejima table.
    seeds: BTreeMap<String, Vec<String>>,
}

impl Peer {
    fn shares_any(&self, tables: &BTreeSet<String>) -> bool {
        self.seeds.keys().any(|table| tables.contains(table))
    }
}

/// A peer group, in whatever order a peer lists its parts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    tables: BTreeSet<String>,
    attributes: BTreeSet<String>,
    peers: BTreeSet<String>,
}

/// The peers and their seeds.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    peers: Vec<Peer>,
}

impl Topology {
    /// The topology of 2019.
    pub(crate) fn read() -> serde_json::Result<Self> {
        let peers = serde_json::from_str(TOPOLOGY)?;
        Ok(Self { peers })
    }

    /// The names of the peers.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.peers.iter().map(|peer| peer.peer.as_str()).collect()
    }

    /// The same before one of the peers was there: whoever was told of that one is told instead of whom that one
    /// is told of.
    pub(crate) fn without(&self, absent: &str) -> Self {
        let mut peers = self.peers.clone();
        let at = peers.iter().position(|peer| peer.peer == absent);
        let absent = peers.remove(at.expect("it is one of the peers"));
        for peer in &mut peers {
            for (table, seeds) in &mut peer.seeds {
                if seeds.contains(&absent.peer) {
                    seeds.extend(absent.seeds[table].iter().cloned());
                }
                seeds.retain(|seed| *seed != absent.peer && *seed != peer.peer);
            }
        }
        Self { peers }
    }

    /// What the testbed makes the peers from.
    pub(crate) fn organisations(&self) -> Vec<Organisation> {
        let organisation = |peer: &Peer| {
            let shares = peer.seeds.iter().map(|(table, seeds)| Share {
                table: table.clone(),
                seeds: seeds.clone(),
            });
            Organisation {
                more_configuration: "pool = 2\n".to_owned(),
                ..Organisation::of_kind(&peer.r#type, &peer.peer, shares.collect())
            }
        };
        self.peers.iter().map(organisation).collect()
    }

    /// The peers that have not found exactly the groups that concern them, with what they have found.
    pub(crate) fn wrong(&self, found: &BTreeMap<String, Detected>) -> Vec<String> {
        let all = self.groups();
        let is_wrong = |peer: &&Peer| {
            let expected = all.iter().filter(|group| peer.shares_any(&group.tables));
            let groups = found.get(&peer.peer).map(groups_found).unwrap_or_default();
            !expected.eq(&groups)
        };
        let wrong = self.peers.iter().filter(is_wrong);
        wrong
            .map(|peer| {
                let groups = found.get(&peer.peer).map(groups_found);
                format!("{}: {groups:?}", peer.peer)
            })
            .collect()
    }

    /// Said without any of the ways of the machine: whoever shares a Dejima table of a group is in it.
    fn groups(&self) -> BTreeSet<Group> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let groups = ATTRIBUTES.iter().map(|(tables, attributes)| {
            let tables: BTreeSet<String> = owned(tables);
            let peers = self.peers.iter().filter(|peer| peer.shares_any(&tables));
            Group {
                peers: peers.map(|peer| peer.peer.clone()).collect(),
                attributes: owned(attributes),
                tables,
            }
        });
        groups.collect()
    }
}

fn groups_found(detected: &Detected) -> BTreeSet<Group> {
    let group = |group: &v1::PeerGroup| Group {
        tables: group.dejima_tables.iter().cloned().collect(),
        attributes: group.attributes.iter().cloned().collect(),
        peers: group.peers.iter().cloned().collect(),
    };
    detected.answer.peer_groups.iter().map(group).collect()
}
