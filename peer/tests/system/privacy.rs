//! Invariant 5: a peer receives only what it shares, in its tables and in its messages.

use dejima_testbed::{Counts, Layout, World, WorldOptions, worked_example};

use crate::fixture::{at_rest, run, text};

/// Values that must never come to the peer named, and one that must.
const SECRETS: [(&str, &str, &str); 3] = [
    ("insurance", "phone-0815-4711", "address-of-many"),
    ("bank", "1987-06-05", "address-of-many"),
    ("government", "73", "address-of-many"),
];

async fn tapped_world() -> World {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        tapped: true,
        ..WorldOptions::default()
    };
    World::start(worked_example(Counts::default()), options)
        .await
        .expect("the world starts")
}

/// All that a database holds in tables of whatever schema, as text.
async fn contents(world: &World, peer: &str) -> String {
    let superuser = world.superuser(peer).await.expect("a connection");
    text(&superuser, "SELECT database_to_xml(true, false, '')::text")
        .await
        .expect("an XML document")
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_no_message_and_no_table_holds_more_than_its_peer_may_see() {
    let world = tapped_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let government = world.client("government").await.expect("a connection");
    let insurance = world.client("insurance").await.expect("a connection");
    let story = [
        (
            &bank,
            "INSERT INTO bank_users VALUES ('A', 'Secret', 'phone-0815-4711', 'address-of-many', 1)",
        ),
        (
            &government,
            "UPDATE government_users SET birthdate = '1987-06-05' WHERE last_name = 'Secret'",
        ),
        (
            &insurance,
            "UPDATE insurance_users SET risk_factor = 73 WHERE last_name = 'Secret'",
        ),
        (
            &government,
            "UPDATE government_users SET phone = phone || '-b' WHERE last_name = 'Secret'",
        ),
        (
            &bank,
            "UPDATE bank_users SET first_name = 'B' WHERE last_name = 'Secret'",
        ),
        (
            &insurance,
            "DELETE FROM insurance_users WHERE last_name = 'Secret'",
        ),
        (
            &bank,
            "INSERT INTO bank_users VALUES ('C', 'Secret', 'phone-0815-4711', 'address-of-many', 2)",
        ),
        (
            &government,
            "UPDATE government_users SET birthdate = '1987-06-05' WHERE last_name = 'Secret'",
        ),
        (
            &insurance,
            "UPDATE insurance_users SET risk_factor = 73 WHERE last_name = 'Secret'",
        ),
    ];
    for (client, sql) in story {
        run(client, sql).await;
        // The next one must find what this one has done.
        at_rest(&world).await;
    }
    for (peer, secret, shared) in SECRETS {
        let wire = world.member(peer).wire().expect("the world is tapped");
        assert!(
            wire.has_carried(shared.as_bytes()),
            "the wire to {peer} carries what is shared"
        );
        // Two digits alone are found in any bytes; the risk factor is looked for as a value of a message.
        let value = if secret.len() > 2 {
            secret.as_bytes().to_vec()
        } else {
            [&[18, 2], secret.as_bytes()].concat()
        };
        assert!(!wire.has_carried(&value), "{secret} was told to {peer}");
        let contents = contents(&world, peer).await;
        assert!(contents.contains(shared), "{peer} holds what is shared");
        // As the whole value of a column, for the same reason.
        let column = format!(">{secret}<");
        let is_there = contents.contains(if secret.len() > 2 { secret } else { &column });
        assert!(!is_there, "{peer} holds {secret}");
    }
    // The same searches find what a peer may see: they could have found the rest.
    let wire = world.member("bank").wire().expect("the world is tapped");
    assert!(
        wire.has_carried(&[18, 2, b'7', b'3']),
        "the bank is told the risk factor"
    );
    let bank = contents(&world, "bank").await;
    assert!(
        bank.contains(">73<") && bank.contains("phone-0815-4711"),
        "{bank}"
    );
    assert!(contents(&world, "insurance").await.contains("1987-06-05"));
}
