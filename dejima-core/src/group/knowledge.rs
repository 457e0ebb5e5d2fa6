//! All that a peer knows, in the order in which it has learnt it, and what of it concerns whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::components::Components;
use super::{Attribute, Fact, Shape};
use crate::name::{PeerName, TableName};

/// Where in the log of a peer's knowledge a fact stands; the first is 1. A fact that is replaced, or that comes to
/// concern more peers, moves to the end: whoever has heard everything up to a position needs only what stands behind it.
pub(super) type Position = u64;

/// What learning one fact did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learnt {
    /// Nothing new.
    Known,
    /// It is known now, or more of it is.
    News,
    /// Another whole fact of the same incarnation is known: two peers use one name.
    Ambiguous,
}

/// More has become known of a fact of the same incarnation.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    /// Where it stood in the log.
    pub(super) from: Position,
    /// Its shape before.
    pub(super) before: Arc<Shape>,
    /// What is known now.
    pub(super) fact: Arc<Fact>,
}

/// A set of facts, one for each peer and Dejima table, with a log of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Knowledge {
    tables: BTreeMap<TableName, BTreeMap<PeerName, Entry>>,
    log: BTreeMap<Position, Arc<Fact>>,
    end: Position,
    shapes: BTreeSet<Arc<Shape>>,
    /// Pairs of shapes, by their addresses in memory, of which it is taken in how they hang together.
    linked: BTreeSet<(usize, usize)>,
    /// What hangs together, or did once.
    components: Components,
    /// Counts the changes of what concerns whom.
    version: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    fact: Arc<Fact>,
    position: Position,
}

impl Knowledge {
    /// Takes in how Dejima tables hang together at other peers, from facts that are not to be known any more.
    pub(super) fn observe(&mut self, facts: &[Fact]) {
        let mut by_peer: BTreeMap<&PeerName, Vec<&Shape>> = BTreeMap::new();
        for fact in facts {
            by_peer.entry(&fact.peer).or_default().push(&fact.shape);
        }
        for shapes in by_peer.values() {
            self.components.add_all(shapes);
        }
    }

    /// What a peer shares tells along which ways news of it travel: another Dejima table of it has become known, so what is
    /// known of it otherwise stands at the end of the log again.
    ///
    /// What stands behind `since` nobody has looked at yet.
    pub(super) fn touch(&mut self, fact: &Fact, since: Position) -> Vec<Moved> {
        let others = self
            .of_peer(&fact.peer)
            .filter(|other| other.table() != fact.table());
        let others: Vec<_> = others.cloned().collect();
        let mut moved = Vec::new();
        for other in others {
            let Some(from) = self.position(other.table(), &other.peer) else {
                continue;
            };
            if from > since {
                continue;
            }
            self.log.remove(&from);
            self.append(&other);
            let before = Arc::clone(&other.shape);
            moved.push(Moved {
                from,
                before,
                fact: other,
            });
        }
        moved
    }

    /// Takes in one fact. The second value is what is known now, the third what was known less well before.
    pub(super) fn learn(&mut self, fact: &Arc<Fact>) -> (Learnt, Arc<Fact>, Option<Moved>) {
        let known = self.entry(fact.table(), &fact.peer);
        let known = known.map(|entry| (Arc::clone(&entry.fact), entry.position));
        let Some((known, position)) = known else {
            return (Learnt::News, self.put(fact), None);
        };
        if Arc::ptr_eq(&known, fact) || *known == **fact {
            return (Learnt::Known, known, None);
        }
        let is_ambiguous = known.incarnation == fact.incarnation
            && !known.shape.is_partial()
            && !fact.shape.is_partial();
        let joined = known.join(fact);
        let learnt = if is_ambiguous {
            Learnt::Ambiguous
        } else {
            Learnt::News
        };
        if joined == *known {
            return (
                if is_ambiguous { learnt } else { Learnt::Known },
                known,
                None,
            );
        }
        self.log.remove(&position);
        let joined = if joined == **fact {
            Arc::clone(fact)
        } else {
            Arc::new(joined)
        };
        let now = self.put(&joined);
        let moved = (known.incarnation == now.incarnation && !is_ambiguous).then(|| Moved {
            from: position,
            before: Arc::clone(&known.shape),
            fact: Arc::clone(&now),
        });
        (learnt, now, moved)
    }

    fn put(&mut self, fact: &Arc<Fact>) -> Arc<Fact> {
        let shape = self.intern(&fact.shape);
        let fact = if Arc::ptr_eq(&shape, &fact.shape) {
            Arc::clone(fact)
        } else {
            Arc::new(Fact {
                shape,
                ..(**fact).clone()
            })
        };
        self.append(&fact);
        let grown = self.link(&fact);
        if !grown.is_empty() {
            self.version += 1;
            self.move_to_the_end(&grown);
        }
        fact
    }

    fn append(&mut self, fact: &Arc<Fact>) {
        self.end += 1;
        let entry = Entry {
            fact: Arc::clone(fact),
            position: self.end,
        };
        self.log.insert(self.end, Arc::clone(fact));
        let table = self.tables.entry(fact.table().clone()).or_default();
        table.insert(fact.peer.clone(), entry);
    }

    fn intern(&mut self, shape: &Arc<Shape>) -> Arc<Shape> {
        if let Some(known) = self.shapes.get(shape) {
            return Arc::clone(known);
        }
        self.shapes.insert(Arc::clone(shape));
        self.components.add(shape);
        Arc::clone(shape)
    }

