//! Named places where a test may kill a process (feature `crash-points`; without it nothing of this is compiled but
//! the list).
//!
//! At each of these places the process says where it is to a test that listens on the unix socket in
//! `DEJIMA_CRASH_POINTS`, and stands still until it is let go, or killed. What is durable at each of them, and what
//! happens then, stands in the README of [`transaction`](crate::transaction). Some places are inside of PostgreSQL's
//! backend; there the tests stop it by triggers of their own.

use std::fmt;
use std::str::FromStr;

use crate::name::PeerName;
use crate::transaction::{Message, Request};

/// On whose part of a transaction a process works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The organisation of the client.
    Origin,
    /// Any other.
    Participant,
}

/// What is being done, in the order of a transaction's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A statement's changes are logged, the first time with the decision row.
    Capture,
    /// The client has said COMMIT; the hook asks the peer and writes the answer into the decision row.
    Hook,
    /// The helper asks the peer.
    Callback,
    /// A participant puts a delta.
    Apply,
    /// A participant executes PREPARE TRANSACTION.
    Prepare,
    /// The promise is asked for and given.
    Vote,
    /// The client's COMMIT record.
    Decision,
    /// The origin's peer asks its database how the client's transaction ended.
    Outcome,
    /// The decision is told; a participant executes COMMIT PREPARED.
    Terminate,
    /// The rows about the transaction are deleted.
    Forget,
}

/// On which side of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Nothing of it is done.
    Before,
    /// All of it is done, and nobody else knows.
    After,
}

/// A named place, such as `participant.prepare.after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashPoint {
    /// Whose part.
    pub role: Role,
    /// Of what.
    pub step: Step,
    /// On which side.
    pub moment: Moment,
}

/// The steps of each role.
const STEPS: [(Role, Step); 13] = [
    (Role::Origin, Step::Capture),
    (Role::Origin, Step::Hook),
    (Role::Origin, Step::Callback),
    (Role::Origin, Step::Vote),
    (Role::Origin, Step::Decision),
    (Role::Origin, Step::Outcome),
    (Role::Origin, Step::Terminate),
    (Role::Origin, Step::Forget),
    (Role::Participant, Step::Apply),
    (Role::Participant, Step::Prepare),
    (Role::Participant, Step::Vote),
    (Role::Participant, Step::Terminate),
    (Role::Participant, Step::Forget),
];

impl CrashPoint {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = |(role, step)| {
            [Moment::Before, Moment::After].map(|moment| Self { role, step, moment })
        };
        STEPS.into_iter().flat_map(both)
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}.{:?}.{:?}", self.role, self.step, self.moment);
        f.write_str(&text.to_ascii_lowercase())
    }
}

/// There is no place of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no crash point \"{0}\"")]
pub struct UnknownCrashPoint(String);

impl FromStr for CrashPoint {
    type Err = UnknownCrashPoint;

    fn from_str(text: &str) -> Result<Self, UnknownCrashPoint> {
        let found = Self::all().find(|point| point.to_string() == text);
        found.ok_or_else(|| UnknownCrashPoint(text.to_owned()))
    }
}

/// The step that a request to the database is, and the transaction that it is about.
pub struct Passage {
    #[cfg(feature = "crash-points")]
    step: Option<(Role, Step, String)>,
}

#[cfg(not(feature = "crash-points"))]
#[allow(
    clippy::unused_self,
    reason = "the same as with the feature, and empty"
)]
mod disabled {
    use super::{CrashPoint, Message, Passage, PeerName, Request};

    impl Passage {
        /// What a request to the database is.
        pub fn of(_me: &PeerName, _request: &Request) -> Self {
            Self {}
        }

        /// It is about to be carried out.
        pub fn begins(&self) {}

        /// It is carried out, and nobody has been told.
        pub fn ends(&self) {}
    }

    /// A message is about to leave.
    pub fn leaves(_me: &PeerName, _message: &Message) {}

    /// A message has come, and nothing follows from it yet.
    pub fn arrives(_me: &PeerName, _message: &Message) {}

    /// The process is at this place.
    pub fn reach(_point: CrashPoint, _gid: &str) {}
}

