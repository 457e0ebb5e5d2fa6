//! The gRPC services: for other peers on the public address, for the helper and the operator on the local one.

mod listen;
mod local;
mod peers;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dejima_core::delta::Schema;
use dejima_core::name::{PeerName, TableName};
use dejima_core::transaction::{Message, RequestId};
use dejima_proto::v1::ack_termination_server::AckTerminationServer;
use dejima_proto::v1::callback_server::CallbackServer;
use dejima_proto::v1::detect_groups_server::DetectGroupsServer;
use dejima_proto::v1::operator_server::OperatorServer;
use dejima_proto::v1::propagate_update_server::PropagateUpdateServer;
use tokio::sync::{oneshot, watch};
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::capture::Captures;
use crate::copies::Copies;
use crate::event::{Event, Events};
use crate::operator::OperatorService;
use crate::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};

pub use listen::{LocalIncoming, NotListening, TakenAddress, TakenLocalAddress};

/// More than a peer has transactions in flight; a call too many waits for one to end.
const STREAMS_MAX: u32 = 4_096;
/// A silent connection is asked whether it still is one, so that calls of a peer that is gone are dropped.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(10);
/// And is closed if it does not say so.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(5);

/// What the services know and where they hand in what they are told.
#[derive(Clone)]
pub struct Entrance {
    me: PeerName,
    schemas: Arc<BTreeMap<TableName, Schema>>,
    delta_bytes_max: usize,
    captures: Captures,
    copies: Copies,
    events: Events,
    /// Numbers for questions that have none on the wire.
    requests: Arc<AtomicU64>,
}

impl Entrance {
    /// The entrance of one peer.
    pub fn new(
        me: PeerName,
        schemas: Arc<BTreeMap<TableName, Schema>>,
        delta_bytes_max: usize,
        captures: Captures,
        copies: Copies,
        events: Events,
    ) -> Self {
        Self {
            me,
            schemas,
            delta_bytes_max,
            captures,
            copies,
            events,
            requests: Arc::default(),
        }
    }

    /// Hands a question in and waits for the machine's answer.
    async fn ask(&self, from: PeerName, message: Message) -> Result<Message, Status> {
        let (answer, answered) = oneshot::channel();
        self.send(Event::Question {
            from,
            message,
            answer,
        })?;
        answered.await.map_err(|_| {
            Status::aborted("the question was asked once more, or the peer is stopping")
        })
    }

    fn send(&self, event: Event) -> Result<(), Status> {
        self.events
            .send(event)
            .map_err(|_| Status::unavailable(format!("peer \"{}\" has stopped", self.me)))
    }

    fn next_request(&self) -> RequestId {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

/// The services for other peers.
///
/// A single row can be as large as a delta may be, and a row is never cut; so PropagateUpdate alone takes
/// messages beyond [`MESSAGE_BYTES_MAX`].
pub fn for_peers(
    entrance: &Entrance,
    health: &Health,
) -> Result<Router, tonic_reflection::server::Error> {
    let propagate = PropagateUpdateServer::new(entrance.clone())
        .max_decoding_message_size(entrance.delta_bytes_max);
    let acknowledge =
        AckTerminationServer::new(entrance.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let detect =
        DetectGroupsServer::new(entrance.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let names = [
        service_name(&propagate),
        service_name(&acknowledge),
        service_name(&detect),
    ];
    Ok(builder()
        .add_service(health.service())
        .add_service(reflection(&names).build_v1()?)
        .add_service(reflection(&names).build_v1alpha()?)
        .add_service(propagate)
        .add_service(acknowledge)
        .add_service(detect))
}

/// The services for the helper and the operator.
pub fn for_local(
    entrance: &Entrance,
    operator: OperatorService,
    health: &Health,
) -> Result<Router, tonic_reflection::server::Error> {
    let callback =
        CallbackServer::new(entrance.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let operator = OperatorServer::new(operator);
    let names = [service_name(&callback), service_name(&operator)];
    Ok(builder()
        .add_service(health.service())
        .add_service(reflection(&names).build_v1()?)
        .add_service(reflection(&names).build_v1alpha()?)
        .add_service(callback)
        .add_service(operator))
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE_AFTER))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_MAX))
}

fn service_name<S: tonic::server::NamedService>(_: &S) -> &'static str {
    S::NAME
}

/// Describes the services. It is served in both versions of its protocol: Python's and older clients ask in
/// v1alpha only.
fn reflection(services: &[&'static str]) -> tonic_reflection::server::Builder<'static> {
    let health = <tonic_health::pb::health_server::HealthServer<tonic_health::server::HealthService> as tonic::server::NamedService>::NAME;
    let mut builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(dejima_proto::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(health);
    for service in services {
        builder = builder.with_service_name(*service);
    }
    builder
}

/// Whether the peer serves, in the words of grpc.health.v1, for the whole and for each service.
#[derive(Clone, Debug, Default)]
pub struct Health {
    reporter: HealthReporter,
}

impl Health {
    fn service(
        &self,
    ) -> tonic_health::pb::health_server::HealthServer<tonic_health::server::HealthService> {
        let service =
            tonic_health::server::HealthService::from_health_reporter(self.reporter.clone());
        tonic_health::pb::health_server::HealthServer::new(service)
    }

    /// Says what the event loop finds, until the loop has ended.
    pub async fn follow(self, mut is_ready: watch::Receiver<bool>) {
        loop {
            let ready = *is_ready.borrow_and_update();
            self.say(ready).await;
            if is_ready.changed().await.is_err() {
                return self.say(false).await;
            }
        }
    }

    async fn say(&self, is_ready: bool) {
        let status = if is_ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in [
            "",
            "dejima.v1.PropagateUpdate",
            "dejima.v1.AckTermination",
            "dejima.v1.DetectGroups",
            "dejima.v1.Callback",
            "dejima.v1.Operator",
        ] {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

/// Serves helpers and operators until `end` comes; calls under way are finished then.
pub async fn serve_local(
    router: Router,
    incoming: LocalIncoming,
    end: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    match incoming {
        LocalIncoming::Unix(connections, _file) => {
            router.serve_with_incoming_shutdown(connections, end).await
        }
        LocalIncoming::Loopback(connections) => {
            router.serve_with_incoming_shutdown(connections, end).await
        }
    }
}
