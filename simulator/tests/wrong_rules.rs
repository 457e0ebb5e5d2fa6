//! Each invariant notices when a rule is broken on purpose: a checker that cannot fail checks nothing.

use dejima_simulator::wrong_rule::WrongRule;

/// The first of so many seeds in which the wrong rule is noticed, and by which invariant.
fn noticed(rule: WrongRule) -> Option<(u64, &'static str)> {
    (0..2_000).find_map(|seed| {
        Some((
            seed,
            dejima_simulator::run(seed, Some(rule)).violation?.invariant,
        ))
    })
}

#[test]
fn every_wrong_rule_is_noticed() {
    for rule in WrongRule::ALL {
        let found = noticed(rule);
        println!("{rule:?}: {found:?}");
        assert!(found.is_some(), "{rule:?} went unnoticed");
    }
}
