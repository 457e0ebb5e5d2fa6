//! The rounds of a transaction at its origin: what was captured goes out batch after batch, what comes back is put.

use std::collections::BTreeMap;

use super::{Origin, Stage};
use crate::delta::{Captured, Delta, Put};
use crate::name::{Gid, PeerName, TableName};
use crate::refusal::Refusal;
use crate::transaction::announcement::Announcement;
use crate::transaction::context::Context;
use crate::transaction::interface::{
    CallbackAnswer, Decision, Message, Millis, Output, Portion, RequestId,
};
use crate::transaction::participant::Incoming;

impl Origin {
    /// The hook calls, for the first time (with the whole capture or its first batch) or after it has put what came back.
    pub(in crate::transaction) fn call(
        &mut self,
        context: &mut Context,
        now: Millis,
        captured: Vec<Captured>,
        portion: Option<Portion>,
    ) {
        if !matches!(self.stage, Stage::AwaitingRound) {
            let why = "The transaction has ended, or the hook's last call is not answered yet.";
            let refusal = Refusal::forbidden(&context.me, why);
            return context.callback(&self.gid, CallbackAnswer::Refused { refusal });
        }
        if let Some(refusal) = self.outdated.take() {
            return self.refuse(context, refusal);
        }
        self.portion = portion.or(self.portion);
        let todo = std::mem::take(&mut self.pending);
        self.spread(context, now, captured, &todo);
    }

    /// The next batch has been read, or cannot be.
    pub(in crate::transaction) fn next_batch(
        &mut self,
        context: &mut Context,
        now: Millis,
        batch: Result<(Vec<Captured>, Portion), String>,
    ) {
        if !matches!(self.stage, Stage::AwaitingBatch) {
            return;
        }
        match batch {
            Ok((captured, portion)) => {
                self.portion = Some(portion);
                self.spread(context, now, captured, &BTreeMap::new());
            }
            Err(why) => {
                let refusal = Refusal::unreadable(&context.me, &why);
                self.refuse(context, refusal);
            }
        }
    }

    /// Tells the other members what they do not know yet.
    fn spread(
        &mut self,
        context: &mut Context,
        now: Millis,
        captured: Vec<Captured>,
        todo: &BTreeMap<TableName, Delta>,
    ) {
        let news = self
            .changes
            .absorb(&context.me, &context.tables, captured, todo);
        let rest_ms = self.portion.map_or(0, |portion| portion.rest_ms());
        let patience_ms = context.limits.transaction_ms_max + self.changes.weight_ms() + rest_ms;
        self.deadline = self.since + patience_ms;
        let batch = self.batch();
        match news.and_then(|news| context.propagate(now, &self.gid, news, batch, patience_ms)) {
            Ok(asked) => {
                self.contacted
                    .extend(asked.iter().map(|(_, peer)| peer.clone()));
                self.stage = Stage::Propagating(asked.into_iter().collect());
                self.close_round(context);
            }
            Err(refusal) => self.refuse(context, refusal),
        }
    }

    fn batch(&self) -> u32 {
        self.portion.map_or(0, |portion| portion.batch)
    }

    /// Another peer's strategy has changed a Dejima table of this peer.
    pub(in crate::transaction) fn propagated_to(
        &mut self,
        context: &Context,
        incoming: &Incoming,
    ) -> Result<bool, Refusal> {
        let Incoming {
            asker: (from, request),
            table,
            group,
            batch,
            delta,
            ..
        } = incoming;
        if self.served.contains(&incoming.asker) {
            return Ok(false);
        }
        if !matches!(self.stage, Stage::Propagating(_)) || *batch != self.batch() {
            return Err(Refusal::conflict(
                &context.me,
                table,
                "The transaction is not propagating any more.",
            ));
        }
        context.check_member(from, table, *group)?;
        let schema = &context.tables[table].schema;
        let todo = self.changes.join(&context.me, table, schema, delta)?;
        if !todo.is_empty() {
            let pending = self.pending.entry(table.clone()).or_default();
            pending
                .join(&todo)
                .map_err(|e| Refusal::conflict(&context.me, table, &format!("{e}.")))?;
        }
        self.served.insert(incoming.asker.clone());
        self.tally.add_ticket(from, *request);
        Ok(false)
    }

    /// A subtree has closed.
    pub(in crate::transaction) fn answered(
        &mut self,
        context: &mut Context,
        request: RequestId,
        result: Result<bool, Refusal>,
    ) {
        let Stage::Propagating(questions) = &mut self.stage else {
            return;
        };
        let Some(peer) = questions.remove(&request) else {
            return;
        };
        match result {
            Ok(adopted) => {
                self.tally.add_ticket(&context.me, request);
                if adopted {
                    self.adopted.insert(peer);
                }
                self.close_round(context);
            }
            Err(refusal) => self.refuse(context, refusal),
        }
    }

    fn close_round(&mut self, context: &mut Context) {
        if !matches!(&self.stage, Stage::Propagating(questions) if questions.is_empty()) {
            return;
        }
        if !self.pending.is_empty() {
            self.stage = Stage::AwaitingRound;
            match self.puts(context) {
                Ok(puts) => {
                    let batch = self.batch();
                    context.callback(&self.gid, CallbackAnswer::Apply { puts, batch });
                }
                Err(refusal) => self.refuse(context, refusal),
            }
        } else if self.portion.is_some_and(|portion| !portion.is_last()) {
            self.changes.settle();
            self.stage = Stage::AwaitingBatch;
            context.outputs.push_back(Output::NextBatch {
                gid: self.gid.clone(),
            });
        } else if self.adopted.is_empty() {
            context.callback(&self.gid, CallbackAnswer::Unshared);
            self.stage =
                Stage::Ending(Announcement::start(context, &self.gid, Decision::Abort, []));
        } else {
            let patience_ms = self.deadline - self.since;
            let vote = |gid: Gid| {
                move |request| Message::Vote {
                    gid,
                    request,
                    patience_ms,
                }
            };
            let ask = |peer: &PeerName| (context.ask(peer, vote(self.gid.clone())), peer.clone());
            self.stage = Stage::Voting(self.adopted.iter().map(ask).collect());
        }
    }

    fn puts(&self, context: &Context) -> Result<Vec<Put>, Refusal> {
        let put = |(table, todo): (&TableName, &Delta)| {
            let membership = context.tables.get(table);
            let membership =
                membership.ok_or_else(|| Refusal::incomplete_group(&context.me, table, &[]))?;
            self.changes
                .put(&context.me, table, &membership.schema, todo)
        };
        self.pending.iter().map(put).collect()
    }
}
