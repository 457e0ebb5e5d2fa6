//! One address that is called: when, with what success, and what is known there.

use std::collections::BTreeMap;

use super::{Fact, Limits, Reach};
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

/// An address and how the calls of it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Contact {
    /// When to call next; absent while nothing is to be said, or while a call is under way.
    pub(super) due: Option<Millis>,
    /// What is being said in the call under way.
    pub(super) in_flight: Option<Vec<Fact>>,
    /// Calls in a row that did not bring what was wanted.
    pub(super) attempts: u32,
    /// Who answered there last, since this peer started.
    pub(super) answered_by: Option<PeerName>,
    /// When it was last heard of.
    pub(super) last_answer: Option<Millis>,
    /// Why the last contact failed.
    pub(super) error: Option<String>,
    /// The incarnations of the facts that are known there.
    told: BTreeMap<(TableName, PeerName), u64>,
}

impl Contact {
    /// It has answered, or has called itself.
    pub(super) fn heard(&mut self, now: Millis) {
        self.last_answer = Some(now);
        self.error = None;
    }

    /// These facts are known there.
    pub(super) fn knows<'a>(&mut self, facts: impl IntoIterator<Item = &'a Fact>) {
        for fact in facts {
            let known = self
                .told
                .entry((fact.table.clone(), fact.peer.clone()))
                .or_default();
            *known = (*known).max(fact.incarnation);
        }
    }

    /// Whether this fact is known there.
    pub(super) fn is_told(&self, fact: &Fact) -> bool {
        let known = self.told.get(&(fact.table.clone(), fact.peer.clone()));
        known.is_some_and(|&incarnation| incarnation >= fact.incarnation)
    }

    /// The peer there has started again: it may have forgotten.
    pub(super) fn restarted(&mut self) {
        self.told.clear();
        self.call_soon();
    }

    /// It is alive: what was put off need not wait any longer.
    pub(super) fn call_soon(&mut self) {
        self.attempts = 0;
        self.due = None;
    }

    /// Whether it can be reached, as far as is known.
    pub(super) fn reach(&self) -> Reach {
        match (&self.error, self.last_answer) {
            (Some(_), _) => Reach::Unreachable,
            (None, Some(_)) => Reach::Reachable,
            (None, None) => Reach::Unknown,
        }
    }

    /// How long to wait before the next call: doubled by each failure, spread by a hash of `salt` so that
    /// peers that were started together don't call together.
    pub(super) fn backoff(&self, limits: &Limits, salt: &str) -> Millis {
        let doublings = self.attempts.saturating_sub(1).min(20);
        let longest = (limits.retry_ms_min << doublings).min(limits.retry_ms_max);
        let half = longest / 2;
        half + hash(salt, self.attempts) % (longest - half + 1)
    }
}

/// FNV-1a: the machine rolls no dice, so the spread comes from who calls whom how often.
fn hash(salt: &str, attempt: u32) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    salt.bytes()
        .chain(attempt.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let limits = Limits {
            retry_ms_min: 100,
            retry_ms_max: 1_000,
            news_ms: 0,
        };
        let wait = |attempts| {
            Contact {
                attempts,
                ..Contact::default()
            }
            .backoff(&limits, "a b")
        };
        for (attempts, longest) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1_000),
            (60, 1_000),
        ] {
            assert!(
                (longest / 2..=longest).contains(&wait(attempts)),
                "{attempts}: {}",
                wait(attempts)
            );
        }
    }

    #[test]
    fn peers_spread() {
        let limits = Limits::default();
        let contact = Contact {
            attempts: 6,
            ..Contact::default()
        };
        assert_ne!(
            contact.backoff(&limits, "bank http://a"),
            contact.backoff(&limits, "insurance http://a")
        );
    }
}
