//! What can differ.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::session::Outcome;

/// The peer's world and the plain database are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// A statement did not come to the same.
    Outcome {
        sql: String,
        peer: String,
        plain: String,
    },
    /// The peers ask to try a transaction again (40001, 57014), although nothing else is going on.
    Stale { why: String },
    /// Tables do not hold the same rows.
    Rows {
        peer: &'static str,
        what: &'static str,
        missing: Vec<String>,
        surplus: Vec<String>,
    },
    /// Rows were not updated but deleted and inserted (invariant 8).
    Replaced {
        peer: &'static str,
        rows: Vec<String>,
    },
}

impl Difference {
    /// How a statement ended.
    pub(crate) fn of_outcomes(sql: &str, peer: &Outcome, plain: &Outcome) -> Option<Self> {
        let differs = || Self::Outcome {
            sql: sql.to_owned(),
            peer: peer.describe(),
            plain: plain.describe(),
        };
        (!peer.equals(plain)).then(differs)
    }

    /// What a peer holds, and what it should.
    pub(crate) fn of_rows(
        peer: &'static str,
        what: &'static str,
        expected: &[String],
        found: &[String],
    ) -> Option<Self> {
        if expected == found {
            return None;
        }
        let mut balance: BTreeMap<&String, i64> = BTreeMap::new();
        expected
            .iter()
            .for_each(|row| *balance.entry(row).or_default() += 1);
        found
            .iter()
            .for_each(|row| *balance.entry(row).or_default() -= 1);
        let those = |sign: i64| {
            let rows = balance.iter().filter(|(_, count)| count.signum() == sign);
            rows.map(|(row, _)| (*row).clone()).collect()
        };
        Some(Self::Rows {
            peer,
            what,
            missing: those(1),
            surplus: those(-1),
        })
    }

    /// Is it of the same kind, so that a smaller script that shows it explains this one?
    pub(crate) fn is_like(&self, other: &Difference) -> bool {
        match (self, other) {
            (
                Self::Outcome { peer, plain, .. },
                Self::Outcome {
                    peer: peers,
                    plain: plains,
                    ..
                },
            ) => {
                let word = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
                word(peer) == word(peers) && word(plain) == word(plains)
            }
            (Self::Rows { peer, .. }, Self::Rows { peer: other, .. }) => peer == other,
            (Self::Replaced { peer, .. }, Self::Replaced { peer: other, .. }) => peer == other,
            (Self::Stale { .. }, Self::Stale { .. }) => true,
            _ => false,
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome { sql, peer, plain } => {
                write!(f, "{sql}\n  at the peer: {peer}\n  plain:       {plain}")
            }
            Self::Stale { why } => {
                write!(f, "the peers ask to try again, also the second time: {why}")
            }
            Self::Replaced { peer, rows } => {
                write!(f, "{peer} has deleted and inserted instead of updated")?;
                rows.iter().try_for_each(|row| write!(f, "\n  {row}"))
            }
            Self::Rows {
                peer,
                what,
                missing,
                surplus,
            } => {
                write!(f, "the {what} at {peer}")?;
                missing
                    .iter()
                    .try_for_each(|row| write!(f, "\n  lack {row}"))?;
                surplus
                    .iter()
                    .try_for_each(|row| write!(f, "\n  have {row}"))
            }
        }
    }
}
