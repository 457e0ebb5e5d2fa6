//! Facts in the order in which they were learnt.

use std::sync::Arc;

use super::Fact;

/// Where in the log of a peer's knowledge a fact stands; the first is 1. A fact that is replaced, or that comes to
/// concern more peers, moves to the end: whoever has heard everything up to a position needs only what stands behind it.
pub(super) type Position = u64;

/// The log. What moves to its end leaves a gap, and the gaps are closed as soon as they are more than the facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// By position.
    places: Vec<(Position, Option<Arc<Fact>>)>,
    gaps: usize,
    end: Position,
}

impl Log {
    /// Puts a fact at the end.
    pub(super) fn append(&mut self, fact: &Arc<Fact>) -> Position {
        self.end += 1;
        self.places.push((self.end, Some(Arc::clone(fact))));
        self.end
    }

    /// Takes out what stands at a position.
    pub(super) fn remove(&mut self, position: Position) {
        let Ok(place) = self.places.binary_search_by_key(&position, |place| place.0) else {
            return;
        };
        self.gaps += usize::from(self.places[place].1.take().is_some());
        if self.gaps > self.places.len() / 2 {
            self.places.retain(|(_, fact)| fact.is_some());
            self.gaps = 0;
        }
    }

    /// What stands behind a position, in order.
    pub(super) fn after(&self, position: Position) -> impl Iterator<Item = (Position, &Arc<Fact>)> {
        let begin = self.places.partition_point(|place| place.0 <= position);
        let places = self.places[begin..].iter();
        places.filter_map(|(position, fact)| Some((*position, fact.as_ref()?)))
    }

    /// The last position that was ever given.
    pub(super) fn end(&self) -> Position {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::{Links, Shape};
    use super::*;
    use crate::name::{PeerName, TableName};

    fn fact() -> Arc<Fact> {
        Arc::new(Fact {
            peer: PeerName::new("bank").expect("a name"),
            address: "http://bank".into(),
            incarnation: 1,
            shape: Arc::new(Shape {
                table: TableName::new("A").expect("a name"),
                schema: None,
                links: Links::new(),
                has_left: false,
            }),
        })
    }

    proptest! {
        #[test]
        fn it_is_what_was_put_in_and_not_taken_out(steps in proptest::collection::vec(0u64..60, 0..120)) {
            let fact = fact();
            let mut log = Log::default();
            let mut expected = BTreeSet::new();
            for position in steps {
                log.remove(position);
                if !expected.remove(&position) {
                    expected.insert(log.append(&fact));
                }
                prop_assert!(log.places.len() <= 2 * expected.len() + 1);
                for after in [0, position, log.end()] {
                    let found = log.after(after).map(|(position, _)| position);
                    prop_assert!(found.eq(expected.range(after + 1..).copied()));
                }
            }
        }
    }
}
