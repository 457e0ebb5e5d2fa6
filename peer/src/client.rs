//! Calls to other peers: one connection an address, made when it is first needed, and a deadline on each call.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use dejima_core::examine::{Copy, Digest, Health};
use dejima_core::group::Said;
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::transaction::{Membership, Message, Millis, RequestId, Silence, Tally};
use dejima_proto::v1;
use dejima_proto::v1::ack_termination_client::AckTerminationClient;
use dejima_proto::v1::detect_groups_client::DetectGroupsClient;
use dejima_proto::v1::propagate_update_client::PropagateUpdateClient;
use futures::future::BoxFuture;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::wire::{self, Head, Invalid, Parts};
use crate::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};

/// A connection that is not there after this time is refused: half of it is far more than any round trip.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// An Exchange, a Terminate, an Inquire: the callee answers from memory or after one short statement.
const SHORT_CALL_MAX: Duration = Duration::from_secs(3);
/// A member reads its copy of a Dejima table as a whole.
const DIGEST_MAX: Duration = Duration::from_secs(60);
/// What a peer may take to say whether it serves.
const HEALTH_MAX: Duration = Duration::from_secs(2);
/// A connection with calls under way is asked after this silence whether it still is one.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(2);
/// And is given up if it does not say so.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(2);

/// The name of the peer that a call is meant for, so that another one that has taken over its address cannot
/// answer in its place.
pub const ADDRESSEE: &str = "dejima-to";

/// An answer under way.
pub type Call<T> = BoxFuture<'static, Result<T, Silence>>;

/// The call could not be made in time, or not be understood: that says nothing of the peer.
fn silent(why: String) -> Silence {
    Silence {
        why,
        is_away: false,
    }
}

/// The connections of one peer.
#[derive(Debug)]
pub struct Client {
    me: PeerName,
    /// How long a peer may take for a small delta or for its vote.
    transaction_max: Duration,
    channels: HashMap<String, Channel>,
}

impl Client {
    /// Without connections yet.
    pub fn new(me: PeerName, transaction_ms_max: u64) -> Self {
        Self {
            me,
            transaction_max: Duration::from_millis(transaction_ms_max),
            channels: HashMap::new(),
        }
    }

    /// The peer that calls.
    pub fn me(&self) -> &PeerName {
        &self.me
    }

    /// Asks a peer a question of the transaction machine.
    pub fn ask(
        &mut self,
        address: &str,
        to: &PeerName,
        message: Message,
        tables: &BTreeMap<TableName, Membership>,
    ) -> Result<Call<Message>, Silence> {
        let channel = self.channel(address)?;
        let from = self.me.clone();
        let limit = self.transaction_max;
        let caller = Caller {
            channel,
            from,
            to: to.clone(),
            address: address.to_owned(),
        };
        Ok(match message {
            Message::Propagate {
                gid,
                request,
                table,
                group,
                batch,
                patience_ms,
                delta,
            } => {
                let schema = tables
                    .get(&table)
                    .map(|membership| membership.schema.clone());
                let schema = schema.ok_or_else(|| {
                    silent(format!("Dejima table \"{table}\" is not shared here"))
                })?;
                let limit = limit.max(Duration::from_millis(patience_ms));
                let head = Head {
                    from: caller.from.clone(),
                    gid: gid.clone(),
                    request,
                    table,
                    group,
                    batch,
                    patience_ms,
                };
                let parts = Parts::new(head, &schema, delta);
                Box::pin(caller.propagate(limit, gid, request, parts))
            }
            Message::Vote {
                gid,
                request,
                patience_ms,
            } => {
                let limit = limit.max(Duration::from_millis(patience_ms));
                Box::pin(caller.vote(limit, gid, request, patience_ms))
            }
            Message::Terminate {
                gid,
                request,
                decision,
                cause,
            } => {
                let decision = wire::decision_to_wire(Some(decision));
                let cause = cause.map(wire::refusal_to_wire);
                Box::pin(caller.terminate(gid, request, decision, cause))
            }
            Message::Inquire {
                gid,
                request,
                parent,
            } => Box::pin(caller.inquire(gid, request, parent)),
            answer => return Err(silent(format!("{answer:?} is no question"))),
        })
    }

