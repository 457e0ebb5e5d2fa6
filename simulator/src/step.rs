//! The kinds of steps that a peer and its database make: a fault can be aimed at each.

use dejima_core::transaction::{Answer, Input, Message, Request};

/// What a peer handles in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the inputs, messages and answers are")]
pub enum Step {
    Started,
    Callback,
    CallbackLost,
    Batch,
    Propagate,
    Propagated,
    Vote,
    Voted,
    Terminate,
    Terminated,
    Inquire,
    Decided,
    Undelivered,
    Reachable,
    Applied,
    Refused,
    Prepared,
    RolledBack,
    Finished,
    Failed,
    Outcomes,
    Recovered,
    RecoveryFailed,
    Tick,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 24] = [
        Step::Started,
        Step::Callback,
        Step::CallbackLost,
        Step::Batch,
        Step::Propagate,
        Step::Propagated,
        Step::Vote,
        Step::Voted,
        Step::Terminate,
        Step::Terminated,
        Step::Inquire,
        Step::Decided,
        Step::Undelivered,
        Step::Reachable,
        Step::Applied,
        Step::Refused,
        Step::Prepared,
        Step::RolledBack,
        Step::Finished,
        Step::Failed,
        Step::Outcomes,
        Step::Recovered,
        Step::RecoveryFailed,
        Step::Tick,
    ];

    /// The step in which this is handled.
    pub(crate) fn of(input: &Input) -> Self {
        match input {
            // Operators have no part in the story.
            Input::Started | Input::Members { .. } | Input::Stop | Input::Resolve { .. } => {
                Self::Started
            }
            Input::Callback { .. } => Self::Callback,
            Input::CallbackLost { .. } => Self::CallbackLost,
            Input::Batch { .. } => Self::Batch,
            Input::Undelivered { .. } => Self::Undelivered,
            Input::Reachable { .. } => Self::Reachable,
            Input::Tick => Self::Tick,
            Input::Received { message, .. } => match message {
                Message::Propagate { .. } => Self::Propagate,
                Message::Propagated { .. } => Self::Propagated,
                Message::Vote { .. } => Self::Vote,
                Message::Voted { .. } => Self::Voted,
                Message::Terminate { .. } => Self::Terminate,
                Message::Terminated { .. } => Self::Terminated,
                Message::Inquire { .. } => Self::Inquire,
                Message::Decided { .. } => Self::Decided,
            },
            Input::Database(answer) => match answer {
                Answer::NotForgotten { .. } => Self::Failed,
                Answer::Applied { .. } => Self::Applied,
                Answer::Refused { .. } => Self::Refused,
                Answer::Prepared { .. } => Self::Prepared,
                Answer::RolledBack { .. } => Self::RolledBack,
                Answer::Finished { .. } => Self::Finished,
                Answer::Failed { .. } => Self::Failed,
                Answer::Outcomes { .. } => Self::Outcomes,
                Answer::Recovered { .. } => Self::Recovered,
                Answer::RecoveryFailed { .. } => Self::RecoveryFailed,
            },
        }
    }
}

/// What a database carries out in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the requests are")]
pub enum Work {
    Apply,
    Prepare,
    Rollback,
    Finish,
    Outcomes,
    Forget,
    Recover,
}

impl Work {
    /// All of them.
    pub const ALL: [Work; 7] = [
        Work::Apply,
        Work::Prepare,
        Work::Rollback,
        Work::Finish,
        Work::Outcomes,
        Work::Forget,
        Work::Recover,
    ];

    /// What this request asks for.
    pub(crate) fn of(request: &Request) -> Self {
        match request {
            Request::Apply { .. } => Self::Apply,
            Request::Prepare { .. } => Self::Prepare,
            Request::Rollback { .. } => Self::Rollback,
            Request::Finish { .. } | Request::Resolve { .. } | Request::Settle { .. } => {
                Self::Finish
            }
            Request::Outcomes { .. } => Self::Outcomes,
            Request::Forget { .. } => Self::Forget,
            Request::Recover => Self::Recover,
        }
    }
}
