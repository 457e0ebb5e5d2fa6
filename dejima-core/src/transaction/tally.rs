//! Proof that no delta was lost: what was sent and what is prepared cancel each other out.
//!
//! A peer that restarts in the middle of a transaction loses what it had put; a later delta of the same
//! transaction would open it again, and the vote would promise a part for the whole. Every delta therefore has a
//! ticket. Its sender adds the ticket when the delta is answered, its receiver when it answers, the votes carry
//! the sums up the tree, and only a total of zero lets the origin go on. No peer learns of another by it.
//! (The idea is Apache Storm's for tracking tuple trees.)

use crate::name::PeerName;

use super::RequestId;

/// A sum of tickets, by exclusive or.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub u64);

impl Tally {
    /// Adds the ticket of the delta that `from` sent as `request`.
    pub(super) fn add_ticket(&mut self, from: &PeerName, request: RequestId) {
        // The finaliser of SplitMix64: single bits of the name and of the number must not cancel.
        let mut z = from.hash64() ^ request.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 ^= z ^ (z >> 31);
    }

    /// Adds the sum of a subtree.
    pub(super) fn add(&mut self, subtree: Tally) {
        self.0 ^= subtree.0;
    }

    /// True if everything that was sent is prepared.
    pub(super) fn is_complete(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_cancels_itself_and_nothing_else() {
        let (bank, insurer) = (
            PeerName::new("bank").expect("a name"),
            PeerName::new("insurer").expect("a name"),
        );
        let mut tally = Tally::default();
        tally.add_ticket(&bank, 7);
        let mut other = Tally::default();
        other.add_ticket(&insurer, 7);
        tally.add(other);
        assert!(!tally.is_complete());
        tally.add_ticket(&insurer, 7);
        tally.add_ticket(&bank, 7);
        assert!(tally.is_complete());
    }
}
