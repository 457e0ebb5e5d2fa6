//! Rules broken on purpose, to see that the invariants notice.

use std::collections::BTreeMap;

use dejima_core::delta::{Cell, Change, ColumnIndex, Delta};
use dejima_core::name::PeerName;
use dejima_core::transaction::{Answer, Decision, Message, Outcome};

use crate::client::MARK;
use crate::invariants;
use crate::scenario::Scenario;

/// A rule that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongRule {
    /// What is prepared does not survive the peer.
    PreparedIsForgotten,
    /// Who has promised and gets no answer to his question aborts alone.
    PromiseIsBroken,
    /// The origin answers "aborted" while the lock is still held.
    HeldMeansAborted,
    /// The origin looks for the decision row first, and at the lock then.
    RowBeforeLock,
    /// A participant believes that it is told "commit" when it asks.
    InquiryMeansCommit,
    /// The last column of a delta is dropped.
    DeltaIsDropped,
    /// What a strategy replaced is not told on.
    RevisionIsKept,
    /// A delta is also told to a peer that is no member.
    StrangerIsTold,
    /// A delta carries a value of a column that its Dejima table does not show.
    OtherColumnIsTold,
    /// A refusal quotes a value.
    RefusalQuotes,
    /// Whoever is asked and knows nothing says "aborted", although he is not the parent.
    IgnoranceMeansAbort,
    /// A participant that was restarted does not learn its children.
    ChildrenAreLost,
    /// Decisions are not told, and nobody can ask.
    DecisionIsKept,
    /// A decision that nobody has acknowledged counts as acknowledged.
    SilenceAcknowledges,
    /// Rows are never forgotten.
    RowsAreKept,
    /// A participant row stays after ROLLBACK PREPARED.
    RollbackLeavesRow,
    /// A delta counts as answered as soon as it is sent: the next batch, and the vote, begin before its subtree is closed.
    AnswerIsPresumed,
}

impl WrongRule {
    /// All of them, and the invariant that each breaks.
    pub const ALL: [(WrongRule, &str); 17] = [
        (WrongRule::PreparedIsForgotten, invariants::ATOMIC),
        (WrongRule::PromiseIsBroken, invariants::ATOMIC),
        (WrongRule::HeldMeansAborted, invariants::ATOMIC),
        (WrongRule::RowBeforeLock, invariants::ATOMIC),
        (WrongRule::InquiryMeansCommit, invariants::ONE_DECISION),
        (WrongRule::DeltaIsDropped, invariants::ORDER),
        (WrongRule::RevisionIsKept, invariants::AGREEMENT),
        (WrongRule::StrangerIsTold, invariants::NEED_TO_KNOW),
        (WrongRule::OtherColumnIsTold, invariants::NEED_TO_KNOW),
        (WrongRule::RefusalQuotes, invariants::NEED_TO_KNOW),
        (WrongRule::IgnoranceMeansAbort, invariants::ATOMIC),
        (WrongRule::ChildrenAreLost, invariants::ROWS_LEFT),
        (WrongRule::DecisionIsKept, invariants::NOBODY_IN_DOUBT),
        (WrongRule::SilenceAcknowledges, invariants::FORGOTTEN_EARLY),
        (WrongRule::RowsAreKept, invariants::ROWS_LEFT),
        (WrongRule::RollbackLeavesRow, invariants::ABORTED_ROWS),
        (WrongRule::AnswerIsPresumed, invariants::AGREEMENT),
    ];

    /// True if the message is never sent.
    pub(crate) fn swallows(self, message: &Message) -> bool {
        self == WrongRule::DecisionIsKept
            && matches!(message, Message::Terminate { .. } | Message::Decided { .. })
    }

    /// The message as it is sent.
    pub(crate) fn write(self, mut message: Message, scenario: &Scenario) -> Message {
        match (self, &mut message) {
            (WrongRule::OtherColumnIsTold, Message::Propagate { delta, .. }) => {
                rename_values(delta);
            }
            (
                WrongRule::RefusalQuotes,
                Message::Propagated {
                    result: Err(refusal),
                    ..
                },
            ) => refusal.detail = format!("The row holds \"a{MARK}x\" at {}.", scenario.peers[0]),
            _ => {}
        }
        message
    }

