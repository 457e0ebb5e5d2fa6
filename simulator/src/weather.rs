//! How bad the weather of a seed is. Each kind of fault is off in many seeds: what is always there hides the rest.

use dejima_core::transaction::Millis;

use crate::fault::Fault;
use crate::random::Random;

/// How bad the weather is; rates in so many of a thousand occasions.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Messages lost.
    pub loss: u64,
    /// Questions delivered twice.
    pub repetition: u64,
    /// Messages that take very long.
    pub late: u64,
    /// Questions to a peer that is down whose asker hears so at once.
    pub connections_refused: u64,
    /// COMMITs that take very long after the vote.
    pub slow_commits: u64,
    /// Clients that vanish after the vote.
    pub client_deaths: u64,
    /// Helpers that die.
    pub helper_deaths: u64,
    /// Peers killed, per step of a peer and place in it.
    pub peer_deaths: u64,
    /// Databases killed, per request and place in it.
    pub database_deaths: u64,
    /// Sessions broken, per request and place in it.
    pub broken_sessions: u64,
    /// COMMIT PREPARED and ROLLBACK PREPARED that fail, done or not.
    pub finish_failures: u64,
    /// COMMIT PREPARED and ROLLBACK PREPARED that take very long.
    pub slow_finishes: u64,
    /// Batches of a large capture that cannot be read.
    pub lost_batches: u64,
    /// The highest ordinary delay of a message, in ms.
    pub delay_ms_max: Millis,
    /// The longest pause between two clients, in ms.
    pub pause_ms_max: Millis,
    /// How long the storm may go on after the last client has begun, in ms.
    pub after_ms_max: Millis,
    /// The longest time that a cut lasts, a peer is clogged or a killed process is away, in ms.
    pub outage_ms_max: Millis,
    /// The longest time between two troubles, in ms.
    pub trouble_ms_max: Millis,
    /// What comes of itself now and then.
    pub troubles: Vec<Fault>,
    /// Faults that happen for certain, at the occasion with this number (1 is the first).
    pub plans: Vec<(Fault, u64)>,
}

/// What can come at any moment, whatever is being done.
const TROUBLES: [Fault; 8] = [
    Fault::CutOneWay,
    Fault::CutBothWays,
    Fault::HalvesCutOneWay,
    Fault::HalvesCutBothWays,
    Fault::Swizzle,
    Fault::PeerDies,
    Fault::DatabaseDies,
    Fault::MachineDies,
];

impl Weather {
    /// Nothing is lost, everything is quick.
    pub fn calm() -> Self {
        Self {
            delay_ms_max: 3,
            outage_ms_max: 100,
            ..Self::default()
        }
    }

    /// The weather of a seed.
    pub fn random(random: &mut Random) -> Self {
        let mut rate = |step: u64| random.one_of(&[0, 0, 1, 4]) * step;
        let rates = Self {
            loss: rate(5),
            repetition: rate(20),
            late: rate(10),
            connections_refused: rate(200),
            slow_commits: rate(100),
            client_deaths: rate(30),
            helper_deaths: rate(40),
            peer_deaths: rate(1),
            database_deaths: rate(1),
            broken_sessions: rate(2),
            finish_failures: rate(150),
            slow_finishes: rate(80),
            lost_batches: rate(20),
            ..Self::default()
        };
        let troubles = TROUBLES.into_iter().filter(|_| random.chance(200));
        Self {
            troubles: troubles.collect(),
            plans: plans(random),
            delay_ms_max: 1 + random.below(30),
            pause_ms_max: random.one_of(&[30, 200, 1_000, 3_000]),
            after_ms_max: random.one_of(&[0, 500, 5_000, 100_000]),
            outage_ms_max: random.one_of(&[100, 500, 2_000, 6_000, 90_000]),
            trouble_ms_max: random.one_of(&[2_000, 10_000, 30_000]),
            ..rates
        }
    }
}

fn plans(random: &mut Random) -> Vec<(Fault, u64)> {
    let all = Fault::all();
    (0..random.below(8))
        .map(|_| (random.one_of(&all), 1 + random.below(12)))
        .collect()
}
