//! The network: it loses, repeats, delays and reorders, it is cut, and it holds what goes to or from the clogged.

use std::collections::{BTreeMap, BTreeSet};

use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{Input, Message, Millis, RequestId, Silence};

use super::{Event, Question, World};
use crate::fault::Fault;
use crate::invariants::need_to_know;

/// How long a question waits for its answer.
const DEADLINE_MS: Millis = 2_000;

/// The state of the ways between the peers.
#[derive(Default)]
pub(super) struct Network {
    /// How often each way is cut.
    cuts: BTreeMap<(usize, usize), u32>,
    clogged: BTreeSet<usize>,
    held: Vec<(usize, usize, Message)>,
    /// When the last message of a way arrives.
    last: BTreeMap<(usize, usize), Millis>,
}

impl Network {
    pub(super) fn cut(&mut self, ways: &[(usize, usize)]) {
        for way in ways {
            *self.cuts.entry(*way).or_default() += 1;
        }
    }

    pub(super) fn join(&mut self, ways: &[(usize, usize)]) {
        for way in ways {
            if let Some(cuts) = self.cuts.get_mut(way) {
                *cuts = cuts.saturating_sub(1);
            }
        }
    }

    pub(super) fn join_all(&mut self) {
        self.cuts.clear();
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|cuts| *cuts > 0)
    }

    fn is_clogged(&self, from: usize, to: usize) -> bool {
        self.clogged.contains(&from) || self.clogged.contains(&to)
    }
}

impl World {
    pub(super) fn send(&mut self, from: usize, to: &PeerName, mut message: Message) {
        if let Some(rule) = self.wrong_rule {
            if rule.swallows(&message) {
                return;
            }
            message = rule.write(message, &self.scenario);
        }
        let Some(to) = self.scenario.position(to) else {
            return;
        };
        self.dispatch(from, to, message.clone());
        if let Some(message) = self.wrong_rule.and_then(|rule| rule.anticipates(&message)) {
            let (peer, epoch) = (from, self.peers[from].epoch);
            let from = self.scenario.peers[to].clone();
            let input = Input::Received { from, message };
            self.at(0, Event::Input { peer, epoch, input });
        }
        if let Some(stranger) = self
            .wrong_rule
            .and_then(|rule| rule.also_tells(&message, &self.scenario))
        {
            self.dispatch(from, stranger, message);
        }
    }

    fn dispatch(&mut self, from: usize, to: usize, message: Message) {
        let leak = need_to_know::leak(&self.scenario, from, to, &message);
        self.history.leaks.extend(leak);
        if let Some((gid, request)) = question(&message) {
            let question = Question {
                to: self.scenario.peers[to].clone(),
                message: message.clone(),
            };
            self.peers[from].questions.insert(request, question);
            let epoch = self.peers[from].epoch;
            self.at(
                DEADLINE_MS,
                Event::Deadline {
                    asker: from,
                    epoch,
                    gid,
                    request,
                },
            );
            if self.strikes(Fault::MessageRepeated, self.weather.repetition) {
                self.carry(from, to, message.clone());
            }
        }
        self.carry(from, to, message);
    }

    fn carry(&mut self, from: usize, to: usize, message: Message) {
        if self.network.is_cut(from, to) {
            return self.faults.count(Fault::MessageCut);
        }
        if self.strikes(Fault::MessageLost, self.weather.loss) {
            return;
        }
        let fixed = if matches!(message, Message::Propagate { .. }) {
            self.delays.pop_front()
        } else {
            None
        };
        let mut delay = fixed.unwrap_or_else(|| self.random.below(self.weather.delay_ms_max + 1));
        if self.strikes(Fault::MessageLate, self.weather.late) {
            delay += self.random.below(3_000);
        }
        let last = self.network.last.entry((from, to)).or_default();
        if self.now + delay < *last {
            self.faults.count(Fault::MessageOvertakes);
        }
        *last = (*last).max(self.now + delay);
        self.at(delay, Event::Message { from, to, message });
    }

