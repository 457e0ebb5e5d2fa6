//! Questions from outside that the machines have not answered yet.

use std::collections::HashMap;
use std::hash::Hash;

use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{CallbackAnswer, Message, RequestId, ResolveAnswer};
use tokio::sync::oneshot;

/// A multiple of this many entries is looked through for those whose asker has gone.
const SWEEP_LEN: usize = 1_024;

/// What a question is about; with asker, gid and number it says which answer belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Propagate,
    Vote,
    Terminate,
    Inquire,
}

/// Open questions of peers and hooks.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    questions: HashMap<(PeerName, Gid, Kind, RequestId), oneshot::Sender<Message>>,
    hooks: HashMap<Gid, oneshot::Sender<CallbackAnswer>>,
    operators: HashMap<Gid, Vec<oneshot::Sender<ResolveAnswer>>>,
}

impl Pending {
    /// Remembers who waits for the answer. A repeated question takes the place of the earlier one, whose asker
    /// has given up.
    pub(crate) fn ask(
        &mut self,
        from: &PeerName,
        message: &Message,
        answer: oneshot::Sender<Message>,
    ) {
        sweep(&mut self.questions);
        let (gid, kind, request) = place(message);
        self.questions
            .insert((from.clone(), gid.clone(), kind, request), answer);
    }

    /// Hands the answer to whoever waits for it; an answer that nobody waits for any more is dropped.
    pub(crate) fn answer(&mut self, to: PeerName, message: Message) {
        let (gid, kind, request) = place(&message);
        if let Some(answer) = self.questions.remove(&(to, gid.clone(), kind, request)) {
            drop(answer.send(message));
        }
    }

    /// Remembers the hook that waits. A second call for one gid takes the place of the first, which then fails. A
    /// hook that hangs up is not answered any more.
    pub(crate) fn call(&mut self, gid: Gid, answer: oneshot::Sender<CallbackAnswer>) {
        sweep(&mut self.hooks);
        self.hooks.insert(gid, answer);
    }

    /// Remembers the operator who waits.
    pub(crate) fn resolve(&mut self, gid: Gid, answer: oneshot::Sender<ResolveAnswer>) {
        let waiting = self.operators.entry(gid).or_default();
        waiting.retain(|answer| !answer.is_closed());
        waiting.push(answer);
    }

    /// Answers every operator who waits for this transaction.
    pub(crate) fn return_to_operator(&mut self, gid: &Gid, answer: &ResolveAnswer) {
        for operator in self.operators.remove(gid).unwrap_or_default() {
            drop(operator.send(answer.clone()));
        }
    }

    /// Answers the hook.
    pub(crate) fn return_to_hook(&mut self, gid: &Gid, answer: CallbackAnswer) {
        if let Some(hook) = self.hooks.remove(gid) {
            drop(hook.send(answer));
        }
    }
}

/// Removes those whose asker has gone, now and then.
fn sweep<K: Eq + Hash, V>(waiting: &mut HashMap<K, oneshot::Sender<V>>) {
    if waiting.len() >= SWEEP_LEN && waiting.len().is_multiple_of(SWEEP_LEN) {
        waiting.retain(|_, answer| !answer.is_closed());
    }
}

/// True for what waits for an answer of the other side.
pub(crate) fn is_question(message: &Message) -> bool {
    matches!(
        message,
        Message::Propagate { .. }
            | Message::Vote { .. }
            | Message::Terminate { .. }
            | Message::Inquire { .. }
    )
}

/// The gid and the number of a message.
pub(crate) fn identity(message: &Message) -> (&Gid, RequestId) {
    let (gid, _, request) = place(message);
    (gid, request)
}

fn place(message: &Message) -> (&Gid, Kind, RequestId) {
    match message {
        Message::Propagate { gid, request, .. } | Message::Propagated { gid, request, .. } => {
            (gid, Kind::Propagate, *request)
        }
        Message::Vote { gid, request, .. } | Message::Voted { gid, request, .. } => {
            (gid, Kind::Vote, *request)
        }
        Message::Terminate { gid, request, .. } | Message::Terminated { gid, request } => {
            (gid, Kind::Terminate, *request)
        }
        Message::Inquire { gid, request, .. } | Message::Decided { gid, request, .. } => {
            (gid, Kind::Inquire, *request)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_that_hung_up_are_forgotten_and_one_that_waits_is_not() {
        let gid =
            |number: usize| Gid::new(&format!("bank:{number:036}")).expect("36 digits are an id");
        let mut pending = Pending::default();
        let (answer, mut waiting) = oneshot::channel();
        pending.call(gid(0), answer);
        for number in 1..=3 * SWEEP_LEN {
            let (answer, _) = oneshot::channel();
            pending.call(gid(number), answer);
        }
        assert!(pending.hooks.len() <= SWEEP_LEN, "{}", pending.hooks.len());
        pending.return_to_hook(&gid(0), CallbackAnswer::Unshared);
        assert_eq!(waiting.try_recv(), Ok(CallbackAnswer::Unshared));
    }
}
