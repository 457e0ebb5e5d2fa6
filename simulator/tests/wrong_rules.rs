//! Each invariant notices when a rule is broken on purpose: a checker that cannot fail checks nothing.

use dejima_simulator::wrong_rule::WrongRule;

/// So many seeds are tried for each wrong rule.
const SEEDS: u64 = 2_000;

/// The first seed in which this invariant notices the wrong rule.
fn noticed(rule: WrongRule, invariant: &str) -> Option<u64> {
    (0..SEEDS).find(|seed| {
        let violations = dejima_simulator::run(*seed, Some(rule)).violations;
        violations.iter().any(|found| found.invariant == invariant)
    })
}

#[test]
fn every_wrong_rule_is_noticed_by_the_invariant_that_it_breaks() {
    for (rule, invariant) in WrongRule::ALL {
        let seed = noticed(rule, invariant);
        println!("{rule:?}: {invariant}: {seed:?}");
        let seed = seed.unwrap_or_else(|| panic!("{rule:?} went unnoticed by {invariant}"));
        assert_eq!(dejima_simulator::run(seed, None).violations, []);
    }
}
