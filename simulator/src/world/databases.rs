//! What peers ask of their databases, and how it fails: sessions break, databases die. Whatever was asked for then
//! is done or not, and answered as `dejima_core::database` answers when its connection breaks.

use std::collections::BTreeSet;

use dejima_core::name::{Gid, PeerName};
use dejima_core::refusal::Refusal;
use dejima_core::transaction::{Answer, Decision, Input, Millis, Outcome, Request, Resolution};

use super::{Event, World};
use crate::database::Executed;
use crate::fault::Fault;
use crate::step::Work;
use crate::wrong_rule::WrongRule;

/// How long a statement waits for a row lock, in virtual ms.
const LOCK_WAIT_MS: Millis = 60;
/// Between two attempts to get it.
const LOCK_POLL_MS: Millis = 3;
/// The longest time that a slow COMMIT PREPARED takes.
const SLOW_MS_MAX: Millis = 5_000;
/// Between two attempts to roll back what may have been prepared.
const UNDO_MS: Millis = 200;

/// A request that is not carried out yet.
pub(super) struct Pending {
    pub(super) request: Request,
    /// When it was first tried.
    since: Millis,
    /// What the first of the two statements for outcomes has seen.
    look: Option<Look>,
}

/// How far a request is.
enum Progress {
    /// Carried out; with the answer, if it has one.
    Done(Option<Answer>),
    /// To be tried again after so long.
    Again(Millis, Pending),
}

/// The transactions whose lock was held, and those whose decision row was visible, at one moment.
struct Look {
    locked: BTreeSet<Gid>,
    visible: BTreeSet<Gid>,
}

impl World {
    pub(super) fn ask_database(&mut self, peer: usize, request: Request) {
        let mut delay = self.random.below(4);
        if matches!(request, Request::Finish { .. })
            && self.strikes(Fault::FinishSlow, self.weather.slow_finishes)
        {
            delay += self.random.below(SLOW_MS_MAX);
        }
        let pending = Pending {
            request,
            since: self.now,
            look: None,
        };
        self.wait_for_database(peer, delay, pending);
    }

    fn wait_for_database(&mut self, peer: usize, delay: Millis, pending: Pending) {
        let epoch = self.peers[peer].epoch;
        self.at(
            delay,
            Event::Database {
                peer,
                epoch,
                pending,
            },
        );
    }

    /// The database is at it, unless something goes wrong before; and then the answer comes, unless something goes
    /// wrong after.
    pub(super) fn request(&mut self, peer: usize, pending: Pending) {
        let request = pending.request.clone();
        let work = Work::of(&request);
        let (deaths, breaks) = (self.weather.database_deaths, self.breaks(work));
        if !self.peers[peer].is_database_up || self.is_session_broken(peer, &request) {
            return self.fail(peer, request);
        }
        if self.strikes(Fault::DatabaseDiesBefore(work), deaths) {
            self.crash_database(peer);
            return self.fail(peer, request);
        }
        if self.strikes(Fault::SessionBreaksBefore(work), breaks) {
            return self.fail(peer, request);
        }
        let answer = match self.execute(peer, pending) {
            Progress::Done(answer) => answer,
            Progress::Again(delay, pending) => return self.wait_for_database(peer, delay, pending),
        };
        if self.strikes(Fault::DatabaseDiesAfter(work), deaths) {
            self.crash_database(peer);
            self.fail(peer, request);
        } else if self.strikes(Fault::SessionBreaksAfter(work), breaks) {
            self.fail(peer, request);
        } else if self.strikes(Fault::PeerDiesUntold(work), self.weather.peer_deaths) {
            self.kill(peer);
        } else if let Some(answer) = answer {
            let answer = match self.wrong_rule {
                Some(rule) => rule.overlook(answer),
                None => answer,
            };
            self.respond(peer, answer);
        }
    }

    fn breaks(&self, work: Work) -> u64 {
        match work {
            Work::Finish => self.weather.broken_sessions + self.weather.finish_failures,
            _ => self.weather.broken_sessions,
        }
    }

    fn is_session_broken(&self, peer: usize, request: &Request) -> bool {
        match request {
            Request::Apply { gid, .. }
            | Request::Prepare { gid, .. }
            | Request::Rollback { gid } => self.peers[peer].database.has_lost_session(gid),
            _ => false,
        }
    }

    fn execute(&mut self, peer: usize, pending: Pending) -> Progress {
        // Outcomes are asked for in two statements with two snapshots: the locks, then the rows.
        if let (Request::Outcomes { gids }, None) = (&pending.request, &pending.look) {
            let look = Some(self.look(peer, gids));
            return Progress::Again(self.random.below(3), Pending { look, ..pending });
        }
        let Pending {
            request,
            since,
            look,
        } = pending;
        match self.perform(peer, request, self.now < since + LOCK_WAIT_MS) {
            Executed::Answered(answer) => Progress::Done(Some(match look {
                Some(look) => look.second(answer, self.wrong_rule),
                None => answer,
            })),
            Executed::Silent => Progress::Done(None),
            Executed::Waiting(request) => {
                let pending = Pending {
                    request,
                    since,
                    look,
                };
                Progress::Again(LOCK_POLL_MS, pending)
            }
        }
    }

    fn look(&self, peer: usize, gids: &[Gid]) -> Look {
        let database = &self.peers[peer].database;
        let of = |is: &dyn Fn(&Gid) -> bool| gids.iter().filter(|gid| is(gid)).cloned().collect();
        Look {
            locked: of(&|gid| database.is_open(gid)),
            visible: of(&|gid| database.has_decided(gid)),
        }
    }