    /// Who is told too.
    pub(crate) fn also_tells(self, message: &Message, scenario: &Scenario) -> Option<usize> {
        let (WrongRule::StrangerIsTold, Message::Propagate { table, .. }) = (self, message) else {
            return None;
        };
        let is_stranger = |&peer: &usize| !scenario.tables_of(peer).any(|t| t.name == *table);
        (0..scenario.peers.len()).find(is_stranger)
    }

    /// The message as `reader` understands it.
    pub(crate) fn forge(self, mut message: Message, reader: &PeerName) -> Message {
        match (self, &mut message) {
            (WrongRule::DeltaIsDropped, Message::Propagate { delta, .. }) => {
                drop_last_column(delta)
            }
            (WrongRule::RevisionIsKept, Message::Propagate { delta, .. }) => drop_revisions(delta),
            (WrongRule::IgnoranceMeansAbort, Message::Inquire { parent, .. }) => {
                *parent = reader.clone();
            }
            (WrongRule::InquiryMeansCommit, Message::Decided { decision, .. }) => {
                *decision = Some(Decision::Commit);
            }
            _ => {}
        }
        message
    }

    /// The answer that is taken for given before any can come.
    pub(crate) fn anticipates(self, question: &Message) -> Option<Message> {
        match (self, question) {
            (WrongRule::AnswerIsPresumed, Message::Propagate { gid, request, .. }) => {
                Some(Message::Propagated {
                    gid: gid.clone(),
                    request: *request,
                    result: Ok(false),
                })
            }
            _ => None,
        }
    }

    /// The answer that is taken for given when none comes.
    pub(crate) fn presumes(self, question: &Message) -> Option<Message> {
        match (self, question) {
            (WrongRule::SilenceAcknowledges, Message::Terminate { gid, request, .. }) => {
                Some(Message::Terminated {
                    gid: gid.clone(),
                    request: *request,
                })
            }
            (WrongRule::PromiseIsBroken, Message::Inquire { gid, request, .. }) => {
                Some(Message::Decided {
                    gid: gid.clone(),
                    request: *request,
                    decision: Some(Decision::Abort),
                })
            }
            _ => None,
        }
    }

    /// The answer of the database as the machine understands it.
    pub(crate) fn overlook(self, mut answer: Answer) -> Answer {
        if let (WrongRule::ChildrenAreLost, Answer::Finished { children, .. }) = (self, &mut answer)
        {
            children.clear();
        }
        answer
    }

    /// How a transaction stands as the machine understands it; its decision row `was_visible` a moment before.
    pub(crate) fn misread(self, outcome: Outcome, was_visible: bool) -> Outcome {
        match (self, outcome) {
            (WrongRule::HeldMeansAborted, Outcome::Pending) => Outcome::Aborted,
            (WrongRule::RowBeforeLock, Outcome::Committed { .. }) if !was_visible => {
                Outcome::Aborted
            }
            (_, outcome) => outcome,
        }
    }
}

fn cells_of(change: &mut Change) -> Option<&mut BTreeMap<ColumnIndex, Cell>> {
    match change {
        Change::Insert { new } | Change::Update { new, .. } => Some(new),
        Change::Delete { .. } => None,
    }
}

/// Leaves the delta without its last column.
fn drop_last_column(delta: &mut Delta) {
    for cells in delta.rows.values_mut().filter_map(cells_of) {
        let last = cells.keys().next_back().copied();
        last.filter(|column| *column > 0)
            .map(|column| cells.remove(&column));
    }
}

/// Leaves the delta without what strategies replaced.
fn drop_revisions(delta: &mut Delta) {
    for cells in delta.rows.values_mut().filter_map(cells_of) {
        cells.retain(|_, cell| cell.revision == 0);
    }
}

/// Gives each value the name of a column that no Dejima table has.
fn rename_values(delta: &mut Delta) {
    for cell in delta
        .rows
        .values_mut()
        .filter_map(cells_of)
        .flat_map(BTreeMap::values_mut)
    {
        if let Some((_, value)) = cell
            .value
            .as_deref()
            .and_then(|value| value.split_once(MARK))
        {
            cell.value = Some(format!("secret{MARK}{value}").into());
        }
    }
}
