//! How long transactions are in doubt: who watches pg_prepared_xacts of all databases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dejima_testbed::connect;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

/// Between two looks. What is prepared and finished in between is not seen: most transactions are.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A database that is stopped may take a connection and say nothing.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How long one transaction was seen prepared at one participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// In all.
    pub(crate) whole: Duration,
    /// While every process was up and no wire was cut.
    pub(crate) while_up: Duration,
}

/// A watcher of one database.
pub(crate) struct Watcher {
    task: JoinHandle<Vec<Doubt>>,
    ended: Arc<AtomicBool>,
}

impl Watcher {
    /// Watches the database at `url`, whether it is up or not. `all_up` says how the world stands.
    pub(crate) fn start(url: String, all_up: Arc<AtomicBool>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        Self {
            task: tokio::spawn(watch(url, all_up, Arc::clone(&ended))),
            ended,
        }
    }

    /// Ends the watch and returns what was seen.
    pub(crate) async fn end(self) -> Vec<Doubt> {
        self.ended.store(true, Ordering::Relaxed);
        self.task
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

async fn watch(url: String, all_up: Arc<AtomicBool>, ended: Arc<AtomicBool>) -> Vec<Doubt> {
    let (mut seen, mut resolved) = (BTreeMap::<String, Doubt>::new(), Vec::new());
    let mut connection = None;
    let mut before = Instant::now();
    let mut interval = tokio::time::interval(LOOK_EVERY);
    while !ended.load(Ordering::Relaxed) {
        interval.tick().await;
        let prepared = look(&url, &mut connection).await;
        let now = Instant::now();
        let span = now - std::mem::replace(&mut before, now);
        let was_up = all_up.load(Ordering::Relaxed);
        for doubt in seen.values_mut() {
            doubt.whole += span;
            doubt.while_up += if was_up { span } else { Duration::ZERO };
        }
        // A database that is down keeps what it has prepared.
        if let Some(prepared) = prepared {
            seen.retain(|gid, doubt| {
                let stays = prepared.contains(gid);
                if !stays {
                    resolved.push(*doubt);
                }
                stays
            });
            for gid in prepared {
                seen.entry(gid).or_default();
            }
        }
    }
    resolved.extend(seen.into_values());
    resolved
}

/// The names of what is prepared, if the database answers.
async fn look(url: &str, connection: &mut Option<Client>) -> Option<BTreeSet<String>> {
    let client = match connection.take() {
        Some(client) => client,
        None => timeout(ANSWER_MAX, connect(url)).await.ok()?.ok()?,
    };
    let sql = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
    let rows = timeout(ANSWER_MAX, client.query(sql, &[]))
        .await
        .ok()?
        .ok()?;
    *connection = Some(client);
    Some(rows.iter().map(|row| row.get(0)).collect())
}

/// One line: how many were seen, and how long they took.
pub(crate) fn figures(doubts: &[Doubt], what: impl Fn(&Doubt) -> Duration) -> String {
    let mut spans: Vec<Duration> = doubts.iter().map(what).collect();
    spans.sort();
    let at = |per_mille: usize| {
        let at = (spans.len() * per_mille / 1000).min(spans.len().saturating_sub(1));
        spans.get(at).copied().unwrap_or_default().as_secs_f64()
    };
    format!(
        "median {:.2} s, p99 {:.2} s, max {:.2} s",
        at(500),
        at(990),
        at(1000)
    )
}
