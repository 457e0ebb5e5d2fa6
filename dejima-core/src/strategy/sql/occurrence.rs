//! Where in a clause a relation occurs, and how to get from there to the clause's variables.

use std::collections::BTreeSet;

use super::select::variables;
use super::unfold::{Clause, Item};
use crate::strategy::program::{Argument, RelationId, VariableId};

/// A row that a clause speaks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) relation: RelationId,
    pub(super) arguments: Vec<Argument>,
    /// In how many negations it stands.
    pub(super) depth: usize,
    /// Its number among all of the clause's.
    pub(super) number: usize,
    /// The numbers of those that stand beside it inside of the same negations; of the clause's own if there is none.
    pub(super) beside: BTreeSet<usize>,
}

impl Atom {
    /// All of a clause, in order.
    pub(super) fn all(clause: &Clause) -> Vec<Self> {
        let mut found = Vec::new();
        collect(&clause.items, 0, &mut found);
        found
    }

    pub(super) fn variables(&self) -> BTreeSet<VariableId> {
        variables(&self.arguments).collect()
    }
}

fn collect(items: &[Item], depth: usize, found: &mut Vec<Atom>) {
    let mut here = BTreeSet::new();
    for item in items {
        match item {
            Item::Row(relation, arguments) => {
                let number = found.len();
                here.insert(number);
                found.push(Atom {
                    relation: *relation,
                    arguments: arguments.clone(),
                    depth,
                    number,
                    beside: BTreeSet::new(),
                });
            }
            Item::None(alternatives) => {
                for alternative in alternatives {
                    collect(alternative, depth + 1, found);
                }
            }
            Item::Define(..) | Item::Test(_) => {}
        }
    }
    for &number in &here {
        found[number].beside = here
            .iter()
            .copied()
            .filter(|&other| other != number)
            .collect();
    }
}

/// The variables that the clause's own rows and equations give a value.
pub(super) fn outer_variables(clause: &Clause) -> BTreeSet<VariableId> {
    let mut found = BTreeSet::new();
    for item in &clause.items {
        match item {
            Item::Row(_, arguments) => found.extend(variables(arguments)),
            Item::Define(variable, _) => {
                found.insert(*variable);
            }
            Item::None(_) | Item::Test(_) => {}
        }
    }
    found
}

/// Variables by which rows of the clause are joined.
pub(super) fn join_variables(atoms: &[Atom]) -> BTreeSet<VariableId> {
    let mut once = BTreeSet::new();
    let mut more = BTreeSet::new();
    for variable in atoms.iter().flat_map(Atom::variables) {
        if !once.insert(variable) {
            more.insert(variable);
        }
    }
    more
}

/// From one atom, the ways to all others that hang together with it: for each, the atoms on its way, itself the last. Shortest first.
pub(super) fn ways(atoms: &[Atom], from: usize) -> Vec<Vec<usize>> {
    let mut found = vec![vec![from]];
    let mut reached = BTreeSet::from([from]);
    let mut next = 0;
    while let Some(way) = found.get(next).cloned() {
        next += 1;
        let Some(&last) = way.last() else { continue };
        let here = atoms[last].variables();
        for atom in atoms {
            let hangs = !atom.variables().is_disjoint(&here);
            if hangs && reached.insert(atom.number) {
                let mut longer = way.clone();
                longer.push(atom.number);
                found.push(longer);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::program::Argument::Variable;

    fn clause() -> Clause {
        // a(0, 1), b(1, 2), none of c(2, 3), d(3)
        let row = |relation: usize, columns: &[usize]| {
            Item::Row(
                relation,
                columns.iter().map(|&column| Variable(column)).collect(),
            )
        };
        Clause {
            variables: Vec::new(),
            items: vec![
                row(0, &[0, 1]),
                row(1, &[1, 2]),
                Item::None(vec![vec![row(2, &[2, 3]), row(3, &[3])]]),
            ],
            head: vec![Variable(0)],
        }
    }

    #[test]
    fn ways_lead_over_shared_variables() {
        let atoms = Atom::all(&clause());
        assert_eq!(
            ways(&atoms, 0),
            [vec![0], vec![0, 1], vec![0, 1, 2], vec![0, 1, 2, 3]]
        );
        assert_eq!(
            ways(&atoms, 2),
            [vec![2], vec![2, 1], vec![2, 3], vec![2, 1, 0]]
        );
        assert_eq!(join_variables(&atoms), [1, 2, 3].into());
        assert_eq!(outer_variables(&clause()), [0, 1, 2].into());
        assert_eq!(atoms[2].beside, [3].into());
        assert_eq!((atoms[0].depth, atoms[3].depth), (0, 1));
    }
}
