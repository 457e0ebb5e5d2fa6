//! Sets of positions in a log, kept as ranges: what one message brought lies side by side.

use std::collections::BTreeMap;

/// A set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// Last by first; they neither touch nor overlap.
    last_by_first: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Puts a number in.
    pub(super) fn insert(&mut self, number: u64) {
        let before = self.last_by_first.range(..=number).next_back();
        let before = before.map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| number <= last) {
            return;
        }
        let first = match before {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let last = self.last_by_first.remove(&(number + 1)).unwrap_or(number);
        self.last_by_first.insert(first, last);
    }

    /// Whether a number is in.
    pub(super) fn contains(&self, number: u64) -> bool {
        let range = self.last_by_first.range(..=number).next_back();
        range.is_some_and(|(_, &last)| number <= last)
    }

    /// Forgets everything up to a number.
    pub(super) fn forget(&mut self, upto: u64) {
        while let Some((&first, &last)) = self.last_by_first.first_key_value() {
            if first > upto {
                return;
            }
            self.last_by_first.remove(&first);
            if last > upto {
                self.last_by_first.insert(upto + 1, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(numbers in proptest::collection::vec(0u64..60, 0..80), upto in 0u64..60) {
            let mut ranges = Ranges::default();
            let mut expected = BTreeSet::new();
            for number in numbers {
                ranges.insert(number);
                expected.insert(number);
            }
            for number in 0..62 {
                prop_assert_eq!(ranges.contains(number), expected.contains(&number));
            }
            ranges.forget(upto);
            expected.retain(|&number| number > upto);
            prop_assert!((0..62).all(|number| ranges.contains(number) == expected.contains(&number)));
        }
    }
}
