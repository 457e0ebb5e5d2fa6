//! The services for other peers.

use dejima_core::delta::Schema;
use dejima_core::examine::Copy;
use dejima_core::name::{PeerName, TableName};
use dejima_core::plain;
use dejima_core::refusal::Refusal;
use dejima_core::transaction::{Message, Tally};
use dejima_proto::v1;
use dejima_proto::v1::ack_termination_server::AckTermination;
use dejima_proto::v1::detect_groups_server::DetectGroups;
use dejima_proto::v1::propagate_update_server::PropagateUpdate;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

use super::Entrance;
use crate::client::ADDRESSEE;
use crate::event::{self, Event};
use crate::wire::{self, Head, IncomingDelta, Invalid};

/// How much of another peer's list of columns is shown.
const SHOWN_CHARS_MAX: usize = 1_000;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PropagateUpdate for Entrance {
    async fn propagate(
        &self,
        request: Request<Streaming<v1::PropagateRequest>>,
    ) -> Answer<v1::PropagateResponse> {
        self.check_addressee(&request)?;
        let incoming = self.collect(request.into_inner()).await?;
        let result = match self.schema_for(&incoming) {
            Ok(schema) => self.propagated(incoming, schema).await?,
            Err(refusal) => Err(refusal),
        };
        let result = match result {
            Ok(adopted) => v1::propagate_response::Result::Applied(v1::Applied { adopted }),
            Err(refusal) => v1::propagate_response::Result::Refused(wire::refusal_to_wire(refusal)),
        };
        Ok(Response::new(v1::PropagateResponse {
            result: Some(result),
        }))
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Answer<v1::VoteResponse> {
        self.check_addressee(&request)?;
        let v1::VoteRequest {
            from,
            gid,
            patience_ms,
        } = request.into_inner();
        let question = Message::Vote {
            gid: wire::gid(&gid)?,
            request: self.next_request(),
            patience_ms,
        };
        match self.ask(wire::peer(&from)?, question).await? {
            Message::Voted {
                result: Ok(Tally(tally)),
                ..
            } => Ok(Response::new(v1::VoteResponse {
                refused: None,
                tally,
            })),
            Message::Voted {
                result: Err(refusal),
                ..
            } => Ok(Response::new(v1::VoteResponse {
                refused: Some(wire::refusal_to_wire(refusal)),
                tally: 0,
            })),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl AckTermination for Entrance {
    async fn terminate(
        &self,
        request: Request<v1::TerminateRequest>,
    ) -> Answer<v1::TerminateResponse> {
        self.check_addressee(&request)?;
        let v1::TerminateRequest {
            from,
            gid,
            decision,
            cause,
        } = request.into_inner();
        let decision =
            wire::decision_from_wire(decision)?.ok_or(Invalid::Missing("the decision"))?;
        let question = Message::Terminate {
            gid: wire::gid(&gid)?,
            request: self.next_request(),
            decision,
            cause: cause.map(wire::refusal_from_wire).transpose()?,
        };
        match self.ask(wire::peer(&from)?, question).await? {
            Message::Terminated { .. } => Ok(Response::new(v1::TerminateResponse {})),
            other => Err(unexpected(&other)),
        }
    }

    async fn inquire(&self, request: Request<v1::InquireRequest>) -> Answer<v1::InquireResponse> {
        self.check_addressee(&request)?;
        let v1::InquireRequest { from, gid, parent } = request.into_inner();
        let question = Message::Inquire {
            gid: wire::gid(&gid)?,
            request: self.next_request(),
            parent: wire::peer(&parent)?,
        };
        match self.ask(wire::peer(&from)?, question).await? {
            Message::Decided { decision, .. } => Ok(Response::new(v1::InquireResponse {
                decision: wire::decision_to_wire(decision).into(),
            })),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl DetectGroups for Entrance {
    async fn exchange(
        &self,
        request: Request<v1::ExchangeRequest>,
    ) -> Answer<v1::ExchangeResponse> {
        let v1::ExchangeRequest {
            from,
            facts,
            covers,
            heard,
        } = request.into_inner();
        let said = wire::said_from_wire(facts, covers, heard)?;
        let (answer, answered) = oneshot::channel();
        self.send(Event::Exchange {
            from: wire::peer(&from)?,
            said,
            answer,
        })?;
        let said = answered
            .await
            .map_err(|_| Status::unavailable("the peer is stopping"))?;
        let (facts, covers, heard) = wire::said_to_wire(&said);
        Ok(Response::new(v1::ExchangeResponse {
            from: self.me.to_string(),
            facts,
            covers,
            heard,
        }))
    }

    async fn digest(&self, request: Request<v1::DigestRequest>) -> Answer<v1::DigestResponse> {
        self.check_addressee(&request)?;
        let v1::DigestRequest { from, table } = request.into_inner();
        let (from, table) = (wire::peer(&from)?, wire::table(&table)?);
        let copy = match self.is_member(from, table.clone()).await? {
            true => self.copies.read(&table).await,
            false => None,
        };
        let copy = copy.ok_or_else(|| Status::permission_denied(not_shared(&self.me, &table)))?;
        let Copy { digest, is_at_rest } = copy.map_err(Status::unavailable)?;
        Ok(Response::new(v1::DigestResponse {
            rows: digest.rows,
            sum: digest.sum,
            is_at_rest,
        }))
    }
}

impl Entrance {
    /// Whether a peer is a member of a Dejima table, as far as is known here.
    async fn is_member(&self, peer: PeerName, table: TableName) -> Result<bool, Status> {
        let look = event::look(&self.events, move |_, groups, _| {
            let groups = groups.groups();
            let mut groups = groups.iter().filter(|group| group.table == table);
            groups.any(|group| group.members.contains(&peer))
        });
        look.await
            .ok_or_else(|| Status::unavailable("the peer is stopping"))
    }

    /// A call that was meant for another peer must not be taken for that peer's answer. Third parties may
    /// leave the addressee out.
    fn check_addressee<T>(&self, request: &Request<T>) -> Result<(), Status> {
        match request.metadata().get(ADDRESSEE) {
            Some(to) if to.as_bytes() != self.me.as_str().as_bytes() => {
                let meant = String::from_utf8_lossy(to.as_bytes()).into_owned();
                Err(Status::failed_precondition(format!(
                    "this is peer \"{}\", not \"{meant}\"",
                    self.me
                )))
            }
            _ => Ok(()),
        }
    }

    /// Puts the parts of a delta together, up to the bound.
    async fn collect(
        &self,
        mut parts: Streaming<v1::PropagateRequest>,
    ) -> Result<IncomingDelta, Status> {
        let first = parts
            .message()
            .await?
            .ok_or(Invalid::Missing("the delta"))?;
        let mut bytes = size(&first);
        let mut incoming = IncomingDelta::new(first)?;
        while let Some(part) = parts.message().await? {
            bytes += size(&part);
            if bytes > self.delta_bytes_max {
                let most = self.delta_bytes_max;
                return Err(Status::resource_exhausted(format!(
                    "the delta is larger than {most} bytes, the most that this peer takes"
                )));
            }
            incoming.add(part)?;
        }
        Ok(incoming)
    }

    /// The schema of a delta's Dejima table, if both peers mean the same by it.
    fn schema_for(&self, incoming: &IncomingDelta) -> Result<&Schema, Refusal> {
        let Head { from, table, .. } = &incoming.head;
        let Some(schema) = self.schemas.get(table) else {
            return Err(Refusal::forbidden(&self.me, &not_shared(&self.me, table)));
        };
        if incoming.fits(schema) {
            return Ok(schema);
        }
        let own: Vec<_> = schema
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let why = format!(
            "Dejima table \"{table}\" has columns ({}) at peer \"{from}\" and ({}) at peer \"{}\".",
            plain::line(&incoming.columns.join(", "), SHOWN_CHARS_MAX),
            own.join(", "),
            self.me
        );
        Err(Refusal::forbidden(&self.me, &why))
    }

    async fn propagated(
        &self,
        incoming: IncomingDelta,
        schema: &Schema,
    ) -> Result<Result<bool, Refusal>, Status> {
        let Head {
            from,
            gid,
            request,
            table,
            group,
            batch,
            patience_ms,
        } = incoming.head.clone();
        let question = Message::Propagate {
            gid,
            request,
            table,
            group,
            batch,
            patience_ms,
            delta: incoming.into_delta(schema)?,
        };
        match self.ask(from, question).await? {
            Message::Propagated { result, .. } => Ok(result),
            other => Err(unexpected(&other)),
        }
    }
}

fn size(part: &v1::PropagateRequest) -> usize {
    prost::Message::encoded_len(part)
}

fn not_shared(me: &dejima_core::name::PeerName, table: &TableName) -> String {
    format!("Peer \"{me}\" does not share Dejima table \"{table}\".")
}

/// The pending questions are filed by kind, so the machine's answer is of the kind of the question.
fn unexpected(message: &Message) -> Status {
    let (gid, _) = crate::pending::identity(message);
    Status::internal(format!(
        "the answer for {gid} is of another kind than the question"
    ))
}
