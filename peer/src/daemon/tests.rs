//! Whole peers in one process, over real sockets, with a model in place of the database.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Instant;

use dejima_core::database::{Examinee, Origin, Sight, Trace, UsedTable};
use dejima_core::delta::{Captured, Column, Put, PutRow, Schema};
use dejima_core::examine::{Digest, Finding};
use dejima_core::group::{Fact, Links, Shape};
use dejima_core::name::{Gid, PeerName, TableName};
use dejima_core::transaction::{Answer, Outcome, Recovered, Request};
use dejima_proto::v1::callback_client::CallbackClient;
use dejima_proto::v1::close_response::Answer as Said;
use dejima_proto::v1::detect_groups_client::DetectGroupsClient;
use dejima_proto::v1::operator_client::OperatorClient;
use dejima_proto::v1::propagate_update_client::PropagateUpdateClient;
use dejima_proto::v1::{self, CloseRequest, PropagateRequest};
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, Notify, oneshot};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::config::{DatabaseConfig, LimitsConfig, LocalAddress, LogConfig, LogFormat};

const GID: &str = "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";
const INSERT: &str = "[1,0,\"T\"]\n;\n'1'\n'x';\n";

/// A database that does what it is asked, and says what it was asked.
#[derive(Default)]
struct Model {
    asked: Mutex<Vec<&'static str>>,
    /// Apply waits for it.
    gate: Option<Arc<Notify>>,
    /// Reading a copy waits twice: it has begun, it may end.
    reading: Option<Arc<Barrier>>,
}

impl Model {
    fn answer(&self, request: Request) -> Option<Answer> {
        let (name, answer) = match request {
            Request::Apply { gid, puts } => {
                let captured = puts.iter().flat_map(captured).collect();
                ("apply", Some(Answer::Applied { gid, captured }))
            }
            Request::Prepare { gid, .. } => ("prepare", Some(Answer::Prepared { gid })),
            Request::Rollback { gid } => ("rollback", Some(Answer::RolledBack { gid })),
            Request::Finish { gid, .. } | Request::Settle { gid, .. } => {
                ("finish", Some(finished(gid)))
            }
            Request::Resolve { resolution } => ("resolve", Some(finished(resolution.gid))),
            Request::Outcomes { gids } => {
                let outcomes = gids.into_iter().map(|gid| (gid, committed())).collect();
                ("outcomes", Some(Answer::Outcomes { outcomes }))
            }
            Request::Forget { .. } => ("forget", None),
            Request::Recover => (
                "recover",
                Some(Answer::Recovered {
                    found: Recovered::default(),
                }),
            ),
        };
        self.asked.lock().expect("no test panics here").push(name);
        answer
    }

    fn was_asked(&self, what: &str) -> bool {
        self.asked
            .lock()
            .expect("no test panics here")
            .contains(&what)
    }
}

fn finished(gid: Gid) -> Answer {
    let children = vec![];
    Answer::Finished { gid, children }
}

/// With the one participant of these tests.
fn committed() -> Outcome {
    let participants = vec![peer_name("gov")];
    Outcome::Committed { participants }
}

/// What putting new rows changes: the same rows.
fn captured(put: &Put) -> Vec<Captured> {
    let row = |row: &PutRow| match row {
        PutRow::Insert { new } => Some(
            ["id", "name"]
                .map(|column| new.get(column).cloned().flatten())
                .to_vec(),
        ),
        _ => None,
    };
    put.rows
        .iter()
        .map(|put_row| Captured {
            statement: 1,
            table: put.table.clone(),
            old: None,
            new: row(put_row),
        })
        .collect()
}

impl Store for Model {
    fn execute(&self, request: Request) -> BoxFuture<'_, Option<Answer>> {
        Box::pin(async move {
            if let (Some(gate), Request::Apply { .. }) = (&self.gate, &request) {
                gate.notified().await;
            }
            self.answer(request)
        })
    }

    fn save(&self, _: Vec<Arc<Fact>>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async { Ok(2) })
    }

    fn count_beyond(&self, _: group::Overtaken) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn look<'a>(
        &'a self,
        _: &'a Gid,
        _: Option<&'a PeerName>,
        _: &'a [DeclaredTable],
        _: usize,
    ) -> BoxFuture<'a, Result<Sight, String>> {
        Box::pin(async { Err("the model holds no locks".to_owned()) })
    }

    fn traces(&self) -> BoxFuture<'_, Result<BTreeSet<Trace>, String>> {
        Box::pin(async { Ok(BTreeSet::new()) })
    }

    fn examine(&self, _: Examinee) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(async { vec![Finding::ok("model", "it does what it is asked")] })
    }

    fn digest<'a>(&'a self, _: &'a DeclaredTable) -> BoxFuture<'a, Result<Digest, String>> {
        Box::pin(async {
            if let Some(reading) = &self.reading {
                reading.wait().await;
                reading.wait().await;
            }
            Ok(Digest {
                rows: 0,
                sum: String::new(),
            })
        })
    }
}

