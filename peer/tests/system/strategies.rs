//! A Dejima table that one peer serves by a strategy over a join, and the other by columns of one table.

use dejima_testbed::{Layout, Organisation, Share, World, WorldOptions};
use tokio_postgres::Client;

use crate::fixture::{at_rest_of, faults_and_copies, refused, run, text};

const PEERS: [&str; 2] = ["carrier", "city"];

/// The carrier keeps where a vehicle is as a number of its own, which its strategy looks up.
const CARRIER: &str = "
CREATE TABLE area (location integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE vehicle (id integer PRIMARY KEY, location integer NOT NULL REFERENCES area, request text);";

const STRATEGY: &str = "-- put: read area
CREATE VIEW \"Vehicles\" AS
SELECT v.id, a.name AS area, v.request FROM vehicle v JOIN area a USING (location);";

const AREAS: &str = "INSERT INTO area VALUES (1, 'north'), (2, 'south')";

const CITY: &str =
    "CREATE TABLE offered (number integer PRIMARY KEY, area text NOT NULL, request text)";

async fn start() -> World {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let carrier = Organisation {
        name: PEERS[0].to_owned(),
        kind: PEERS[0].to_owned(),
        base_sql: format!("{CARRIER} {AREAS}"),
        base_tables: vec!["area".to_owned(), "vehicle".to_owned()],
        declarations: "[[dejima_table]]\nname = \"Vehicles\"\nstrategy = \"vehicles.sql\"\n"
            .to_owned(),
        strategies: vec![("vehicles.sql".to_owned(), format!("{CARRIER}\n{STRATEGY}"))],
        shares: vec![share(&[])],
        more_configuration: String::new(),
    };
    let city = Organisation {
        name: PEERS[1].to_owned(),
        kind: PEERS[1].to_owned(),
        base_sql: CITY.to_owned(),
        base_tables: vec!["offered".to_owned()],
        declarations: "[[dejima_table]]\nname = \"Vehicles\"\nbase_table = \"public.offered\"\nkey = [\"id\"]\n\
                       columns = [{ name = \"id\", column = \"number\" }, \"area\", \"request\"]\n"
            .to_owned(),
        strategies: vec![],
        shares: vec![share(&PEERS[..1])],
        more_configuration: String::new(),
    };
    let world = World::start(vec![carrier, city], options).await;
    world.expect("the world starts")
}

fn share(seeds: &[&str]) -> Share {
    Share {
        table: "Vehicles".to_owned(),
        seeds: seeds.iter().map(|&seed| seed.to_owned()).collect(),
    }
}

/// A session of a client at each peer.
async fn clients(world: &World) -> [Client; 2] {
    let [carrier, city] = PEERS.map(|peer| world.client(peer));
    [
        carrier.await.expect("a connection"),
        city.await.expect("a connection"),
    ]
}

/// The rows of a base table in one text.
async fn rows(world: &World, client: &Client, table: &str) -> String {
    world.await_quiet().await.expect("peers answer");
    let sql = format!("SELECT string_agg(t::text, ' ' ORDER BY t) FROM {table} AS t");
    text(client, &sql).await.unwrap_or_default()
}

/// Copies agree, and doctor finds nothing at either peer.
async fn all_is_well(world: &World) {
    at_rest_of(world, &PEERS).await;
    for peer in PEERS {
        let faults = faults_and_copies(world, peer).await;
        // The servers of tests do without fsync.
        let found = faults.iter().filter(|fault| fault.check != "durability");
        assert_eq!(found.collect::<Vec<_>>(), [] as [&_; 0], "{peer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_go_both_ways_through_a_join() {
    let world = start().await;
    let [carrier, city] = clients(&world).await;
    run(
        &carrier,
        "INSERT INTO vehicle VALUES (1, 1, NULL), (2, 2, 'r2')",
    )
    .await;
    assert_eq!(
        rows(&world, &city, "offered").await,
        "(1,north,) (2,south,r2)"
    );
    run(&city, "UPDATE offered SET request = 'r1' WHERE number = 1").await;
    run(&city, "UPDATE offered SET area = 'north' WHERE number = 2").await;
    run(&city, "INSERT INTO offered VALUES (3, 'south')").await;
    assert_eq!(
        rows(&world, &carrier, "vehicle").await,
        "(1,1,r1) (2,1,r2) (3,2,)"
    );
    run(
        &carrier,
        "UPDATE vehicle SET id = 4, location = 1 WHERE id = 3",
    )
    .await;
    run(&carrier, "DELETE FROM vehicle WHERE id = 1").await;
    assert_eq!(
        rows(&world, &city, "offered").await,
        "(2,north,r2) (4,north,)"
    );
    run(&city, "DELETE FROM offered WHERE number = 2").await;
    assert_eq!(rows(&world, &carrier, "vehicle").await, "(4,1,)");
    all_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_looked_up_table_changes_the_rows_that_it_is_in() {
    let world = start().await;
    let [carrier, city] = clients(&world).await;
    run(
        &carrier,
        "INSERT INTO vehicle VALUES (1, 1), (2, 2), (3, 1)",
    )
    .await;
    run(
        &carrier,
        "UPDATE area SET name = 'centre' WHERE location = 1",
    )
    .await;
    assert_eq!(
        rows(&world, &city, "offered").await,
        "(1,centre,) (2,south,) (3,centre,)"
    );
    // Both sides of the join in one transaction, and a change that comes to nothing.
    run(
        &carrier,
        "BEGIN; INSERT INTO area VALUES (3, 'east'); INSERT INTO vehicle VALUES (4, 3);
         UPDATE area SET name = 'west' WHERE location = 3; UPDATE vehicle SET location = 3 WHERE id = 2;
         UPDATE area SET name = 'x' WHERE location = 1; UPDATE area SET name = 'centre' WHERE location = 1; COMMIT",
    )
    .await;
    assert_eq!(
        rows(&world, &city, "offered").await,
        "(1,centre,) (2,west,) (3,centre,) (4,west,)"
    );
    run(
        &carrier,
        "BEGIN; UPDATE area SET name = 'gone' WHERE location = 1; ROLLBACK",
    )
    .await;
    all_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_write_the_dejima_table_itself() {
    let world = start().await;
    let superuser = world.superuser(PEERS[0]).await.expect("a connection");
    run(
        &superuser,
        "GRANT USAGE ON SCHEMA dejima_tables TO PUBLIC; GRANT ALL ON dejima_tables.\"Vehicles\" TO PUBLIC",
    )
    .await;
    let [carrier, city] = clients(&world).await;
    let view = "dejima_tables.\"Vehicles\"";
    run(
        &carrier,
        &format!("INSERT INTO {view} VALUES (1, 'north', NULL), (2, 'south', 'r')"),
    )
    .await;
    assert_eq!(rows(&world, &carrier, "vehicle").await, "(1,1,) (2,2,r)");
    run(
        &carrier,
        &format!("UPDATE {view} SET area = 'south' WHERE id = 1"),
    )
    .await;
    run(&carrier, &format!("DELETE FROM {view} WHERE id = 2")).await;
    assert_eq!(rows(&world, &carrier, "vehicle").await, "(1,2,)");
    assert_eq!(rows(&world, &city, "offered").await, "(1,south,)");
    let error = refused(&carrier, &format!("UPDATE {view} SET area = 'nowhere'")).await;
    assert_eq!(error.code().code(), "23514", "{error:?}");
    all_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_strategy_cannot_put_is_refused_everywhere() {
    let world = start().await;
    let [carrier, city] = clients(&world).await;
    run(&city, "INSERT INTO offered VALUES (1, 'north')").await;
    for sql in [
        "INSERT INTO offered VALUES (2, 'nowhere')",
        "UPDATE offered SET area = 'nowhere'",
        "BEGIN; INSERT INTO offered VALUES (3, 'south'); INSERT INTO offered VALUES (4, 'nowhere'); COMMIT",
    ] {
        let error = refused(&city, sql).await;
        assert_eq!(error.code().code(), "23514", "{sql}: {error:?}");
        let said = [error.message(), error.detail().unwrap_or_default()];
        assert_eq!(
            said,
            [
                "the strategy of peer \"carrier\" refuses the change of Dejima table \"Vehicles\"",
                "It would break the constraint \"Vehicles shows no such row\"."
            ],
            "{sql}"
        );
    }
    assert_eq!(rows(&world, &city, "offered").await, "(1,north,)");
    assert_eq!(rows(&world, &carrier, "vehicle").await, "(1,1,)");
    all_is_well(&world).await;
}
