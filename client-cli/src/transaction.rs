//! `dejima tx`: global transactions in flight, and how the operator ends one.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use dejima_proto::v1::resolve_response::Answer;
use dejima_proto::v1::{
    AskedPeer, ChangedColumn, ChangedRow, Decision, MarkedRow, Progress, ResolveRequest,
    ShowTransactionRequest, ShowTransactionResponse, TouchedTable, Transaction,
    TransactionsRequest,
};
use serde_json::{Value, json};

use crate::arguments::Resolve;
use crate::failure::Failure;
use crate::inspect::{bounded, duration_text, operator, unanswered};
use crate::output::{Output, Rows, is_terminal, print, print_json, print_text};

/// All in flight.
pub(crate) async fn list(address: &str, output: Output) -> anyhow::Result<()> {
    let request = TransactionsRequest { gid: String::new() };
    let answer = operator(address)?.transactions(bounded(request)).await;
    let transactions = answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner()
        .transactions;
    if output == Output::Json {
        let transactions: Vec<Value> = transactions.iter().map(transaction_json).collect();
        return Ok(print_json(&json!({ "transactions": transactions }))?);
    }
    if transactions.is_empty() {
        return Ok(print("No global transaction is in flight at this peer.")?);
    }
    let mut rows = Rows::new(&[
        "gid",
        "state",
        "age",
        "parent",
        "participants",
        "rows",
        "progress",
        "waits for",
    ]);
    for transaction in &transactions {
        let touched: u64 = transaction.tables.iter().map(rows_touched).sum();
        rows.add_row([
            &transaction.gid,
            &transaction.state,
            &duration_text(transaction.age_ms),
            &transaction.parent,
            &transaction.participants.join(", "),
            &touched.to_string(),
            &transaction
                .progress
                .as_ref()
                .map(batch_text)
                .unwrap_or_default(),
            &waits_text(transaction),
        ]);
    }
    Ok(print(rows)?)
}

/// One, with its rows and locks.
pub(crate) async fn show(address: &str, gid: &str, output: Output) -> anyhow::Result<()> {
    let request = ShowTransactionRequest {
        gid: gid.to_owned(),
    };
    let answer = operator(address)?.show_transaction(bounded(request)).await;
    let shown = answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner();
    let transaction = shown.transaction.as_ref().ok_or_else(|| {
        Failure::new(
            format!("transaction {gid} is not in flight at this peer"),
            "It has ended, or it never came here; `dejima tx list` shows those in flight.",
        )
    })?;
    if output == Output::Json {
        return Ok(print_json(&shown_json(transaction, &shown))?);
    }
    print_facts(transaction, &shown)?;
    print_rows(transaction, &shown)?;
    let mut locks = Rows::new(&["locked", "mode", "granted"]);
    for lock in &shown.locks {
        let granted = if lock.granted { "yes" } else { "no: it waits" };
        locks.add_row([lock.on.as_str(), lock.mode.as_str(), granted]);
    }
    if !locks.is_empty() {
        print(locks)?;
        print("Locks on single rows are in the rows themselves: nobody can count them.")?;
    }
    if !shown.unseen.is_empty() {
        print_text(format_args!(
            "The database could not be looked at: {}",
            shown.unseen
        ))?;
    }
    Ok(())
}

fn print_facts(transaction: &Transaction, shown: &ShowTransactionResponse) -> anyhow::Result<()> {
    let mut facts = Rows::new(&["transaction", &transaction.gid]);
    let pid = shown.pid.map(|pid| pid.to_string()).unwrap_or_default();
    let rows = [
        ("origin", transaction.origin.clone()),
        ("parent", transaction.parent.clone()),
        ("participants", transaction.participants.join(", ")),
        ("state", transaction.state.clone()),
        ("age", duration_text(transaction.age_ms)),
        ("rows", rows_text(transaction)),
        (
            "progress",
            transaction
                .progress
                .as_ref()
                .map(progress_text)
                .unwrap_or_default(),
        ),
        ("waits for", waits_text(transaction)),
        ("client's session (pid)", pid),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        facts.add_row([name, &value]);
    }
    Ok(print(facts)?)
}

/// Rows so far, by Dejima table.
fn rows_text(transaction: &Transaction) -> String {
    let table = |touched: &TouchedTable| format!("{}: {}", touched.table, rows_touched(touched));
    let tables = transaction.tables.iter().map(table);
    tables.collect::<Vec<_>>().join(", ")
}

fn batch_text(progress: &Progress) -> String {
    format!("batch {} of {}", progress.batch, progress.batches)
}

/// How far a transaction is that goes out in batches.
fn progress_text(progress: &Progress) -> String {
    format!(
        "{}; settled {} of {} captured rows, {} of {} MiB",
        batch_text(progress),
        progress.rows_settled,
        progress.rows,
        progress.bytes_settled >> 20,
        progress.bytes >> 20,
    )
}

