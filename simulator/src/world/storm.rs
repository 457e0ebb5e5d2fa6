//! What comes at any moment, whatever is being done: cuts, clogging, deaths. And the end of it.

use super::{Event, World};
use crate::fault::Fault;
use crate::weather::Weather;

impl World {
    /// One of the troubles of this weather, and the time of the next.
    pub(super) fn trouble(&mut self) {
        if !self.is_stormy || self.weather.troubles.is_empty() {
            return;
        }
        let pause = 1 + self.random.below(self.weather.trouble_ms_max);
        self.at(pause, Event::Trouble);
        let fault = self.random.one_of(&self.weather.troubles);
        self.faults.count(fault);
        let victim = self.random.index(self.peers.len());
        match fault {
            Fault::PeerDies => self.kill(victim),
            Fault::DatabaseDies => self.crash_database(victim),
            Fault::MachineDies => {
                self.kill(victim);
                self.crash_database(victim);
            }
            Fault::Swizzle => self.swizzle(),
            Fault::CutOneWay | Fault::CutBothWays => {
                let other = self.random.index(self.peers.len());
                self.cut(&[victim], &[other], fault == Fault::CutBothWays);
            }
            _ => {
                let (one, other) = self.halves();
                self.cut(&one, &other, fault == Fault::HalvesCutBothWays);
            }
        }
    }

    fn halves(&mut self) -> (Vec<usize>, Vec<usize>) {
        let mut all: Vec<usize> = (0..self.peers.len()).collect();
        self.random.shuffle(&mut all);
        let other = all.split_off(all.len() / 2);
        (all, other)
    }

    fn cut(&mut self, one: &[usize], other: &[usize], both_ways: bool) {
        let mut ways = vec![];
        for &a in one {
            for &b in other {
                ways.push((a, b));
                if both_ways {
                    ways.push((b, a));
                }
            }
        }
        self.network.cut(&ways);
        let lasts = self.random.below(self.weather.outage_ms_max);
        self.at(lasts, Event::CutEnds { ways });
    }

    /// Clogs some peers one after the other, and releases them in another order (after FoundationDB's simulator).
    fn swizzle(&mut self) {
        let (mut some, _) = self.halves();
        let mut time = 0;
        for &peer in &some {
            self.at(time, Event::Clog { peer });
            time += self.random.below(self.weather.outage_ms_max / 8);
        }
        self.random.shuffle(&mut some);
        for &peer in &some {
            time += self.random.below(self.weather.outage_ms_max / 8);
            self.at(time, Event::Release { peer });
        }
    }

    /// The weather is calm again, and everything that is down comes up.
    pub(super) fn heal(&mut self) {
        self.weather = Weather::calm();
        self.network.join_all();
        for peer in 0..self.peers.len() {
            self.release(peer);
            self.peers[peer].is_database_up = true;
            self.start(peer);
        }
    }
}
