//! `dejima-callback`: what plsh starts for a client's COMMIT. It asks the peer and prints the answer.
//!
//!     dejima-callback ADDRESS TEMPFILE close GID ROUND PARTS CAPTURE
//!     dejima-callback ADDRESS TEMPFILE upload GID FIRST_PART BASE64...
//!
//! It prints one line of JSON and ends with 0, whatever happens: what plsh makes of an error would hide the
//! cause. It is started for each transaction, so it does as little as it can: one thread, one connection.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use dejima_core::crash_point::{self, CrashPoint, Moment, Role, Step};
use dejima_peer::helper::{Kind, Question, line_of, refused, too_large};
use dejima_proto::v1::callback_client::CallbackClient;
use dejima_proto::v1::{CloseRequest, UploadRequest};
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

/// How long the answer takes depends on the size of the transaction, which the peer alone knows; it has a bound of its own.
/// A peer that stops in the middle of a call does not answer pings either: after this silence it is sent one,
const PING_AFTER: Duration = Duration::from_secs(30);
/// and is given up if it does not answer that.
const PING_MAX: Duration = Duration::from_secs(30);
/// The peer is on the same machine.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// The answer may carry the changes of other peers; the peer is trusted.
const ANSWER_BYTES_MAX: usize = 1 << 30;

fn main() {
    let answer = answer(std::env::args_os().skip(1));
    // If nobody reads the answer, nobody can be told.
    drop(writeln!(std::io::stdout().lock(), "{answer}"));
}

fn answer(arguments: impl Iterator<Item = OsString>) -> String {
    let Some(question) = Question::parse(arguments) else {
        let usage = "dejima-callback ADDRESS TEMPFILE close GID ROUND PARTS CAPTURE | upload GID FIRST_PART BASE64...";
        return refused(
            "",
            "the helper was called with the wrong arguments",
            usage,
            "Install the database again.",
        );
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return refused(
                &question.gid,
                "the helper cannot start",
                &error.to_string(),
                "Try again.",
            );
        }
    };
    let gid = question.gid.clone();
    crash_point::reach(crash_point_at(Moment::Before), &gid);
    let answer = runtime.block_on(ask(question));
    crash_point::reach(crash_point_at(Moment::After), &gid);
    answer
}

fn crash_point_at(moment: Moment) -> CrashPoint {
    CrashPoint {
        role: Role::Origin,
        step: Step::Callback,
        moment,
    }
}

async fn ask(question: Question) -> String {
    let Question { address, gid, kind } = question;
    let peer = match tokio::time::timeout(CONNECT_MAX, connect(&address)).await {
        Ok(Ok(peer)) => peer,
        Ok(Err(why)) => return away(&gid, &address, &why),
        Err(_) => return away(&gid, &address, "it does not accept the connection"),
    };
    let answer = match kind {
        Kind::Close {
            round,
            parts,
            capture,
        } => {
            let request = CloseRequest {
                gid: gid.clone(),
                round,
                parts,
                capture: capture.into(),
            };
            close(peer, request).await
        }
        Kind::Upload { first, slices } => upload(peer, &gid, first, slices).await,
    };
    answer.unwrap_or_else(|why| away(&gid, &address, &why))
}

async fn connect(address: &str) -> Result<CallbackClient<Channel>, String> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| error.to_string())?;
    let channel = endpoint
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_MAX)
        .connect()
        .await
        .map_err(|error| causes(&error))?;
    Ok(CallbackClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

async fn close(mut peer: CallbackClient<Channel>, request: CloseRequest) -> Result<String, String> {
    let gid = request.gid.clone();
    let response = peer
        .close(request)
        .await
        .map_err(|status| status_text(&status))?;
    Ok(line_of(&gid, response.into_inner()))
}

async fn upload(
    mut peer: CallbackClient<Channel>,
    gid: &str,
    first: u32,
    slices: Vec<OsString>,
) -> Result<String, String> {
    for (part, slice) in (first..).zip(slices) {
        let request = UploadRequest {
            gid: gid.to_owned(),
            part,
            capture: slice.into_vec().into(),
        };
        if let Err(status) = peer.upload(request).await {
            return Ok(match status.code() {
                tonic::Code::ResourceExhausted => too_large(gid, status.message()),
                _ => refused(
                    gid,
                    "the local peer does not take the changes",
                    &status_text(&status),
                    "Try again.",
                ),
            });
        }
    }
    Ok(json!({"answer": "uploaded"}).to_string())
}

fn away(gid: &str, address: &str, why: &str) -> String {
    let message = format!("the local peer cannot be reached at {address}");
    refused(
        gid,
        &message,
        why,
        "Start the peer of this database (dejima-peer), then try again.",
    )
}

fn status_text(status: &tonic::Status) -> String {
    match status.source() {
        Some(_) => causes(status),
        None => status.message().to_owned(),
    }
}

/// The deepest cause says what happened; tonic's own words are "transport error".
fn causes(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
