//! The copies of a Dejima table at two members: invariant 4, looked at from outside.

use super::Finding;
use crate::name::{PeerName, TableName};

/// The check that these findings belong to.
const CHECK: &str = "copies";

/// What a copy amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many rows it has.
    pub rows: u64,
    /// Equal for equal sets of rows; says nothing else of them.
    pub sum: String,
}

/// A copy at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What it amounts to.
    pub digest: Digest,
    /// No global transaction that the peer knows of concerns the table, before and after it was read.
    pub is_at_rest: bool,
}

/// What two looks at two copies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They are the same.
    Equal,
    /// They are not, and nobody changes them.
    Differ {
        /// Rows of the peer's own copy.
        own: u64,
        /// Rows of the other one.
        other: u64,
    },
    /// They change: look again.
    Moving,
}

/// Compares two looks at the own copy with two at another member's, taken one after the other.
pub fn compare(own: &[Copy; 2], other: &[Copy; 2]) -> Comparison {
    if own
        .iter()
        .any(|own| other.iter().any(|other| own.digest == other.digest))
    {
        return Comparison::Equal;
    }
    let rests = |copy: &[Copy; 2]| {
        copy[0].digest == copy[1].digest && copy.iter().all(|copy| copy.is_at_rest)
    };
    if !rests(own) || !rests(other) {
        return Comparison::Moving;
    }
    Comparison::Differ {
        own: own[1].digest.rows,
        other: other[1].digest.rows,
    }
}

/// Judges a comparison with another member, or why there is none.
pub fn copies(
    table: &TableName,
    member: &PeerName,
    comparison: &Result<Comparison, String>,
) -> Finding {
    match comparison {
        Ok(Comparison::Equal) => Finding::ok(
            CHECK,
            format!("Dejima table \"{table}\" is the same here and at peer \"{member}\""),
        ),
        Ok(Comparison::Differ { own, other }) => Finding::critical(
            CHECK,
            format!(
                "the copies of Dejima table \"{table}\" differ: {own} rows here, {other} at peer \"{member}\""
            ),
            "compare the rows with that peer's operator; at whoever is wrong, as superuser: SET session_replication_role = replica, \
             and mend them (sql/README.md, \"What escapes\")",
        ),
        Ok(Comparison::Moving) => Finding::warning(
            CHECK,
            format!(
                "Dejima table \"{table}\" changes all the time here or at peer \"{member}\": it was not compared"
            ),
            "try again when fewer clients write",
        ),
        Err(why) => Finding::warning(
            CHECK,
            format!("Dejima table \"{table}\" was not compared with peer \"{member}\": {why}"),
            "see what else is found of that peer, then try again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(rows: u64, sum: &str, is_at_rest: bool) -> Copy {
        let sum = sum.to_owned();
        Copy {
            digest: Digest { rows, sum },
            is_at_rest,
        }
    }

    #[test]
    fn only_what_rests_is_said_to_differ() {
        let at_rest = |rows, sum| [copy(rows, sum, true), copy(rows, sum, true)];
        let (a, b) = (at_rest(2, "a"), at_rest(3, "b"));
        assert_eq!(compare(&a, &a), Comparison::Equal);
        assert_eq!(compare(&a, &b), Comparison::Differ { own: 2, other: 3 });
        // The same number of rows says nothing.
        assert_eq!(
            compare(&a, &at_rest(2, "c")),
            Comparison::Differ { own: 2, other: 2 }
        );
        for moving in [
            [copy(3, "b", true), copy(4, "c", true)],
            [copy(3, "b", false), copy(3, "b", true)],
            [copy(3, "b", true), copy(3, "b", false)],
        ] {
            assert_eq!(compare(&a, &moving), Comparison::Moving);
            assert_eq!(compare(&moving, &a), Comparison::Moving);
        }
        // One has caught up.
        assert_eq!(
            compare(&a, &[copy(1, "z", true), copy(2, "a", true)]),
            Comparison::Equal
        );
    }
}
