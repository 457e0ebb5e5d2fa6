//! The clients: their statements, the hook's calls, and how their COMMIT ends.

use std::collections::{BTreeSet, VecDeque};

use dejima_core::delta::{BatchLimits, Captured, Key};
use dejima_core::name::Gid;
use dejima_core::transaction::{CallbackAnswer, Decision, Input, Millis, Portion};

use super::{Event, World};
use crate::batch;
use crate::client::{Client, Operation, Phase};
use crate::fault::Fault;

/// The longest time that a slow COMMIT takes after the vote.
const SLOW_MS_MAX: Millis = 15_000;
/// The longest time after its first call at which a helper dies.
const HELPER_MS_MAX: Millis = 60;

impl World {
    pub(super) fn client_begins(&mut self) {
        if self.transactions_left == 0 {
            return;
        }
        self.transactions_left -= 1;
        if self.transactions_left > 0 {
            let pause = self.random.below(self.weather.pause_ms_max);
            self.at(pause, Event::ClientBegins);
        } else {
            let after = self.random.below(self.weather.after_ms_max);
            self.at(after, Event::StormEnds);
        }
        let peer = self.random.index(self.peers.len());
        let operations = self.random_operations(peer);
        self.begin(peer, operations);
    }

    fn random_operations(&mut self, peer: usize) -> Vec<Operation> {
        let attributes: Vec<String> = self.scenario.attributes_of(peer).into_iter().collect();
        let keys = self.scenario.keys;
        let keys: BTreeSet<u64> = (0..1 + self.random.below(3))
            .map(|_| self.random.below(keys))
            .collect();
        keys.into_iter()
            .map(|key| Operation::random(&mut self.random, key, &attributes))
            .collect()
    }

    /// A client's statements, then COMMIT: the hook calls the peer.
    pub(super) fn begin(&mut self, peer: usize, operations: Vec<Operation>) {
        if !self.peers[peer].is_database_up {
            return;
        }
        let name = &self.scenario.peers[peer];
        let gid = format!(
            "{name}:{:08x}-0000-4000-8000-{:012x}",
            self.random.below(1 << 32),
            self.sequence
        );
        let gid = Gid::new(&gid).expect("made like the hook's");
        let database = &mut self.peers[peer].database;
        let mut effects = vec![];
        for operation in operations {
            let key: Key = operation.key();
            let Ok(row) = database.read_for_update(&gid, &key) else {
                return database.roll_back(&gid);
            };
            let Some((new, effect)) = operation.on(row) else {
                continue;
            };
            if database.write(&gid, &key, new).is_err() {
                return database.roll_back(&gid);
            }
            effects.push(effect);
        }
        if !database.has_captured(&gid) {
            return database.roll_back(&gid);
        }
        let client = Client {
            peer,
            effects,
            round: 0,
            phase: Phase::Putting,
            batches: VecDeque::new(),
            batches_total: 1,
        };
        self.clients.insert(gid.clone(), client);
        if self.random.chance(self.weather.helper_deaths) {
            let wait = self.random.below(HELPER_MS_MAX);
            self.at(wait, Event::HelperDies { gid: gid.clone() });
        }
        self.hook_calls(&gid);
    }

    /// The hook starts a helper, which calls the peer.
    pub(super) fn hook_calls(&mut self, gid: &Gid) {
        let Some(client) = self.clients.get_mut(gid) else {
            return;
        };
        let (peer, round) = (client.peer, client.round);
        client.phase = Phase::Calling;
        if self.peers[peer].machine.is_none() {
            return self.aborts(gid);
        }
        let captured = self.peers[peer].database.take_captured(gid);
        let is_batched = round == 0 && self.random.chance(self.scenario.batched);
        let (captured, portion) = if is_batched {
            self.in_batches(peer, gid, captured)
        } else {
            (captured, None)
        };
        let gid = gid.clone();
        self.input(
            peer,
            Input::Callback {
                gid,
                round,
                captured,
                portion,
            },
        );
    }

    /// Leaves the capture's first batch; the others wait to be asked for.
    fn in_batches(
        &mut self,
        peer: usize,
        gid: &Gid,
        captured: Vec<Captured>,
    ) -> (Vec<Captured>, Option<Portion>) {
        let limits = BatchLimits {
            rows_max: 1 + self.random.below(4),
            bytes_max: u64::MAX,
        };
        let mut batches = batch::cut(&self.scenario.memberships(peer), captured, limits);
        let Some(client) = self.clients.get_mut(gid) else {
            return (vec![], None);
        };
        client.batches_total = u32::try_from(batches.len()).expect("a client writes a few rows");
        let (captured, portion) = batches.pop_front().unwrap_or_default();
        client.batches = batches;
        (captured, Some(portion))
    }

    /// The peer reads the next batch, or cannot.
    pub(super) fn read_batch(&mut self, peer: usize, gid: Gid) {
        let is_lost = self.strikes(Fault::BatchLost, self.weather.lost_batches);
        let Some(client) = self.clients.get_mut(&gid) else {
            return;
        };
        let batch = client.batches.pop_front().filter(|_| !is_lost);
        let batch = batch.ok_or_else(|| "the disk is broken".to_owned());
        let epoch = self.peers[peer].epoch;
        let delay = self.random.below(4);
        let input = Input::Batch { gid, batch };
        self.at(delay, Event::Input { peer, epoch, input });
    }

