//! Clients that change persons of the worked example at random, and know what must be found afterwards.
//!
//! They go on while peers and databases die and come back. Every client has persons of his own, which nobody else
//! changes, so that a [`Ledger`] knows each one exactly; a few persons are everybody's, and count in their address
//! how often they were changed.

mod client;
mod counters;
mod found;
mod ledger;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::{self, Error};
use crate::world::{World, connect};
use client::LoadClient;
pub use counters::Counters;
use found::{Copied, read_copies};
pub use ledger::Wrong;
use ledger::{COMMON, COMMON_PERSONS, common_person};

/// How long [`Load::rest`] waits for a client to finish what he is at: each wait of his own is shorter.
const REST_MAX: Duration = Duration::from_secs(90);

/// How a load is made.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// The same seed gives every client the same wishes; what becomes of them, the weather decides.
    pub seed: u64,
    /// Spread evenly over the organisations.
    pub clients: usize,
    /// How long a client thinks between two transactions.
    pub think: Duration,
}

/// Clients at the organisations of a world of bank, government and insurance.
#[derive(Debug)]
pub struct Load {
    /// Those who rest.
    clients: Vec<LoadClient>,
    working: Vec<JoinHandle<LoadClient>>,
    rest: watch::Sender<bool>,
    /// Counts the successes of all.
    successes: watch::Sender<u64>,
    /// How often each common person had been changed at the last check.
    common: [u64; COMMON_PERSONS],
}

impl Load {
    /// Makes the common persons and the clients, who rest until [`Self::work`]. Once for a world.
    pub async fn new(world: &World, options: LoadOptions) -> Result<Self, Error> {
        make_common_persons(world).await?;
        let members = world.members();
        let started = Instant::now();
        let successes = watch::channel(0).0;
        let client = |number: usize| {
            let member = &members[number % members.len()];
            let url = world.client_url(member.name());
            let successes = successes.clone();
            LoadClient::new(
                number,
                &member.organisation().kind,
                url,
                options,
                started,
                successes,
            )
        };
        Ok(Self {
            clients: (0..options.clients).map(client).collect(),
            working: Vec::new(),
            rest: watch::channel(false).0,
            successes,
            common: [0; COMMON_PERSONS],
        })
    }

    /// All clients begin, or go on. Needs a runtime that goes on too.
    pub fn work(&mut self) {
        self.rest.send_replace(false);
        for client in self.clients.drain(..) {
            let rest = self.rest.subscribe();
            self.working.push(tokio::spawn(client.work(rest)));
        }
    }

    /// Every client finishes the transaction that he is at, and rests.
    pub async fn rest(&mut self) -> Result<(), Error> {
        self.rest.send_replace(true);
        let until = Instant::now() + REST_MAX;
        for mut working in std::mem::take(&mut self.working) {
            match tokio::time::timeout_at(until, &mut working).await {
                Ok(Ok(client)) => self.clients.push(client),
                Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
                Err(_) => {
                    working.abort();
                    return Err(Error::Hung {
                        what: "a client of the load".into(),
                        waited: REST_MAX,
                    });
                }
            }
        }
        self.clients.sort_by_key(LoadClient::number);
        Ok(())
    }

    /// Waits until so many more transactions have succeeded; false if that takes longer than it may.
    pub async fn await_successes(&self, count: u64, at_most: Duration) -> bool {
        let mut successes = self.successes.subscribe();
        let enough = *successes.borrow() + count;
        let enough = successes.wait_for(|successes| *successes >= enough);
        tokio::time::timeout(at_most, enough).await.is_ok()
    }

    /// What has become of all transactions so far. Only while the clients rest.
    pub fn counters(&self) -> Counters {
        Counters::sum(self.clients.iter().map(|client| &client.counters))
    }

    /// Compares every person of the load, at every member that shares him, with what his client was told; says what
    /// is wrong. While the clients rest, and the peers are quiet. What was unknown, or wrong, is then taken as found.
    pub async fn check(&mut self, world: &World) -> Result<Vec<Wrong>, Error> {
        let copies = read_copies(world).await?;
        let mut wrong = Vec::new();
        for client in &mut self.clients {
            wrong.extend(client.ledger.check(&copies));
            let counted = std::mem::take(&mut client.ledger.common);
            for (sum, count) in self.common.iter_mut().zip(counted) {
                *sum += count;
            }
        }
        for person in 0..COMMON_PERSONS {
            wrong.extend(self.check_common(person, &copies));
        }
        Ok(wrong)
    }

    /// A common person's address must count every success, and nothing else.
    fn check_common(&mut self, person: usize, copies: &[Copied]) -> Vec<Wrong> {
        let name = common_person(person);
        let possible = self.common[person].to_string();
        let mut wrong = Vec::new();
        for copy in copies {
            let row = copy.rows.get(&name);
            let address = row.map(|row| row.get("address").cloned().flatten());
            let found = match address {
                Some(None) if !copy.columns.contains("address") => continue,
                Some(Some(address)) if address == possible => continue,
                Some(address) => address.unwrap_or_default(),
                None => "no row".into(),
            };
            self.common[person] = found.parse().unwrap_or(self.common[person]);
            wrong.push(Wrong {
                person: name.clone(),
                peer: copy.peer.clone(),
                table: copy.table.clone(),
                found,
                possible: vec![possible.clone()],
            });
        }
        wrong
    }
}

async fn make_common_persons(world: &World) -> Result<(), Error> {
    let member = &world.members()[0];
    let database = connect(&world.client_url(member.name())).await?;
    let table = &member.organisation().base_tables[0];
    for person in 0..COMMON_PERSONS {
        let first = common_person(person).first;
        let sql = format!(
            "INSERT INTO {table} (first_name, last_name, address) VALUES ('{first}', '{COMMON}', '0')"
        );
        database
            .batch_execute(&sql)
            .await
            .map_err(error::database("making the persons that all change"))?;
    }
    world.await_quiet().await
}
