//! Three peers and a plain database: scripts run at both.

use std::collections::BTreeMap;

use dejima_testbed::{Layout, World, WorldOptions, connect};

use crate::Result;
use crate::compare::Databases;
use crate::difference::Difference;
use crate::order::Snapshots;
use crate::refusal::{MOVED_AND_CASCADED, deliberate};
use crate::script::{Ending, Script, Step, Transaction, verb};
use crate::session::{Outcome, Session};
use crate::sharing::{OFFICE, OTHERS, organisations, plain_sql, reset_sql, view_grants};
use crate::statement::Statement;

/// The database without Dejima. It is in the same cluster: the same settings, the same client.
const PLAIN: &str = "plain";
/// What the client calls its prepared transactions, at the peer and at the plain database of the same cluster.
const PREPARED: [&str; 2] = ["client at the peer", "client at the plain database"];

/// The world and the plain database, with a client at both.
pub(crate) struct Bed {
    world: World,
    databases: Databases,
    snapshots: Snapshots,
    peer: Session,
    plain: Session,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) statements: usize,
    pub(crate) transactions: usize,
    /// Transactions that had to be tried again (40001, 57014).
    pub(crate) retried: usize,
    /// Deliberate refusals, by what they are about.
    pub(crate) refused: BTreeMap<&'static str, usize>,
    /// Statements of each kind that were run, and how many of them failed.
    pub(crate) kinds: BTreeMap<&'static str, (usize, usize)>,
}

/// How a statement, or steps, ended, at both alike.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    /// The peers ask to try the transaction again, in these words.
    Stale(String),
}

