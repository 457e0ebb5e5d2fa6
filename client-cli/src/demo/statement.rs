//! A statement that an organisation's client says, and how it ends.

use std::time::Instant;

use tokio_postgres::Client;

use super::screen::Screen;

/// How a statement is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) sqlstate: &'static str,
    /// What the message and its DETAIL say between them: who refuses, and what that would have broken.
    pub(super) says: &'static [&'static str],
}

impl Refusal {
    /// What is seen when it was refused so.
    pub(super) fn sentence(&self, databases: usize) -> String {
        format!(
            "refused with {}, DETAIL and HINT; nothing has changed in the {databases} databases",
            self.sqlstate
        )
    }

    fn is(&self, error: &tokio_postgres::Error) -> bool {
        let Some(error) = error.as_db_error() else {
            return false;
        };
        let said = format!("{} {}", error.message(), error.detail().unwrap_or_default());
        let has_hint = error.hint().is_some_and(|hint| !hint.is_empty());
        error.code().code() == self.sqlstate
            && self.says.iter().all(|word| said.contains(word))
            && has_hint
    }
}

/// Shows the statement, runs it, shows how it ended. True if that is as it should be.
pub(super) async fn say(
    screen: &Screen,
    client: &Client,
    organisation: &str,
    sql: &str,
    refusal: Option<&Refusal>,
) -> anyhow::Result<bool> {
    screen.statement(organisation, sql)?;
    let started = Instant::now();
    let answer = client.batch_execute(sql).await;
    let took = started.elapsed();
    match &answer {
        Ok(()) => screen.committed(took)?,
        Err(error) => screen.error(error)?,
    }
    Ok(match (&answer, refusal) {
        (Ok(()), None) => true,
        (Err(error), Some(refusal)) => refusal.is(error),
        _ => false,
    })
}
