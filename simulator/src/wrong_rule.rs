//! Rules broken on purpose, to see that the invariants notice.

use std::collections::BTreeMap;

use dejima_core::delta::{Cell, Change, ColumnIndex, Delta};
use dejima_core::transaction::{Answer, Decision, Message, Outcome};

/// A rule that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongRule {
    /// What is prepared does not survive the peer (breaks invariant 1).
    PreparedIsForgotten,
    /// The origin answers "aborted" while the lock is still held (breaks invariant 2).
    HeldMeansAborted,
    /// A conflict in the join is taken for agreement: the deltas of one path are dropped (breaks invariant 3).
    DeltaIsDropped,
    /// A participant believes that it is told "commit" when it asks (breaks invariant 2).
    InquiryMeansCommit,
    /// Decisions are not told, and nobody can ask (leaves peers in doubt).
    DecisionIsKept,
    /// What a strategy replaced is not told on (breaks invariant 4).
    RevisionIsKept,
}

impl WrongRule {
    /// All of them.
    pub const ALL: [WrongRule; 6] = [
        WrongRule::PreparedIsForgotten,
        WrongRule::HeldMeansAborted,
        WrongRule::DeltaIsDropped,
        WrongRule::InquiryMeansCommit,
        WrongRule::DecisionIsKept,
        WrongRule::RevisionIsKept,
    ];

    /// True if the message is never sent.
    pub(crate) fn swallows(self, message: &Message) -> bool {
        self == WrongRule::DecisionIsKept
            && matches!(message, Message::Terminate { .. } | Message::Decided { .. })
    }

    /// The message as it is understood.
    pub(crate) fn forge(self, mut message: Message) -> Message {
        match (self, &mut message) {
            (WrongRule::DeltaIsDropped, Message::Propagate { delta, .. }) => {
                drop_last_column(delta)
            }
            (WrongRule::RevisionIsKept, Message::Propagate { delta, .. }) => drop_revisions(delta),
            (WrongRule::InquiryMeansCommit, Message::Decided { decision, .. }) => {
                *decision = Some(Decision::Commit);
            }
            _ => {}
        }
        message
    }

    /// The database's answer as the machine understands it.
    pub(crate) fn misread(self, mut answer: Answer) -> Answer {
        if let (WrongRule::HeldMeansAborted, Answer::Outcomes { outcomes }) = (self, &mut answer) {
            for (_, outcome) in outcomes.iter_mut().filter(|(_, o)| *o == Outcome::Pending) {
                *outcome = Outcome::Aborted;
            }
        }
        answer
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
