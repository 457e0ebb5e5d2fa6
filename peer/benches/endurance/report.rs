//! The samples by tenths of the transactions, and the growth after the warm-up.

use std::time::Duration;

use crate::sample::{PeerSample, Sample};

/// Until then things may fill: pools, the memory of transactions that have ended (a minute), what vacuum leaves.
const WARM_UP_PERCENT: u64 = 20;
/// The same in time, for short runs; autovacuum comes once a minute.
const WARM_UP: Duration = Duration::from_secs(150);
const RSS_GROWTH_MAX: f64 = 1.2;
/// Relative to the rate, if that has risen: what autovacuum has not come to yet grows with the rate of transactions,
/// not with their number.
const BYTES_GROWTH_MAX: f64 = 1.5;

/// What was seen so far.
pub(crate) struct Report {
    peers: Vec<String>,
    transactions: u64,
    tenths: Vec<Vec<Sample>>,
}

impl Report {
    /// Prints the head of the table.
    pub(crate) fn new(peers: [&str; 2], transactions: u64) -> Self {
        println!("{transactions} transactions; RSS and size are the mean of each tenth\n");
        print!(
            "{:>9} {:>7} {:>7} {:>8}",
            "ended", "seconds", "tx/s", "refused"
        );
        for peer in peers {
            let peer: String = peer.chars().take(4).collect();
            print!(
                " | {:>11} {:>8} {:>6} {:>11} {:>6}",
                format!("{peer} RSS MiB"),
                "max",
                "files",
                "dejima KiB",
                "rows"
            );
        }
        println!();
        Self {
            peers: peers.map(str::to_owned).to_vec(),
            transactions,
            tenths: vec![Vec::new()],
        }
    }

    /// Takes a sample; prints the line of a tenth that is complete.
    pub(crate) fn add(&mut self, sample: Sample) {
        let due = self.tenths.len() as u64 * self.transactions / 10;
        let is_complete = sample.ended >= due && self.tenths.len() < 10;
        if let Some(tenth) = self.tenths.last_mut() {
            tenth.push(sample);
        }
        if is_complete {
            self.print_last();
            self.tenths.push(Vec::new());
        }
    }

    /// Prints the rest, and whether all stayed flat.
    pub(crate) fn close(mut self) -> bool {
        self.print_last();
        self.tenths.retain(|tenth| !tenth.is_empty());
        let is_warm = |sample: &Sample| {
            sample.at >= WARM_UP && sample.ended * 100 >= self.transactions * WARM_UP_PERCENT
        };
        let first = self
            .tenths
            .iter()
            .find(|tenth| tenth.first().is_some_and(is_warm));
        let pair = first
            .zip(self.tenths.last())
            .filter(|(first, last)| !std::ptr::eq(*first, *last));
        let Some((first, last)) = pair else {
            println!("\ntoo short: growth is judged from {WARM_UP_PERCENT} % and {WARM_UP:?} on");
            return false;
        };
        let rates = rate(last) / rate(first);
        println!(
            "\nlast tenth against the first one after the warm-up: transactions a second × {rates:.3}"
        );
        let mut is_flat = true;
        for (at, peer) in self.peers.iter().enumerate() {
            let growth =
                |what: fn(&PeerSample) -> f64| mean(last, at, what) / mean(first, at, what);
            let (rss, bytes) = (growth(rss_mib), growth(kib));
            let bytes_max = BYTES_GROWTH_MAX * rates.max(1.0);
            is_flat &= rss <= RSS_GROWTH_MAX && bytes <= bytes_max;
            println!(
                "{peer:12} RSS × {rss:.3} (at most {RSS_GROWTH_MAX}), schema dejima × {bytes:.3} (at most {bytes_max:.3})"
            );
            print_relations(at, first, last);
        }
        println!("{}", if is_flat { "flat" } else { "NOT FLAT" });
        is_flat
    }

    fn print_last(&self) {
        let Some(tenth) = self.tenths.last() else {
            return;
        };
        let Some(last) = tenth.last() else { return };
        // The first tenth begins when the sampling does.
        let before = self
            .tenths
            .iter()
            .rev()
            .nth(1)
            .and_then(|tenth| tenth.last());
        let (ended, at) = before.map_or((0, Duration::ZERO), |before| (before.ended, before.at));
        let seconds = (last.at - at).as_secs_f64();
        let rate = (last.ended - ended) as f64 / seconds;
        print!(
            "{:9} {:7.0} {rate:7.0} {:8}",
            last.ended,
            last.at.as_secs_f64(),
            last.refused
        );
        for (at, peer) in last.peers.iter().enumerate() {
            print!(
                " | {:11.1} {:8.1} {:6} {:11.0} {:6}",
                mean(tenth, at, rss_mib),
                peer.rss_kib_max as f64 / 1024.0,
                peer.files,
                mean(tenth, at, kib),
                peer.rows
            );
        }
        println!();
    }
}

/// What has grown, by name.
fn print_relations(at: usize, first: &[Sample], last: &[Sample]) {
    let (Some(first), Some(last)) = (first.first(), last.last()) else {
        return;
    };
    for (name, bytes) in &last.peers[at].relations {
        let before = first.peers[at].relations.get(name).copied().unwrap_or(0);
        if before != *bytes {
            println!(
                "{:14}{name}: {} KiB, then {} KiB",
                "",
                before / 1024,
                bytes / 1024
            );
        }
    }
}

fn rss_mib(peer: &PeerSample) -> f64 {
    peer.rss_kib as f64 / 1024.0
}

fn kib(peer: &PeerSample) -> f64 {
    peer.bytes() as f64 / 1024.0
}

/// Transactions a second, between the first sample and the last.
fn rate(samples: &[Sample]) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return 0.0;
    };
    (last.ended - first.ended) as f64 / (last.at - first.at).as_secs_f64().max(1.0)
}

fn mean(samples: &[Sample], at: usize, what: fn(&PeerSample) -> f64) -> f64 {
    let sum: f64 = samples.iter().map(|sample| what(&sample.peers[at])).sum();
    sum / samples.len() as f64
}
