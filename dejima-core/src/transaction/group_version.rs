//! Which peers one takes for the members of a Dejima table, so short that it travels with every delta.

use crate::name::PeerName;

/// Equal at two peers if both see the same members; different, but for one case in 2⁶⁴, if they do not.
///
/// The members of a Dejima table are learnt, not agreed on: while a peer joins, one member may know of it and another not
/// yet. A transaction that reached the members of one and not those of the other would leave the copies different for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupVersion(pub u64);

impl GroupVersion {
    /// The version of a group; each member is named once, in any order.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a PeerName>) -> Self {
        let sum = |sum: u64, member: &PeerName| sum.wrapping_add(member.hash64());
        Self(members.into_iter().fold(0, sum))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peers(numbers: impl IntoIterator<Item = u32>) -> Vec<PeerName> {
        let peer = |number| PeerName::new(&format!("p{number}")).expect("a name");
        numbers.into_iter().map(peer).collect()
    }

    proptest! {
        #[test]
        fn only_who_is_a_member_counts(
            numbers in proptest::collection::btree_set(0u32..1_000, 0..50),
            others in proptest::collection::btree_set(0u32..1_000, 0..50),
        ) {
            let version = GroupVersion::of(&peers(numbers.clone()));
            prop_assert_eq!(version, GroupVersion::of(&peers(numbers.iter().rev().copied())));
            prop_assert_eq!(version == GroupVersion::of(&peers(others.clone())), numbers == others);
        }
    }
}
