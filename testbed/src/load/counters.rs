//! What has become of transactions, in figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Transactions that succeeded and did not, and how long they took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// When each success was known since the start of the load, and how long it took.
    successes: Vec<(Duration, Duration)>,
    /// Refused by the database, by SQLSTATE.
    pub refused: BTreeMap<String, u64>,
    /// The connection broke before COMMIT was sent: the transaction cannot have happened.
    pub broken: u64,
    /// The connection broke during COMMIT: the client cannot know.
    pub unknown: u64,
    /// Attempts to connect that failed.
    pub unconnected: u64,
}

impl Counters {
    pub(super) fn succeeded_at(&mut self, at: Duration, took: Duration) {
        self.successes.push((at, took));
    }

    pub(super) fn refuse(&mut self, sqlstate: &str) {
        *self.refused.entry(sqlstate.to_owned()).or_default() += 1;
    }

    /// Adds up.
    pub(super) fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.successes.extend(&one.successes);
            for (sqlstate, count) in &one.refused {
                *sum.refused.entry(sqlstate.clone()).or_default() += count;
            }
            sum.broken += one.broken;
            sum.unknown += one.unknown;
            sum.unconnected += one.unconnected;
        }
        sum.successes.sort();
        sum
    }

    /// How many succeeded.
    pub fn succeeded(&self) -> usize {
        self.successes.len()
    }

    /// How many were refused.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// How many were refused with each class of SQLSTATE (its first two characters).
    pub fn refused_by_class(&self) -> BTreeMap<String, u64> {
        let mut classes = BTreeMap::new();
        for (sqlstate, count) in &self.refused {
            let class = sqlstate.get(..2).unwrap_or(sqlstate);
            *classes.entry(class.to_owned()).or_default() += count;
        }
        classes
    }

    /// The time within which so many in a thousand of the successes were done; zero without successes.
    pub fn latency(&self, per_mille: usize) -> Duration {
        let mut took: Vec<Duration> = self.successes.iter().map(|(_, took)| *took).collect();
        took.sort();
        let last = took.len().saturating_sub(1);
        let at = (took.len() * per_mille / 1000).min(last);
        took.get(at).copied().unwrap_or_default()
    }

    /// The longest time between two successes of anybody; zero with less than two. Rests count too.
    pub fn longest_gap(&self) -> Duration {
        let pairs = self.successes.windows(2);
        pairs
            .map(|pair| pair[1].0.saturating_sub(pair[0].0))
            .max()
            .unwrap_or_default()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} succeeded (p50 {:.1} ms, p99 {:.1} ms, max {:.0} ms; longest gap {:.0} ms), {} refused {:?}, \
             {} broken, {} of unknown outcome, {} without connection",
            self.succeeded(),
            ms(self.latency(500)),
            ms(self.latency(990)),
            ms(self.latency(1000)),
            ms(self.longest_gap()),
            self.refusals(),
            self.refused_by_class(),
            self.broken,
            self.unknown,
            self.unconnected,
        )
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_several_clients_add_up() {
        let ms = Duration::from_millis;
        let (mut one, mut other) = (Counters::default(), Counters::default());
        one.succeeded_at(ms(100), ms(5));
        one.succeeded_at(ms(900), ms(7));
        other.succeeded_at(ms(300), ms(50));
        for sqlstate in ["40001", "40P01", "08006"] {
            other.refuse(sqlstate);
        }
        let sum = Counters::sum([&one, &other]);
        assert_eq!((sum.succeeded(), sum.refusals()), (3, 3));
        assert_eq!(sum.longest_gap(), ms(600));
        assert_eq!(sum.latency(500), ms(7));
        assert_eq!(sum.latency(1000), ms(50));
        let classes = BTreeMap::from([("08".to_owned(), 1), ("40".to_owned(), 2)]);
        assert_eq!(sum.refused_by_class(), classes);
        assert_eq!(Counters::default().latency(990), Duration::ZERO);
    }
}
