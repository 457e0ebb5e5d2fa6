//! One address that is called: when, with what success, and what is known there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::knowledge::{Knowledge, Moved};
use super::log::Position;
use super::members::Members;
use super::ranges::Ranges;
use super::{Covered, Fact, Heard, Limits, Reach, Said, Shape, way};
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

/// An address and how the calls of it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Contact {
    /// When to call next; absent while nothing is to be said, or while a call is under way.
    pub(super) due: Option<Millis>,
    /// Since when there is something to be said.
    pub(super) since: Option<Millis>,
    /// What the call under way covers.
    pub(super) in_flight: Option<InFlight>,
    /// Calls in a row that did not bring what was wanted.
    pub(super) attempts: u32,
    /// Who answered there last, since this peer started.
    pub(super) answered_by: Option<PeerName>,
    /// When it was last heard of.
    pub(super) last_answer: Option<Millis>,
    /// Why the last contact failed.
    pub(super) error: Option<String>,
    /// It said that it has more to say than fits into one message.
    pub(super) has_more: bool,
    /// What this peer has of the log there.
    heard: Heard,
    /// Up to where the own log is known there, as far as can be known: an answer may be lost.
    known: Position,
    /// Further facts of the own log that came from there.
    from_there: Ranges,
    /// Up to where the own log holds nothing that is to be told there.
    looked: Position,
    /// What decided along which ways news reach it when the log was looked at.
    ways: (BTreeSet<TableName>, BTreeSet<TableName>, u64, u64),
    concern: Concern,
}

/// A call under way.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    /// What it covers.
    pub(super) covers: Covered,
    /// What it says about this peer itself.
    pub(super) own: Vec<Arc<Fact>>,
}

/// What may be told at an address (invariant 5).
#[derive(Clone, Debug, Default)]
struct Concern {
    /// The peer there.
    peer: Option<PeerName>,
    /// The Dejima tables that it shares with this peer.
    tables: BTreeSet<TableName>,
    /// The Dejima tables of which it is only said to share them: it is told what this peer shares, and nothing of others.
    said_to_share: BTreeSet<TableName>,
    /// Counts the changes of the above: what was covered before is not covered after.
    epoch: u16,
    /// The version of the knowledge that the next field belongs to.
    version: u64,
    /// By the address in memory of a shape that the knowledge keeps.
    visible: BTreeMap<usize, Option<Arc<Shape>>>,
}

impl Contact {
    /// It has answered, or has called itself.
    pub(super) fn is_heard_of(&mut self, now: Millis) {
        self.last_answer = Some(now);
        self.error = None;
    }

    /// It is alive: what was put off need not wait any longer.
    pub(super) fn call_soon(&mut self) {
        self.attempts = 0;
        self.due = None;
    }

    /// Takes in who is there and which Dejima tables it shares: more of them make more facts concern it. Of
    /// `said_to_share` nobody knows more than that a seed or another peer says so.
    pub(super) fn concerns(
        &mut self,
        peer: Option<&PeerName>,
        tables: BTreeSet<TableName>,
        said_to_share: BTreeSet<TableName>,
    ) {
        let concern = &mut self.concern;
        if concern.peer.as_ref() == peer
            && concern.tables == tables
            && concern.said_to_share == said_to_share
        {
            return;
        }
        if concern.peer.is_some() && concern.peer.as_ref() != peer {
            self.heard = Heard::default();
        }
        concern.peer = peer.cloned();
        concern.tables = tables;
        concern.said_to_share = said_to_share;
        concern.epoch = concern.epoch.wrapping_add(1);
        concern.visible.clear();
        self.from_there = Ranges::default();
        self.forget_from(0);
    }

    /// Takes in what the peer there says about the two logs. Whatever it told is known there.
    pub(super) fn listen(&mut self, life: u64, knowledge: &Knowledge, said: &Said) {
        let covered = said.covers;
        if self.heard.upto > 0 && start_of(covered.life) != start_of(self.heard.life) {
            // It may have been killed before it had saved what it said and heard.
            self.from_there = Ranges::default();
        }
        if covered.life != self.heard.life {
            self.heard = Heard {
                life: covered.life,
                upto: 0,
            };
        }
        if covered.after <= self.heard.upto {
            self.heard.upto = self.heard.upto.max(covered.upto);
        }
        self.has_more = covered.is_partly;
        let is_mine = said.heard.life == self.log_of(life) && said.heard.upto <= knowledge.end();
        let known = if is_mine { said.heard.upto } else { 0 };
        if known < self.known {
            self.forget_from(known);
        }
        self.known = self.known.max(known);
        self.is_told_of(knowledge, &said.facts);
    }

    /// Where in the own log that stands which a fact from there shows to be known there: all that would be told of it.
    fn known_there(&mut self, knowledge: &Knowledge, fact: &Arc<Fact>) -> Option<Position> {
        let (known, position) = knowledge.find(fact.table(), &fact.peer)?;
        if known.incarnation > fact.incarnation {
            return None;
        }
        let is_all = Arc::ptr_eq(&known.shape, &fact.shape)
            || match self.concern.visible(knowledge, &known.shape) {
                Some(shape) => fact.shape.contains(&shape),
                None => true,
            };
        is_all.then_some(position)
    }

    /// It was told what a message covered.
    pub(super) fn is_told(&mut self, life: u64, covered: Covered) {
        if covered.life == self.log_of(life) {
            self.known = self.known.max(covered.upto);
            self.from_there.forget(self.known);
        }
    }

