//! What the helper reads and says: the hook's question in its arguments, the answer as one line of JSON (sql/README.md).
//!
//! Apart from the program, so that tests and the fuzzer can feed it what neither hook nor peer would.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use dejima_proto::v1::close_response::Answer;
use dejima_proto::v1::{CloseResponse, Refusal};
use serde_json::json;

const CONNECTION_FAILURE: &str = "08006";

/// What the hook asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where the peer is.
    pub address: String,
    /// The transaction.
    pub gid: String,
    /// What it is.
    pub kind: Kind,
}

/// The two kinds of questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// May the transaction commit?
    Close {
        /// 0, then one more after each answer `apply`.
        round: u32,
        /// Parts of the capture that went ahead.
        parts: u32,
        /// The rest of it.
        capture: Vec<u8>,
    },
    /// Parts of a capture that go ahead.
    Upload {
        /// The number of the first.
        first: u32,
        /// Of the capture's text.
        slices: Vec<OsString>,
    },
}

impl Question {
    /// Reads the arguments that follow the program's name; none if they are not what the hook passes.
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let address = arguments.next()?.into_string().ok()?;
        let _tempfile = arguments.next()?;
        let kind = arguments.next()?;
        let gid = arguments.next()?.into_string().ok()?;
        let kind = match kind.as_bytes() {
            b"close" => Kind::Close {
                round: number(&mut arguments)?,
                parts: number(&mut arguments)?,
                capture: arguments.next()?.into_vec(),
            },
            b"upload" => Kind::Upload {
                first: number(&mut arguments)?,
                slices: arguments.collect(),
            },
            _ => return None,
        };
        Some(Self { address, gid, kind })
    }
}

fn number(arguments: &mut impl Iterator<Item = OsString>) -> Option<u32> {
    arguments.next()?.to_str()?.parse().ok()
}

/// The line for a peer's answer.
pub fn line_of(gid: &str, response: CloseResponse) -> String {
    match response.answer {
        Some(Answer::Voted(voted)) => {
            json!({"answer": "voted", "participants": voted.participants}).to_string()
        }
        Some(Answer::Unshared(_)) => json!({"answer": "unshared"}).to_string(),
        // The puts are JSON already, and may be large.
        Some(Answer::Apply(apply)) => format!(
            "{{\"answer\":\"apply\",\"batch\":{},\"puts\":{}}}",
            apply.batch, apply.puts
        ),
        Some(Answer::Refused(refusal)) => refusal_json(&refusal),
        None => refused(
            gid,
            "the local peer gives an answer that is not understood",
            "",
            "See that helper and peer have the same version.",
        ),
    }
}

fn refusal_json(refusal: &Refusal) -> String {
    json!({
        "answer": "refused",
        "peer": refusal.peer,
        "sqlstate": refusal.sqlstate,
        "message": refusal.message,
        "detail": refusal.detail,
        "hint": refusal.hint,
    })
    .to_string()
}

/// The line for a failure on the way to the peer.
pub fn refused(gid: &str, message: &str, detail: &str, hint: &str) -> String {
    refused_as(CONNECTION_FAILURE, gid, message, detail, hint)
}

/// The line for a change that the peer does not take. program_limit_exceeded: trying again is of no use.
pub fn too_large(gid: &str, why: &str) -> String {
    let hint =
        "Change fewer rows in one transaction, or raise limits.capture_bytes_max at the peer.";
    refused_as("54000", gid, "the transaction changes too much", why, hint)
}

fn refused_as(sqlstate: &str, gid: &str, message: &str, detail: &str, hint: &str) -> String {
    refusal_json(&Refusal {
        // The gid begins with the name of the peer whose database this is.
        peer: gid.split(':').next().unwrap_or_default().to_owned(),
        sqlstate: sqlstate.to_owned(),
        message: message.to_owned(),
        detail: detail.to_owned(),
        hint: hint.to_owned(),
    })
}
