//! Messages of a member that is an enemy, and of whoever reaches the local address: every text of every message.

use dejima_proto::v1;
use dejima_proto::v1::ack_termination_client::AckTerminationClient;
use dejima_proto::v1::callback_client::CallbackClient;
use dejima_proto::v1::close_response::Answer;
use dejima_proto::v1::detect_groups_client::DetectGroupsClient;
use dejima_proto::v1::operator_client::OperatorClient;
use dejima_proto::v1::propagate_response::Result as Propagated;
use dejima_proto::v1::propagate_update_client::PropagateUpdateClient;
use dejima_testbed::{World, connect_channel};
use tonic::Status;
use tonic::transport::Channel;

use super::{Canary, assert_plain};
use crate::fixture::{at_rest, own_world, persons, run};

const PEERS: [&str; 3] = ["bank", "government", "insurance"];
/// A member of ShareGovBank begins a transaction that was never begun.
const GID: &str = "government:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_message_is_executed() {
    let world = own_world().await;
    let canary = Canary::plant(&world, &PEERS).await;
    let mut texts = canary.texts();
    texts.extend(["\0".to_owned(), "a\0b".to_owned(), String::new()]);
    texts.push("x".repeat(200_000));
    let enemy = Enemy::new(&world);
    let (mut refused, mut taken) = (0, 0);
    for text in &texts {
        for said in enemy.say(text).await {
            match said {
                Ok(words) => {
                    taken += 1;
                    assert_plain(&words);
                }
                Err(status) => {
                    refused += 1;
                    assert_plain(status.message());
                }
            }
        }
        canary.sings(&world, &PEERS).await;
    }
    // Most names are none; a value, a column's name and words can be nearly anything.
    assert!(
        refused > 300 && taken > 200,
        "{refused} refused, {taken} taken"
    );
    let log = std::fs::read_to_string(world.member("bank").process.log()).expect("a log");
    assert!(
        !log.contains(|c: char| c.is_control() && c != '\n'),
        "{log}"
    );
    // It goes on as if nothing had been.
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('a', 'Message', '1', 'b', 1)",
    )
    .await;
    at_rest(&world).await;
    for peer in PEERS {
        assert_eq!(persons(&world, peer, "Message").await.len(), 1, "{peer}");
    }
}

/// Numbers out of all bounds: none of them ends the peer, or keeps it from its next start.
#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_a_message_ends_a_peer() {
    let mut world = own_world().await;
    let enemy = Enemy::new(&world);
    let most = u64::MAX;
    let mut propagate = propagate();
    propagate.patience_ms = most;
    propagate.request = most;
    drop(enemy.propagate(propagate.clone()).await);
    propagate.patience_ms = 1;
    for row in &mut propagate.rows {
        if let Some(v1::row::Change::Insert(insert)) = &mut row.change {
            insert
                .cells
                .iter_mut()
                .for_each(|cell| cell.revision = u32::MAX);
        }
    }
    drop(enemy.propagate(propagate).await);
    let mut said = exchange();
    said.covers = Some(v1::Covered {
        life: most,
        after: most,
        upto: most,
        is_partly: true,
    });
    said.heard = Some(v1::Heard {
        life: most,
        upto: most,
    });
    // What is said of the peer itself, at its own address.
    for incarnation in [most, 1 << 63, (1 << 62) + 1] {
        for fact in &mut said.facts {
            fact.peer = "bank".into();
            fact.address = world.member("bank").address();
            fact.incarnation = incarnation;
        }
        drop(enemy.detect.clone().exchange(said.clone()).await);
    }
    for round in [0, u32::MAX] {
        let request = v1::CloseRequest {
            gid: GID.into(),
            round,
            parts: u32::MAX,
            capture: "[9223372036854775807,\"T\",null,null]".into(),
        };
        drop(enemy.callback.clone().close(request).await);
    }
    crate::fixture::restart(&mut world, "bank").await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('a', 'Number', '1', 'b', 1)",
    )
    .await;
    at_rest(&world).await;
}

/// Somebody with a connection to each address of the bank's peer.
struct Enemy {
    propagate: PropagateUpdateClient<Channel>,
    terminate: AckTerminationClient<Channel>,
    detect: DetectGroupsClient<Channel>,
    callback: CallbackClient<Channel>,
    operator: OperatorClient<Channel>,
}

type Said = Result<String, Status>;

