//! The service for the operator: what the machines hold, read inside the event loop, and what the database shows.

mod compare;
mod examine;
mod scope;
mod show;
mod words;

use std::sync::Arc;

use dejima_core::database::DeclaredTable;
use dejima_core::group;
use dejima_core::transaction::{self, Millis};
use dejima_proto::v1;
use dejima_proto::v1::operator_server::Operator;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::copies::Copies;
use crate::event::{self, Event, Events};
use crate::store::Store;
use crate::wire;
use words::{
    detection_to_wire, group_to_wire, peer_group_to_wire, peer_to_wire, resolved_to_wire,
    table_to_wire, transaction_to_wire,
};

/// What does not change while a peer runs.
#[derive(Debug, Default)]
pub struct Known {
    /// The kind of organisation, as configured.
    pub kind: String,
    /// Where the database is, without user and password.
    pub database: String,
    /// The Dejima tables as declared in the database.
    pub tables: Vec<DeclaredTable>,
}

/// Answers the operator.
pub struct OperatorService {
    known: Known,
    store: Arc<dyn Store>,
    copies: Copies,
    events: Events,
}

type Answer<T> = Result<Response<T>, Status>;

impl OperatorService {
    /// Looks at the machines by events, and at the database itself.
    pub fn new(known: Known, store: Arc<dyn Store>, copies: Copies, events: Events) -> Self {
        Self {
            known,
            store,
            copies,
            events,
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(Millis, &group::Machine, &transaction::Machine) -> T + Send + 'static,
    ) -> Result<T, Status> {
        event::look(&self.events, look).await.ok_or_else(stopped)
    }
}

fn stopped() -> Status {
    Status::unavailable("the peer is stopping")
}

#[tonic::async_trait]
impl Operator for OperatorService {
    async fn peers(&self, _: Request<v1::PeersRequest>) -> Answer<v1::PeersResponse> {
        let (now, peers) = self.look(|now, groups, _| (now, groups.peers())).await?;
        let mut peers: Vec<_> = peers
            .into_iter()
            .map(|peer| peer_to_wire(now, peer))
            .collect();
        if let Some(own) = peers.first_mut() {
            own.r#type.clone_from(&self.known.kind);
            own.database.clone_from(&self.known.database);
        }
        Ok(Response::new(v1::PeersResponse { peers }))
    }

    async fn groups(&self, _: Request<v1::GroupsRequest>) -> Answer<v1::GroupsResponse> {
        let (now, groups, peer_groups, counters) = self
            .look(|now, groups, _| {
                (
                    now,
                    groups.groups(),
                    groups.peer_groups(),
                    groups.counters(),
                )
            })
            .await?;
        Ok(Response::new(v1::GroupsResponse {
            groups: groups.into_iter().map(group_to_wire).collect(),
            peer_groups: peer_groups.iter().map(peer_group_to_wire).collect(),
            detection: Some(detection_to_wire(now, counters)),
        }))
    }

    async fn tables(&self, _: Request<v1::TablesRequest>) -> Answer<v1::TablesResponse> {
        let tables = self.known.tables.iter().map(table_to_wire).collect();
        Ok(Response::new(v1::TablesResponse { tables }))
    }

    async fn scope(&self, request: Request<v1::ScopeRequest>) -> Answer<v1::ScopeResponse> {
        let changes = request.into_inner().changes;
        Ok(Response::new(self.scope_of(changes).await?))
    }

    async fn transactions(
        &self,
        request: Request<v1::TransactionsRequest>,
    ) -> Answer<v1::TransactionsResponse> {
        let gid = request.into_inner().gid;
        let gid = if gid.is_empty() {
            None
        } else {
            Some(wire::gid(&gid)?)
        };
        let (now, all) = self
            .look(|now, _, transactions| (now, transactions.summaries()))
            .await?;
        let wanted = all
            .into_iter()
            .filter(|summary| gid.as_ref().is_none_or(|gid| summary.gid == *gid));
        let transactions = wanted
            .map(|summary| transaction_to_wire(now, summary))
            .collect();
        Ok(Response::new(v1::TransactionsResponse { transactions }))
    }

    async fn show_transaction(
        &self,
        request: Request<v1::ShowTransactionRequest>,
    ) -> Answer<v1::ShowTransactionResponse> {
        let gid = wire::gid(&request.into_inner().gid)?;
        Ok(Response::new(self.show(gid).await?))
    }

    async fn resolve(&self, request: Request<v1::ResolveRequest>) -> Answer<v1::ResolveResponse> {
        let v1::ResolveRequest {
            gid,
            decision,
            is_forced,
        } = request.into_inner();
        let decision = wire::decision_from_wire(decision)?
            .ok_or_else(|| Status::from(wire::Invalid::Missing("the decision")))?;
        let (answer, answered) = oneshot::channel();
        self.events
            .send(Event::Resolve {
                gid: wire::gid(&gid)?,
                decision,
                is_forced,
                answer,
            })
            .map_err(|_| stopped())?;
        let answer = answered.await.map_err(|_| stopped())?;
        Ok(Response::new(resolved_to_wire(answer)))
    }

    async fn examine(&self, request: Request<v1::ExamineRequest>) -> Answer<v1::ExamineResponse> {
        let mut findings = self.findings().await?;
        if request.into_inner().copies {
            findings.extend(self.compared().await?);
        }
        Ok(Response::new(v1::ExamineResponse {
            findings: findings.into_iter().map(words::finding_to_wire).collect(),
        }))
    }

    async fn await_quiet(
        &self,
        _: Request<v1::AwaitQuietRequest>,
    ) -> Answer<v1::AwaitQuietResponse> {
        let (answer, answered) = oneshot::channel();
        self.events
            .send(Event::AwaitQuiet(answer))
            .map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?;
        Ok(Response::new(v1::AwaitQuietResponse {}))
    }
}
