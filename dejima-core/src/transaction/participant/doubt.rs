//! A participant in doubt: it has promised, and only the decision ends it. It asks; and its operator may end it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Participant, Stage, Step};
use crate::name::PeerName;
use crate::transaction::context::Context;
use crate::transaction::interface::{
    Decision, Limits, Message, Millis, Output, RequestId, ResolveAnswer, WaitingFor,
};

/// The question for the decision: rounds of it, with pauses that grow.
#[derive(Debug)]
pub(super) struct Inquiry {
    /// The open questions of this round. Empty: the next round begins at `again_at`.
    asked: BTreeMap<RequestId, PeerName>,
    again_at: Millis,
    wait: Millis,
    rounds: u32,
    /// What came of the last question to each peer, if not the decision.
    findings: BTreeMap<PeerName, String>,
    /// Nothing was heard of the parent in the last round: then whoever else may know is asked as well.
    is_parent_silent: bool,
    /// The operator wants to hear what this round finds.
    is_for_operator: bool,
}

impl Inquiry {
    pub(super) fn new(limits: &Limits, first_at: Millis) -> Self {
        Self {
            asked: BTreeMap::new(),
            again_at: first_at,
            wait: limits.retry_ms_min,
            rounds: 0,
            findings: BTreeMap::new(),
            is_parent_silent: false,
            is_for_operator: false,
        }
    }

    /// When the next round is due; `None` while one is under way.
    pub(super) fn timeout(&self) -> Option<Millis> {
        self.asked.is_empty().then_some(self.again_at)
    }

    /// A peer answers again that may know.
    pub(super) fn hurry(&mut self, limits: &Limits, now: Millis) {
        self.again_at = self.again_at.min(now);
        self.wait = limits.retry_ms_min;
    }

    /// Takes the answer of one peer; returns who answered and the decision, if it was one.
    fn take(
        &mut self,
        limits: &Limits,
        now: Millis,
        parent: &PeerName,
        request: RequestId,
        answer: Result<Option<Decision>, &str>,
    ) -> Option<(PeerName, Decision)> {
        let peer = self.asked.remove(&request)?;
        if peer == *parent {
            self.is_parent_silent = answer.is_err();
        }
        if self.asked.is_empty() {
            self.again_at = now + self.wait;
            self.wait = (self.wait * 2).min(limits.retry_ms_max);
        }
        let finding = match answer {
            Ok(Some(decision)) => return Some((peer, decision)),
            Ok(None) => "does not know the decision",
            Err(why) => why,
        };
        self.findings.insert(peer, finding.to_owned());
        None
    }

    pub(super) fn waiting_for(&self, parent: &PeerName) -> Vec<WaitingFor> {
        let why = self.findings.get(parent).cloned().unwrap_or_default();
        vec![WaitingFor {
            peer: parent.clone(),
            attempts: self.rounds,
            why,
        }]
    }
}

impl Participant {
    /// Begins a round if it is due.
    pub(super) fn inquire_due(&mut self, context: &mut Context, now: Millis) {
        if let Stage::InDoubt { inquiry, .. } = &self.stage
            && inquiry.timeout().is_some_and(|at| at <= now)
        {
            let everyone = inquiry.is_parent_silent;
            self.inquire(context, everyone);
        }
    }

    fn inquire(&mut self, context: &mut Context, everyone: bool) {
        let mut peers = BTreeSet::from([self.parent.clone()]);
        if everyone {
            // The origin too, if it is one of them; nobody asks a peer that he shares nothing with (invariant 5).
            peers.extend(context.all_members());
            peers.remove(&context.me);
        }
        let Stage::InDoubt { inquiry, .. } = &mut self.stage else {
            return;
        };
        inquiry.rounds += 1;
        for peer in peers {
            let (gid, parent) = (self.gid.clone(), self.parent.clone());
            let request = context.ask(&peer, |request| Message::Inquire {
                gid,
                request,
                parent,
            });
            inquiry.asked.insert(request, peer);
        }
    }

    /// The answer to an inquiry, or why there is none.
    pub(in crate::transaction) fn decided(
        &mut self,
        context: &mut Context,
        now: Millis,
        request: RequestId,
        answer: Result<Option<Decision>, &str>,
    ) {
        let Stage::InDoubt { inquiry, .. } = &mut self.stage else {
            return;
        };
        if let Some((by, decision)) =
            inquiry.take(&context.limits, now, &self.parent, request, answer)
        {
            return self.end(context, now, decision, &by);
        }
        if inquiry.asked.is_empty() && std::mem::take(&mut inquiry.is_for_operator) {
            let asked = inquiry.findings.clone().into_iter().collect();
            self.answer_operator(context, ResolveAnswer::Unknown { asked });
        }
    }

    /// Tells the operator, if he waits, that the decision was found.
    pub(super) fn decision_found(&self, context: &mut Context, decision: Decision, by: &PeerName) {
        if let Stage::InDoubt { inquiry, .. } = &self.stage
            && inquiry.is_for_operator
        {
            let by = by.clone();
            self.answer_operator(context, ResolveAnswer::Decided { decision, by });
        }
    }

    /// The operator wants it to end. Before anything is done that may break invariant 1, everybody is asked who
    /// may know the decision; he may still insist.
    pub(in crate::transaction) fn resolve(
        &mut self,
        context: &mut Context,
        now: Millis,
        decision: Decision,
        is_forced: bool,
    ) {
        let me = context.me.clone();
        let refused = |why| ResolveAnswer::Refused { why };
        let answer = match &mut self.stage {
            Stage::InDoubt {
                resolution: Some(_),
                ..
            } => refused("Its operator has ended it before; its decision is still asked for."),
            Stage::InDoubt { resolution, .. } if is_forced => {
                let wait = context.limits.retry_ms_min;
                *resolution = Some((decision, Step::Asked { wait }));
                return self.carry_out(context);
            }
            Stage::InDoubt { inquiry, .. } => {
                inquiry.is_for_operator = true;
                return self.inquire(context, true);
            }
            Stage::Ending { announcement, .. } => ResolveAnswer::Decided {
                decision: announcement.decision,
                by: me,
            },
            Stage::Open { .. } | Stage::Voting { .. } if decision == Decision::Abort => {
                let refusal = crate::refusal::Refusal::resolved(&me);
                self.give_up(context, now, refusal);
                ResolveAnswer::Decided { decision, by: me }
            }
            Stage::Open { .. } | Stage::Voting { .. } => {
                refused("It has not promised yet: it can be aborted, but not be committed.")
            }
        };
        self.answer_operator(context, answer);
    }

    /// What the operator chose is durable.
    pub(super) fn resolved(&mut self, context: &mut Context) {
        if let Stage::InDoubt {
            resolution: Some((_, step)),
            ..
        } = &mut self.stage
            && *step != Step::Done
        {
            *step = Step::Done;
            self.answer_operator(context, ResolveAnswer::Done);
        }
    }

    fn answer_operator(&self, context: &mut Context, answer: ResolveAnswer) {
        context.outputs.push_back(Output::Resolved {
            gid: self.gid.clone(),
            answer,
        });
    }
}