    /// The peer has answered the helper.
    pub(super) fn answer_hook(&mut self, gid: Gid, answer: CallbackAnswer) {
        if let Some(client) = self.clients.get_mut(&gid)
            && client.phase == Phase::Calling
        {
            client.phase = Phase::Answered;
            let delay = self.random.below(4);
            self.at(delay, Event::HookHears { gid, answer });
        }
    }

    /// The helper has answered the hook, which obeys.
    pub(super) fn hook_hears(&mut self, gid: &Gid, answer: CallbackAnswer) {
        let Some(client) = self.clients.get_mut(gid) else {
            return;
        };
        let peer = client.peer;
        match answer {
            CallbackAnswer::Voted { participants } => {
                let commits = !self.strikes(Fault::ClientDies, self.weather.client_deaths);
                self.commit_begins(
                    gid,
                    Phase::Committing {
                        participants,
                        commits,
                    },
                );
            }
            CallbackAnswer::Unshared => {
                let (participants, commits) = (vec![], true);
                self.commit_begins(
                    gid,
                    Phase::Committing {
                        participants,
                        commits,
                    },
                );
            }
            CallbackAnswer::Refused { .. } => self.aborts(gid),
            CallbackAnswer::Apply { puts, .. } => {
                client.phase = Phase::Putting;
                client.round += 1;
                if self.peers[peer].database.put(gid, &puts).is_err() {
                    return self.aborts(gid);
                }
                let delay = 1 + self.random.below(3);
                self.at(delay, Event::HookCalls { gid: gid.clone() });
            }
        }
    }

    /// The hook has returned. What is between it and the COMMIT record can take long.
    fn commit_begins(&mut self, gid: &Gid, phase: Phase) {
        if let Some(client) = self.clients.get_mut(gid) {
            client.phase = phase;
        }
        let mut delay = self.random.below(3);
        if self.strikes(Fault::CommitSlow, self.weather.slow_commits) {
            delay += self.random.below(SLOW_MS_MAX);
        }
        self.at(delay, Event::ClientEnds { gid: gid.clone() });
    }

    pub(super) fn client_ends(&mut self, gid: &Gid) {
        let Some(client) = self.clients.remove(gid) else {
            return;
        };
        let Phase::Committing {
            participants,
            commits: true,
        } = client.phase
        else {
            self.peers[client.peer].database.roll_back(gid);
            return self
                .history
                .decided(gid, client.peer, Decision::Abort, vec![]);
        };
        self.history.names(&self.scenario, gid, &participants);
        self.history.several_rounds += u64::from(client.round > 0);
        self.history.several_batches += u64::from(client.batches_total > 1);
        self.peers[client.peer].database.commit(gid, participants);
        self.history
            .decided(gid, client.peer, Decision::Commit, client.effects);
    }

    /// The client's transaction rolls back.
    fn aborts(&mut self, gid: &Gid) {
        if let Some(client) = self.clients.get_mut(gid) {
            client.phase = Phase::Putting;
            self.client_ends(gid);
        }
    }

    pub(super) fn helper_dies(&mut self, gid: &Gid) {
        let Some(client) = self.clients.get(gid) else {
            return;
        };
        let peer = client.peer;
        match client.phase {
            Phase::Calling => {
                self.faults.count(Fault::HelperDies);
                self.aborts(gid);
                self.input(peer, Input::CallbackLost { gid: gid.clone() });
            }
            Phase::Answered => {
                self.faults.count(Fault::HelperDiesAnswered);
                self.aborts(gid);
            }
            Phase::Putting | Phase::Committing { .. } => {}
        }
    }

    /// The peer is dead: the hooks whose helpers wait for it hear nothing.
    pub(super) fn calls_break(&mut self, peer: usize) {
        let is_calling = |client: &Client| client.peer == peer && client.phase == Phase::Calling;
        for gid in self.gids_of(is_calling) {
            self.aborts(&gid);
        }
    }

    /// The database is dying: clients' transactions are gone, but for a COMMIT that was durable just before. The
    /// helpers are processes of their own: the peer hears of their end, or answers them in vain.
    pub(super) fn sessions_break(&mut self, peer: usize) {
        for gid in self.gids_of(|client| client.peer == peer) {
            let phase = self.clients[&gid].phase.clone();
            match phase {
                Phase::Committing { commits: true, .. } if self.random.chance(500) => {
                    self.faults.count(Fault::CommitDurable);
                    self.client_ends(&gid);
                }
                Phase::Committing { .. } => {
                    self.faults.count(Fault::CommitLost);
                    self.aborts(&gid);
                }
                Phase::Calling if self.random.chance(500) => {
                    self.aborts(&gid);
                    let epoch = self.peers[peer].epoch;
                    let input = Input::CallbackLost { gid };
                    let delay = self.random.below(100);
                    self.at(delay, Event::Input { peer, epoch, input });
                }
                Phase::Calling | Phase::Answered | Phase::Putting => self.aborts(&gid),
            }
        }
    }

    fn gids_of(&self, is_wanted: impl Fn(&Client) -> bool) -> Vec<Gid> {
        let wanted = self.clients.iter().filter(|(_, client)| is_wanted(client));
        wanted.map(|(gid, _)| gid.clone()).collect()
    }
}
