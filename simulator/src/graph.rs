//! Who shares a Dejima table with whom: trees, rings, diamonds, stars and overlapping groups of 2 to 12 peers.

use std::collections::BTreeSet;

use crate::random::Random;

/// The highest number of peers.
const PEERS_MAX: usize = 12;

/// The form of a graph before further tables are laid over it.
#[derive(Clone, Copy)]
enum Form {
    Tree,
    Ring,
    Diamonds,
    Star,
    Groups,
}

/// A graph of peers.
pub(crate) struct Graph {
    /// Number of peers.
    pub(crate) peers: usize,
    /// For each Dejima table its members: 2 to 5, in ascending order.
    pub(crate) tables: Vec<Vec<usize>>,
}

impl Graph {
    /// Any graph; every peer is connected with every other.
    pub(crate) fn random(random: &mut Random) -> Self {
        let few = random.chance(700);
        let peers = 2 + random.index(if few { 5 } else { PEERS_MAX - 1 });
        let form = random.one_of(&[
            Form::Tree,
            Form::Ring,
            Form::Diamonds,
            Form::Star,
            Form::Groups,
        ]);
        let mut tables = form.tables(random, peers);
        for _ in 0..random.below(3) {
            let size = 2 + random.index(4);
            let members: BTreeSet<usize> = (0..size).map(|_| random.index(peers)).collect();
            if members.len() > 1 {
                tables.push(members.into_iter().collect());
            }
        }
        Self { peers, tables }
    }
}

impl Form {
    fn tables(self, random: &mut Random, peers: usize) -> Vec<Vec<usize>> {
        let others = 1..peers;
        match self {
            Form::Tree => others.map(|at| vec![random.index(at), at]).collect(),
            Form::Ring => ring(peers),
            Form::Diamonds => diamonds(peers),
            Form::Star => others.map(|at| vec![0, at]).collect(),
            Form::Groups => groups(random, peers),
        }
    }
}

/// 0 – 1 – 2 – … – 0.
fn ring(peers: usize) -> Vec<Vec<usize>> {
    let mut tables: Vec<_> = (1..peers).map(|at| vec![at - 1, at]).collect();
    if peers > 2 {
        tables.push(vec![0, peers - 1]);
    }
    tables
}

/// Two ways from 0 to 3, two from 3 to 6, and so on; whoever is left over hangs at the end.
fn diamonds(peers: usize) -> Vec<Vec<usize>> {
    let mut tables = vec![];
    let mut top = 0;
    while top + 3 < peers {
        let (left, right, bottom) = (top + 1, top + 2, top + 3);
        tables.extend([
            vec![top, left],
            vec![top, right],
            vec![left, bottom],
            vec![right, bottom],
        ]);
        top = bottom;
    }
    tables.extend((top + 1..peers).map(|at| vec![top, at]));
    tables
}

/// Tables of three to five members, each with one member of the tables before it.
fn groups(random: &mut Random, peers: usize) -> Vec<Vec<usize>> {
    let mut tables = vec![];
    let mut first = 1;
    while first < peers {
        let end = (first + 2 + random.index(3)).min(peers);
        let mut members = vec![random.index(first)];
        members.extend(first..end);
        tables.push(members);
        first = end;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_graph_is_connected_and_its_tables_have_two_to_five_members() {
        let mut sizes = BTreeSet::new();
        for seed in 0..2_000 {
            let graph = Graph::random(&mut Random::new(seed));
            sizes.insert(graph.peers);
            let mut reached = BTreeSet::from([0]);
            for _ in 0..graph.peers {
                for table in &graph.tables {
                    assert!((2..=5).contains(&table.len()), "seed {seed}: {table:?}");
                    if table.iter().any(|member| reached.contains(member)) {
                        reached.extend(table);
                    }
                }
            }
            assert_eq!(
                reached.len(),
                graph.peers,
                "seed {seed}: {:?}",
                graph.tables
            );
        }
        assert_eq!(sizes, (2..=PEERS_MAX).collect());
    }

    #[test]
    fn diamonds_offer_two_ways() {
        assert_eq!(
            diamonds(5),
            [vec![0, 1], vec![0, 2], vec![1, 3], vec![2, 3], vec![3, 4]]
        );
    }
}
