//! What the machines hold, in the words of operator.proto.

use dejima_core::database::{DeclaredTable, Origin};
use dejima_core::examine::{Finding, State};
use dejima_core::group::{Counters, GroupState, MemberState, PeerGroup, Reached};
use dejima_core::name::PeerName;
use dejima_core::transaction::{Millis, Portion, ResolveAnswer, Summary};
use dejima_proto::v1;
use dejima_proto::v1::resolve_response::Answer;

use crate::wire;

pub(super) fn peer_to_wire(now: Millis, peer: MemberState) -> v1::PeerState {
    v1::PeerState {
        name: peer.identity.peer.into(),
        r#type: String::new(),
        address: peer.identity.address,
        incarnation: peer.identity.incarnation,
        state: peer.reach.word().into(),
        last_answer_ms_ago: peer.last_answer.map(|then| now.saturating_sub(then)),
        error: peer.error.unwrap_or_default(),
        database: String::new(),
    }
}

pub(super) fn reached_to_wire((peer, reached): (PeerName, Reached)) -> v1::ScopePeer {
    v1::ScopePeer {
        name: peer.into(),
        tables: reached.tables.into_iter().map(String::from).collect(),
        is_direct: reached.is_direct,
        state: reached.reach.word().into(),
    }
}

pub(super) fn group_to_wire(group: GroupState) -> v1::Group {
    v1::Group {
        complete: group.is_complete(),
        table: group.table.into(),
        members: group.members.into_iter().map(String::from).collect(),
        columns: group.columns,
        missing: group.missing,
    }
}

pub(super) fn peer_group_to_wire(group: &PeerGroup) -> v1::PeerGroup {
    let names = group.attribute_names().into_iter();
    v1::PeerGroup {
        dejima_tables: group.tables.iter().map(ToString::to_string).collect(),
        attributes: names.map(str::to_owned).collect(),
        peers: group.peers.iter().map(ToString::to_string).collect(),
        columns: group
            .attributes
            .iter()
            .map(wire::attribute_to_wire)
            .collect(),
    }
}

pub(super) fn detection_to_wire(now: Millis, counters: Counters) -> v1::Detection {
    let ago = |then: Option<Millis>| then.map(|then| now.saturating_sub(then));
    v1::Detection {
        messages_sent: counters.messages_sent,
        messages_received: counters.messages_received,
        messages_unanswered: counters.messages_unanswered,
        updates: counters.updates,
        conflicts: counters.conflicts,
        broadcasts: counters.broadcasts,
        ready_ms_ago: now,
        last_update_ms_ago: ago(counters.last_update),
        last_broadcast_ms_ago: ago(counters.last_broadcast),
        complete_ms_ago: ago(counters.complete_since),
    }
}

pub(super) fn table_to_wire(table: &DeclaredTable) -> v1::DejimaTable {
    let only = match &table.base_tables[..] {
        [only] => Some(only.name.as_str()),
        _ => None,
    };
    let columns = table.schema.columns.iter().zip(&table.shows);
    let columns = columns.map(|(column, shows)| {
        let mut origins = shows.iter();
        let base_column = match (only, origins.next(), origins.next()) {
            (Some(_), Some(origin), None) => origin.column.clone(),
            _ => String::new(),
        };
        v1::MappedColumn {
            name: column.name.clone(),
            r#type: column.type_name.clone(),
            base_column,
            shows: shows.iter().map(origin_to_wire).collect(),
        }
    });
    let used = table.base_tables.iter().map(|used| v1::BaseTable {
        name: used.name.clone(),
        is_written: used.is_written,
    });
    v1::DejimaTable {
        name: table.name.to_string(),
        base_table: only.unwrap_or_default().to_owned(),
        columns: columns.collect(),
        key: table
            .schema
            .key
            .iter()
            .map(|&column| table.schema.column_name(column).to_owned())
            .collect(),
        condition: table.condition.clone().unwrap_or_default(),
        base_tables: used.collect(),
        decides: table.decides.iter().map(origin_to_wire).collect(),
    }
}

fn origin_to_wire(origin: &Origin) -> v1::BaseColumn {
    v1::BaseColumn {
        base_table: origin.base_table.clone(),
        column: origin.column.clone(),
    }
}

pub(super) fn transaction_to_wire(now: Millis, summary: Summary) -> v1::Transaction {
    let touched = summary
        .touched
        .into_iter()
        .map(|(table, rows)| v1::TouchedTable {
            table: table.into(),
            inserted: rows.inserted,
            updated: rows.updated,
            deleted: rows.deleted,
        });
    v1::Transaction {
        origin: summary.gid.origin().into(),
        gid: summary.gid.into(),
        parent: summary.parent.map(String::from).unwrap_or_default(),
        participants: summary.participants.into_iter().map(String::from).collect(),
        state: summary.state.to_owned(),
        age_ms: now.saturating_sub(summary.since),
        progress: summary.portion.map(progress_to_wire),
        tables: touched.collect(),
        waiting_for: summary
            .waiting_for
            .into_iter()
            .map(|waiting| v1::WaitingFor {
                peer: waiting.peer.into(),
                attempts: waiting.attempts,
                why: waiting.why,
            })
            .collect(),
        trouble: summary.trouble.map(|trouble| v1::Trouble {
            attempts: trouble.attempts,
            why: trouble.why,
        }),
    }
}

fn progress_to_wire(portion: Portion) -> v1::Progress {
    v1::Progress {
        batch: portion.batch + 1,
        batches: portion.batches,
        rows_settled: portion.rows_settled,
        rows: portion.rows_total,
        bytes_settled: portion.bytes_settled,
        bytes: portion.bytes_total,
    }
}

pub(super) fn resolved_to_wire(answer: ResolveAnswer) -> v1::ResolveResponse {
    let answer = match answer {
        ResolveAnswer::Done => Answer::Done(v1::ResolveDone {}),
        ResolveAnswer::Decided { decision, by } => Answer::Decided(v1::ResolveDecided {
            decision: wire::decision_to_wire(Some(decision)).into(),
            by: by.into(),
        }),
        ResolveAnswer::Unknown { asked } => {
            let asked = asked.into_iter().map(|(peer, finding)| v1::AskedPeer {
                peer: peer.into(),
                finding,
            });
            Answer::Unknown(v1::ResolveUnknown {
                asked: asked.collect(),
            })
        }
        ResolveAnswer::Refused { why } => Answer::Refused(v1::ResolveRefused { why: why.into() }),
    };
    v1::ResolveResponse {
        answer: Some(answer),
    }
}

pub(super) fn finding_to_wire(finding: Finding) -> v1::Finding {
    let state = match finding.state {
        State::Ok => v1::FindingState::Ok,
        State::Warning => v1::FindingState::Warning,
        State::Critical => v1::FindingState::Critical,
    };
    v1::Finding {
        check: finding.check.into(),
        state: state.into(),
        what: finding.what,
        cure: finding.cure,
    }
}
