//! Booting the peers of a world anew, as often as a test of detection wants, and awaiting its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dejima_proto::v1::{Detection, GroupsRequest, GroupsResponse};
use futures::future::try_join_all;

use crate::error::{self, Error};
use crate::world::{World, unanswered};

/// How long detection may take, on a busy machine.
const DETECTION_MAX: Duration = Duration::from_secs(60);

/// Takes from a database what detection has left in it. A peer that was killed may have left a statement behind.
const FORGET: &str = "
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'dejima';
    DELETE FROM dejima.fact;
    UPDATE dejima.peer SET incarnation = 0, overtaken_by = NULL";

/// What detection has come to at one peer.
#[derive(Clone, Debug)]
pub struct Detected {
    /// Its groups and counters.
    pub answer: GroupsResponse,
    /// When it said so.
    pub at: Instant,
}

impl Detected {
    /// What detection has done there.
    pub fn counters(&self) -> Detection {
        self.answer.detection.unwrap_or_default()
    }

    /// When the peer was ready to take part.
    pub fn ready(&self) -> Instant {
        self.before(self.counters().ready_ms_ago)
    }

    /// When it last learnt something; `None` if it has learnt nothing yet.
    pub fn last_update(&self) -> Option<Instant> {
        let ago = self.counters().last_update_ms_ago?;
        Some(self.before(ago))
    }

    fn before(&self, ms: u64) -> Instant {
        self.at - Duration::from_millis(ms)
    }

    /// What does not change while nobody says anything.
    fn said(&self) -> [u64; 3] {
        let counters = self.counters();
        [
            counters.messages_sent,
            counters.messages_received,
            counters.messages_unanswered,
        ]
    }
}

impl World {
    /// SIGKILL to all peers; then their databases are as if no peer had ever learnt of another, or had been started.
    pub async fn forget_peers(&mut self) -> Result<(), Error> {
        let names: Vec<String> = self.members().iter().map(|m| m.name().to_owned()).collect();
        for name in &names {
            self.member_mut(name).process.kill();
        }
        for name in &names {
            let superuser = self.superuser(name).await?;
            let done = superuser.batch_execute(FORGET).await;
            done.map_err(error::database(format!("forgetting at {name}")))?;
        }
        Ok(())
    }

    /// Starts these peers all at once, and returns when they take calls. Of each other they may know nothing yet.
    pub async fn boot(&mut self, names: &[&str]) -> Result<(), Error> {
        for name in names {
            self.member_mut(name).process.start()?;
        }
        for name in names {
            let process = &mut self.member_mut(name).process;
            process.wait_until_listening().await?;
        }
        Ok(())
    }

    /// Waits until no running peer has anything to say to another, and returns what each has come to, by name.
    ///
    /// All are quiet at once if each is found quiet and has said and heard nothing since a look before the first of these
    /// findings.
    pub async fn await_detection(&self) -> Result<BTreeMap<String, Detected>, Error> {
        let until = Instant::now() + DETECTION_MAX;
        let mut before = self.look().await?;
        loop {
            self.await_quiet().await?;
            let now = self.look().await?;
            let said = |detected: &BTreeMap<String, Detected>| -> Vec<_> {
                detected.values().map(Detected::said).collect()
            };
            if said(&before) == said(&now) {
                return Ok(now);
            }
            if Instant::now() > until {
                return Err(Error::Hung {
                    what: "detection".into(),
                    waited: DETECTION_MAX,
                });
            }
            before = now;
        }
    }

    /// What detection has come to so far at every running peer, by name.
    pub async fn look(&self) -> Result<BTreeMap<String, Detected>, Error> {
        let members = self.members().iter();
        let running = members.filter(|member| member.process.pid().is_some());
        let looks = running.map(async |member| {
            let name = member.name().to_owned();
            let answer = self.operator(&name).groups(GroupsRequest {}).await;
            let answer = answer.map_err(|status| unanswered(member, &status))?;
            let detected = Detected {
                answer: answer.into_inner(),
                at: Instant::now(),
            };
            Ok((name, detected))
        });
        Ok(try_join_all(looks).await?.into_iter().collect())
    }
}