    /// Says and asks who shares what.
    pub fn exchange(&mut self, address: &str, said: Said) -> Call<(PeerName, Said)> {
        let from = self.me.to_string();
        let channel = self.channel(address);
        let address = address.to_owned();
        Box::pin(async move {
            let mut client =
                DetectGroupsClient::new(channel?).max_decoding_message_size(MESSAGE_BYTES_MAX);
            let (facts, covers, heard) = wire::said_to_wire(&said);
            let request = Request::new(v1::ExchangeRequest {
                from,
                facts,
                covers,
                heard,
            });
            let response = within(SHORT_CALL_MAX, &address, client.exchange(request)).await?;
            let said = wire::said_from_wire(response.facts, response.covers, response.heard);
            let invalid = |error: Invalid| misunderstood(&address, &error);
            Ok((
                wire::peer(&response.from).map_err(invalid)?,
                said.map_err(invalid)?,
            ))
        })
    }

    fn channel(&mut self, address: &str) -> Result<Channel, Silence> {
        if let Some(channel) = self.channels.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|error| silent(format!("\"{address}\": {error}")))?;
        let channel = endpoint
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_AFTER)
            .keep_alive_timeout(KEEP_ALIVE_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect_lazy();
        self.channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

/// Asks a peer, over a connection of its own, whether it serves now.
pub async fn health(address: String) -> Health {
    let asked = async {
        let endpoint =
            Endpoint::from_shared(address.clone()).map_err(|error| silent(error.to_string()))?;
        let channel = endpoint.connect_timeout(CONNECT_MAX).connect_lazy();
        let mut client = HealthClient::new(channel);
        let request = HealthCheckRequest::default();
        within(HEALTH_MAX, &address, client.check(request)).await
    };
    match asked.await {
        Ok(said) if said.status() == ServingStatus::Serving => Health::Serving,
        Ok(_) => Health::NotServing,
        Err(silence) => Health::Silent(silence.why),
    }
}

/// Asks a member, over a connection of its own, what its copy of a Dejima table amounts to.
pub async fn digest(
    me: &PeerName,
    to: &PeerName,
    address: String,
    table: &TableName,
) -> Result<Copy, Silence> {
    let endpoint =
        Endpoint::from_shared(address.clone()).map_err(|error| silent(error.to_string()))?;
    let caller = Caller {
        channel: endpoint.connect_timeout(CONNECT_MAX).connect_lazy(),
        from: me.clone(),
        to: to.clone(),
        address,
    };
    let request = v1::DigestRequest {
        from: me.to_string(),
        table: table.to_string(),
    };
    let call = caller.addressed(request, DIGEST_MAX);
    let mut client = DetectGroupsClient::new(caller.channel.clone());
    let response = within(DIGEST_MAX, &caller.address, client.digest(call)).await?;
    Ok(Copy {
        digest: Digest {
            rows: response.rows,
            sum: response.sum,
        },
        is_at_rest: response.is_at_rest,
    })
}

/// One call to one peer.
struct Caller {
    channel: Channel,
    from: PeerName,
    to: PeerName,
    address: String,
}

impl Caller {
    async fn propagate(
        self,
        limit: Duration,
        gid: Gid,
        request: RequestId,
        parts: Parts,
    ) -> Result<Message, Silence> {
        let call = self.addressed(tokio_stream::iter(parts), limit);
        let mut client = PropagateUpdateClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let response = within(limit, &self.address, client.propagate(call)).await?;
        let result = match response.result {
            Some(v1::propagate_response::Result::Applied(applied)) => Ok(applied.adopted),
            Some(v1::propagate_response::Result::Refused(refusal)) => Err(self.refusal(refusal)?),
            None => {
                return Err(misunderstood(
                    &self.address,
                    &Invalid::Missing("the result"),
                ));
            }
        };
        Ok(Message::Propagated {
            gid,
            request,
            result,
        })
    }

    async fn vote(
        self,
        limit: Duration,
        gid: Gid,
        request: RequestId,
        patience_ms: Millis,
    ) -> Result<Message, Silence> {
        let call = self.addressed(
            v1::VoteRequest {
                from: self.from.to_string(),
                gid: gid.to_string(),
                patience_ms,
            },
            limit,
        );
        let mut client = PropagateUpdateClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let response = within(limit, &self.address, client.vote(call)).await?;
        let result = match response.refused {
            None => Ok(Tally(response.tally)),
            Some(refusal) => Err(self.refusal(refusal)?),
        };
        Ok(Message::Voted {
            gid,
            request,
            result,
        })
    }

    async fn terminate(
        self,
        gid: Gid,
        request: RequestId,
        decision: v1::Decision,
        cause: Option<v1::Refusal>,
    ) -> Result<Message, Silence> {
        let (from, said) = (self.from.to_string(), gid.to_string());
        let call = self.addressed(
            v1::TerminateRequest {
                from,
                gid: said,
                decision: decision.into(),
                cause,
            },
            SHORT_CALL_MAX,
        );
        let mut client = AckTerminationClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        within(SHORT_CALL_MAX, &self.address, client.terminate(call)).await?;
        Ok(Message::Terminated { gid, request })
    }

    async fn inquire(
        self,
        gid: Gid,
        request: RequestId,
        parent: PeerName,
    ) -> Result<Message, Silence> {
        let question = v1::InquireRequest {
            from: self.from.to_string(),
            gid: gid.to_string(),
            parent: parent.to_string(),
        };
        let call = self.addressed(question, SHORT_CALL_MAX);
        let mut client = AckTerminationClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let response = within(SHORT_CALL_MAX, &self.address, client.inquire(call)).await?;
        let decision = wire::decision_from_wire(response.decision)
            .map_err(|error| misunderstood(&self.address, &error))?;
        Ok(Message::Decided {
            gid,
            request,
            decision,
        })
    }

    /// The callee is told for whom it is and when nobody waits for the answer any more.
    fn addressed<T>(&self, message: T, limit: Duration) -> Request<T> {
        let mut request = Request::new(message);
        // A little more than `within` waits, so that it is the one to say so.
        request.set_timeout(limit + Duration::from_millis(100));
        let to = self.to.as_str().parse().expect("a peer's name is ASCII");
        request.metadata_mut().insert(ADDRESSEE, to);
        request
    }

    fn refusal(&self, refusal: v1::Refusal) -> Result<dejima_core::refusal::Refusal, Silence> {
        wire::refusal_from_wire(refusal).map_err(|error| misunderstood(&self.address, &error))
    }
}

async fn within<T>(
    limit: Duration,
    address: &str,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Silence> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Silence {
            why: format!("{address}: {}", cause(&status)),
            is_away: status.code() == Code::Unavailable,
        }),
        Err(_) => Err(silent(format!(
            "{address}: no answer within {} ms",
            limit.as_millis()
        ))),
    }
}

fn misunderstood(address: &str, error: &Invalid) -> Silence {
    silent(format!(
        "{address}: the answer cannot be understood: {error}"
    ))
}

/// What really happened: tonic says "transport error" and hides the rest behind it.
pub fn cause(status: &Status) -> String {
    let mut causes = Vec::new();
    let mut source = status.source();
    while let Some(error) = source {
        causes.push(error.to_string());
        source = error.source();
    }
    causes.retain(|cause| cause != "transport error");
    causes.dedup();
    if causes.is_empty() {
        status.message().to_owned()
    } else {
        causes.join(": ")
    }
}
