//! What every part of the machine writes to: the outputs, and the numbers of its questions.

use std::collections::{BTreeMap, VecDeque};

use super::changes::Tables;
use super::interface::{
    CallbackAnswer, Limits, Membership, Message, Millis, Output, RequestId, Silence,
};
use super::{GroupVersion, Request};
use crate::delta::Delta;
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;

/// How long nothing new is sent to a peer that is away, unless it is heard of.
const AWAY_MS: Millis = 250;
/// How long a row that may go waits for others to go with it.
const FORGET_MS: Millis = 25;
/// How long after a failure the database is asked again.
const FORGET_AGAIN_MS: Millis = 1_000;
/// How many rows go at once at the most.
const FORGET_MAX: usize = 1_000;

/// The peer around its transactions.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) me: PeerName,
    pub(super) limits: Limits,
    pub(super) tables: Tables,
    pub(super) outputs: VecDeque<Output>,
    /// Transactions whose rows may go, and when at the latest: one request for many.
    pub(super) forgettable: Vec<Gid>,
    pub(super) forget_at: Option<Millis>,
    pub(super) next_request: RequestId,
    /// Peers that could not be reached a moment ago.
    pub(super) away: BTreeMap<PeerName, Away>,
}

/// A peer that could not be reached.
#[derive(Debug)]
pub(super) struct Away {
    /// When it is tried again.
    until: Millis,
    /// Why it could not be reached.
    why: String,
}

impl Context {
    /// Sends a question and returns its number.
    pub(super) fn ask(
        &mut self,
        to: &PeerName,
        question: impl FnOnce(RequestId) -> Message,
    ) -> RequestId {
        let request = self.next_request;
        self.next_request += 1;
        self.reply(to, question(request));
        request
    }

    /// Sends an answer.
    pub(super) fn reply(&mut self, to: &PeerName, message: Message) {
        self.outputs.push_back(Output::Send {
            to: to.clone(),
            message,
        });
    }

    /// Asks the database.
    pub(super) fn database(&mut self, request: Request) {
        self.outputs.push_back(Output::Database(request));
    }

    /// Everybody has acknowledged: the rows of the transaction are of no use any more.
    pub(super) fn forget(&mut self, now: Millis, gid: &Gid) {
        self.forgettable.push(gid.clone());
        self.forget_at.get_or_insert(now + FORGET_MS);
    }

    /// The database could not forget them now.
    pub(super) fn forget_later(&mut self, now: Millis, gids: &[Gid]) {
        self.forgettable.extend_from_slice(gids);
        self.forget_at = Some(now + FORGET_AGAIN_MS);
    }

    /// Asks the database to forget what is due.
    pub(super) fn forget_due(&mut self, now: Millis) {
        let is_due = self.forget_at.is_some_and(|at| at <= now);
        if is_due || self.forgettable.len() == FORGET_MAX {
            self.forget_at = None;
            let gids = std::mem::take(&mut self.forgettable);
            self.database(Request::Forget { gids });
        }
    }

    /// Answers the hook.
    pub(super) fn callback(&mut self, gid: &Gid, answer: CallbackAnswer) {
        self.outputs.push_back(Output::Callback {
            gid: gid.clone(),
            answer,
        });
    }

    /// Tells all other members of each Dejima table the news about it; returns the questions asked.
    ///
    /// Refuses before anything is sent if the members of one table are not known yet, or one of them is away.
    pub(super) fn propagate(
        &mut self,
        now: Millis,
        gid: &Gid,
        news: Vec<(TableName, Delta)>,
        batch: u32,
        patience_ms: Millis,
    ) -> Result<Vec<(RequestId, PeerName)>, Refusal> {
        let mut deliveries = vec![];
        for (table, delta) in news {
            let members = self.others(&table, gid.origin() == self.me)?;
            let group = self.group_version(members);
            for to in members.iter().filter(|peer| **peer != self.me) {
                self.check_there(now, to)?;
                deliveries.push((to.clone(), table.clone(), group, delta.clone()));
            }
        }
        let mut asked = vec![];
        for (to, table, group, delta) in deliveries {
            let gid = gid.clone();
            let request = self.ask(&to, |request| Message::Propagate {
                gid,
                request,
                table,
                group,
                batch,
                patience_ms,
                delta,
            });
            asked.push((request, to));
        }
        Ok(asked)
    }

    /// Everybody with whom this peer shares anything.
    pub(super) fn all_members(&self) -> impl Iterator<Item = PeerName> {
        let members = |membership: &Membership| membership.members.clone().unwrap_or_default();
        self.tables.values().flat_map(members)
    }

    /// A transaction could not reach a peer: if there is no connection, the next ones are refused early.
    pub(super) fn unreachable(
        &mut self,
        now: Millis,
        peer: &PeerName,
        silence: &Silence,
    ) -> Refusal {
        let why = silence.why.clone();
        let refusal = Refusal::unreachable(peer, &why);
        if silence.is_away {
            let until = now + AWAY_MS;
            self.away.insert(peer.clone(), Away { until, why });
        }
        refusal
    }

    fn check_there(&self, now: Millis, peer: &PeerName) -> Result<(), Refusal> {
        match self.away.get(peer) {
            Some(away) if now < away.until => Err(Refusal::unreachable(peer, &away.why)),
            _ => Ok(()),
        }
    }

    /// The members of a Dejima table as the group machine names them: this peer may be among them or not.
    fn others(&self, table: &TableName, is_own: bool) -> Result<&[PeerName], Refusal> {
        match self.tables.get(table).map(|membership| &membership.members) {
            Some(Ok(members)) => Ok(members),
            // Seeds and columns are told to the own client only (invariant 5).
            Some(Err(missing)) if is_own => {
                Err(Refusal::incomplete_group(&self.me, table, missing))
            }
            Some(Err(_)) | None => Err(Refusal::incomplete_group(&self.me, table, &[])),
        }
    }

    fn group_version(&self, members: &[PeerName]) -> GroupVersion {
        let others = members.iter().filter(|peer| **peer != self.me);
        GroupVersion::of(others.chain([&self.me]))
    }

    /// Invariant 5: only members speak of a Dejima table. And they speak of the same group: otherwise one who is
    /// joining would miss the transaction, and the copies would differ (invariant 4).
    pub(super) fn check_member(
        &self,
        from: &PeerName,
        table: &TableName,
        group: GroupVersion,
    ) -> Result<(), Refusal> {
        if !self.tables.contains_key(table) {
            let why = format!(
                "Peer \"{}\" does not share Dejima table \"{table}\".",
                self.me
            );
            return Err(Refusal::forbidden(&self.me, &why));
        }
        let members = self.others(table, false)?;
        if members.contains(from) && self.group_version(members) == group {
            Ok(())
        } else {
            Err(Refusal::other_members(&self.me, table, from))
        }
    }
}