fn print_rows(transaction: &Transaction, shown: &ShowTransactionResponse) -> anyhow::Result<()> {
    let progresses = transaction.progress.is_some();
    let mut rows = Rows::new(&["table", "operation", "key", "columns"]);
    for row in &shown.changes {
        rows.add_row([
            &row.table,
            &row.operation,
            &row.key.join(", "),
            &columns_text(row),
        ]);
    }
    if !rows.is_empty() {
        print(rows)?;
        if shown.changes_more > 0 {
            print(format_args!("and {} more rows", shown.changes_more))?;
        }
        if progresses {
            print(
                "These are rows of the batch at hand; the peer does not keep those of the others.",
            )?;
        }
        return Ok(());
    }
    let mut rows = Rows::new(&["base table", "row before it was updated or deleted"]);
    for MarkedRow {
        base_table,
        columns,
    } in &shown.marked
    {
        let columns: Vec<_> = columns
            .iter()
            .map(|column| format!("{}: {}", column.name, value_text(column.old.as_ref())))
            .collect();
        rows.add_row([base_table, &columns.join(", ")]);
    }
    if !rows.is_empty() {
        print(rows)?;
        if shown.marked_more {
            print("and more rows")?;
        }
    }
    if progresses {
        return Ok(print("The rows of the batch at hand are not known yet.")?);
    }
    Ok(print(
        "The peer was restarted and does not remember the rows. What was inserted cannot be seen before it is committed.",
    )?)
}

fn columns_text(row: &ChangedRow) -> String {
    let text = |column: &ChangedColumn| {
        let (old, new) = (
            value_text(column.old.as_ref()),
            value_text(column.new.as_ref()),
        );
        match row.operation.as_str() {
            "insert" => format!("{}: {new}", column.name),
            "delete" => format!("{}: {old}", column.name),
            _ => format!("{}: {old} -> {new}", column.name),
        }
    };
    row.columns.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn value_text(value: Option<&String>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"))
}

/// Who is waited for, and what the database says.
fn waits_text(transaction: &Transaction) -> String {
    let peers = transaction.waiting_for.iter().map(|waiting| {
        let mut text = format!("{} (asked {} times", waiting.peer, waiting.attempts);
        if !waiting.why.is_empty() {
            write!(text, ": {}", waiting.why).expect("writing to a string cannot fail");
        }
        text + ")"
    });
    let database = transaction.trouble.iter().map(|trouble| {
        format!(
            "its own database (asked {} times: {})",
            trouble.attempts, trouble.why
        )
    });
    peers.chain(database).collect::<Vec<_>>().join(", ")
}

/// Ends a transaction: asks first whoever may know the decision, then the operator whether he means it.
pub(crate) async fn resolve(
    address: &str,
    arguments: Resolve,
    output: Output,
) -> anyhow::Result<()> {
    let decision = if arguments.commit {
        Decision::Commit
    } else {
        Decision::Abort
    };
    let gid = &arguments.gid;
    let answer = ask(address, gid, decision, false).await?;
    let Answer::Unknown(unknown) = answer else {
        return conclude(gid, decision, answer, &[], output);
    };
    if !arguments.yes {
        confirm(gid, decision, &unknown.asked, output)?;
    }
    let answer = ask(address, gid, decision, true).await?;
    conclude(gid, decision, answer, &unknown.asked, output)
}

async fn ask(
    address: &str,
    gid: &str,
    decision: Decision,
    is_forced: bool,
) -> Result<Answer, Failure> {
    let request = ResolveRequest {
        gid: gid.to_owned(),
        decision: decision.into(),
        is_forced,
    };
    let answer = operator(address)?.resolve(bounded(request)).await;
    answer
        .map_err(|status| unanswered(address, &status))?
        .into_inner()
        .answer
        .ok_or_else(|| {
            Failure::new(
                "the peer's answer cannot be understood",
                "Use the command of its own version.",
            )
        })
}

/// Returns if the operator has typed the decision.
fn confirm(
    gid: &str,
    decision: Decision,
    asked: &[AskedPeer],
    output: Output,
) -> anyhow::Result<()> {
    let word = word(decision);
    let asked: String = asked
        .iter()
        .map(|asked| format!("  {}: {}\n", asked.peer, asked.finding))
        .collect();
    let question = format!(
        "Nobody who can be asked knows the decision about {gid}:\n{asked}\
         If its origin has decided otherwise, its rows differ at the members for ever, until somebody mends them by hand.\n\
         If a peer named here can come back, start it instead: the transaction then ends by itself."
    );
    if output == Output::Json || !is_terminal() || !io::stdin().is_terminal() {
        return Err(
            Failure::new(question, format!("To {word} it all the same, say --yes.")).into(),
        );
    }
    print_text(question)?;
    print(format_args!(
        "Type {word} to go on, anything else to leave it as it is:"
    ))?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    if line.trim() == word {
        return Ok(());
    }
    Err(Failure::new("nothing was done", "").into())
}

fn conclude(
    gid: &str,
    chosen: Decision,
    answer: Answer,
    asked: &[AskedPeer],
    output: Output,
) -> anyhow::Result<()> {
    let did = did(chosen);
    let (outcome, text) = match answer {
        Answer::Done(_) => (
            json!({ "answer": "done" }),
            format!(
                "{gid} is {did} at this peer. The true decision is still asked for; if it is another one, `dejima doctor` says so."
            ),
        ),
        Answer::Decided(decided) if decided.decision() == chosen => (
            json!({ "answer": "decided", "by": decided.by }),
            format!("peer \"{}\" knows: {did}; it is carried out", decided.by),
        ),
        Answer::Decided(decided) => {
            return Err(Failure::new(
                format!(
                    "peer \"{}\" knows that it was {}: nothing of what you chose was done; the decision is carried out",
                    decided.by,
                    self::did(decided.decision())
                ),
                "",
            )
            .into());
        }
        Answer::Refused(refused) => {
            return Err(Failure::new(format!("nothing was done: {}", refused.why), "").into());
        }
        Answer::Unknown(_) => {
            return Err(Failure::new("nothing was done: nobody knows the decision", "").into());
        }
    };
    if output == Output::Table {
        return Ok(print_text(text)?);
    }
    let mut document = json!({ "gid": gid, "decision": word(chosen), "asked": asked_json(asked) });
    for (name, value) in outcome.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    Ok(print_json(&document)?)
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Commit => "commit",
        Decision::Abort => "abort",
        Decision::Unspecified => "leave",
    }
}

