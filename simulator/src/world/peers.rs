//! The peers: started, given their inputs, killed in the middle.

use dejima_core::transaction::{Input, Limits, Machine, Millis, Output};

use super::databases::Pending;
use super::{Event, World};
use crate::fault::Fault;
use crate::step::Step;
use crate::wrong_rule::WrongRule;

impl World {
    /// Starts a peer, unless it runs.
    pub(super) fn start(&mut self, peer: usize) {
        if self.peers[peer].machine.is_some() {
            return;
        }
        let epoch = self.peers[peer].epoch + 1;
        let name = self.scenario.peers[peer].clone();
        let first_request = u64::from(epoch) << 32;
        self.peers[peer].epoch = epoch;
        self.peers[peer].machine = Some(Machine::new(name, Limits::default(), first_request));
        let tables = self.scenario.memberships(peer);
        self.input(peer, Input::Members { tables });
        self.input(peer, Input::Started);
        self.greet(peer);
    }

    /// kill -9: what was in the peer's memory is gone, its sessions break, its clients' hooks hear nothing.
    pub(super) fn kill(&mut self, peer: usize) {
        if self.peers[peer].machine.is_none() {
            return;
        }
        // What its sessions were told to do may still be done: a backend ends when it next looks.
        for Pending { request, .. } in self.take_pending(peer) {
            if self.random.chance(500) {
                self.do_unheard(peer, request);
            }
        }
        let killed = &mut self.peers[peer];
        killed.machine = None;
        killed.epoch += 1;
        killed.questions.clear();
        killed.unreachable.clear();
        killed.next_tick = None;
        killed.database.disconnect_peer();
        if self.wrong_rule == Some(WrongRule::PreparedIsForgotten) {
            killed.database.forget_prepared();
        }
        self.calls_break(peer);
        let wait = 10 + self.random.below(self.weather.outage_ms_max);
        self.at(wait, Event::PeerStarts { peer });
    }

    /// One step of a peer: an input, then what follows from it. It can be killed before, and after: then some of
    /// what follows is carried out, for the real peer hands its outputs to tasks that run in any order.
    pub(super) fn input(&mut self, peer: usize, input: Input) {
        let step = Step::of(&input);
        if self.peers[peer].machine.is_none() {
            return;
        }
        if self.strikes(Fault::PeerDiesBefore(step), self.weather.peer_deaths) {
            return self.kill(peer);
        }
        let dies = self.strikes(Fault::PeerDiesAfter(step), self.weather.peer_deaths);
        let share = self.random.one_of(&[0, 500, 1_000]);
        let Some(machine) = &mut self.peers[peer].machine else {
            return;
        };
        machine.handle(self.now, input);
        let mut outputs = vec![];
        while let Some(output) = machine.poll_output() {
            outputs.push(output);
        }
        let timeout = machine.poll_timeout();
        for output in outputs {
            if !dies || self.random.chance(share) {
                self.output(peer, output);
            }
        }
        if dies {
            self.kill(peer);
        } else {
            self.schedule_tick(peer, timeout);
        }
    }

    fn schedule_tick(&mut self, peer: usize, timeout: Option<Millis>) {
        let Some(timeout) = timeout else { return };
        let due = timeout.max(self.now + 1);
        if self.peers[peer].next_tick.is_none_or(|next| due < next) {
            self.peers[peer].next_tick = Some(due);
            let epoch = self.peers[peer].epoch;
            self.at(due - self.now, Event::Tick { peer, epoch });
        }
    }

    fn output(&mut self, peer: usize, output: Output) {
        match output {
            Output::Send { to, message } => self.send(peer, &to, message),
            Output::Callback { gid, answer } => self.answer_hook(gid, answer),
            Output::Resolved { .. } => {}
            Output::NextBatch { gid } => self.read_batch(peer, gid),
            Output::Database(request) => self.ask_database(peer, request),
        }
    }
}