    /// A fact has moved in the own log: more of it is known now. What was known there still is, if that is all that
    /// would be told of it.
    pub(super) fn moved(&mut self, knowledge: &Knowledge, moved: &Moved) {
        let was_known = moved.from <= self.known || self.from_there.contains(moved.from);
        let Some(position) = knowledge
            .position(moved.fact.table(), &moved.fact.peer)
            .filter(|_| was_known)
        else {
            return;
        };
        let before = self.concern.visible(knowledge, &moved.before);
        let after = self.concern.visible(knowledge, &moved.fact.shape);
        let is_known =
            after.is_none_or(|after| before.is_some_and(|before| before.contains(&after)));
        if is_known {
            self.from_there.insert(position);
        }
    }

    /// It was told these facts, whatever was known of it then.
    pub(super) fn is_told_of(&mut self, knowledge: &Knowledge, facts: &[Arc<Fact>]) {
        for fact in facts {
            if let Some(position) = self.known_there(knowledge, fact) {
                self.from_there.insert(position);
            }
        }
    }

    /// What is to be told there, `max` facts at most.
    pub(super) fn speak(
        &mut self,
        me: &PeerName,
        life: u64,
        knowledge: &Knowledge,
        max: usize,
    ) -> Said {
        let covers = Covered {
            life: self.log_of(life),
            after: self.known,
            upto: knowledge.end(),
            is_partly: false,
        };
        let mut said = Said {
            facts: Vec::new(),
            covers,
            heard: self.heard,
        };
        for (position, fact) in knowledge.after(self.known) {
            if self.from_there.contains(position) {
                continue;
            }
            let Some(shape) = self.concern.shape_for(me, knowledge, fact) else {
                continue;
            };
            if said.facts.len() == max {
                said.covers.upto = position - 1;
                said.covers.is_partly = true;
                break;
            }
            said.facts.push(with_shape(fact, shape));
        }
        said
    }

    /// Whether anything is to be told there along the trees of these Dejima tables, and if so whether any of it is about
    /// `me`.
    pub(super) fn news(
        &mut self,
        me: &PeerName,
        knowledge: &Knowledge,
        members: &Members,
        along: &BTreeSet<TableName>,
    ) -> Option<bool> {
        let there = self
            .concern
            .peer
            .as_ref()
            .map(|peer| knowledge.tables_of(peer).collect());
        let mut there: BTreeSet<TableName> = there.unwrap_or_default();
        there.extend(self.concern.tables.iter().cloned());
        let ways = (
            along.clone(),
            there.clone(),
            members.version(),
            knowledge.version(),
        );
        if self.ways != ways {
            self.ways = ways;
            self.looked = 0;
        }
        self.looked = self.looked.max(self.known);
        let to = self.concern.peer.clone();
        let is_due = |fact: &Fact| {
            let to = to.as_ref();
            to.is_none_or(|to| way::is_due(knowledge, members, fact, me, to, &there, along))
        };
        let to = self.concern.peer.clone();
        let mut is_news = |position: Position, fact: &Arc<Fact>| {
            // What it is told of itself is no reason to call it.
            Some(&fact.peer) != to.as_ref()
                && position > self.known
                && !self.from_there.contains(position)
                && self.concern.shape_for(me, knowledge, fact).is_some()
                && is_due(fact)
        };
        let mut own = knowledge.of_peer(me);
        if own.any(|fact| {
            let position = knowledge.position(fact.table(), me);
            position.is_some_and(|position| is_news(position, fact))
        }) {
            return Some(true);
        }
        for (position, fact) in knowledge.after(self.looked) {
            if is_news(position, fact) {
                return Some(false);
            }
            self.looked = position;
        }
        None
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

    fn forget_from(&mut self, known: Position) {
        self.known = known;
        self.looked = known;
    }

    /// What this life of the own log is called there.
    fn log_of(&self, life: u64) -> u64 {
        life << 16 | u64::from(self.concern.epoch)
    }
}

impl Concern {
    fn shape_for(
        &mut self,
        me: &PeerName,
        knowledge: &Knowledge,
        fact: &Fact,
    ) -> Option<Arc<Shape>> {
        if fact.peer == *me && !self.said_to_share.is_empty() {
            let tables = self.tables.union(&self.said_to_share).cloned().collect();
            return knowledge.visible(&fact.shape, &tables);
        }
        self.visible(knowledge, &fact.shape)
    }

    fn visible(&mut self, knowledge: &Knowledge, shape: &Arc<Shape>) -> Option<Arc<Shape>> {
        if self.version != knowledge.version() {
            self.version = knowledge.version();
            self.visible.clear();
        }
        let place = Arc::as_ptr(shape).addr();
        let visible = self.visible.entry(place);
        visible
            .or_insert_with(|| knowledge.visible(shape, &self.tables))
            .clone()
    }
}

fn with_shape(fact: &Arc<Fact>, shape: Arc<Shape>) -> Arc<Fact> {
    if Arc::ptr_eq(&fact.shape, &shape) {
        return Arc::clone(fact);
    }
    Arc::new(Fact {
        shape,
        ..(**fact).clone()
    })
}

/// The start of a peer that a life of its log belongs to.
fn start_of(life: u64) -> u64 {
    life >> 16
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

    fn waiting(attempts: u32) -> Contact {
        Contact {
            attempts,
            ..Contact::default()
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let limits = Limits {
            retry_ms_min: 100,
            retry_ms_max: 1_000,
            ..Limits::default()
        };
        for (attempts, longest) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1_000),
            (60, 1_000),
        ] {
            let wait = waiting(attempts).backoff(&limits, "a b");
            assert!(
                (longest / 2..=longest).contains(&wait),
                "{attempts}: {wait}"
            );
        }
    }

    #[test]
    fn peers_spread() {
        let limits = Limits::default();
        assert_ne!(
            waiting(6).backoff(&limits, "bank http://a"),
            waiting(6).backoff(&limits, "insurance http://a")
        );
    }
}
