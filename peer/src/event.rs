//! Everything that reaches the event loop.

use dejima_core::group::{self, Said};
use dejima_core::name::{Gid, PeerName};
use dejima_core::transaction::{
    self, CallbackAnswer, Decision, Message, Millis, RequestId, ResolveAnswer, Silence,
};
use tokio::sync::{mpsc, oneshot};

use crate::capture::Capture;

/// Something that happened outside of the machines.
pub enum Event {
    /// A peer asks about a transaction.
    Question {
        /// The peer.
        from: PeerName,
        /// Its question.
        message: Message,
        /// Where the answer goes.
        answer: oneshot::Sender<Message>,
    },
    /// A question to a peer was answered, or not.
    Reply {
        /// The peer that was asked.
        from: PeerName,
        /// Its answer, or what could not be delivered and why.
        result: Result<Message, Undelivered>,
    },
    /// The hook of a client's transaction calls.
    Hook {
        /// The transaction.
        gid: Gid,
        /// Counts the hook's calls.
        round: u32,
        /// What the transaction has changed, or the first batch of it.
        capture: Capture,
        /// Where the answer goes.
        answer: oneshot::Sender<CallbackAnswer>,
    },
    /// A peer says and asks who shares what.
    Exchange {
        /// The peer.
        from: PeerName,
        /// What it says.
        said: Said,
        /// Where the answer goes.
        answer: oneshot::Sender<Said>,
    },
    /// An input of the transaction machine that needs no bookkeeping.
    Transaction(transaction::Input),
    /// An input of the group machine that needs no bookkeeping.
    Group(group::Input),
    /// The operator ends a prepared transaction.
    Resolve {
        /// The transaction.
        gid: Gid,
        /// What he chooses.
        decision: Decision,
        /// Also if nobody who can be asked knows the decision.
        is_forced: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<ResolveAnswer>,
    },
    /// The operator looks at the machines.
    Look(Look),
    /// The operator waits until nothing is in flight.
    AwaitQuiet(oneshot::Sender<()>),
    /// Take no new transactions; end when those at hand are finished.
    Stop,
}

/// A look at both machines, carried out inside the loop.
pub type Look = Box<dyn FnOnce(Millis, &group::Machine, &transaction::Machine) + Send>;

/// Looks at both machines and returns what was seen; nothing if the peer is stopping.
pub async fn look<T: Send + 'static>(
    events: &Events,
    look: impl FnOnce(Millis, &group::Machine, &transaction::Machine) -> T + Send + 'static,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    let look = move |now: Millis, groups: &group::Machine, transactions: &transaction::Machine| {
        drop(answer.send(look(now, groups, transactions)));
    };
    events.send(Event::Look(Box::new(look))).ok()?;
    answered.await.ok()
}

/// A question that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The question's transaction.
    pub gid: Gid,
    /// The question's number.
    pub request: RequestId,
    /// Why.
    pub silence: Silence,
}

/// The way into the event loop. Unbounded, because whoever sends waits for the answer: there are never more
/// events than calls under way, and a connection that is dropped must be able to say so without waiting.
pub type Events = mpsc::UnboundedSender<Event>;
