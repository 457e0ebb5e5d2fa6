//! Detection among real peers: in whatever order they boot, die, come and go, and whatever one of them says of others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dejima_proto::v1;
use dejima_proto::v1::detect_groups_client::DetectGroupsClient;
use dejima_testbed::{
    Counts, Detected, Layout, Organisation, Share, World, WorldOptions, connect_channel,
    worked_example,
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::fixture::{run, text};

/// The worked example. The world has a second bank, too, that most tests leave alone.
const THREE: [&str; 3] = ["bank", "government", "insurance"];
const LATE: &str = "second-bank";

/// A peer group: Dejima tables, attributes, peers.
type Group<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str]);

/// The groups of the worked example; a peer knows those that it is in.
const GROUPS: [Group<'static>; 5] = [
    (&["ShareGovBank"], &["phone"], &["bank", "government"]),
    (&["ShareGovBank", "ShareGovInsurance"], &["address"], &THREE),
    (
        &["ShareGovBank", "ShareGovInsurance", "ShareRiskFactor"],
        &["first_name", "last_name"],
        &THREE,
    ),
    (
        &["ShareGovInsurance"],
        &["birthdate"],
        &["government", "insurance"],
    ),
    (
        &["ShareRiskFactor"],
        &["risk_factor"],
        &["bank", "insurance"],
    ),
];

