//! Transactions that do not end.

use super::{Finding, State, or_ok};
use crate::transaction::{Machine, Millis, Summary};

/// A decision takes milliseconds, a restart of a peer seconds.
const DOUBT_WARNING_MS: Millis = 60_000;
const DOUBT_CRITICAL_MS: Millis = 600_000;
/// With the pauses growing, about a minute of silence.
const ATTEMPTS_MANY: u32 = 12;

/// Judges the transactions in flight: how long in doubt, who does not answer, what the database says.
pub fn transactions(now: Millis, machine: &Machine) -> Vec<Finding> {
    if machine.is_recovered() {
        return judge(now, &machine.summaries());
    }
    vec![Finding::warning(
        "transactions",
        "the peer does not know yet what its last process left unfinished",
        "wait a moment; if it stays so, the peer's log says why its database cannot be read",
    )]
}

fn judge(now: Millis, summaries: &[Summary]) -> Vec<Finding> {
    let number = summaries.len();
    let doubts = summaries.iter().filter_map(|summary| doubt(now, summary));
    let troubles = summaries.iter().filter_map(trouble);
    let silences = summaries.iter().flat_map(silences);
    let faults = doubts.chain(troubles).chain(silences).collect();
    or_ok(
        "transactions",
        faults,
        format!("{number} in flight, none stuck"),
    )
}

fn doubt(now: Millis, summary: &Summary) -> Option<Finding> {
    let age_ms = now.saturating_sub(summary.since);
    let state = match age_ms {
        _ if summary.state != "in doubt" => return None,
        0..DOUBT_WARNING_MS => return None,
        DOUBT_WARNING_MS..DOUBT_CRITICAL_MS => State::Warning,
        _ => State::Critical,
    };
    let parent = summary.parent.as_ref().map_or("?", |peer| peer.as_str());
    Some(Finding {
        check: "transactions",
        state,
        what: format!(
            "{} is in doubt for {} s: only peer \"{parent}\" can tell the decision, and its rows stay locked until then",
            summary.gid,
            age_ms / 1_000
        ),
        cure: format!(
            "start peer \"{parent}\" and its database; if it never comes back: dejima tx resolve {} --commit or --abort",
            summary.gid
        ),
    })
}

fn trouble(summary: &Summary) -> Option<Finding> {
    let trouble = summary.trouble.as_ref()?;
    Some(Finding::critical(
        "transactions",
        format!(
            "the database cannot end {} (asked {} times): {}",
            summary.gid, trouble.attempts, trouble.why
        ),
        "mend what the database says; it is asked again by itself",
    ))
}

fn silences(summary: &Summary) -> impl Iterator<Item = Finding> {
    let silent = summary
        .waiting_for
        .iter()
        .filter(|waiting| waiting.attempts >= ATTEMPTS_MANY);
    silent.map(|waiting| {
        Finding::warning(
            "transactions",
            format!(
                "{} waits for peer \"{}\", asked {} times: {}",
                summary.gid, waiting.peer, waiting.attempts, waiting.why
            ),
            format!(
                "start peer \"{}\"; it is asked again by itself",
                waiting.peer
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::name::{Gid, PeerName};
    use crate::transaction::{Trouble, WaitingFor};

    fn summary(state: &'static str) -> Summary {
        Summary {
            gid: Gid::new("bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e").unwrap(),
            parent: Some(PeerName::new("bank").unwrap()),
            participants: vec![],
            state,
            since: 1_000,
            touched: BTreeMap::new(),
            portion: None,
            waiting_for: vec![],
            trouble: None,
        }
    }

    fn states(now: Millis, summary: Summary) -> Vec<State> {
        judge(now, &[summary]).iter().map(|f| f.state).collect()
    }

    #[test]
    fn doubt_is_normal_then_a_warning_then_critical() {
        assert_eq!(states(60_999, summary("in doubt")), [State::Ok]);
        assert_eq!(states(61_000, summary("in doubt")), [State::Warning]);
        assert_eq!(states(600_999, summary("in doubt")), [State::Warning]);
        assert_eq!(states(601_000, summary("in doubt")), [State::Critical]);
        assert_eq!(states(601_000, summary("committing")), [State::Ok]);
    }

    #[test]
    fn what_the_database_says_is_critical_and_silence_a_warning() {
        let mut stuck = summary("committing");
        stuck.trouble = Some(Trouble {
            attempts: 2,
            why: "disk full".into(),
        });
        let peer = PeerName::new("gov").unwrap();
        let waiting = |attempts| WaitingFor {
            peer: peer.clone(),
            attempts,
            why: "refused".into(),
        };
        stuck.waiting_for = vec![waiting(ATTEMPTS_MANY - 1), waiting(ATTEMPTS_MANY)];
        let found = judge(1_000, &[stuck]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].state, State::Critical);
        assert!(
            found[0].what.ends_with("(asked 2 times): disk full"),
            "{found:?}"
        );
        assert_eq!(found[1].state, State::Warning);
        assert!(
            found[1]
                .what
                .contains("peer \"gov\", asked 12 times: refused"),
            "{found:?}"
        );
    }
}