    /// Carries out a request in the model, and writes down what the invariants want to know of it.
    fn perform(&mut self, peer: usize, request: Request, may_wait: bool) -> Executed {
        let finish = match &request {
            Request::Finish { gid, decision, .. } => Some((gid.clone(), *decision)),
            _ => None,
        };
        if let Request::Forget { gids } = &request {
            if self.wrong_rule == Some(WrongRule::RowsAreKept) {
                return Executed::Silent;
            }
            let database = &self.peers[peer].database;
            for gid in gids {
                let named = database.named(gid).unwrap_or_default();
                self.history.forgets(&self.scenario, peer, gid, named);
            }
        }
        let was_prepared = finish
            .as_ref()
            .is_some_and(|(gid, _)| self.peers[peer].database.is_prepared(gid));
        let executed = self.peers[peer].database.execute(request, may_wait);
        if let (Some((gid, decision)), true) = (finish, was_prepared) {
            self.finished(peer, &gid, decision);
        }
        executed
    }

    fn finished(&mut self, peer: usize, gid: &Gid, decision: Decision) {
        let database = &mut self.peers[peer].database;
        if decision == Decision::Abort && self.wrong_rule == Some(WrongRule::RollbackLeavesRow) {
            database.leave_row(gid);
        }
        let named = database.named(gid).unwrap_or_default();
        self.history.names(&self.scenario, gid, named);
        self.history.finished(gid, peer, decision);
    }

    /// Carries out what nobody will hear of.
    pub(super) fn do_unheard(&mut self, peer: usize, request: Request) {
        let lasts = matches!(
            request,
            Request::Prepare { .. } | Request::Finish { .. } | Request::Forget { .. }
        );
        if lasts && self.peers[peer].is_database_up {
            self.perform(peer, request, false);
        }
    }

    fn respond(&mut self, peer: usize, answer: Answer) {
        let epoch = self.peers[peer].epoch;
        let delay = self.random.below(3);
        let input = Input::Database(answer);
        self.at(delay, Event::Input { peer, epoch, input });
    }

    /// The connection broke before the answer; the request is done, or will never be.
    fn fail(&mut self, peer: usize, request: Request) {
        let failing = &mut self.peers[peer];
        let me = self.scenario.peers[peer].clone();
        let refusal = || Refusal::unreachable(&me, "The connection to the database broke.");
        let why = || "the connection broke".to_owned();
        let answer = match request {
            Request::Apply { gid, .. } => {
                failing.database.lose_session(&gid);
                let refusal = refusal();
                Answer::Refused { gid, refusal }
            }
            Request::Prepare { gid, parent, .. } => {
                failing.database.lose_session(&gid);
                let refusal = refusal();
                // Whatever has become of it, it is rolled back as soon as that is possible.
                let epoch = failing.epoch;
                let undo = Event::UndoPrepare {
                    peer,
                    epoch,
                    gid: gid.clone(),
                    parent,
                };
                let delay = self.random.below(2 * UNDO_MS);
                self.at(delay, undo);
                Answer::Refused { gid, refusal }
            }
            Request::Rollback { gid } => {
                failing.database.lose_session(&gid);
                Answer::RolledBack { gid }
            }
            Request::Finish { gid, .. }
            | Request::Settle { gid, .. }
            | Request::Resolve {
                resolution: Resolution { gid, .. },
            } => Answer::Failed {
                gids: vec![gid],
                why: why(),
            },
            Request::Outcomes { gids } => Answer::Failed { gids, why: why() },
            Request::Forget { gids } => Answer::NotForgotten { gids, why: why() },
            Request::Recover => Answer::RecoveryFailed { why: why() },
        };
        self.respond(peer, answer);
    }

    /// What may have been prepared when its session broke is rolled back; the machine was told "refused".
    pub(super) fn undo_prepare(&mut self, peer: usize, gid: Gid, parent: PeerName) {
        if !self.peers[peer].is_database_up {
            let epoch = self.peers[peer].epoch;
            let undo = Event::UndoPrepare {
                peer,
                epoch,
                gid,
                parent,
            };
            return self.at(UNDO_MS, undo);
        }
        let database = &mut self.peers[peer].database;
        if database.finish(&gid, parent, Decision::Abort) {
            self.finished(peer, &gid, Decision::Abort);
        }
    }

    /// The postmaster dies: all sessions break; what was asked for is durable or gone, and nobody is told which.
    pub(super) fn crash_database(&mut self, peer: usize) {
        if !self.peers[peer].is_database_up {
            return;
        }
        let mut failing = vec![];
        for Pending { request, .. } in self.take_pending(peer) {
            if self.random.chance(500) {
                self.do_unheard(peer, request.clone());
            }
            failing.push(request);
        }
        self.sessions_break(peer);
        let crashed = &mut self.peers[peer];
        crashed.is_database_up = false;
        crashed.database.crash();
        if crashed.machine.is_none() {
            crashed.database.disconnect_peer();
        }
        for request in failing {
            self.fail(peer, request);
        }
        let wait = 10 + self.random.below(self.weather.outage_ms_max);
        self.at(wait, Event::DatabaseStarts { peer });
    }
}

impl Look {
    /// The answer of the second statement, with what the first has seen: a lock that was held then is no free lock.
    fn second(&self, mut answer: Answer, wrong_rule: Option<WrongRule>) -> Answer {
        if let Answer::Outcomes { outcomes } = &mut answer {
            for (gid, outcome) in outcomes {
                if *outcome == Outcome::Aborted && self.locked.contains(gid) {
                    *outcome = Outcome::Pending;
                }
                if let Some(rule) = wrong_rule {
                    *outcome = rule.misread(outcome.clone(), self.visible.contains(gid));
                }
            }
        }
        answer
    }
}