/// The longest wait until a peer has heard of something, and the pause between two looks.
const HEARD_MAX: Duration = Duration::from_secs(20);
const HEARD_POLL: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_booting_comes_to_the_same_groups() {
    let mut world = forgotten_world().await;
    let [a, b, c] = THREE;
    for order in [
        [a, b, c],
        [a, c, b],
        [b, a, c],
        [b, c, a],
        [c, a, b],
        [c, b, a],
    ] {
        world.forget_peers().await.expect("databases are cleared");
        for peer in order {
            world.boot(&[peer]).await.expect("it listens");
        }
        assert_groups(&world, &THREE, &format!("{order:?}")).await;
    }
    world.forget_peers().await.expect("databases are cleared");
    world.boot(&THREE).await.expect("they listen");
    assert_groups(&world, &THREE, "all at once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_killed_in_the_middle_of_detection_finds_its_groups_when_it_is_back() {
    let mut world = forgotten_world().await;
    for victim in THREE {
        for has_heard in [false, true] {
            world.forget_peers().await.expect("databases are cleared");
            world.boot(&THREE).await.expect("they listen");
            if has_heard {
                let heard = |found: &Detected| found.counters().updates > 0;
                until(&world, victim, "hears of another", heard).await;
            }
            world.member_mut(victim).process.kill();
            world.boot(&[victim]).await.expect("it listens again");
            let what = format!("{victim} killed, has heard: {has_heard}");
            assert_groups(&world, &THREE, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_away_learns_who_has_joined_meanwhile() {
    let mut world = forgotten_world().await;
    world.boot(&THREE).await.expect("they listen");
    assert_groups(&world, &THREE, "before").await;
    let away = "insurance";
    world.member_mut(away).process.kill();
    world.boot(&[LATE]).await.expect("it listens");
    let joined = ["bank", "government", LATE];
    assert_groups(&world, &joined, "while one is away").await;
    world.boot(&[away]).await.expect("it listens again");
    let all = ["bank", "government", "insurance", LATE];
    assert_groups(&world, &all, "all are back").await;
    let members = members(&world, away, "ShareRiskFactor").await;
    assert_eq!(members, ["bank", "insurance", LATE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_lies_about_tables_that_the_liar_does_not_share_have_no_effect() {
    let mut world = forgotten_world().await;
    world.boot(&THREE).await.expect("they listen");
    assert_groups(&world, &THREE, "before").await;
    let address = world.member("insurance").address();
    let channel = connect_channel(&address).expect("a peer has an address");
    let mut eve = DetectGroupsClient::new(channel);
    let mut says = async |fact: v1::Fact| {
        let request = v1::ExchangeRequest {
            from: "eve".into(),
            facts: vec![fact],
            ..v1::ExchangeRequest::default()
        };
        let answer = eve.exchange(request).await.expect("it answers");
        answer.into_inner().facts
    };

    // Nobody can refute what a peer says of itself. It is told what concerns it, and no more.
    let risk_factor = &[("risk_factor", "integer")];
    let told = says(whole_fact("eve", "ShareRiskFactor", risk_factor)).await;
    let peers: BTreeSet<_> = told.iter().map(|fact| fact.peer.as_str()).collect();
    assert!(peers.contains("bank"), "{told:?}");
    for secret in ["phone", "address", "birthdate"] {
        let has_secret = |fact: &v1::Fact| fact.columns.iter().any(|c| c.name == secret);
        assert!(!told.iter().any(has_secret), "{secret}: {told:?}");
    }

    let birthdate = &[("address", "text"), ("birthdate", "date")];
    says(whole_fact("mallory", "ShareGovInsurance", birthdate)).await;
    let phone = &[("phone", "text"), ("address", "text")];
    says(whole_fact("eve", "ShareGovBank", phone)).await;
    // What is said with less than a member knows, of a later start that there never was, is no better.
    for has_left in [false, true] {
        let later = v1::Fact {
            incarnation: 99,
            key: Vec::new(),
            has_left,
            ..whole_fact("government", "ShareGovInsurance", &[])
        };
        says(later).await;
        let shared = members(&world, "insurance", "ShareGovInsurance").await;
        assert_eq!(shared, ["government", "insurance"], "has left: {has_left}");
    }

    let log = std::fs::read_to_string(world.member("insurance").process.log()).expect("a log");
    for complaint in [
        r#"peer "eve" speaks of Dejima table "ShareGovInsurance", which it does not share"#,
        r#"peer "eve" speaks of Dejima table "ShareGovBank", which this peer does not share"#,
    ] {
        assert!(log.contains(complaint), "{complaint} in {log}");
    }
    let found = world.look().await.expect("peers answer");
    let groups = &found["insurance"].answer.peer_groups;
    let mut is_found = BTreeSet::new();
    for group in groups {
        assert!(!group.peers.contains(&"mallory".to_owned()), "{groups:?}");
        let by_risk = group.dejima_tables.contains(&"ShareRiskFactor".to_owned());
        assert_eq!(group.peers.contains(&"eve".to_owned()), by_risk);
        is_found.extend(group.attributes.iter().map(String::as_str));
    }
    let expected = [
        "address",
        "birthdate",
        "first_name",
        "last_name",
        "risk_factor",
    ];
    assert_eq!(is_found, BTreeSet::from(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_leaves_a_dejima_table_and_comes_back() {
    let mut world = forgotten_world().await;
    world.boot(&THREE).await.expect("they listen");
    assert_groups(&world, &THREE, "before").await;
    let bank = world.client("bank").await.expect("a connection");
    let insurance = world.member("insurance").organisation().clone();
    let without = |table: &str| {
        let mut shares = insurance.shares.clone();
        shares.retain(|share| share.table != table);
        Organisation::of_kind("insurance", "insurance", shares)
    };

    restart_as(&mut world, without("ShareRiskFactor")).await;
    until_members(&world, "bank", "ShareRiskFactor", &["bank"]).await;
    // The key columns still go round by the government, the risk factor does not.
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Leaving', '555', 'Main St', 7);
         UPDATE bank_users SET risk_factor = 8 WHERE last_name = 'Leaving'",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    let superuser = world.superuser("insurance").await.expect("a connection");
    let risk = "SELECT risk_factor::text FROM insurance_users WHERE last_name = 'Leaving'";
    assert_eq!(text(&superuser, risk).await, None);
    // So that both hold the same rows when they share them again.
    run(&bank, "DELETE FROM bank_users WHERE last_name = 'Leaving'").await;
    world.await_quiet().await.expect("peers answer");

    restart_as(&mut world, insurance.clone()).await;
    until_members(&world, "bank", "ShareRiskFactor", &["bank", "insurance"]).await;
    assert_groups(&world, &THREE, "it shares again").await;
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('Jane', 'Leaving', '555', 'Main St', 9)",
    )
    .await;
    world.await_quiet().await.expect("peers answer");
    assert_eq!(text(&superuser, risk).await.as_deref(), Some("9"));
}

fn organisations() -> Vec<Organisation> {
    let share = |table: &str| Share {
        table: table.to_owned(),
        seeds: vec!["bank".to_owned()],
    };
    let shares = ["ShareGovBank", "ShareRiskFactor"].map(share);
    let late = Organisation::of_kind("bank", LATE, shares.into());
    let mut organisations = worked_example(Counts::default());
    organisations.push(late);
    organisations
}

/// The world of these tests, for one at a time. No peer runs, none has ever heard of another, and all are
/// configured as they were made.
async fn forgotten_world() -> MutexGuard<'static, World> {
    static WORLD: OnceCell<Mutex<World>> = OnceCell::const_new();
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let start = async || {
        let world = World::start(organisations(), options).await;
        Mutex::new(world.expect("the world starts"))
    };
    let mut world = WORLD.get_or_init(start).await.lock().await;
    world.forget_peers().await.expect("databases are cleared");
    for organisation in organisations() {
        world.reconfigure(organisation).expect("files are written");
    }
    world
}

/// Waits until nobody has anything to say, then demands that each running peer knows the groups of these peers that
/// it is in, and no others.
async fn assert_groups(world: &World, peers: &[&str], what: &str) {
    let found = world.await_detection().await.expect("detection ends");
    for (peer, detected) in &found {
        let groups = detected.answer.peer_groups.iter().map(|group| {
            let parts = [&group.dejima_tables, &group.attributes, &group.peers];
            parts.map(|part| part.iter().map(String::as_str).collect())
        });
        let groups: BTreeSet<[BTreeSet<&str>; 3]> = groups.collect();
        let expected = GROUPS.iter().map(|(tables, attributes, members)| {
            let tables = tables.iter().copied().collect();
            let attributes = attributes.iter().copied().collect();
            [tables, attributes, with_late(members, peers)]
        });
        let expected = expected.filter(|[_, _, members]| members.contains(&**peer));
        assert_eq!(groups, expected.collect(), "{what}: {peer}");
    }
}

/// The second bank is wherever the first is, if it is there.
fn with_late<'a>(members: &[&'a str], peers: &[&str]) -> BTreeSet<&'a str> {
    let is_late = peers.contains(&LATE) && members.contains(&"bank");
    members
        .iter()
        .copied()
        .chain(is_late.then_some(LATE))
        .collect()
}

/// The members of a Dejima table that a peer knows.
async fn members(world: &World, peer: &str, table: &str) -> Vec<String> {
    let found = world.look().await.expect("peers answer");
    members_found(&found[peer], table)
}

fn members_found(found: &Detected, table: &str) -> Vec<String> {
    let groups = found.answer.groups.iter();
    let of_table = groups.filter(|group| group.table == table && group.complete);
    of_table.flat_map(|group| group.members.clone()).collect()
}

async fn until_members(world: &World, peer: &str, table: &str, members: &[&str]) {
    let what = format!("knows that {members:?} share {table}");
    until(world, peer, &what, |found| {
        members_found(found, table) == members
    })
    .await;
}

/// Looks until a peer has heard of something: nothing says when.
async fn until(world: &World, peer: &str, what: &str, has_heard: impl Fn(&Detected) -> bool) {
    let until = Instant::now() + HEARD_MAX;
    loop {
        let found: BTreeMap<_, _> = world.look().await.expect("peers answer");
        if has_heard(&found[peer]) {
            return;
        }
        assert!(Instant::now() < until, "{peer} {what}: {found:#?}");
        tokio::time::sleep(HEARD_POLL).await;
    }
}

/// Stops an organisation's peer and starts it with another configuration.
async fn restart_as(world: &mut World, organisation: Organisation) {
    let name = organisation.name.clone();
    let process = &mut world.member_mut(&name).process;
    assert!(process.stop().await, "it stops in peace");
    world.reconfigure(organisation).expect("files are written");
    let process = &mut world.member_mut(&name).process;
    process.start().expect("it starts");
    process.wait_until_ready().await.expect("it is ready");
}

/// What a member of a Dejima table says of itself to another: all columns with their types, and the key.
fn whole_fact(peer: &str, table: &str, more: &[(&str, &str)]) -> v1::Fact {
    let columns = [("first_name", "text"), ("last_name", "text")];
    let columns = columns
        .iter()
        .chain(more)
        .map(|(name, type_name)| v1::Column {
            name: (*name).to_owned(),
            r#type: (*type_name).to_owned(),
            linked: Vec::new(),
        });
    v1::Fact {
        peer: peer.to_owned(),
        // Nobody listens there.
        address: "http://127.0.0.1:9".to_owned(),
        incarnation: 1,
        table: table.to_owned(),
        columns: columns.collect(),
        key: vec!["first_name".to_owned(), "last_name".to_owned()],
        has_left: false,
    }
}
