//! Attributes that hang together: a union-find over columns of Dejima tables.

use std::collections::{BTreeMap, BTreeSet};

use super::{Attribute, Shape};
use crate::name::TableName;

/// Connected components of attributes. They only ever unite.
#[derive(Clone, Debug, Default)]
pub(super) struct Components {
    numbers: BTreeMap<Attribute, usize>,
    /// For each number one that is nearer to the root of its component, or itself.
    towards_root: Vec<usize>,
    /// For each root the Dejima tables of its component.
    tables: Vec<BTreeSet<TableName>>,
}

impl Components {
    /// Takes in the attributes of a shape.
    pub(super) fn add(&mut self, shape: &Shape) {
        for attribute in shape.attributes() {
            self.take(&attribute);
        }
    }

    /// Takes in the shapes of all Dejima tables of one peer, and how they hang together.
    pub(super) fn add_all(&mut self, shapes: &[&Shape]) {
        for shape in shapes {
            self.add(shape);
            let others = shapes.iter().filter(|other| other.table != shape.table);
            others.for_each(|other| drop(self.link(shape, other)));
        }
    }

    /// Takes in how two Dejima tables of one peer hang together. A link counts if the peer shares the tables at both its
    /// ends. Returns the roots of the components that reach more Dejima tables than before.
    pub(super) fn link(&mut self, one: &Shape, other: &Shape) -> BTreeSet<usize> {
        let mut grown = BTreeSet::new();
        let attributes: BTreeSet<_> = other.attributes().collect();
        for attribute in one.attributes() {
            let linked = one.links.get(&attribute.column).into_iter().flatten();
            for linked in linked.filter(|linked| attributes.contains(linked)) {
                grown.extend(self.unite(&attribute, linked));
            }
        }
        grown.into_iter().map(|number| self.root(number)).collect()
    }

    /// The root, if it reaches more Dejima tables than one of both did.
    fn unite(&mut self, one: &Attribute, other: &Attribute) -> Option<usize> {
        let (number, other_number) = (self.take(one), self.take(other));
        let (into, from) = (number.min(other_number), number.max(other_number));
        if into == from {
            return None;
        }
        let has_grown = self.tables[into] != self.tables[from];
        let moved = std::mem::take(&mut self.tables[from]);
        self.tables[into].extend(moved);
        self.towards_root[from] = into;
        has_grown.then_some(into)
    }

    /// The component of an attribute.
    pub(super) fn of(&self, attribute: &Attribute) -> Option<usize> {
        self.numbers.get(attribute).map(|&number| self.root(number))
    }

    /// The Dejima tables of a component.
    pub(super) fn tables(&self, component: usize) -> &BTreeSet<TableName> {
        &self.tables[component]
    }

    /// All attributes with their components, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Attribute, usize)> {
        self.numbers
            .iter()
            .map(|(attribute, &number)| (attribute, self.root(number)))
    }

    fn take(&mut self, attribute: &Attribute) -> usize {
        if let Some(&number) = self.numbers.get(attribute) {
            let root = self.root(number);
            self.towards_root[number] = root;
            return root;
        }
        let number = self.towards_root.len();
        self.numbers.insert(attribute.clone(), number);
        self.towards_root.push(number);
        self.tables.push([attribute.table.clone()].into());
        number
    }

    /// What a component that was found earlier is part of now.
    pub(super) fn root(&self, mut number: usize) -> usize {
        while self.towards_root[number] != number {
            number = self.towards_root[number];
        }
        number
    }
}
