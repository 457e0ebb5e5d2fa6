//! `dejima explain`: what a statement would write, and who would hear of it. Nothing is executed.

pub(crate) mod statement;
mod target;

use dejima_proto::v1::{BaseTableChange, ScopePeer, ScopeRequest, ScopeResponse, ScopeTable};
use serde_json::{Value, json};

use crate::arguments::Explain;
use crate::change::connect;
use crate::inspect::{bounded, complete_text, operator, unanswered};
use crate::output::{Output, Rows, print, print_json, print_text};
use statement::Operation;
use target::{Follower, Target};

/// Explains the statement to the operator.
pub(crate) async fn explain(
    arguments: Explain,
    address: &str,
    output: Output,
) -> anyhow::Result<()> {
    let writes = statement::writes(&arguments.sql)?;
    let client = connect(&arguments.place, Some(address.to_owned())).await?;
    let mut targets = Vec::new();
    for write in &writes {
        targets.push(target::target(&client, write).await?);
    }
    let scope = scope(address, &targets).await?;
    match output {
        Output::Json => Ok(print_json(&explained_json(&targets, &scope))?),
        Output::Table => print_explained(&targets, &scope),
    }
}

async fn scope(address: &str, targets: &[Target]) -> anyhow::Result<ScopeResponse> {
    let changes = targets.iter().map(|target| BaseTableChange {
        base_table: target.base_table.clone(),
        columns: match target.operation {
            Operation::Update => [&target.columns[..], &target.generated[..]].concat(),
            Operation::Insert | Operation::Delete => vec![],
        },
    });
    let request = ScopeRequest {
        changes: changes.collect(),
    };
    let answer = operator(address)?.scope(bounded(request)).await;
    Ok(answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner())
}

/// Why the transaction would be refused as things are; others than those whom this peer itself tells may still refuse.
fn refusals(scope: &ScopeResponse) -> Vec<String> {
    let incomplete = scope.tables.iter().filter(|table| !table.complete);
    let incomplete = incomplete.map(|table| {
        let missing = table.missing.join("; ");
        format!("the group of {} is not complete: {missing}", table.table)
    });
    let is_away = |peer: &&ScopePeer| peer.is_direct && peer.state == "unreachable";
    let away = scope.peers.iter().filter(is_away);
    let away = away.map(|peer| format!("peer \"{}\" is unreachable", peer.name));
    incomplete.chain(away).collect()
}

fn print_explained(targets: &[Target], scope: &ScopeResponse) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["writes", "base table", "columns"]);
    for target in targets {
        let columns = match target.operation {
            Operation::Update => target.columns.join(", "),
            Operation::Insert | Operation::Delete => "whole rows".to_owned(),
        };
        rows.add_row([target.operation.word(), &target.name, &columns]);
    }
    print(rows)?;
    if scope.tables.is_empty() {
        print("That is in no Dejima table: no other peer hears of it.")?;
    } else {
        print_scope(scope)?;
    }
    for target in targets {
        for follower in &target.followers {
            print_text(follower_text(target, follower))?;
        }
    }
    Ok(())
}

fn print_scope(scope: &ScopeResponse) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["Dejima table", "columns", "complete"]);
    for ScopeTable {
        table,
        columns,
        complete,
        missing,
    } in &scope.tables
    {
        rows.add_row([
            table,
            &columns.join(", "),
            &complete_text(*complete, missing),
        ]);
    }
    print(rows)?;
    let mut rows = Rows::new(&["may reach", "by", "told by", "state"]);
    for peer in &scope.peers {
        let teller = if peer.is_direct {
            "this peer"
        } else {
            "others"
        };
        rows.add_row([
            &peer.name,
            &peer.tables.join(", "),
            teller,
            state_text(peer),
        ]);
    }
    if rows.is_empty() {
        print("No other peer shares it.")?;
    } else {
        print(rows)?;
    }
    let refusals = refusals(scope);
    if refusals.is_empty() {
        return Ok(print(
            "No absent peer and no incomplete group would have it refused now.",
        )?);
    }
    Ok(print_text(format_args!(
        "It would be refused now: {}.",
        refusals.join("; ")
    ))?)
}

