//! What every part of the machine writes to: the outputs, and the numbers of its questions.

use std::collections::VecDeque;

use super::Request;
use super::changes::Tables;
use super::interface::{CallbackAnswer, Limits, Membership, Message, Millis, Output, RequestId};
use crate::delta::Delta;
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;

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
    /// Refuses before anything is sent if the members of one table are not known yet.
    pub(super) fn propagate(
        &mut self,
        gid: &Gid,
        news: Vec<(TableName, Delta)>,
        patience_ms: Millis,
    ) -> Result<Vec<(RequestId, PeerName)>, Refusal> {
        let mut deliveries = vec![];
        for (table, delta) in news {
            for to in self.members(&table, gid.origin() == self.me)? {
                deliveries.push((to, table.clone(), delta.clone()));
            }
        }
        let mut asked = vec![];
        for (to, table, delta) in deliveries {
            let gid = gid.clone();
            let request = self.ask(&to, |request| Message::Propagate {
                gid,
                request,
                table,
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

    fn members(&self, table: &TableName, is_own: bool) -> Result<Vec<PeerName>, Refusal> {
        match self.tables.get(table).map(|membership| &membership.members) {
            Some(Ok(members)) => Ok(members
                .iter()
                .filter(|peer| **peer != self.me)
                .cloned()
                .collect()),
            // Seeds and columns are told to the own client only (invariant 5).
            Some(Err(missing)) if is_own => {
                Err(Refusal::incomplete_group(&self.me, table, missing))
            }
            Some(Err(_)) => Err(Refusal::incomplete_group(&self.me, table, &[])),
            None => Err(Refusal::incomplete_group(&self.me, table, &[])),
        }
    }

    /// Invariant 5: only members speak of a Dejima table.
    pub(super) fn check_member(&self, from: &PeerName, table: &TableName) -> Result<(), Refusal> {
        let Some(membership) = self.tables.get(table) else {
            let why = format!(
                "Peer \"{}\" does not share Dejima table \"{table}\".",
                self.me
            );
            return Err(Refusal::forbidden(&self.me, &why));
        };
        match &membership.members {
            Ok(members) if members.contains(from) => Ok(()),
            Ok(_) => {
                let why = format!("Peer \"{from}\" is no member of Dejima table \"{table}\".");
                Err(Refusal::forbidden(&self.me, &why))
            }
            Err(_) => Err(Refusal::incomplete_group(&self.me, table, &[])),
        }
    }
}