impl Enemy {
    fn new(world: &World) -> Self {
        let public = connect_channel(&world.member("bank").address()).expect("an address");
        let local = connect_channel(&world.local_address("bank")).expect("an address");
        Self {
            propagate: PropagateUpdateClient::new(public.clone()),
            terminate: AckTerminationClient::new(public.clone()),
            detect: DetectGroupsClient::new(public),
            callback: CallbackClient::new(local.clone()),
            operator: OperatorClient::new(local),
        }
    }

    /// Says a text in every place of every message, one at a time; returns what it is told.
    async fn say(&self, text: &str) -> Vec<Said> {
        let mut said = Vec::new();
        for place in PROPAGATE {
            let mut request = propagate();
            place(&mut request, text.to_owned());
            said.push(self.propagate(request).await);
        }
        for place in EXCHANGE {
            let mut request = exchange();
            place(&mut request, text.to_owned());
            let answer = self.detect.clone().exchange(request).await;
            said.push(answer.map(|answer| answer.into_inner().from));
        }
        said.extend(self.say_to_transactions(text).await);
        said.extend(self.say_locally(text).await);
        said
    }

    async fn propagate(&self, request: v1::PropagateRequest) -> Said {
        let call = self
            .propagate
            .clone()
            .propagate(tokio_stream::iter([request]))
            .await;
        Ok(match call?.into_inner().result {
            Some(Propagated::Refused(refusal)) => words(&refusal),
            other => format!("{other:?}"),
        })
    }

    async fn say_to_transactions(&self, text: &str) -> Vec<Said> {
        let [plain, text] = [GID, text].map(str::to_owned);
        let from = || "government".to_owned();
        let mut said = Vec::new();
        for (from, gid) in [(text.clone(), plain.clone()), (from(), text.clone())] {
            let vote = v1::VoteRequest {
                from: from.clone(),
                gid: gid.clone(),
                patience_ms: 1_000,
            };
            let answer = self.propagate.clone().vote(vote).await;
            said.push(answer.map(|answer| {
                answer
                    .into_inner()
                    .refused
                    .map_or(String::new(), |r| words(&r))
            }));
            let inquire = v1::InquireRequest {
                from: from.clone(),
                gid: gid.clone(),
                parent: "bank".into(),
            };
            let answer = self.terminate.clone().inquire(inquire).await;
            said.push(answer.map(|answer| format!("{answer:?}")));
            let terminate = v1::TerminateRequest {
                from,
                gid,
                decision: v1::Decision::Abort.into(),
                cause: None,
            };
            let answer = self.terminate.clone().terminate(terminate).await;
            said.push(answer.map(|_| String::new()));
        }
        let inquire = v1::InquireRequest {
            from: from(),
            gid: plain.clone(),
            parent: text.clone(),
        };
        let answer = self.terminate.clone().inquire(inquire).await;
        said.push(answer.map(|answer| format!("{answer:?}")));
        let refusal = |change: fn(&mut v1::Refusal, String)| {
            let mut refusal = v1::Refusal {
                peer: from(),
                sqlstate: "40001".into(),
                ..v1::Refusal::default()
            };
            change(&mut refusal, text.clone());
            refusal
        };
        let causes: [fn(&mut v1::Refusal, String); 5] = [
            |cause, text| cause.peer = text,
            |cause, text| cause.sqlstate = text,
            |cause, text| cause.message = text,
            |cause, text| cause.detail = text,
            |cause, text| cause.hint = text,
        ];
        for cause in causes {
            let terminate = v1::TerminateRequest {
                from: from(),
                gid: plain.clone(),
                decision: v1::Decision::Abort.into(),
                cause: Some(refusal(cause)),
            };
            let answer = self.terminate.clone().terminate(terminate).await;
            said.push(answer.map(|_| String::new()));
        }
        said
    }