/// A peer that runs in this process until its `stop` is sent or dropped.
struct Peer {
    address: String,
    metrics: Option<SocketAddr>,
    local: String,
    model: Arc<Model>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), Error>>,
}

/// What a peer is made of.
struct Plan<'a> {
    name: &'a str,
    listen: &'a str,
    /// Where it serves what it counts.
    metrics: Option<&'a str>,
    seeds: &'a [&'a str],
    columns: [&'a str; 2],
    facts: Vec<Fact>,
    model: Model,
}

fn plan<'a>(name: &'a str, seeds: &'a [&'a str]) -> Plan<'a> {
    Plan {
        name,
        listen: "127.0.0.1:0",
        metrics: None,
        seeds,
        columns: ["id", "name"],
        facts: Vec::new(),
        model: Model::default(),
    }
}

fn peer_name(name: &str) -> PeerName {
    PeerName::new(name).expect("a name")
}

fn table() -> TableName {
    TableName::new("T").expect("a name")
}

fn schema(columns: [&str; 2]) -> Schema {
    let column = |name: &str| Column {
        name: name.into(),
        type_name: "text".into(),
    };
    Schema {
        columns: columns.map(column).to_vec(),
        key: vec![0],
    }
}

fn fact(name: &str, address: &str) -> Fact {
    Fact {
        peer: peer_name(name),
        address: address.into(),
        incarnation: 1,
        shape: Arc::new(Shape {
            table: table(),
            schema: Some(schema(["id", "name"])),
            links: Links::new(),
            has_left: false,
        }),
    }
}

async fn start(folder: &tempfile::TempDir, plan: Plan<'_>) -> Peer {
    let public = TakenAddress::take("listen", plan.listen)
        .await
        .expect("a free port");
    let address = format!("http://{}", public.local_address().expect("it is bound"));
    let socket = folder.path().join(plan.name);
    let config = config(&plan, &address, LocalAddress::Unix(socket.clone()));
    let local = TakenLocalAddress::take(&config.local)
        .await
        .expect("a free path");
    let metrics = match plan.metrics {
        Some(address) => Some(
            TakenAddress::take("metrics", address)
                .await
                .expect("a free port"),
        ),
        None => None,
    };
    let metrics_port = metrics
        .as_ref()
        .map(|taken| taken.local_address().expect("it is bound"));
    let addresses = Addresses {
        public,
        local,
        metrics,
    };
    let model = Arc::new(plan.model);
    let origin = |column: &str| Origin {
        base_table: "public.people".into(),
        column: column.to_owned(),
    };
    let table = DeclaredTable {
        name: table(),
        schema: schema(plan.columns),
        base_tables: vec![UsedTable {
            name: "public.people".into(),
            is_written: true,
            columns: vec![],
            known: dejima_core::strategy::Known::default(),
        }],
        shows: plan.columns.map(|column| [origin(column)].into()).to_vec(),
        decides: [].into(),
        condition: None,
    };
    let store = Arc::clone(&model) as Arc<dyn Store>;
    let prepared = Prepared {
        store,
        place: "a model".into(),
        tables: vec![table],
        incarnation: 1,
        facts: plan.facts,
    };
    let serving = Serving::start(&config, prepared, addresses).expect("all is right");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap_or_default() };
    let ended = tokio::spawn(serving.until(stopped, Duration::from_secs(5)));
    Peer {
        address,
        metrics: metrics_port,
        local: format!("unix:{}", socket.display()),
        model,
        stop,
        ended,
    }
}

fn config(plan: &Plan<'_>, address: &str, local: LocalAddress) -> Config {
    Config {
        name: peer_name(plan.name),
        kind: "test".into(),
        listen: plan.listen.into(),
        advertise: address.into(),
        local,
        metrics: None,
        threads: 1,
        database: DatabaseConfig {
            url: String::new(),
            pool: 1,
        },
        limits: LimitsConfig {
            transaction_ms_max: 500,
            lock_wait_ms_max: 100,
            delta_bytes_max: 1 << 20,
            capture_bytes_max: 1 << 20,
            stop_ms_max: 1_000,
        },
        log: LogConfig {
            filter: "off".into(),
            format: LogFormat::Text,
        },
        tables: Vec::new(),
        seeds: BTreeMap::from([(
            table(),
            plan.seeds.iter().map(|&seed| seed.to_owned()).collect(),
        )]),
        warnings: Vec::new(),
    }
}

