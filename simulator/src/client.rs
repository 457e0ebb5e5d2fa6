//! The clients: what they do to their own tables, and what that means for everyone.

use std::collections::{BTreeMap, VecDeque};

use dejima_core::delta::{Captured, Key, Value};
use dejima_core::name::PeerName;
use dejima_core::transaction::Portion;

use crate::database::BaseRow;
use crate::random::Random;

/// Stands in every value that a client makes up, behind the name of its attribute: a value in the wrong place is seen.
pub const MARK: char = '§';

/// A client between the first statement and the end of its transaction.
#[derive(Debug)]
pub struct Client {
    /// Where it is connected.
    pub peer: usize,
    /// What its statements did.
    pub effects: Vec<Effect>,
    /// How many times the hook has put what came back.
    pub round: u32,
    /// How far its COMMIT is.
    pub phase: Phase,
    /// What is left of a capture that is taken in batches.
    pub batches: VecDeque<(Vec<Captured>, Portion)>,
    /// The number of batches.
    pub batches_total: u32,
}

/// How far a client's COMMIT is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The helper waits for the peer.
    Calling,
    /// The helper has the peer's answer, the hook has not.
    Answered,
    /// The hook puts what came back.
    Putting,
    /// The hook has returned: the COMMIT record decides.
    Committing {
        /// As the hook was told, for the decision row.
        participants: Vec<PeerName>,
        /// False if the client dies before.
        commits: bool,
    },
}

/// What a statement means, independent of where it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The row.
    pub key: Key,
    /// `None`: it is gone. Else the attributes set; the row exists afterwards.
    pub values: Option<BTreeMap<String, Value>>,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Operation {
    key: u64,
    deletes: bool,
    values: BTreeMap<String, Value>,
}

impl Operation {
    /// Inserts the row, or updates it if it is there.
    pub fn set(key: u64, values: &[(&str, &str)]) -> Self {
        let value =
            |(attribute, value): &(&str, &str)| ((*attribute).to_owned(), Some((*value).into()));
        Self {
            key,
            deletes: false,
            values: values.iter().map(value).collect(),
        }
    }

    /// Anything.
    pub fn random(random: &mut Random, key: u64, attributes: &[String]) -> Self {
        let mut values = BTreeMap::new();
        for attribute in attributes {
            if random.chance(500) {
                let value = ["x", "y", "Y", "z", "Z", "bad"]
                    .get(random.index(7))
                    .map(|value| format!("{attribute}{MARK}{value}").into());
                values.insert(attribute.clone(), value);
            }
        }
        Self {
            key,
            deletes: random.chance(200),
            values,
        }
    }

    /// The row's key.
    pub fn key(&self) -> Key {
        vec![format!("k{}", self.key).into()]
    }

    /// The new row and its meaning; `None` if there is nothing to do.
    pub fn on(&self, row: Option<BaseRow>) -> Option<(Option<BaseRow>, Effect)> {
        let key = self.key();
        if self.deletes {
            row?;
            return Some((None, Effect { key, values: None }));
        }
        let mut new = row.unwrap_or_default();
        for (attribute, value) in &self.values {
            match value {
                Some(value) => new.insert(attribute.clone(), value.clone()),
                None => new.remove(attribute),
            };
        }
        Some((
            Some(new),
            Effect {
                key,
                values: Some(self.values.clone()),
            },
        ))
    }
}
