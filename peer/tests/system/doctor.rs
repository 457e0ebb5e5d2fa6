//! The examination of a peer finds what was broken on purpose, and its cures cure.

use std::path::Path;
use std::process::Command;

use dejima_proto::v1::{Finding, FindingState};
use dejima_testbed::{Shutdown, World};
use tokio_postgres::Client;

use crate::fixture::{
    at_rest, faults, faults_and_copies, faults_until, restart, run, world_of_clusters,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_found_with_its_cure() {
    let mut world = world_of_clusters().await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "INSERT INTO bank_users VALUES ('Jo', 'Doctor', '555', 'Main St', 7)",
    )
    .await;
    at_rest(&world).await;
    assert_eq!(
        faults(&world, "government").await,
        [],
        "nothing is broken yet"
    );

    a_copy_that_was_changed_past_the_triggers_is_noticed(&world).await;
    what_sql_breaks_sql_cures(&world).await;
    a_dropped_trigger_is_made_again(&mut world).await;
    a_prepared_transaction_of_nobody_is_an_orphan(&world).await;
    a_peer_that_is_away_is_named(&mut world).await;
    a_restored_backup_is_noticed(&mut world).await;
}

/// Invariant 4 looked at from outside: nothing captured the change, only the copies say it.
async fn a_copy_that_was_changed_past_the_triggers_is_noticed(world: &World) {
    assert_eq!(faults_and_copies(world, "bank").await, []);
    let superuser = world.superuser("government").await.expect("a connection");
    let past = "SET session_replication_role = replica";
    run(&superuser, past).await;
    run(&superuser, "UPDATE government_users SET phone = '666'").await;
    for (peer, other) in [("bank", "government"), ("government", "bank")] {
        let found = faults_and_copies(world, peer).await;
        let [finding] = &found[..] else {
            panic!("one table differs: {found:#?}");
        };
        let what = format!(
            "the copies of Dejima table \"ShareGovBank\" differ: 1 rows here, 1 at peer \"{other}\""
        );
        assert_eq!((finding.check.as_str(), &finding.what), ("copies", &what));
        assert_eq!(finding.state(), FindingState::Critical);
        assert!(finding.cure.contains(past), "{}", finding.cure);
    }
    assert_eq!(
        faults(world, "bank").await,
        [],
        "nobody asked for the copies"
    );
    // The cure, and other people's rows are none of the insurance's business.
    assert_eq!(faults_and_copies(world, "insurance").await, []);
    run(&superuser, "UPDATE government_users SET phone = '555'").await;
    run(&superuser, "RESET session_replication_role").await;
    assert_eq!(faults_and_copies(world, "bank").await, []);
}

/// Each cure begins with SQL that is run as it stands.
async fn what_sql_breaks_sql_cures(world: &World) {
    let superuser = world.superuser("government").await.expect("a connection");
    for (breaks, check, what) in [
        (
            "ALTER ROLE dejima SUPERUSER",
            "role",
            "role dejima is a superuser",
        ),
        (
            "ALTER ROLE dejima NOLOGIN",
            "role",
            "role dejima may not log in",
        ),
        (
            "ALTER ROLE dejima BYPASSRLS",
            "role",
            "role dejima has BYPASSRLS",
        ),
        (
            "ALTER ROLE dejima SET statement_timeout = '1s'",
            "timeouts",
            "statement_timeout",
        ),
        (
            "ALTER ROLE government SET session_replication_role = replica",
            "capture",
            "session_replication_role = replica of ROLE government",
        ),
        (
            "REVOKE UPDATE ON government_users FROM dejima",
            "rights",
            r#"lacks UPDATE on base table "public"."government_users""#,
        ),
        (
            "SET session_replication_role = replica;
             ALTER TABLE government_users DISABLE TRIGGER dejima_capture_update;
             RESET session_replication_role",
            "triggers",
            r#"trigger dejima_capture_update of "public"."government_users" is disabled"#,
        ),
        (
            "ALTER TABLE dejima.transaction DISABLE TRIGGER hook",
            "triggers",
            "trigger hook of dejima.transaction is disabled",
        ),
        (
            "ALTER EVENT TRIGGER dejima_guard_drop DISABLE",
            "guard",
            "event trigger dejima_guard_drop is disabled",
        ),
        (
            "GRANT EXECUTE ON FUNCTION dejima.put(jsonb) TO PUBLIC",
            "public",
            "every role may execute dejima.put(jsonb)",
        ),
        (
            "INSERT INTO dejima.delta VALUES (pg_current_xact_id(), 1, 1, 'T', 0)",
            "orphans",
            "1 rows in dejima.delta and dejima.pending",
        ),
    ] {
        run(&superuser, breaks).await;
        let found = faults(world, "government").await;
        let [fault] = found.as_slice() else {
            panic!("{breaks}: {found:#?}");
        };
        assert!(
            fault.check == check && fault.what.contains(what),
            "{breaks}: {fault:#?}"
        );
        cure(&superuser, fault).await;
        assert_eq!(
            faults(world, "government").await,
            [],
            "{breaks}: the cure cures"
        );
    }
}

