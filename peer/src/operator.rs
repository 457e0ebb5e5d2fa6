//! The service for the operator: what the machines hold, read inside the event loop.

use std::sync::Arc;

use dejima_core::database::DeclaredTable;
use dejima_core::group::{self, GroupState, MemberState, Reach};
use dejima_core::transaction::{self, Millis, Summary};
use dejima_proto::v1;
use dejima_proto::v1::operator_server::Operator;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::event::{Event, Events};
use crate::wire;

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
    known: Arc<Known>,
    events: Events,
}

type Answer<T> = Result<Response<T>, Status>;

impl OperatorService {
    /// Looks at the machines by events.
    pub fn new(known: Arc<Known>, events: Events) -> Self {
        Self { known, events }
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(Millis, &group::Machine, &transaction::Machine) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let (answer, answered) = oneshot::channel();
        let look =
            move |now: Millis, groups: &group::Machine, transactions: &transaction::Machine| {
                drop(answer.send(look(now, groups, transactions)));
            };
        self.events
            .send(Event::Look(Box::new(look)))
            .map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())
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
        let groups = self.look(|_, groups, _| groups.groups()).await?;
        Ok(Response::new(v1::GroupsResponse {
            groups: groups.into_iter().map(group_to_wire).collect(),
        }))
    }

    async fn tables(&self, _: Request<v1::TablesRequest>) -> Answer<v1::TablesResponse> {
        let tables = self.known.tables.iter().map(table_to_wire).collect();
        Ok(Response::new(v1::TablesResponse { tables }))
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

fn peer_to_wire(now: Millis, peer: MemberState) -> v1::PeerState {
    let state = match peer.reach {
        Reach::Own => "self",
        Reach::Reachable => "reachable",
        Reach::Unreachable => "unreachable",
        Reach::Unknown => "unknown",
    };
    v1::PeerState {
        name: peer.identity.peer.into(),
        r#type: String::new(),
        address: peer.identity.address,
        incarnation: peer.identity.incarnation,
        state: state.into(),
        last_answer_ms_ago: peer.last_answer.map(|then| now.saturating_sub(then)),
        error: peer.error.unwrap_or_default(),
        database: String::new(),
    }
}

fn group_to_wire(group: GroupState) -> v1::Group {
    v1::Group {
        complete: group.is_complete(),
        table: group.table.into(),
        members: group.members.into_iter().map(String::from).collect(),
        columns: group.columns,
        missing: group.missing,
    }
}

fn table_to_wire(table: &DeclaredTable) -> v1::DejimaTable {
    let columns = table
        .schema
        .columns
        .iter()
        .zip(&table.base_columns)
        .map(|(column, base)| v1::MappedColumn {
            name: column.name.clone(),
            r#type: column.type_name.clone(),
            base_column: base.clone(),
        });
    v1::DejimaTable {
        name: table.name.to_string(),
        base_table: table.base_table.clone(),
        columns: columns.collect(),
        key: table
            .schema
            .key
            .iter()
            .map(|&column| table.schema.column_name(column).to_owned())
            .collect(),
        condition: table.condition.clone().unwrap_or_default(),
    }
}

fn transaction_to_wire(now: Millis, summary: Summary) -> v1::Transaction {
    let touched = summary
        .touched
        .into_iter()
        .map(|(table, rows)| v1::TouchedTable {
            table: table.into(),
            inserted: rows.inserted,
            updated: rows.updated,
            deleted: rows.deleted,
        });
    v1::Transaction {
        origin: summary.gid.origin().into(),
        gid: summary.gid.into(),
        parent: summary.parent.map(String::from).unwrap_or_default(),
        participants: summary.participants.into_iter().map(String::from).collect(),
        state: summary.state.to_owned(),
        age_ms: now.saturating_sub(summary.since),
        tables: touched.collect(),
    }
}
