//! A member of a Dejima table that answers with words for a terminal instead of words for a person.

use std::sync::{Arc, Mutex};

use dejima_proto::v1;
use dejima_proto::v1::ack_termination_server::{AckTermination, AckTerminationServer};
use dejima_proto::v1::detect_groups_client::DetectGroupsClient;
use dejima_proto::v1::detect_groups_server::{DetectGroups, DetectGroupsServer};
use dejima_proto::v1::propagate_response::Result as Propagated;
use dejima_proto::v1::propagate_update_server::{PropagateUpdate, PropagateUpdateServer};
use dejima_testbed::{World, connect_channel};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::{Canary, assert_plain};
use crate::fixture::{own_world, refused};

const PEERS: [&str; 3] = ["bank", "government", "insurance"];

/// What the member says to every delta.
type Words = Arc<Mutex<v1::Refusal>>;

#[derive(Clone)]
struct Liar {
    address: String,
    words: Words,
}

impl Liar {
    /// Shares ShareRiskFactor with bank and insurance, as far as they know.
    async fn join(world: &World, words: Words) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let liar = Self {
            address: format!("http://{address}"),
            words,
        };
        let server = Server::builder()
            .add_service(PropagateUpdateServer::new(liar.clone()))
            .add_service(AckTerminationServer::new(liar.clone()))
            .add_service(DetectGroupsServer::new(liar.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        for peer in ["bank", "insurance"] {
            let channel = connect_channel(&world.member(peer).address()).expect("an address");
            let told = DetectGroupsClient::new(channel).exchange(liar.fact()).await;
            told.expect("it is taken for a member");
        }
        liar
    }

    fn fact(&self) -> v1::ExchangeRequest {
        let column = |(name, type_name): (&str, &str)| v1::Column {
            name: name.into(),
            r#type: type_name.into(),
            linked: vec![],
        };
        let columns = [
            ("first_name", "text"),
            ("last_name", "text"),
            ("risk_factor", "integer"),
        ];
        v1::ExchangeRequest {
            from: "liar".into(),
            facts: vec![v1::Fact {
                peer: "liar".into(),
                address: self.address.clone(),
                incarnation: 1,
                table: "ShareRiskFactor".into(),
                columns: columns.map(column).to_vec(),
                key: vec!["first_name".into(), "last_name".into()],
                has_left: false,
            }],
            covers: None,
            heard: None,
        }
    }
}

#[tonic::async_trait]
impl PropagateUpdate for Liar {
    async fn propagate(
        &self,
        _: Request<Streaming<v1::PropagateRequest>>,
    ) -> Result<Response<v1::PropagateResponse>, Status> {
        let words = self.words.lock().expect("nobody panics").clone();
        // What is no SQLSTATE is said as an error of the transport, too.
        if words.sqlstate == "HTTP2" {
            return Err(Status::aborted(words.message));
        }
        Ok(Response::new(v1::PropagateResponse {
            result: Some(Propagated::Refused(words)),
        }))
    }

    async fn vote(
        &self,
        _: Request<v1::VoteRequest>,
    ) -> Result<Response<v1::VoteResponse>, Status> {
        Err(Status::aborted("never"))
    }
}

#[tonic::async_trait]
impl AckTermination for Liar {
    async fn terminate(
        &self,
        _: Request<v1::TerminateRequest>,
    ) -> Result<Response<v1::TerminateResponse>, Status> {
        Ok(Response::new(v1::TerminateResponse {}))
    }

    async fn inquire(
        &self,
        _: Request<v1::InquireRequest>,
    ) -> Result<Response<v1::InquireResponse>, Status> {
        Err(Status::aborted("never"))
    }
}

#[tonic::async_trait]
impl DetectGroups for Liar {
    async fn exchange(
        &self,
        _: Request<v1::ExchangeRequest>,
    ) -> Result<Response<v1::ExchangeResponse>, Status> {
        let v1::ExchangeRequest { from, facts, .. } = self.fact();
        Ok(Response::new(v1::ExchangeResponse {
            from,
            facts,
            covers: None,
            heard: None,
        }))
    }

    async fn digest(
        &self,
        _: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        let sum = self.words.lock().expect("nobody panics").message.clone();
        Ok(Response::new(v1::DigestResponse {
            rows: u64::MAX,
            sum,
            is_at_rest: true,
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_the_words_of_a_liar_and_his_terminal_does_not() {
    let world = own_world().await;
    let canary = Canary::plant(&world, &PEERS).await;
    let words = Words::default();
    let _liar = Liar::join(&world, words.clone()).await;
    let bank = world.client("bank").await.expect("a connection");
    let mut texts = canary.texts();
    texts.extend(["\0".to_owned(), "x".repeat(1_000_000)]);
    // As the client's driver is told; 00000 and 01000 are no errors, the next three no SQLSTATEs.
    let codes = [
        ("40001", "40001"),
        ("23514", "23514"),
        ("00000", "08006"),
        ("01000", "08006"),
        ("4000", "08006"),
        ("40'01", "08006"),
        ("4000\0", "08006"),
        ("HTTP2", "08006"),
    ];
    for (text, (sqlstate, expected)) in texts.iter().zip(codes.iter().cycle()) {
        *words.lock().expect("nobody panics") = v1::Refusal {
            peer: "liar".into(),
            sqlstate: (*sqlstate).to_owned(),
            message: text.clone(),
            detail: text.clone(),
            hint: text.clone(),
        };
        let error = refused(
            &bank,
            "INSERT INTO bank_users VALUES ('a', 'Liar', '1', 'b', 1)",
        )
        .await;
        assert_eq!(error.code().code(), *expected, "{sqlstate}: {error:?}");
        assert_plain(error.message());
        assert_plain(error.detail().unwrap_or_default());
        assert_plain(error.hint().unwrap_or_default());
        canary.sings(&world, &PEERS).await;
    }
    let log = std::fs::read_to_string(world.member("bank").process.log()).expect("a log");
    assert!(
        !log.contains(|c: char| c.is_control() && c != '\n'),
        "{log}"
    );
}