#[cfg(not(feature = "crash-points"))]
pub use disabled::{arrives, leaves, reach};
#[cfg(feature = "crash-points")]
pub use enabled::{arrives, leaves, reach};

#[cfg(feature = "crash-points")]
mod enabled {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::{CrashPoint, Message, Moment, Passage, PeerName, Request, Role, Step};
    use crate::transaction::Decision;

    /// The unix socket of the test.
    const SOCKET_VARIABLE: &str = "DEJIMA_CRASH_POINTS";

    impl Passage {
        /// What a request to the database is.
        pub fn of(me: &PeerName, request: &Request) -> Self {
            let (step, gid) = match request {
                Request::Apply { gid, .. } => (Step::Apply, gid),
                Request::Prepare { gid, .. } => (Step::Prepare, gid),
                Request::Finish {
                    gid,
                    decision: Decision::Commit,
                    ..
                } => (Step::Terminate, gid),
                Request::Outcomes { gids } if !gids.is_empty() => (Step::Outcome, &gids[0]),
                Request::Forget { gids } if !gids.is_empty() => (Step::Forget, &gids[0]),
                _ => return Self { step: None },
            };
            let role = if gid.origin() == *me {
                Role::Origin
            } else {
                Role::Participant
            };
            Self {
                step: Some((role, step, gid.to_string())),
            }
        }

        /// It is about to be carried out.
        pub fn begins(&self) {
            self.reach(Moment::Before);
        }

        /// It is carried out, and nobody has been told.
        pub fn ends(&self) {
            self.reach(Moment::After);
        }

        fn reach(&self, moment: Moment) {
            if let Some((role, step, gid)) = &self.step {
                let (role, step) = (*role, *step);
                reach(CrashPoint { role, step, moment }, gid);
            }
        }
    }

    /// A message is about to leave.
    pub fn leaves(me: &PeerName, message: &Message) {
        let (point, gid) = match message {
            Message::Vote { gid, .. } if gid.origin() == *me => {
                ((Role::Origin, Step::Vote, Moment::Before), gid)
            }
            Message::Voted {
                gid, result: Ok(_), ..
            } => ((Role::Participant, Step::Vote, Moment::After), gid),
            Message::Terminate {
                gid,
                decision: Decision::Commit,
                ..
            } if gid.origin() == *me => ((Role::Origin, Step::Terminate, Moment::Before), gid),
            _ => return,
        };
        reach_at(point, gid.as_str());
    }

    /// A message has come, and nothing follows from it yet.
    pub fn arrives(me: &PeerName, message: &Message) {
        let (point, gid) = match message {
            Message::Vote { gid, .. } => ((Role::Participant, Step::Vote, Moment::Before), gid),
            Message::Voted {
                gid, result: Ok(_), ..
            } if gid.origin() == *me => ((Role::Origin, Step::Vote, Moment::After), gid),
            Message::Terminated { gid, .. } if gid.origin() == *me => {
                ((Role::Origin, Step::Terminate, Moment::After), gid)
            }
            _ => return,
        };
        reach_at(point, gid.as_str());
    }

    fn reach_at((role, step, moment): (Role, Step, Moment), gid: &str) {
        reach(CrashPoint { role, step, moment }, gid);
    }

    /// The process is at this place: tells the test, and stands still until it is let go. The whole thread does, and a
    /// peer has one. Without a test that listens, nothing happens.
    pub fn reach(point: CrashPoint, gid: &str) {
        let Some(socket) = std::env::var_os(SOCKET_VARIABLE) else {
            return;
        };
        let Ok(mut test) = UnixStream::connect(socket) else {
            return;
        };
        let said = writeln!(test, "{point} {} {gid}", std::process::id());
        // A test that has gone lets go.
        let _ = said.and_then(|()| test.read_exact(&mut [0]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_the_point_that_it_names() {
        let names: Vec<String> = CrashPoint::all().map(|point| point.to_string()).collect();
        assert_eq!(names.len(), 26);
        assert_eq!(names[0], "origin.capture.before");
        assert_eq!(names[25], "participant.forget.after");
        for (point, name) in CrashPoint::all().zip(&names) {
            assert_eq!(name.parse(), Ok(point));
        }
        assert!("origin.prepare.before".parse::<CrashPoint>().is_err());
    }
}
