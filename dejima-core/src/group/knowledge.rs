//! All that a peer knows, in the order in which it has learnt it, and what of it concerns whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::components::Components;
use super::entry::Entry;
use super::log::{Log, Position};
use super::{Attribute, Fact, Shape};
use crate::name::{PeerName, TableName};

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

/// A fact that was taken in.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) learnt: Learnt,
    /// What was known of the peer and the Dejima table before.
    pub(super) before: Option<Arc<Fact>>,
    /// What is known now.
    pub(super) now: Arc<Fact>,
    /// That it stands elsewhere in the log now, if it only became known better.
    pub(super) moved: Option<Moved>,
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
    tables: BTreeMap<TableName, BTreeSet<Entry>>,
    log: Log,
    shapes: BTreeSet<Arc<Shape>>,
    /// Pairs of shapes, by their addresses in memory, of which it is taken in how they hang together.
    linked: BTreeSet<(usize, usize)>,
    /// What hangs together, or did once.
    components: Components,
    /// Counts the changes of what concerns whom.
    version: u64,
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
        let others: Vec<_> = self.others_of(fact).cloned().collect();
        let mut moved = Vec::new();
        for other in others {
            let Some(from) = self.position(other.table(), &other.peer) else {
                continue;
            };
            if from > since {
                continue;
            }
            self.log.remove(from);
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

    /// Takes in one fact.
    pub(super) fn learn(&mut self, fact: &Arc<Fact>) -> Taken {
        let Some((before, position)) = self.find(fact.table(), &fact.peer) else {
            return Taken {
                learnt: Learnt::News,
                before: None,
                now: self.put(fact),
                moved: None,
            };
        };
        let before = Arc::clone(before);
        let is_ambiguous = *before != **fact
            && before.incarnation == fact.incarnation
            && !before.shape.is_partial()
            && !fact.shape.is_partial();
        let joined = before.join(fact);
        let is_news = joined != *before;
        let learnt = match (is_ambiguous, is_news) {
            (true, _) => Learnt::Ambiguous,
            (false, true) => Learnt::News,
            (false, false) => Learnt::Known,
        };
        let now = if is_news {
            self.log.remove(position);
            let is_said = joined == **fact;
            self.put(&if is_said {
                Arc::clone(fact)
            } else {
                Arc::new(joined)
            })
        } else {
            Arc::clone(&before)
        };
        let is_more = learnt == Learnt::News && before.incarnation == now.incarnation;
        let moved = is_more.then(|| Moved {
            from: position,
            before: Arc::clone(&before.shape),
            fact: Arc::clone(&now),
        });
        Taken {
            learnt,
            before: Some(before),
            now,
            moved,
        }
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
        let entry = Entry {
            fact: Arc::clone(fact),
            position: self.log.append(fact),
        };
        let table = self.tables.entry(fact.table().clone()).or_default();
        table.replace(entry);
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
        let others = self.others_of(fact);
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
        let moved = self
            .log
            .after(0)
            .filter(|(_, fact)| shapes.contains(&fact.shape));
        let moved: Vec<_> = moved.map(|(at, fact)| (at, Arc::clone(fact))).collect();
        for (position, fact) in moved {
            self.log.remove(position);
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
        self.tables.values().flatten().map(|entry| &entry.fact)
    }

    /// The facts of one Dejima table, by peer.
    pub(super) fn of_table(&self, table: &TableName) -> impl Iterator<Item = &Arc<Fact>> {
        let facts = self.tables.get(table).into_iter().flatten();
        facts.map(|entry| &entry.fact)
    }

    /// The facts of one peer, by Dejima table.
    pub(super) fn of_peer<'a>(&'a self, peer: &PeerName) -> impl Iterator<Item = &'a Arc<Fact>> {
        self.tables
            .values()
            .filter_map(|table| table.get(peer))
            .map(|entry| &entry.fact)
    }

    /// What else is known of the peer of a fact: the facts of its other Dejima tables.
    pub(super) fn others_of<'a>(&'a self, fact: &Fact) -> impl Iterator<Item = &'a Arc<Fact>> {
        let others = self
            .tables
            .iter()
            .filter(|(table, _)| *table != fact.table());
        others
            .filter_map(|(_, facts)| facts.get(&fact.peer))
            .map(|entry| &entry.fact)
    }

    /// Where a peer is reached, by its own words.
    pub(super) fn address(&self, peer: &PeerName) -> Option<&str> {
        newest(self.of_peer(peer)).map(|fact| &*fact.address)
    }

    /// The peers that are reached at an address, by their own words.
    pub(super) fn residents<'a>(&'a self, address: &'a str) -> impl Iterator<Item = &'a PeerName> {
        let is_there = |fact: &&Arc<Fact>| {
            *fact.address == *address && self.address(&fact.peer) == Some(address)
        };
        self.iter().filter(is_there).map(|fact| &fact.peer)
    }

    /// The Dejima tables of which it is known that a peer shares them, or did.
    pub(super) fn tables_of<'a>(&'a self, peer: &'a PeerName) -> impl Iterator<Item = TableName> {
        self.of_peer(peer).map(|fact| fact.table().clone())
    }

    /// The end of the log.
    pub(super) fn end(&self) -> Position {
        self.log.end()
    }

    /// What stands behind a position, in order.
    pub(super) fn after(&self, position: Position) -> impl Iterator<Item = (Position, &Arc<Fact>)> {
        self.log.after(position)
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

/// What a peer has said last of itself to those that share a Dejima table with it; partial facts come from others, too.
pub(super) fn newest<'a>(facts: impl Iterator<Item = &'a Arc<Fact>>) -> Option<&'a Fact> {
    let said = facts.filter(|fact| !fact.shape.is_partial());
    said.max_by_key(|fact| fact.incarnation).map(|fact| &**fact)
}