async fn channel(address: &str) -> Channel {
    Endpoint::from_shared(address.to_owned())
        .expect("an address")
        .connect()
        .await
        .expect("it listens")
}

async fn status(address: &str) -> ServingStatus {
    let answer = HealthClient::new(channel(address).await)
        .check(HealthCheckRequest::default())
        .await;
    answer.expect("it answers").get_ref().status()
}

async fn quiet(peer: &Peer) {
    let mut operator = OperatorClient::new(channel(&peer.local).await);
    operator
        .await_quiet(v1::AwaitQuietRequest {})
        .await
        .expect("it becomes quiet");
}

async fn close(peer: &Peer) -> Said {
    let mut callback = CallbackClient::new(channel(&peer.local).await);
    let request = CloseRequest {
        gid: GID.into(),
        round: 0,
        parts: 0,
        capture: INSERT.into(),
    };
    let response = callback.close(request).await.expect("it answers");
    response.into_inner().answer.expect("an answer")
}

/// Waits until the peer knows of a transaction.
async fn in_flight(peer: &Peer) {
    let mut operator = OperatorClient::new(channel(&peer.local).await);
    let is_none = |answer: tonic::Response<v1::TransactionsResponse>| {
        answer.into_inner().transactions.is_empty()
    };
    while is_none(
        operator
            .transactions(v1::TransactionsRequest::default())
            .await
            .expect("it answers"),
    ) {}
}