fn did(decision: Decision) -> &'static str {
    match decision {
        Decision::Commit => "committed",
        Decision::Abort => "aborted",
        Decision::Unspecified => "not decided",
    }
}

fn rows_touched(table: &TouchedTable) -> u64 {
    table.inserted + table.updated + table.deleted
}

fn asked_json(asked: &[AskedPeer]) -> Vec<Value> {
    let one = |asked: &AskedPeer| json!({ "peer": asked.peer, "finding": asked.finding });
    asked.iter().map(one).collect()
}

fn transaction_json(transaction: &Transaction) -> Value {
    let tables = transaction.tables.iter().map(|touched| {
        json!({
            "table": touched.table, "inserted": touched.inserted, "updated": touched.updated,
            "deleted": touched.deleted,
        })
    });
    let waiting = transaction.waiting_for.iter().map(
        |waiting| json!({ "peer": waiting.peer, "attempts": waiting.attempts, "why": waiting.why }),
    );
    let trouble = transaction.trouble.as_ref();
    json!({
        "gid": transaction.gid, "origin": transaction.origin, "parent": transaction.parent,
        "participants": transaction.participants, "state": transaction.state, "age_ms": transaction.age_ms,
        "tables": tables.collect::<Vec<_>>(), "waiting_for": waiting.collect::<Vec<_>>(),
        "progress": transaction.progress.as_ref().map(progress_json),
        "trouble": trouble.map(|trouble| json!({ "attempts": trouble.attempts, "why": trouble.why })),
    })
}

fn progress_json(progress: &Progress) -> Value {
    json!({
        "batch": progress.batch, "batches": progress.batches, "rows_settled": progress.rows_settled,
        "rows": progress.rows, "bytes_settled": progress.bytes_settled, "bytes": progress.bytes,
    })
}

fn shown_json(transaction: &Transaction, shown: &ShowTransactionResponse) -> Value {
    let changes = shown.changes.iter().map(|row| {
        json!({
            "table": row.table, "operation": row.operation, "key": row.key,
            "columns": row.columns.iter().map(column_json).collect::<Vec<_>>(),
        })
    });
    let marked = shown.marked.iter().map(|row| {
        json!({
            "base_table": row.base_table,
            "columns": row.columns.iter().map(column_json).collect::<Vec<_>>(),
        })
    });
    let locks = shown
        .locks
        .iter()
        .map(|lock| json!({ "on": lock.on, "mode": lock.mode, "granted": lock.granted }));
    json!({
        "transaction": transaction_json(transaction), "changes": changes.collect::<Vec<_>>(),
        "changes_more": shown.changes_more, "marked": marked.collect::<Vec<_>>(),
        "marked_more": shown.marked_more, "locks": locks.collect::<Vec<_>>(), "pid": shown.pid,
        "unseen": shown.unseen,
    })
}

fn column_json(column: &ChangedColumn) -> Value {
    json!({ "name": column.name, "old": column.old, "new": column.new })
}