/// A step that stops a script.
enum Stop {
    Differs(Difference),
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Bed {
    /// Starts everything.
    pub(crate) async fn make() -> Result<Self> {
        let options = WorldOptions {
            layout: Layout::OneCluster,
            ..WorldOptions::default()
        };
        let world = World::start(organisations(), options).await?;
        let cluster = world.cluster(OFFICE);
        tokio::task::block_in_place(|| cluster.create_database(PLAIN))?;
        let plain = connect(&cluster.url("postgres", PLAIN)).await?;
        plain.batch_execute(&plain_sql()).await?;
        let mut peers = Vec::new();
        for peer in [OFFICE].into_iter().chain(OTHERS) {
            peers.push((peer, world.superuser(peer).await?));
        }
        peers[0].1.batch_execute(&view_grants()).await?;
        Ok(Self {
            peer: Session::open(&cluster.url(OFFICE, OFFICE)).await?,
            plain: Session::open(&cluster.url(OFFICE, PLAIN)).await?,
            databases: Databases { plain, peers },
            snapshots: Snapshots::default(),
            world,
        })
    }

    /// Runs a script on empty tables, and compares; the first difference.
    pub(crate) async fn run(
        &mut self,
        script: &Script,
        tally: &mut Tally,
    ) -> Result<Option<Difference>> {
        self.reset().await?;
        for transaction in &script.transactions {
            match self.transaction(transaction, tally).await {
                Ok(()) => {}
                Err(Stop::Differs(difference)) => return Ok(Some(difference)),
                Err(Stop::Broken(error)) => return Err(error),
            }
        }
        self.databases.compare(&self.world).await
    }

    /// Empties all tables. New sessions: what an earlier script left there is no part of this one.
    async fn reset(&mut self) -> Result<()> {
        let cluster = self.world.cluster(OFFICE);
        let urls = [OFFICE, PLAIN].map(|database| cluster.url(OFFICE, database));
        self.peer.renew(&urls[0]).await?;
        self.plain.renew(&urls[1]).await?;
        self.world.await_quiet().await?;
        self.databases
            .plain
            .batch_execute(&reset_sql(OFFICE))
            .await?;
        for (peer, database) in &self.databases.peers {
            database.batch_execute(&reset_sql(peer)).await?;
        }
        self.snapshots.take([&urls[0], &urls[1]]).await
    }

    /// A client tries again when he is told to, and so does this one: a change may still be on its way to a peer.
    async fn transaction(
        &mut self,
        transaction: &Transaction,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        tally.transactions += 1;
        if let End::Stale(_) = self.attempt(transaction, tally).await? {
            tally.retried += 1;
            self.world.await_quiet().await?;
            if let End::Stale(why) = self.attempt(transaction, tally).await? {
                if !transaction.has(Statement::moves_and_cascades) {
                    return Err(Stop::Differs(Difference::Stale { why }));
                }
                *tally.refused.entry(MOVED_AND_CASCADED).or_default() += 1;
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, transaction: &Transaction, tally: &mut Tally) -> Result<End, Stop> {
        transaction
            .begin()
            .iter()
            .for_each(|command| self.queue(command));
        let end = self.steps(&transaction.steps, 1, tally).await?;
        if end != End::Done || transaction.ending == Ending::Rollback {
            // At once: what has voted waits for it.
            let ends = tokio::join!(
                self.peer.execute("ROLLBACK"),
                self.plain.execute("ROLLBACK")
            );
            let (peer, plain) = (ends.0?, ends.1?);
            differ("ROLLBACK", &peer, &plain)?;
            return Ok(end);
        }
        match transaction.ending {
            Ending::Prepare { commits } => self.prepare(commits, tally).await,
            Ending::Commit | Ending::Rollback => self.vote("COMMIT", "COMMIT", tally).await,
        }
    }

    /// The vote is taken at PREPARE TRANSACTION; the decision is what the client does then.
    async fn prepare(&mut self, commits: bool, tally: &mut Tally) -> Result<End, Stop> {
        let prepare = PREPARED.map(|name| format!("PREPARE TRANSACTION '{name}'"));
        let end = self.vote(&prepare[0], &prepare[1], tally).await;
        if matches!(end, Ok(End::Stale(_) | End::Failed)) {
            return end;
        }
        let verb = verb(commits && end.is_ok());
        let finish = PREPARED.map(|name| format!("{verb} PREPARED '{name}'"));
        let ends = tokio::join!(
            self.peer.execute(&finish[0]),
            self.plain.execute(&finish[1])
        );
        let (peer, plain) = (ends.0?, ends.1?);
        end?;
        // If PREPARE failed at both, so does this.
        differ(&format!("{verb} PREPARED"), &peer, &plain)?;
        Ok(End::Done)
    }

    /// The peer first: the plain database follows it where it is free to refuse.
    async fn vote(
        &mut self,
        at_peer: &str,
        at_plain: &str,
        tally: &mut Tally,
    ) -> Result<End, Stop> {
        let peer = self.peer.execute(at_peer).await?;
        let is_stale = peer.is_stale();
        if is_stale || count_deliberate(&peer, tally) {
            // At once: after the last transaction nothing would send it, and its locks would hold up the comparison.
            self.plain.execute("ROLLBACK").await?;
            return Ok(if is_stale {
                End::Stale(peer.describe())
            } else {
                End::Failed
            });
        }
        let plain = self.plain.execute(at_plain).await?;
        differ(at_peer, &peer, &plain)?;
        Ok(End::Done)
    }

    async fn steps(
        &mut self,
        steps: &[Step],
        depth: usize,
        tally: &mut Tally,
    ) -> Result<End, Stop> {
        for step in steps {
            let end = match step {
                Step::Run(statement) => self.statement(statement, tally).await?,
                Step::Savepoint { steps, released } => {
                    self.queue(&format!("SAVEPOINT s{depth}"));
                    let end = Box::pin(self.steps(steps, depth + 1, tally)).await?;
                    if matches!(end, End::Stale(_)) {
                        return Ok(end);
                    }
                    if end == End::Failed || !released {
                        self.queue(&format!("ROLLBACK TO s{depth}"));
                    }
                    self.queue(&format!("RELEASE s{depth}"));
                    End::Done
                }
            };
            if end != End::Done {
                return Ok(end);
            }
        }
        Ok(End::Done)
    }

    /// A refusal fails at the peer alone; what is rolled back for it is rolled back at both.
    async fn statement(&mut self, statement: &Statement, tally: &mut Tally) -> Result<End, Stop> {
        let (peer, plain) = tokio::join!(self.peer.run(statement), self.plain.run(statement));
        let (peer, plain) = (peer?, plain?);
        let failed = matches!(peer, Outcome::Failed(_));
        tally.statements += 1;
        let (run, lost) = tally.kinds.entry(statement.kind()).or_default();
        *run += 1;
        *lost += usize::from(failed);
        if peer.is_stale() {
            return Ok(End::Stale(peer.describe()));
        }
        if count_deliberate(&peer, tally) {
            // It may have come before, or after, a number was taken, and no rollback gives a number back.
            self.databases.align_numbers().await?;
            return Ok(End::Failed);
        }
        differ(&statement.to_string(), &peer, &plain)?;
        Ok(if failed { End::Failed } else { End::Done })
    }

    fn queue(&mut self, sql: &str) {
        self.peer.queue(sql);
        self.plain.queue(sql);
    }
}

fn count_deliberate(outcome: &Outcome, tally: &mut Tally) -> bool {
    let about = match outcome {
        Outcome::Failed(error) => deliberate(error),
        Outcome::Done { .. } => None,
    };
    if let Some(about) = about {
        *tally.refused.entry(about).or_default() += 1;
    }
    about.is_some()
}

fn differ(sql: &str, peer: &Outcome, plain: &Outcome) -> Result<(), Stop> {
    Difference::of_outcomes(sql, peer, plain)
        .map_or(Ok(()), |difference| Err(Stop::Differs(difference)))
}