    async fn say_locally(&self, text: &str) -> Vec<Said> {
        let mut said = Vec::new();
        let capture = serde_json::json!([1, text, null, [text]]).to_string();
        for (gid, capture) in [
            (text, "[]"),
            (GID, text),
            (&*GID.replace("government", "bank"), &*capture),
        ] {
            let upload = v1::UploadRequest {
                gid: gid.into(),
                part: 0,
                capture: capture.to_owned().into(),
            };
            let answer = self.callback.clone().upload(upload).await;
            said.push(answer.map(|_| String::new()));
            let close = v1::CloseRequest {
                gid: gid.into(),
                round: 0,
                parts: 0,
                capture: capture.to_owned().into(),
            };
            let answer = self.callback.clone().close(close).await;
            said.push(answer.map(|answer| match answer.into_inner().answer {
                Some(Answer::Refused(refusal)) => words(&refusal),
                other => format!("{other:?}"),
            }));
        }
        let mut operator = self.operator.clone();
        let gid = text.to_owned();
        let show = v1::ShowTransactionRequest { gid: gid.clone() };
        said.push(operator.show_transaction(show).await.map(|_| String::new()));
        let resolve = v1::ResolveRequest {
            gid,
            decision: v1::Decision::Commit.into(),
            is_forced: true,
        };
        said.push(operator.resolve(resolve).await.map(|_| String::new()));
        let change = v1::BaseTableChange {
            base_table: text.to_owned(),
            columns: vec![text.to_owned()],
        };
        let scope = v1::ScopeRequest {
            changes: vec![change],
        };
        said.push(operator.scope(scope).await.map(|_| String::new()));
        said
    }
}

fn words(refusal: &v1::Refusal) -> String {
    format!("{} {} {}", refusal.message, refusal.detail, refusal.hint)
}

type Place<T> = fn(&mut T, String);

const PROPAGATE: [Place<v1::PropagateRequest>; 9] = [
    |request, text| request.from = text,
    |request, text| request.gid = text,
    |request, text| request.gid = format!("{text}{GID}"),
    |request, text| request.gid = format!("government:{text}"),
    |request, text| request.table = text,
    |request, text| request.columns[0] = text,
    |request, text| request.rows[0].key[0] = text,
    |request, text| cells(request)[0].value = Some(text),
    |request, text| cells(request)[2].value = Some(text),
];

fn cells(request: &mut v1::PropagateRequest) -> &mut Vec<v1::Cell> {
    match &mut request.rows[0].change {
        Some(v1::row::Change::Insert(insert)) => &mut insert.cells,
        other => panic!("{other:?}"),
    }
}

/// What the government could say to the bank.
fn propagate() -> v1::PropagateRequest {
    let cell = |(column, value): (u32, &str)| v1::Cell {
        column,
        value: Some(value.to_owned()),
        revision: 0,
    };
    let members = ["bank", "government"];
    let members = members.map(|name| dejima_core::name::PeerName::new(name).expect("a name"));
    let insert = v1::Insert {
        cells: [(0, "a"), (1, "Enemy"), (2, "1")].map(cell).to_vec(),
    };
    v1::PropagateRequest {
        from: "government".into(),
        gid: GID.into(),
        request: 1,
        table: "ShareGovBank".into(),
        columns: ["first_name", "last_name", "phone", "address"]
            .map(str::to_owned)
            .to_vec(),
        rows: vec![v1::Row {
            key: vec!["a".into(), "Enemy".into()],
            change: Some(v1::row::Change::Insert(insert)),
        }],
        patience_ms: 1_000,
        batch: 0,
        group: dejima_core::transaction::GroupVersion::of(&members).0,
    }
}

const EXCHANGE: [Place<v1::ExchangeRequest>; 9] = [
    |request, text| request.from = text,
    |request, text| request.facts[0].peer = text,
    |request, text| request.facts[0].address = text,
    |request, text| request.facts[0].address = format!("http://{text}:1"),
    |request, text| request.facts[0].table = text,
    |request, text| request.facts[0].columns[0].name = text,
    |request, text| request.facts[0].columns[0].r#type = text,
    |request, text| request.facts[0].columns[0].linked[0].table = text,
    |request, text| request.facts[0].columns[0].linked[0].column = text,
];

/// A peer that nobody knows speaks of a Dejima table that the bank does not share.
fn exchange() -> v1::ExchangeRequest {
    let column = v1::Column {
        name: "a".into(),
        r#type: String::new(),
        linked: vec![v1::Attribute {
            table: "ShareGovBank".into(),
            column: "phone".into(),
        }],
    };
    v1::ExchangeRequest {
        from: "enemy".into(),
        facts: vec![v1::Fact {
            peer: "enemy".into(),
            address: "http://127.0.0.1:1".into(),
            incarnation: 1,
            table: "Other".into(),
            columns: vec![column],
            key: vec![],
            has_left: false,
        }],
        covers: None,
        heard: None,
    }
}
