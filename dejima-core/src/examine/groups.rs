//! Other peers: who is missing, who does not answer, who has seen more of this peer than it knows itself.

use super::{Finding, or_ok};
use crate::group::{GroupState, MemberState, Overtaken};

/// What a peer has answered to the question for its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Serving,
    /// It answers, but does not serve.
    NotServing,
    /// It does not answer.
    Silent(String),
}

/// Judges whether each group is complete.
pub fn groups(groups: &[GroupState]) -> Vec<Finding> {
    let incomplete = groups.iter().filter(|group| !group.is_complete());
    let faults = incomplete.map(|group| {
        Finding::critical(
            "groups",
            format!(
                "changes of Dejima table \"{}\" are refused: {}",
                group.table,
                group.missing.join("; ")
            ),
            "start the peers named, or correct [[seed]] or [[dejima_table]] in the configuration and restart",
        )
    });
    or_ok(
        "groups",
        faults.collect(),
        format!("{} complete", groups.len()),
    )
}

/// Judges what another peer has answered just now.
pub fn health(peer: &MemberState, health: &Health) -> Finding {
    let (name, address) = (&peer.identity.peer, &peer.identity.address);
    let (why, cure) = match health {
        Health::Serving => {
            return Finding::ok("peers", format!("peer \"{name}\" at {address} serves"));
        }
        Health::NotServing => (
            "it answers, but does not serve",
            "ask its operator to run `dejima doctor` there",
        ),
        Health::Silent(why) => (
            why.as_str(),
            "ask its operator to start it; see that its address can be reached from here",
        ),
    };
    Finding::critical(
        "peers",
        format!("peer \"{name}\" at {address}: {why}; changes of what it shares are refused"),
        cure,
    )
}

/// Judges what others have seen of this peer.
pub fn overtaken(overtaken: Option<&Overtaken>) -> Finding {
    let Some(Overtaken { by, seen, own }) = overtaken else {
        return Finding::ok("backup", "no peer has seen a later start of this peer");
    };
    Finding::critical(
        "backup",
        format!(
            "the database is older than what peer \"{by}\" has seen (incarnation {seen} against {own}): it was restored \
             from a backup, and changes since then are missing here"
        ),
        "compare each Dejima table with another member's copy, mend the rows, then: \
         UPDATE dejima.peer SET overtaken_by = NULL",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examine::State;
    use crate::group::{Identity, Reach};
    use crate::name::{PeerName, TableName};

    #[test]
    fn an_incomplete_group_is_critical_and_named() {
        let group = |missing: &[&str]| GroupState {
            table: TableName::new("Stock").unwrap(),
            members: vec![],
            columns: vec![],
            missing: missing.iter().map(|&text| text.to_owned()).collect(),
        };
        assert_eq!(groups(&[group(&[])])[0].state, State::Ok);
        let found = groups(&[group(&[]), group(&["seed http://gov has not answered yet"])]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].state, State::Critical);
        assert!(
            found[0].what.contains("\"Stock\"") && found[0].what.contains("http://gov"),
            "{found:?}"
        );
    }

    #[test]
    fn a_peer_that_does_not_serve_is_named_with_its_address() {
        let member = MemberState {
            identity: Identity {
                peer: PeerName::new("gov").unwrap(),
                address: "http://gov:1".into(),
                incarnation: 1,
            },
            reach: Reach::Reachable,
            last_answer: None,
            error: None,
        };
        assert_eq!(health(&member, &Health::Serving).state, State::Ok);
        for bad in [Health::NotServing, Health::Silent("refused".into())] {
            let found = health(&member, &bad);
            assert_eq!(found.state, State::Critical);
            assert!(
                found.what.starts_with("peer \"gov\" at http://gov:1: "),
                "{found:?}"
            );
        }
    }
}
