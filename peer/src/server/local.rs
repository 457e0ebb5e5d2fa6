//! The service for the helper.

use dejima_core::name::{Gid, PeerName};
use dejima_core::refusal::{Refusal, sqlstate};
use dejima_core::transaction::{CallbackAnswer, Input};
use dejima_proto::v1;
use dejima_proto::v1::callback_server::Callback;
use dejima_proto::v1::close_response::Answer;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::Entrance;
use crate::capture::Rejected;
use crate::event::{Event, Events};
use crate::spool::Unusable;
use crate::wire;

#[tonic::async_trait]
impl Callback for Entrance {
    async fn upload(
        &self,
        request: Request<v1::UploadRequest>,
    ) -> Result<Response<v1::UploadResponse>, Status> {
        let v1::UploadRequest { gid, part, capture } = request.into_inner();
        let gid = wire::gid(&gid)?;
        match self.captures.add(gid, part, capture).await {
            Ok(()) => Ok(Response::new(v1::UploadResponse {})),
            Err(rejected @ Rejected::TooLarge { .. }) => {
                Err(Status::resource_exhausted(rejected.to_string()))
            }
            Err(rejected) => Err(Status::failed_precondition(rejected.to_string())),
        }
    }

    async fn close(
        &self,
        request: Request<v1::CloseRequest>,
    ) -> Result<Response<v1::CloseResponse>, Status> {
        let v1::CloseRequest {
            gid,
            round,
            parts,
            capture,
        } = request.into_inner();
        let gid = wire::gid(&gid)?;
        let capture = match self.captures.close(&gid, round, parts, &capture).await {
            Ok(capture) => capture,
            Err(rejected) => return Ok(answer(Answer::Refused(unusable(&self.me, &rejected)))),
        };
        let (sender, answered) = oneshot::channel();
        self.send(Event::Hook {
            gid: gid.clone(),
            round,
            capture,
            answer: sender,
        })?;
        let line = Line {
            gid,
            events: Some(self.events.clone()),
        };
        let said = answered
            .await
            .map_err(|_| Status::aborted("the hook called once more, or the peer is stopping"));
        line.release();
        Ok(answer(to_wire(said?)?))
    }
}

/// The connection to the hook. If it breaks before the answer, this future is dropped and the line with it.
struct Line {
    gid: Gid,
    events: Option<Events>,
}

impl Line {
    fn release(mut self) {
        self.events = None;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(events) = self.events.take() {
            drop(events.send(Event::Transaction(Input::CallbackLost {
                gid: self.gid.clone(),
            })));
        }
    }
}

fn answer(answer: Answer) -> Response<v1::CloseResponse> {
    Response::new(v1::CloseResponse {
        answer: Some(answer),
    })
}

fn to_wire(answer: CallbackAnswer) -> Result<Answer, Status> {
    Ok(match answer {
        CallbackAnswer::Voted { participants } => Answer::Voted(v1::Voted {
            participants: participants.into_iter().map(String::from).collect(),
        }),
        CallbackAnswer::Unshared => Answer::Unshared(v1::Unshared {}),
        CallbackAnswer::Apply { puts, batch } => {
            let puts = serde_json::to_string(&puts)
                .map_err(|error| Status::internal(error.to_string()))?;
            Answer::Apply(v1::Apply { puts, batch })
        }
        CallbackAnswer::Refused { refusal } => Answer::Refused(wire::refusal_to_wire(refusal)),
    })
}

/// A capture that cannot be used is the fault of hook or helper: the client is refused, in words for both.
fn unusable(me: &PeerName, rejected: &Rejected) -> v1::Refusal {
    let (state, hint) = match rejected {
        Rejected::TooLarge { .. } => (
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            "Change fewer rows in one transaction, or raise limits.capture_bytes_max at the peer.",
        ),
        Rejected::OutOfOrder { .. } => (sqlstate::CONNECTION_FAILURE, "Try again."),
        Rejected::Unusable(Unusable::File(_)) => (
            sqlstate::IO_ERROR,
            "Look at the space in the peer's folder for temporary files (TMPDIR), then try again.",
        ),
        Rejected::Unusable(Unusable::Unreadable(_)) => (
            sqlstate::PROTOCOL_VIOLATION,
            "Install the database again with the peer's own version.",
        ),
    };
    wire::refusal_to_wire(Refusal {
        peer: me.clone(),
        sqlstate: state.into(),
        message: format!("peer \"{me}\" cannot use what the transaction has changed"),
        detail: rejected.to_string(),
        hint: hint.into(),
    })
}