/// Runs the SQL of a cure: its first part, or what follows the words about comparing.
async fn cure(superuser: &Client, fault: &Finding) {
    let sql = match fault.cure.strip_prefix("compare the copies, then: ") {
        Some(sql) => sql,
        None => fault.cure.split(';').next().unwrap_or_default(),
    };
    run(superuser, sql).await;
}

async fn a_dropped_trigger_is_made_again(world: &mut World) {
    let superuser = world.superuser("government").await.expect("a connection");
    run(
        &superuser,
        "SET session_replication_role = replica; DROP TRIGGER dejima_capture_delete ON government_users;
         RESET session_replication_role",
    )
    .await;
    let found = faults(world, "government").await;
    let [fault] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(fault.state(), FindingState::Critical);
    assert!(
        fault
            .what
            .contains(r#"dejima_capture_delete of "public"."government_users" is gone"#),
        "{fault:?}"
    );
    assert!(fault.cure.starts_with("restart the peer"), "{fault:?}");
    restart(world, "government").await;
    faults_until(world, "government", "it is made again", <[_]>::is_empty).await;
}

async fn a_prepared_transaction_of_nobody_is_an_orphan(world: &World) {
    let superuser = world.superuser("government").await.expect("a connection");
    let name = "dejima:government:bank:bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";
    run(&superuser, "BEGIN").await;
    run(&superuser, &format!("PREPARE TRANSACTION '{name}'")).await;
    let found = faults(world, "government").await;
    let [fault] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert!(
        fault.check == "orphans" && fault.what.contains(name),
        "{fault:?}"
    );
    run(&superuser, &format!("ROLLBACK PREPARED '{name}'")).await;
    assert_eq!(faults(world, "government").await, []);
}

async fn a_peer_that_is_away_is_named(world: &mut World) {
    let address = world.member("insurance").address();
    assert!(
        world.member_mut("insurance").process.stop().await,
        "it stops in peace"
    );
    let found = faults(world, "government").await;
    let [fault] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(
        (fault.check.as_str(), fault.state()),
        ("peers", FindingState::Critical)
    );
    assert!(
        fault
            .what
            .starts_with(&format!("peer \"insurance\" at {address}: ")),
        "{fault:?}"
    );
    restart(world, "insurance").await;
    faults_until(world, "government", "it is back", <[_]>::is_empty).await;
}

/// Yesterday's copy of the insurer's data folder; since then a transaction, and restarts of its peer.
async fn a_restored_backup_is_noticed(world: &mut World) {
    let data = world.cluster("insurance").socket_folder().join("data");
    let copy = data.with_file_name("yesterday");
    stop_all_of_insurance(world).await;
    run_program("cp", &[Path::new("-a"), &data, &copy]);
    start_all_of_insurance(world).await;
    restart(world, "insurance").await;
    let bank = world.client("bank").await.expect("a connection");
    run(
        &bank,
        "UPDATE bank_users SET risk_factor = 8 WHERE last_name = 'Doctor'",
    )
    .await;
    at_rest(world).await;
    assert_eq!(faults(world, "insurance").await, []);

    stop_all_of_insurance(world).await;
    run_program("rm", &[Path::new("-r"), &data]);
    run_program("mv", &[&copy, &data]);
    start_all_of_insurance(world).await;
    let is_noticed = |found: &[Finding]| {
        let restored = |fault: &Finding| {
            fault.check == "backup"
                && fault.state() == FindingState::Critical
                && fault.what.contains("it was restored from a backup")
        };
        found.len() == 1 && found.iter().all(restored)
    };
    faults_until(world, "insurance", "the backup is noticed", is_noticed).await;
    // Its next start is not hidden from anybody, and hides nothing.
    restart(world, "insurance").await;
    let found = faults_until(world, "insurance", "it is remembered", is_noticed).await;
    let superuser = world.superuser("insurance").await.expect("a connection");
    let (_, sql) = found[0]
        .cure
        .split_once("then: ")
        .expect("it ends with SQL");
    run(&superuser, sql).await;
    assert_eq!(faults(world, "insurance").await, []);

    // Stale rows are refused by their old values until they are mended.
    let update = "UPDATE bank_users SET risk_factor = 9 WHERE last_name = 'Doctor'";
    let error = crate::fixture::refused(&bank, update).await;
    assert_eq!(error.code().code(), "40001", "{error:?}");
}

async fn stop_all_of_insurance(world: &mut World) {
    assert!(
        world.member_mut("insurance").process.stop().await,
        "it stops in peace"
    );
    world.cluster_mut("insurance").stop(Shutdown::Fast);
}

async fn start_all_of_insurance(world: &mut World) {
    world
        .cluster_mut("insurance")
        .start_again()
        .expect("it starts");
    restart(world, "insurance").await;
}

fn run_program(name: &str, arguments: &[&Path]) {
    let status = Command::new(name)
        .args(arguments)
        .status()
        .expect("it starts");
    assert!(status.success(), "{name} {arguments:?}: {status}");
}