    /// Takes in how the Dejima tables of a peer hang together, now that this fact of it is known. Returns the components
    /// that reach further than before.
    fn link(&mut self, fact: &Fact) -> BTreeSet<usize> {
        let others = self
            .of_peer(&fact.peer)
            .filter(|other| other.table() != fact.table());
        let shapes: Vec<_> = others.map(|other| Arc::clone(&other.shape)).collect();
        let mut grown = BTreeSet::new();
        for shape in shapes {
            let pair = (Arc::as_ptr(&fact.shape).addr(), Arc::as_ptr(&shape).addr());
            if self.linked.insert(pair) {
                grown.extend(self.components.link(&fact.shape, &shape));
                grown.extend(self.components.link(&shape, &fact.shape));
            }
        }
        grown
            .into_iter()
            .map(|number| self.components.root(number))
            .collect()
    }

    /// What concerns more peers than before stands at the end again.
    fn move_to_the_end(&mut self, components: &BTreeSet<usize>) {
        let is_concerned = |shape: &Shape| {
            let mut attributes = shape.attributes();
            attributes.any(|attribute| {
                self.components
                    .of(&attribute)
                    .is_some_and(|of| components.contains(&of))
            })
        };
        let shapes: BTreeSet<_> = self
            .shapes
            .iter()
            .filter(|shape| is_concerned(shape))
            .cloned()
            .collect();
        let moved: Vec<_> = self
            .log
            .iter()
            .filter(|(_, fact)| shapes.contains(&fact.shape))
            .collect();
        let moved: Vec<_> = moved
            .into_iter()
            .map(|(&at, fact)| (at, Arc::clone(fact)))
            .collect();
        for (position, fact) in moved {
            self.log.remove(&position);
            self.append(&fact);
        }
    }

    fn entry(&self, table: &TableName, peer: &PeerName) -> Option<&Entry> {
        self.tables.get(table)?.get(peer)
    }

    /// What is known of one peer and Dejima table.
    pub(super) fn of(&self, table: &TableName, peer: &PeerName) -> Option<&Arc<Fact>> {
        self.entry(table, peer).map(|entry| &entry.fact)
    }

    /// The same, and where in the log it stands.
    pub(super) fn find(
        &self,
        table: &TableName,
        peer: &PeerName,
    ) -> Option<(&Arc<Fact>, Position)> {
        self.entry(table, peer)
            .map(|entry| (&entry.fact, entry.position))
    }

    /// Where in the log that stands.
    pub(super) fn position(&self, table: &TableName, peer: &PeerName) -> Option<Position> {
        self.entry(table, peer).map(|entry| entry.position)
    }

    /// All facts, by Dejima table and peer.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Fact>> {
        self.tables
            .values()
            .flat_map(BTreeMap::values)
            .map(|entry| &entry.fact)
    }

    /// The facts of one Dejima table, by peer.
    pub(super) fn of_table(&self, table: &TableName) -> impl Iterator<Item = &Arc<Fact>> {
        let facts = self
            .tables
            .get(table)
            .into_iter()
            .flat_map(BTreeMap::values);
        facts.map(|entry| &entry.fact)
    }

    /// The facts of one peer, by Dejima table.
    pub(super) fn of_peer<'a>(&'a self, peer: &'a PeerName) -> impl Iterator<Item = &'a Arc<Fact>> {
        self.tables
            .values()
            .filter_map(|table| table.get(peer))
            .map(|entry| &entry.fact)
    }

    /// The Dejima tables of which it is known that a peer shares them, or did.
    pub(super) fn tables_of<'a>(&'a self, peer: &'a PeerName) -> impl Iterator<Item = TableName> {
        self.of_peer(peer).map(|fact| fact.table().clone())
    }

    /// The end of the log.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// What stands behind a position, in order.
    pub(super) fn after(&self, position: Position) -> impl Iterator<Item = (Position, &Arc<Fact>)> {
        self.log.range(position + 1..).map(|(&at, fact)| (at, fact))
    }

    /// Counts the changes of what concerns whom.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// What of a shape may be told to a peer that shares these Dejima tables (invariant 5): all of it to a member,
    /// and to others the columns that hang together with columns of theirs.
    pub(super) fn visible(
        &self,
        shape: &Arc<Shape>,
        tables: &BTreeSet<TableName>,
    ) -> Option<Arc<Shape>> {
        if tables.contains(&shape.table) {
            return Some(Arc::clone(shape));
        }
        let concerned = shape.attributes().filter(|attribute| {
            let component = self.components.of(attribute);
            component
                .is_some_and(|component| !self.components.tables(component).is_disjoint(tables))
        });
        let links = concerned.map(|attribute| {
            let linked = shape.links.get(&attribute.column).cloned();
            (attribute.column, linked.unwrap_or_default())
        });
        let partial = Shape {
            schema: None,
            links: links.collect(),
            ..(**shape).clone()
        };
        if partial.links.is_empty() {
            return None;
        }
        if partial == **shape {
            return Some(Arc::clone(shape));
        }
        let known = self.shapes.get(&partial).cloned();
        Some(known.unwrap_or_else(|| Arc::new(partial)))
    }

    /// The Dejima tables of the component of an attribute.
    pub(super) fn component(&self, attribute: &Attribute) -> Option<&BTreeSet<TableName>> {
        self.components
            .of(attribute)
            .map(|component| self.components.tables(component))
    }
}
