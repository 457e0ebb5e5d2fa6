//! What a peer finds when it starts: members that declare a Dejima table otherwise, and how that heals.

use std::time::Duration;

use dejima_proto::v1::GroupsRequest;
use dejima_testbed::{PeerProcess, World};

use crate::fixture::{at_rest, own_world, persons, refused, run};

/// The longest wait until peers have heard of each other.
const HEARD_MAX: Duration = Duration::from_secs(30);
/// Between two looks.
const HEARD_POLL: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn other_columns_at_a_member_stop_that_table_and_nothing_else() {
    let mut world = own_world().await;
    let bank = world.client("bank").await.expect("a connection");
    let insurance = world.client("insurance").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('John', 'Columns', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;

    let right = world
        .member("insurance")
        .organisation()
        .declarations
        .clone();
    let wrong = right.replace(
        "\"risk_factor\"]",
        "{ name = \"risk\", column = \"risk_factor\" }]",
    );
    assert_ne!(right, wrong);
    restart_insurance(&mut world, &wrong).await;
    for (peer, other, here) in [
        ("bank", "insurance", "risk_factor"),
        ("insurance", "bank", "risk"),
    ] {
        let missing = missing_once_heard(&world, peer).await;
        assert!(
            missing.contains(&format!("peer \"{other}\""))
                && missing.contains(&format!("column \"{here}\" is missing there")),
            "{peer}: {missing}"
        );
        let log = std::fs::read_to_string(world.member(peer).process.log()).expect("a log");
        let complaint =
            format!("declares Dejima table \"ShareRiskFactor\" otherwise than peer \"{peer}\"");
        assert!(log.contains(&complaint), "{log}");
    }

    for (client, sql) in [
        (
            &bank,
            "UPDATE bank_users SET risk_factor = 8 WHERE last_name = 'Columns'",
        ),
        (
            &insurance,
            "UPDATE insurance_users SET risk_factor = 9 WHERE last_name = 'Columns'",
        ),
    ] {
        let error = refused(client, sql).await;
        assert_eq!(error.code().code(), "57P03", "{error:?}");
        assert!(error.message().contains("ShareRiskFactor"), "{error:?}");
        assert!(
            error
                .detail()
                .is_some_and(|detail| detail.contains("declares it otherwise")),
            "{error:?}"
        );
        assert!(error.hint().is_some(), "{error:?}");
    }
    // The address goes on to the insurer: that Dejima table is declared alike.
    run(
        &bank,
        "UPDATE bank_users SET phone = '556', address = 'Side St' WHERE last_name = 'Columns'",
    )
    .await;

    restart_insurance(&mut world, &right).await;
    let process = &mut world.member_mut("insurance").process;
    process.wait_until_ready().await.expect("it is ready");
    world.await_groups().await.expect("all agree again");
    run(
        &bank,
        "UPDATE bank_users SET risk_factor = 8 WHERE last_name = 'Columns'",
    )
    .await;
    at_rest(&world).await;
    assert_eq!(
        persons(&world, "insurance", "Columns").await,
        ["(John,Columns,\"Side St\",,8)"]
    );
    assert_eq!(
        persons(&world, "government", "Columns").await,
        ["(John,Columns,556,\"Side St\",)"]
    );
}

/// Stops the insurer's peer and starts it with these declarations; does not wait for it.
async fn restart_insurance(world: &mut World, declarations: &str) {
    let process = &mut world.member_mut("insurance").process;
    assert!(process.stop().await, "it stops in peace");
    let folder = PeerProcess::folder_of(world.scratch(), "insurance");
    std::fs::write(folder.join("types/insurance.toml"), declarations).expect("writable");
    let process = &mut world.member_mut("insurance").process;
    process.start().expect("it starts");
}

/// What a peer misses in the group of ShareRiskFactor, as soon as it has heard of other columns there.
async fn missing_once_heard(world: &World, peer: &str) -> String {
    let heard = async {
        loop {
            // A peer that has just been started does not answer yet.
            let answer = world.operator(peer).groups(GroupsRequest {}).await;
            let groups = answer.map_or(Vec::new(), |answer| answer.into_inner().groups);
            let missing = groups
                .into_iter()
                .filter(|group| group.table == "ShareRiskFactor")
                .flat_map(|group| group.missing)
                .find(|missing| missing.contains("otherwise"));
            match missing {
                Some(missing) => return missing,
                None => tokio::time::sleep(HEARD_POLL).await,
            }
        }
    };
    tokio::time::timeout(HEARD_MAX, heard)
        .await
        .unwrap_or_else(|_| panic!("{peer} hears of other columns"))
}
