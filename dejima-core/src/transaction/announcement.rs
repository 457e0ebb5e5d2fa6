//! A decision on its way down the tree: sent to each peer until that peer acknowledges it.

use std::collections::BTreeMap;

use super::context::Context;
use super::interface::{Decision, Message, Millis, RequestId, WaitingFor};
use crate::name::{Gid, PeerName};
use crate::refusal::Refusal;

/// An abort needs no acknowledgement to be safe: whoever asks later finds no decision row (presumed abort).
const ABORT_ATTEMPTS_MAX: u32 = 10;

/// The decision and those who have not acknowledged it.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    pub(super) decision: Decision,
    /// Why this peer has aborted alone, if it has.
    pub(super) cause: Option<Refusal>,
    waiting: BTreeMap<PeerName, Delivery>,
}

#[derive(Clone, Debug)]
struct Delivery {
    attempts: u32,
    wait: Millis,
    why: String,
    stage: DeliveryStage,
}

#[derive(Clone, Debug)]
enum DeliveryStage {
    Asked(RequestId),
    AgainAt(Millis),
}

impl Announcement {
    /// The decision, told to nobody yet.
    pub(super) fn of(decision: Decision, cause: Option<Refusal>) -> Self {
        Self {
            decision,
            cause,
            waiting: BTreeMap::new(),
        }
    }

    /// The decision, told to everybody at once.
    pub(super) fn start<'a>(
        context: &mut Context,
        gid: &Gid,
        decision: Decision,
        peers: impl IntoIterator<Item = &'a PeerName>,
    ) -> Self {
        let mut announcement = Self::of(decision, None);
        announcement.tell(context, gid, peers);
        announcement
    }

    /// Tells these peers.
    pub(super) fn tell<'a>(
        &mut self,
        context: &mut Context,
        gid: &Gid,
        peers: impl IntoIterator<Item = &'a PeerName>,
    ) {
        for peer in peers {
            let request = tell(context, gid, self.decision, &self.cause, peer);
            let delivery = Delivery {
                attempts: 1,
                wait: context.limits.retry_ms_min,
                why: String::new(),
                stage: DeliveryStage::Asked(request),
            };
            self.waiting.insert(peer.clone(), delivery);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The decision is durable at `from`.
    pub(super) fn acknowledged(&mut self, from: &PeerName) {
        self.waiting.remove(from);
    }

    /// The message or its answer was lost: again, after a while.
    pub(super) fn undelivered(
        &mut self,
        context: &Context,
        now: Millis,
        to: &PeerName,
        request: RequestId,
        why: &str,
    ) {
        let Some(delivery) = self.waiting.get_mut(to) else {
            return;
        };
        if !matches!(delivery.stage, DeliveryStage::Asked(asked) if asked == request) {
            return;
        }
        if self.decision == Decision::Abort && delivery.attempts >= ABORT_ATTEMPTS_MAX {
            self.waiting.remove(to);
            return;
        }
        delivery.why = why.to_owned();
        delivery.stage = DeliveryStage::AgainAt(now + delivery.wait);
        delivery.wait = (delivery.wait * 2).min(context.limits.retry_ms_max);
    }

    /// Sends again what is due.
    pub(super) fn tick(&mut self, context: &mut Context, now: Millis, gid: &Gid) {
        for (peer, delivery) in &mut self.waiting {
            if matches!(delivery.stage, DeliveryStage::AgainAt(at) if at <= now) {
                delivery.attempts += 1;
                delivery.stage =
                    DeliveryStage::Asked(tell(context, gid, self.decision, &self.cause, peer));
            }
        }
    }

    /// The peer answers again: what waits for it is due.
    pub(super) fn hurry(&mut self, context: &Context, now: Millis, peer: &PeerName) {
        if let Some(delivery) = self.waiting.get_mut(peer)
            && matches!(delivery.stage, DeliveryStage::AgainAt(_))
        {
            delivery.stage = DeliveryStage::AgainAt(now);
            delivery.wait = context.limits.retry_ms_min;
        }
    }

    /// Who has not acknowledged.
    pub(super) fn waiting_for(&self) -> Vec<WaitingFor> {
        let waiting = |(peer, delivery): (&PeerName, &Delivery)| WaitingFor {
            peer: peer.clone(),
            attempts: delivery.attempts,
            why: delivery.why.clone(),
        };
        self.waiting.iter().map(waiting).collect()
    }

    pub(super) fn timeout(&self) -> Option<Millis> {
        let due = |delivery: &Delivery| match delivery.stage {
            DeliveryStage::AgainAt(at) => Some(at),
            DeliveryStage::Asked(_) => None,
        };
        self.waiting.values().filter_map(due).min()
    }
}

fn tell(
    context: &mut Context,
    gid: &Gid,
    decision: Decision,
    cause: &Option<Refusal>,
    peer: &PeerName,
) -> RequestId {
    let (gid, cause) = (gid.clone(), cause.clone());
    context.ask(peer, |request| Message::Terminate {
        gid,
        request,
        decision,
        cause,
    })
}