    /// A message is at its receiver's door.
    pub(super) fn arrive(&mut self, from: usize, to: usize, message: Message) {
        if self.network.is_cut(from, to) {
            return self.faults.count(Fault::MessageCut);
        }
        if self.network.is_clogged(from, to) {
            self.faults.count(Fault::MessageHeld);
            return self.network.held.push((from, to, message));
        }
        match (question(&message), answered(&message)) {
            (Some((gid, request)), _) if self.peers[to].machine.is_none() => {
                let refused = self.weather.connections_refused;
                if self.strikes(Fault::ConnectionRefused, refused) {
                    self.deadline(from, gid, request);
                }
            }
            (_, Some(request)) if self.peers[to].questions.remove(&request).is_none() => {}
            _ => self.deliver(from, to, message),
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) {
        let message = match self.wrong_rule {
            Some(rule) => rule.forge(message, &self.scenario.peers[to]),
            None => message,
        };
        if self.peers[to].unreachable.remove(&from) {
            self.reaches(to, from);
        }
        let from = self.scenario.peers[from].clone();
        self.input(to, Input::Received { from, message });
    }

    /// A peer that has just started says so to those with whom it shares; once, and nobody answers.
    pub(super) fn greet(&mut self, from: usize) {
        for to in (0..self.peers.len()).filter(|to| *to != from) {
            if self.scenario.are_acquainted(from, to) {
                let delay = self.random.below(self.weather.delay_ms_max + 1);
                self.at(delay, Event::Greeting { from, to });
            }
        }
    }

    pub(super) fn greeted(&mut self, from: usize, to: usize) {
        if !self.network.is_cut(from, to) && !self.network.is_clogged(from, to) {
            self.reaches(to, from);
        }
    }

    fn reaches(&mut self, peer: usize, other: usize) {
        let peer_name = self.scenario.peers[other].clone();
        self.input(peer, Input::Reachable { peer: peer_name });
    }

    /// No answer has come, and none that comes later counts.
    pub(super) fn deadline(&mut self, asker: usize, gid: Gid, request: RequestId) {
        let Some(Question { to, message }) = self.peers[asker].questions.remove(&request) else {
            return;
        };
        let unreachable = self.scenario.position(&to);
        self.peers[asker].unreachable.extend(unreachable);
        let is_away = unreachable.is_some_and(|peer| {
            self.peers[peer].machine.is_none() || self.network.is_cut(asker, peer)
        });
        let presumed = self.wrong_rule.and_then(|rule| rule.presumes(&message));
        let input = match presumed {
            Some(message) => Input::Received { from: to, message },
            None => Input::Undelivered {
                to,
                gid,
                request,
                silence: Silence {
                    why: "no answer".into(),
                    is_away,
                },
            },
        };
        self.input(asker, input);
    }

    /// From now on everything to and from the peer is held.
    pub(super) fn clog(&mut self, peer: usize) {
        if self.is_stormy {
            self.network.clogged.insert(peer);
        }
    }

    /// What was held for the peer goes on.
    pub(super) fn release(&mut self, peer: usize) {
        self.network.clogged.remove(&peer);
        for (from, to, message) in std::mem::take(&mut self.network.held) {
            if self.network.is_clogged(from, to) {
                self.network.held.push((from, to, message));
            } else {
                let delay = self.random.below(self.weather.delay_ms_max + 1);
                self.at(delay, Event::Message { from, to, message });
            }
        }
    }
}

fn question(message: &Message) -> Option<(Gid, RequestId)> {
    match message {
        Message::Propagate { gid, request, .. }
        | Message::Vote { gid, request, .. }
        | Message::Terminate { gid, request, .. }
        | Message::Inquire { gid, request, .. } => Some((gid.clone(), *request)),
        _ => None,
    }
}

fn answered(message: &Message) -> Option<RequestId> {
    match message {
        Message::Propagated { request, .. }
        | Message::Voted { request, .. }
        | Message::Terminated { request, .. }
        | Message::Decided { request, .. } => Some(*request),
        _ => None,
    }
}
