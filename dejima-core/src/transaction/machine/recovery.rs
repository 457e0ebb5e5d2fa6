//! What this peer left unfinished when it ended: found in its database at the start, and taken up.

use std::collections::BTreeMap;

use super::{Machine, Transaction};
use crate::name::{Gid, PeerName};
use crate::transaction::Recovered;
use crate::transaction::interface::{Message, Millis};
use crate::transaction::origin::Origin;
use crate::transaction::participant::Participant;

/// What this peer left unfinished before it was started: not known until the database has said it.
#[derive(Debug)]
pub(super) struct Recovery {
    /// Set after a failure.
    pub(super) again_at: Option<Millis>,
    pub(super) wait: Millis,
    /// Messages that came too early.
    pub(super) early: Vec<(PeerName, Message)>,
}

impl Machine {
    pub(super) fn recovered(&mut self, now: Millis, found: Recovered) {
        let early = self.recovery.take().map(|recovery| recovery.early);
        for (gid, participants) in found.decided {
            self.take_up_decided(now, gid, participants);
        }
        for (gid, parent) in found.prepared {
            let participant = Participant::recovered(&self.context, now, gid.clone(), parent);
            self.take_up(gid, participant);
        }
        let mut finished: BTreeMap<Gid, Vec<PeerName>> = found.finished.into_iter().collect();
        for mut resolution in found.resolved {
            let gid = resolution.gid.clone();
            resolution
                .children
                .extend(finished.remove(&gid).unwrap_or_default());
            let participant = Participant::recovered_resolved(&mut self.context, now, resolution);
            self.take_up(gid, participant);
        }
        for (gid, children) in finished {
            let participant =
                Participant::recovered_finished(&mut self.context, now, gid.clone(), children);
            self.take_up(gid.clone(), participant);
            self.forget_if_over(now, &gid);
        }
        for (from, message) in early.unwrap_or_default() {
            self.received(now, from, message);
        }
        self.tick(now);
    }

    pub(super) fn take_up_decided(&mut self, now: Millis, gid: Gid, participants: Vec<PeerName>) {
        let origin = Origin::recovered(&mut self.context, now, gid.clone(), participants);
        self.transactions
            .insert(gid.clone(), Transaction::Origin(Box::new(origin)));
        self.forget_if_over(now, &gid);
    }

    pub(super) fn take_up(&mut self, gid: Gid, participant: Participant) {
        let participant = Transaction::Participant(Box::new(participant));
        self.transactions.insert(gid, participant);
    }

    pub(super) fn recover_later(&mut self, now: Millis) {
        if let Some(recovery) = &mut self.recovery {
            recovery.again_at = Some(now + recovery.wait);
            recovery.wait = (recovery.wait * 2).min(self.context.limits.retry_ms_max);
        }
    }
}
