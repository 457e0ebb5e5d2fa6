//! A look into a running peer, by its operator service.

use dejima_proto::v1::operator_client::OperatorClient;
use dejima_proto::v1::{Detection, Group, GroupsRequest, PeerGroup, PeerState, PeersRequest};
use dejima_testbed::connect_channel;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::failure::Failure;
use crate::output::{Output, Rows, print, print_json};

/// The longest wait for an answer of the peer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The peer itself and those it knows.
pub(crate) async fn peers(address: &str, output: Output) -> anyhow::Result<()> {
    let answer = operator(address)?.peers(bounded(PeersRequest {})).await;
    let peers = answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner()
        .peers;
    if output == Output::Json {
        let peers: Vec<Value> = peers.iter().map(peer_json).collect();
        return Ok(print_json(&json!({ "peers": peers }))?);
    }
    let mut rows = Rows::new(&["name", "type", "address", "state", "last answer", "error"]);
    for peer in &peers {
        let last = peer
            .last_answer_ms_ago
            .map_or_else(String::new, |ms| format!("{} ago", duration_text(ms)));
        rows.add_row([
            &peer.name,
            &peer.r#type,
            &peer.address,
            &peer.state,
            &last,
            &peer.error,
        ]);
    }
    Ok(print(rows)?)
}

/// The Dejima tables and who shares them, and the peer groups; or what detection has done.
pub(crate) async fn groups(address: &str, stats: bool, output: Output) -> anyhow::Result<()> {
    let answer = operator(address)?.groups(bounded(GroupsRequest {})).await;
    let answer = answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner();
    let detection = answer.detection.unwrap_or_default();
    match (output, stats) {
        (Output::Json, _) => Ok(print_json(&json!({
            "groups": answer.groups.iter().map(group_json).collect::<Vec<_>>(),
            "peer_groups": answer.peer_groups.iter().map(peer_group_json).collect::<Vec<_>>(),
            "detection": detection_json(&detection),
        }))?),
        (Output::Table, true) => print_detection(&detection),
        (Output::Table, false) => print_groups(&answer.groups, &answer.peer_groups),
    }
}

fn print_groups(groups: &[Group], peer_groups: &[PeerGroup]) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["table", "members", "columns", "complete"]);
    for group in groups {
        rows.add_row([
            &group.table,
            &group.members.join(", "),
            &group.columns.join(", "),
            &complete_text(group.complete, &group.missing),
        ]);
    }
    print(rows)?;
    let mut rows = Rows::new(&["dejima tables", "attributes", "peers"]);
    for group in peer_groups {
        rows.add_row([
            &group.dejima_tables.join(", "),
            &group.attributes.join(", "),
            &group.peers.join(", "),
        ]);
    }
    Ok(print(rows)?)
}

/// Whether a group is complete, and if not, what is missing.
pub(crate) fn complete_text(complete: bool, missing: &[String]) -> String {
    if complete {
        "yes".to_owned()
    } else {
        format!("no: {}", missing.join("; "))
    }
}

fn print_detection(detection: &Detection) -> anyhow::Result<()> {
    let ago = |ms: Option<u64>| {
        ms.map_or_else(
            || "never".to_owned(),
            |ms| format!("{} ago", duration_text(ms)),
        )
    };
    let complete = detection
        .complete_ms_ago
        .map_or_else(|| "not now".to_owned(), duration_text);
    let facts = [
        ("messages sent", detection.messages_sent.to_string()),
        ("messages received", detection.messages_received.to_string()),
        (
            "messages unanswered",
            detection.messages_unanswered.to_string(),
        ),
        ("updates", detection.updates.to_string()),
        ("conflicts", detection.conflicts.to_string()),
        ("broadcasts", detection.broadcasts.to_string()),
        ("ready since", duration_text(detection.ready_ms_ago)),
        ("last update", ago(detection.last_update_ms_ago)),
        ("last broadcast", ago(detection.last_broadcast_ms_ago)),
        ("complete since", complete),
    ];
    let mut rows = Rows::new(&["detection", "since the peer started"]);
    for (name, value) in facts {
        rows.add_row([name, &value]);
    }
    Ok(print(rows)?)
}

/// Where the peer's database is, as a connection string without user and password.
pub(crate) async fn database_place(address: &str) -> anyhow::Result<String> {
    let answer = operator(address)?.peers(bounded(PeersRequest {})).await;
    let peers = answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner()
        .peers;
    let place = peers
        .into_iter()
        .next()
        .map(|peer| peer.database)
        .filter(|place| !place.is_empty());
    Ok(place.ok_or_else(|| {
        Failure::new(
            "the peer does not say where its database is",
            "Say it with --database.",
        )
    })?)
}

/// A client of the peer's operator service.
pub(crate) fn operator(address: &str) -> Result<OperatorClient<Channel>, Failure> {
    let channel = connect_channel(address).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(OperatorClient::new(channel))
}

/// A request that waits no longer than a peer may take.
pub(crate) fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER_MAX);
    request
}

/// A peer that said no is another matter than one that said nothing.
pub(crate) fn unanswered(address: &str, status: &Status) -> Failure {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            Failure::new(
                format!("the peer at {address} did not answer: {}", cause(status)),
                "Is it running, and is this its local address? Its log says more.",
            )
        }
        Code::Unimplemented => Failure::new(
            format!("the peer at {address} has no service for its operator"),
            "Use the address `local` of its configuration, not the one for other peers.",
        ),
        _ => Failure::new(
            format!("the peer at {address} refuses: {}", status.message()),
            "",
        ),
    }
}

/// The innermost cause: tonic's own words are "transport error".
fn cause(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

fn peer_json(peer: &PeerState) -> Value {
    json!({
        "name": peer.name, "type": peer.r#type, "address": peer.address, "incarnation": peer.incarnation,
        "state": peer.state, "last_answer_ms_ago": peer.last_answer_ms_ago, "error": peer.error,
        "database": peer.database,
    })
}

fn group_json(group: &Group) -> Value {
    json!({
        "table": group.table, "members": group.members, "columns": group.columns,
        "complete": group.complete, "missing": group.missing,
    })
}

fn peer_group_json(group: &PeerGroup) -> Value {
    json!({
        "dejima_tables": group.dejima_tables, "attributes": group.attributes, "peers": group.peers,
    })
}

fn detection_json(detection: &Detection) -> Value {
    json!({
        "messages_sent": detection.messages_sent, "messages_received": detection.messages_received,
        "messages_unanswered": detection.messages_unanswered, "updates": detection.updates,
        "conflicts": detection.conflicts, "broadcasts": detection.broadcasts,
        "ready_ms_ago": detection.ready_ms_ago, "last_update_ms_ago": detection.last_update_ms_ago,
        "last_broadcast_ms_ago": detection.last_broadcast_ms_ago, "complete_ms_ago": detection.complete_ms_ago,
    })
}

/// A duration for people: two significant units are enough.
pub(crate) fn duration_text(ms: u64) -> String {
    let seconds = ms / 1_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let texts = [0, 999, 1_000, 61_000, 3_660_000].map(duration_text);
        assert_eq!(texts, ["0 ms", "999 ms", "1 s", "1 min 1 s", "1 h 1 min"]);
    }
}
