//! Everything that can go wrong, and how often it did: a fault that never happens is seen.

use std::collections::BTreeMap;
use std::fmt;

use crate::step::{Step, Work};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message vanishes.
    MessageLost,
    /// A question arrives twice.
    MessageRepeated,
    /// A message takes seconds.
    MessageLate,
    /// A message arrives before one that was sent earlier the same way.
    MessageOvertakes,
    /// The peer asked is down, and the asker hears so at once.
    ConnectionRefused,
    /// Nothing goes from one peer to another, for a while.
    CutOneWay,
    /// Nothing goes between two peers, for a while.
    CutBothWays,
    /// Nothing goes from one half of the peers to the other, for a while.
    HalvesCutOneWay,
    /// Nothing goes between two halves of the peers, for a while.
    HalvesCutBothWays,
    /// A message falls into a cut.
    MessageCut,
    /// Some peers are clogged one after the other, and released in another order.
    Swizzle,
    /// A message is held until both ends are released.
    MessageHeld,
    /// The helper dies while the hook's call is in progress.
    HelperDies,
    /// The helper dies with the peer's answer.
    HelperDiesAnswered,
    /// The client dies between the vote and the end of its COMMIT, which aborts.
    ClientDies,
    /// The client's COMMIT is long in progress after the vote.
    CommitSlow,
    /// The database dies, and a client's COMMIT that was in progress is durable.
    CommitDurable,
    /// The database dies, and a client's COMMIT that was in progress is not durable.
    CommitLost,
    /// The next batch of a large capture cannot be read.
    BatchLost,
    /// COMMIT PREPARED or ROLLBACK PREPARED takes seconds.
    FinishSlow,
    /// The peer is killed at any moment.
    PeerDies,
    /// Peer and database are killed together.
    MachineDies,
    /// The database is killed at any moment.
    DatabaseDies,
    /// The peer is killed before it handles this: it never was.
    PeerDiesBefore(Step),
    /// The peer is killed after it has handled this, with some of what follows carried out, or nothing, or all.
    PeerDiesAfter(Step),
    /// The peer is killed when its database has done this, before it hears so.
    PeerDiesUntold(Work),
    /// The database is killed before it does this.
    DatabaseDiesBefore(Work),
    /// The database is killed after it has done this, durably if it can be, before it says so.
    DatabaseDiesAfter(Work),
    /// The session breaks before this is done.
    SessionBreaksBefore(Work),
    /// The session breaks after this is done, before its answer.
    SessionBreaksAfter(Work),
}

impl Fault {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let single = [
            Self::MessageLost,
            Self::MessageRepeated,
            Self::MessageLate,
            Self::MessageOvertakes,
            Self::ConnectionRefused,
            Self::CutOneWay,
            Self::CutBothWays,
            Self::HalvesCutOneWay,
            Self::HalvesCutBothWays,
            Self::MessageCut,
            Self::Swizzle,
            Self::MessageHeld,
            Self::HelperDies,
            Self::HelperDiesAnswered,
            Self::ClientDies,
            Self::CommitSlow,
            Self::CommitDurable,
            Self::CommitLost,
            Self::BatchLost,
            Self::FinishSlow,
            Self::PeerDies,
            Self::MachineDies,
            Self::DatabaseDies,
        ];
        let steps = |fault: fn(Step) -> Self| Step::ALL.map(fault);
        let works = |fault: fn(Work) -> Self| Work::ALL.map(fault);
        let mut all = single.to_vec();
        all.extend(steps(Self::PeerDiesBefore));
        all.extend(steps(Self::PeerDiesAfter));
        all.extend(works(Self::PeerDiesUntold));
        all.extend(works(Self::DatabaseDiesBefore));
        all.extend(works(Self::DatabaseDiesAfter));
        all.extend(works(Self::SessionBreaksBefore));
        all.extend(works(Self::SessionBreaksAfter));
        all
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::MessageLost => "message lost",
            Self::MessageRepeated => "message repeated",
            Self::MessageLate => "message late",
            Self::MessageOvertakes => "message overtakes another",
            Self::ConnectionRefused => "connection refused",
            Self::CutOneWay => "two peers cut, one way",
            Self::CutBothWays => "two peers cut, both ways",
            Self::HalvesCutOneWay => "halves cut, one way",
            Self::HalvesCutBothWays => "halves cut, both ways",
            Self::MessageCut => "message falls into a cut",
            Self::Swizzle => "swizzle",
            Self::MessageHeld => "message held",
            Self::HelperDies => "helper dies in the call",
            Self::HelperDiesAnswered => "helper dies with the answer",
            Self::ClientDies => "client dies after the vote",
            Self::CommitSlow => "COMMIT slow",
            Self::CommitDurable => "COMMIT durable, database dies",
            Self::CommitLost => "COMMIT lost, database dies",
            Self::BatchLost => "next batch cannot be read",
            Self::FinishSlow => "COMMIT or ROLLBACK PREPARED slow",
            Self::PeerDies => "peer dies at any moment",
            Self::MachineDies => "peer and database die together",
            Self::DatabaseDies => "database dies at any moment",
            Self::PeerDiesBefore(step) => return write!(f, "peer dies before {step:?}"),
            Self::PeerDiesAfter(step) => return write!(f, "peer dies after {step:?}"),
            Self::PeerDiesUntold(work) => return write!(f, "peer dies untold of {work:?}"),
            Self::DatabaseDiesBefore(work) => return write!(f, "database dies before {work:?}"),
            Self::DatabaseDiesAfter(work) => return write!(f, "database dies after {work:?}"),
            Self::SessionBreaksBefore(work) => return write!(f, "session breaks before {work:?}"),
            Self::SessionBreaksAfter(work) => return write!(f, "session breaks after {work:?}"),
        };
        f.write_str(text)
    }
}

/// How often each fault happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    counts: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Once more.
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    /// Adds what happened in another seed.
    pub fn add(&mut self, other: &Self) {
        for (fault, count) in &other.counts {
            *self.counts.entry(*fault).or_default() += count;
        }
    }

    /// How often this one happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.counts.get(&fault).copied().unwrap_or_default()
    }
}