fn state_text(peer: &ScopePeer) -> &str {
    match (peer.state.as_str(), peer.is_direct) {
        ("unknown", true) => "not called yet",
        ("unknown", false) => "not called from here",
        (state, _) => state,
    }
}

fn follower_text(target: &Target, follower: &Follower) -> String {
    let (name, operation) = (&target.name, target.operation.word());
    match follower {
        Follower::ForeignKey {
            name: key,
            table,
            action,
        } => format!(
            "It may also write {table}: its foreign key \"{key}\" follows {name} (ON {operation} {action})."
        ),
        Follower::Trigger {
            name: trigger,
            function,
        } => format!(
            "It may also write what trigger \"{trigger}\" of {name} writes (function {function})."
        ),
    }
}

fn explained_json(targets: &[Target], scope: &ScopeResponse) -> Value {
    let writes = targets.iter().map(|target| {
        json!({
            "operation": target.operation.word(), "base_table": target.base_table, "columns": target.columns,
            "may_also_write": target.followers.iter().map(follower_json).collect::<Vec<_>>(),
        })
    });
    let tables = scope.tables.iter().map(|table| {
        json!({
            "table": table.table, "columns": table.columns, "complete": table.complete, "missing": table.missing,
        })
    });
    let peers = scope.peers.iter().map(|peer| {
        json!({
            "name": peer.name, "tables": peer.tables, "is_direct": peer.is_direct, "state": peer.state,
        })
    });
    json!({
        "writes": writes.collect::<Vec<_>>(), "tables": tables.collect::<Vec<_>>(),
        "peers": peers.collect::<Vec<_>>(), "refusals": refusals(scope),
    })
}

fn follower_json(follower: &Follower) -> Value {
    match follower {
        Follower::ForeignKey {
            name,
            table,
            action,
        } => json!({ "foreign_key": name, "table": table, "action": action }),
        Follower::Trigger { name, function } => json!({ "trigger": name, "function": function }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, is_direct: bool, state: &str) -> ScopePeer {
        ScopePeer {
            name: name.into(),
            tables: vec!["T".into()],
            is_direct,
            state: state.into(),
        }
    }

    fn scope_with(peers: Vec<ScopePeer>, missing: &[&str]) -> ScopeResponse {
        let touched = ScopeTable {
            table: "T".into(),
            columns: vec!["a".into()],
            complete: missing.is_empty(),
            missing: missing.iter().map(|&text| text.to_owned()).collect(),
        };
        ScopeResponse {
            tables: vec![touched],
            peers,
        }
    }

    #[test]
    fn only_those_whom_the_peer_itself_tells_are_known_to_be_away() {
        let states = [
            ("a", true, "reachable"),
            ("b", true, "unknown"),
            ("c", false, "unreachable"),
        ];
        let peers = || {
            states
                .map(|(name, direct, state)| peer(name, direct, state))
                .to_vec()
        };
        assert_eq!(refusals(&scope_with(peers(), &[])), [""; 0]);
        let mut away = peers();
        away.push(peer("d", true, "unreachable"));
        assert_eq!(
            refusals(&scope_with(away, &[])),
            ["peer \"d\" is unreachable"]
        );
    }

    #[test]
    fn an_incomplete_group_says_what_is_missing() {
        let scope = scope_with(vec![], &["seed x is silent", "y differs"]);
        assert_eq!(
            refusals(&scope),
            ["the group of T is not complete: seed x is silent; y differs"]
        );
    }

    #[test]
    fn what_nobody_calls_from_here_is_not_called_late() {
        assert_eq!(state_text(&peer("a", true, "unknown")), "not called yet");
        assert_eq!(
            state_text(&peer("a", false, "unknown")),
            "not called from here"
        );
        assert_eq!(state_text(&peer("a", false, "reachable")), "reachable");
    }
}