fn refusal(said: Said) -> v1::Refusal {
    match said {
        Said::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[tokio::test]
async fn two_peers_agree_on_a_change() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    let bank = start(&folder, plan("bank", &[&gov.address])).await;
    quiet(&bank).await;
    assert_eq!(status(&bank.address).await, ServingStatus::Serving);
    let said = close(&bank).await;
    assert_eq!(
        said,
        Said::Voted(v1::Voted {
            participants: vec!["gov".into()]
        })
    );
    assert!(gov.model.was_asked("prepare"));
    quiet(&bank).await;
    assert!(gov.model.was_asked("finish") && bank.model.was_asked("forget"));
}

#[tokio::test]
async fn the_operator_sees_peers_groups_and_tables() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    let bank = start(&folder, plan("bank", &[&gov.address])).await;
    quiet(&bank).await;
    let mut operator = OperatorClient::new(channel(&bank.local).await);
    let peers = operator
        .peers(v1::PeersRequest {})
        .await
        .expect("it answers")
        .into_inner()
        .peers;
    let states: Vec<_> = peers
        .iter()
        .map(|peer| {
            (
                peer.name.as_str(),
                peer.state.as_str(),
                peer.database.as_str(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [("bank", "self", "a model"), ("gov", "reachable", "")]
    );
    let groups = operator
        .groups(v1::GroupsRequest {})
        .await
        .expect("it answers")
        .into_inner()
        .groups;
    assert_eq!(
        (&groups[0].members[..], groups[0].complete),
        (&["bank".to_owned(), "gov".to_owned()][..], true)
    );
    let tables = operator
        .tables(v1::TablesRequest {})
        .await
        .expect("it answers")
        .into_inner()
        .tables;
    assert_eq!(
        (tables[0].base_table.as_str(), tables[0].key[0].as_str()),
        ("public.people", "id")
    );
    let none = operator
        .transactions(v1::TransactionsRequest::default())
        .await
        .expect("it answers")
        .into_inner();
    assert_eq!(none.transactions, []);
}

#[tokio::test]
async fn a_peer_does_not_serve_before_its_seed_has_answered() {
    let folder = folder();
    let port = TakenAddress::take("listen", "127.0.0.1:0")
        .await
        .expect("a free port");
    let seed = format!("{}", port.local_address().expect("it is bound"));
    let address = format!("http://{seed}");
    let bank = start(&folder, plan("bank", &[&address])).await;
    assert_eq!(status(&bank.local).await, ServingStatus::NotServing);
    let refused = refusal(close(&bank).await);
    assert_eq!(refused.sqlstate, "57P03");
    drop(port);
    let gov = start(
        &folder,
        Plan {
            listen: &seed,
            ..plan("gov", &[])
        },
    )
    .await;
    quiet(&bank).await;
    assert_eq!(status(&bank.local).await, ServingStatus::Serving);
    assert_eq!(status(&gov.local).await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_peer_that_is_away_refuses_by_its_name() {
    let folder = folder();
    let nobody = TakenAddress::take("listen", "127.0.0.1:0")
        .await
        .expect("a free port");
    let away = format!("http://{}", nobody.local_address().expect("it is bound"));
    let bank = start(
        &folder,
        Plan {
            facts: vec![fact("gov", &away)],
            ..plan("bank", &[])
        },
    )
    .await;
    let begin = Instant::now();
    let refused = refusal(close(&bank).await);
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(
        (refused.sqlstate.as_str(), refused.peer.as_str()),
        ("08006", "gov")
    );
    assert!(
        refused.detail.contains("Connection refused"),
        "{}",
        refused.detail
    );
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    let folder = folder();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", silent.local_addr().expect("it is bound"));
    let bank = start(
        &folder,
        Plan {
            facts: vec![fact("gov", &address)],
            ..plan("bank", &[])
        },
    )
    .await;
    let begin = Instant::now();
    let refused = refusal(close(&bank).await);
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        ["08006", "57014"].contains(&refused.sqlstate.as_str()),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_hook_that_hangs_up_ends_its_transaction() {
    let folder = folder();
    let gate = Arc::new(Notify::new());
    let stuck = Model {
        gate: Some(Arc::clone(&gate)),
        ..Model::default()
    };
    let gov = start(
        &folder,
        Plan {
            model: stuck,
            ..plan("gov", &[])
        },
    )
    .await;
    let bank = start(&folder, plan("bank", &[&gov.address])).await;
    quiet(&bank).await;
    let hook = close(&bank);
    tokio::select! {
        said = hook => panic!("nobody can have answered: {said:?}"),
        () = in_flight(&bank) => {}
    }
    gate.notify_one();
    quiet(&bank).await;
}

/// What was read while a transaction came or went may be from before it or after it.
#[tokio::test]
async fn a_copy_rests_if_no_transaction_concerns_it_before_and_after_it_is_read() {
    let folder = folder();
    let (gate, reading) = (Arc::new(Notify::new()), Arc::new(Barrier::new(2)));
    let model = Model {
        gate: Some(Arc::clone(&gate)),
        reading: Some(Arc::clone(&reading)),
        ..Model::default()
    };
    let gov = plan("gov", &[]);
    let gov = start(&folder, Plan { model, ..gov }).await;
    let bank = start(&folder, plan("bank", &[&gov.address])).await;
    quiet(&bank).await;
    let is_at_rest = async |meanwhile: Pin<Box<dyn Future<Output = ()> + '_>>| {
        let mut client = DetectGroupsClient::new(channel(&gov.address).await);
        let read = client.digest(v1::DigestRequest {
            from: "bank".into(),
            table: "T".into(),
        });
        let during = async {
            reading.wait().await;
            meanwhile.await;
            reading.wait().await;
        };
        let (answer, ()) = tokio::join!(read, during);
        answer.expect("it answers").get_ref().is_at_rest
    };
    assert!(is_at_rest(Box::pin(async {})).await, "nothing happens");
    let looks = async {
        assert!(!is_at_rest(Box::pin(in_flight(&gov))).await, "one comes");
        assert!(!is_at_rest(Box::pin(async {})).await, "it is there");
        let goes = async {
            gate.notify_one();
            quiet(&gov).await;
        };
        assert!(!is_at_rest(Box::pin(goes)).await, "it goes");
    };
    // What the hook hears does not matter: it may be that it was kept waiting for too long.
    tokio::join!(looks, close(&bank));
    assert!(is_at_rest(Box::pin(async {})).await, "it is gone");
}

fn delta(from: &str, table: &str, columns: [&str; 2]) -> PropagateRequest {
    PropagateRequest {
        from: from.into(),
        gid: GID.into(),
        request: 1,
        table: table.into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: Vec::new(),
        batch: 0,
        patience_ms: 4_000,
        group: 0,
    }
}

async fn propagated(peer: &Peer, request: PropagateRequest) -> v1::Refusal {
    let mut client = PropagateUpdateClient::new(channel(&peer.address).await);
    let response = client
        .propagate(tokio_stream::iter([request]))
        .await
        .expect("it answers");
    match response.into_inner().result {
        Some(v1::propagate_response::Result::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_is_no_member_is_refused() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    quiet(&gov).await;
    let other_columns = propagated(&gov, delta("bank", "T", ["id", "phone"])).await;
    assert_eq!(other_columns.sqlstate, "08P01");
    assert!(
        other_columns
            .detail
            .contains("(id, phone) at peer \"bank\" and (id, name) at peer \"gov\""),
        "{other_columns:?}"
    );
    let other_table = propagated(&gov, delta("bank", "U", ["id", "name"])).await;
    assert!(
        other_table
            .detail
            .contains("does not share Dejima table \"U\""),
        "{other_table:?}"
    );
    let stranger = propagated(&gov, delta("bank", "T", ["id", "name"])).await;
    assert!(
        stranger.sqlstate == "40001" && stranger.message.contains("do not see the same members"),
        "{stranger:?}"
    );
}

#[tokio::test]
async fn a_call_for_another_peer_is_not_answered() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    let mut client = PropagateUpdateClient::new(channel(&gov.address).await);
    let mut request = tonic::Request::new(v1::VoteRequest {
        from: "bank".into(),
        gid: GID.into(),
        patience_ms: 0,
    });
    request.metadata_mut().insert(
        crate::client::ADDRESSEE,
        "insurance".parse().expect("ASCII"),
    );
    let status = client.vote(request).await.expect_err("it is for another");
    assert_eq!(status.message(), "this is peer \"gov\", not \"insurance\"");
}

#[tokio::test]
async fn reflection_names_the_services_of_each_address() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    let services = async |address: &str| {
        let question = tonic_reflection::pb::v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel(address).await);
        let answers = client
            .server_reflection_info(tokio_stream::iter([question]))
            .await;
        let answer = answers
            .expect("it answers")
            .into_inner()
            .message()
            .await
            .expect("it answers")
            .expect("once");
        match answer.message_response {
            Some(MessageResponse::ListServicesResponse(list)) => list
                .service
                .into_iter()
                .map(|service| service.name)
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let public = services(&gov.address).await;
    for name in [
        "dejima.v1.DetectGroups",
        "dejima.v1.PropagateUpdate",
        "dejima.v1.AckTermination",
        "grpc.health.v1.Health",
    ] {
        assert!(
            public.iter().any(|service| service == name),
            "{name} is not in {public:?}"
        );
    }
    assert!(
        !public.iter().any(|service| service == "dejima.v1.Callback"),
        "others must not see it: {public:?}"
    );
    let local = services(&gov.local).await;
    assert!(
        local.iter().any(|service| service == "dejima.v1.Operator"),
        "{local:?}"
    );
}

#[tokio::test]
async fn a_stopped_peer_leaves_nothing() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    quiet(&gov).await;
    let socket = folder.path().join("gov");
    assert!(socket.exists());
    gov.stop.send(()).expect("it runs");
    gov.ended.await.expect("no panic").expect("no error");
    assert!(!socket.exists());
    start(
        &folder,
        Plan {
            listen: gov.address.trim_start_matches("http://"),
            ..plan("gov", &[])
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_counted_is_served_to_prometheus() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    let bank = start(
        &folder,
        Plan {
            metrics: Some("127.0.0.1:0"),
            ..plan("bank", &[&gov.address])
        },
    )
    .await;
    quiet(&bank).await;
    let (head, body) = http_get(&bank, "/metrics").await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("application/openmetrics-text"),
        "{head}"
    );
    for line in [
        "# TYPE dejima_detection_messages_sent counter",
        "dejima_detection_messages_sent_total 1",
        "dejima_detection_messages_unanswered_total 0",
        "dejima_groups 1",
        "dejima_groups_incomplete 0",
        r#"dejima_peers{state="self"} 1"#,
        r#"dejima_peers{state="reachable"} 1"#,
        "dejima_in_doubt_oldest_seconds 0.0",
        "# EOF",
    ] {
        assert!(body.lines().any(|said| said == line), "{line} in {body}");
    }
    let (head, _) = http_get(&bank, "/").await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

/// Head and body of an answer.
async fn http_get(peer: &Peer, path: &str) -> (String, String) {
    let port = peer.metrics.expect("it serves what it counts");
    let mut stream = tokio::net::TcpStream::connect(port)
        .await
        .expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_cure() {
    let folder = folder();
    let gov = start(&folder, plan("gov", &[])).await;
    let listen = gov.address.trim_start_matches("http://");
    let error = match TakenAddress::take("listen", listen).await {
        Ok(address) => address.open().expect_err("it is in use"),
        Err(error) => error,
    };
    let said = format!(
        "`listen`: {listen} is in use by another program; stop that one, or choose another address with --listen"
    );
    assert_eq!(error.to_string(), said);
    let local = LocalAddress::Unix(folder.path().join("gov"));
    let error = TakenLocalAddress::take(&local)
        .await
        .expect_err("it is in use");
    assert!(
        error
            .to_string()
            .starts_with(&format!("`local`: {} is in use", gov.local)),
        "{error}"
    );
}
