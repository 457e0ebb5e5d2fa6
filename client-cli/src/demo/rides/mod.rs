//! Providers of vehicles, each with a schema of its own, and two alliances that assign rides to them.

mod contest;
mod picture;
mod snapshot;

use std::collections::BTreeMap;

use dejima_testbed::World;
use tokio_postgres::Client;

use super::screen::Screen;
use super::statement::{Refusal, say};
use snapshot::{Change, Snapshot};

/// Who takes part.
pub(super) const WHO: &str = "3 providers of vehicles and 2 alliances that assign rides to them";

/// One statement, and what comes of it.
struct Step {
    title: &'static str,
    by: &'static str,
    sql: &'static str,
    outcome: Outcome,
}

enum Outcome {
    /// What it changes everywhere.
    Done(Vec<Change>),
    Refused(Refusal),
}

const fn row(
    organisation: &'static str,
    table: &'static str,
    row: &'static [&'static str],
) -> Change {
    Change {
        organisation,
        table,
        row,
    }
}

fn steps() -> Vec<Step> {
    vec![
        Step {
            title: "Blue offers one vehicle to both alliances, another to the north alone",
            by: "blue",
            sql: "INSERT INTO vehicle (id, location, to_north, to_south)\n\
                  VALUES ('B-1', 1, true, true), ('B-2', 2, true, false);",
            outcome: Outcome::Done(vec![
                row("blue", "vehicle", &["B-1", "1", "NULL", "t", "t"]),
                row("blue", "vehicle", &["B-2", "2", "NULL", "t", "f"]),
                row(
                    "north",
                    "fleet",
                    &["blue", "B-1", "harbour", "NULL", "NULL"],
                ),
                row(
                    "north",
                    "fleet",
                    &["blue", "B-2", "station", "NULL", "NULL"],
                ),
                row(
                    "south",
                    "fleet",
                    &["blue", "B-1", "harbour", "NULL", "NULL"],
                ),
            ]),
        },
        Step {
            title: "Green, whose put rules let nobody else add a car",
            by: "green",
            sql: "INSERT INTO car VALUES ('G-1', 'harbour', true, true), ('G-2', 'station', false, true);",
            outcome: Outcome::Done(vec![
                row("green", "car", &["G-1", "harbour", "t", "t"]),
                row("green", "car", &["G-2", "station", "f", "t"]),
                row(
                    "north",
                    "fleet",
                    &["green", "G-1", "harbour", "NULL", "NULL"],
                ),
                row(
                    "south",
                    "fleet",
                    &["green", "G-1", "harbour", "NULL", "NULL"],
                ),
                row(
                    "south",
                    "fleet",
                    &["green", "G-2", "station", "NULL", "NULL"],
                ),
            ]),
        },
        Step {
            title: "Red shows two tables as one, in one transaction",
            by: "red",
            sql: "BEGIN;\n\
                  INSERT INTO cab (id, area) VALUES ('R-1', 'harbour');\n\
                  INSERT INTO van (id, area) VALUES ('R-2', 'station');\n\
                  COMMIT;",
            outcome: Outcome::Done(vec![
                row("red", "cab", &["R-1", "harbour", "NULL"]),
                row("red", "van", &["R-2", "station", "NULL", "8"]),
                row("south", "fleet", &["red", "R-1", "harbour", "NULL", "cab"]),
                row("south", "fleet", &["red", "R-2", "station", "NULL", "van"]),
            ]),
        },
        Step {
            title: "Blue calls an area otherwise: that changes all its vehicles there",
            by: "blue",
            sql: "UPDATE area SET name = 'pier' WHERE location = 1;",
            outcome: Outcome::Done(vec![
                row("blue", "area", &["1", "pier"]),
                row("north", "fleet", &["blue", "B-1", "pier", "NULL", "NULL"]),
                row("south", "fleet", &["blue", "B-1", "pier", "NULL", "NULL"]),
            ]),
        },
        Step {
            title: "The north assigns a ride: a booking at green, and the south sees it",
            by: "north",
            sql: "UPDATE fleet SET request = 'n-1'\n\
                  WHERE provider = 'green' AND vehicle = 'G-1' AND request IS NULL;",
            outcome: Outcome::Done(vec![
                row("green", "booking", &["G-1", "n-1"]),
                row(
                    "north",
                    "fleet",
                    &["green", "G-1", "harbour", "n-1", "NULL"],
                ),
                row(
                    "south",
                    "fleet",
                    &["green", "G-1", "harbour", "n-1", "NULL"],
                ),
            ]),
        },
        Step {
            title: "The south does not look, and takes the car away: green's strategy refuses that",
            by: "south",
            sql: "UPDATE fleet SET request = 's-1' WHERE provider = 'green' AND vehicle = 'G-1';",
            outcome: Outcome::Refused(Refusal {
                sqlstate: "23514",
                says: &[
                    "green",
                    "SouthGreen",
                    "a car is given back before it is booked again",
                ],
            }),
        },
        Step {
            title: "The ride is over: green takes the booking out",
            by: "green",
            sql: "DELETE FROM booking WHERE plate = 'G-1';",
            outcome: Outcome::Done(vec![
                row("green", "booking", &["G-1"]),
                row(
                    "north",
                    "fleet",
                    &["green", "G-1", "harbour", "NULL", "NULL"],
                ),
                row(
                    "south",
                    "fleet",
                    &["green", "G-1", "harbour", "NULL", "NULL"],
                ),
            ]),
        },
        Step {
            title: "A cab becomes a van: at the south the vehicle is updated",
            by: "red",
            sql: "WITH gone AS (DELETE FROM cab WHERE id = 'R-1' RETURNING *)\n\
                  INSERT INTO van (id, area, request) SELECT id, area, request FROM gone;",
            outcome: Outcome::Done(vec![
                row("red", "cab", &["R-1"]),
                row("red", "van", &["R-1", "harbour", "NULL", "8"]),
                row("south", "fleet", &["red", "R-1", "harbour", "NULL", "van"]),
            ]),
        },
        Step {
            title: "The north drops a vehicle: blue's put rules end the offer, and keep the vehicle",
            by: "north",
            sql: "DELETE FROM fleet WHERE provider = 'blue' AND vehicle = 'B-2';",
            outcome: Outcome::Done(vec![
                row("blue", "vehicle", &["B-2", "2", "NULL", "f", "f"]),
                row("north", "fleet", &["blue", "B-2"]),
            ]),
        },
    ]
}

/// Plays all steps, also after one that went wrong, and then the contest. True if each was as expected.
pub(super) async fn play(screen: &Screen, world: &World, contests: u32) -> anyhow::Result<bool> {
    let mut clients = Vec::new();
    for member in world.members() {
        clients.push(world.client(member.name()).await?);
    }
    let names = world.members().iter().map(|member| member.name());
    let by_name: BTreeMap<&str, &Client> = names.zip(&clients).collect();
    let databases = clients.len();
    let mut before = Snapshot::read(world, &clients).await?;
    let mut all_as_expected = true;
    picture::legend(screen)?;
    for (number, step) in steps().iter().enumerate() {
        screen.chapter(&format!("{}. {}", number + 1, step.title))?;
        let (refusal, expected) = match &step.outcome {
            Outcome::Done(changes) => (None, before.after(changes)),
            Outcome::Refused(refusal) => (Some(refusal), before.clone()),
        };
        let said = say(screen, by_name[step.by], step.by, step.sql, refusal).await?;
        let after = Snapshot::read(world, &clients).await?;
        if before != after {
            picture::change(screen, &before, &after)?;
        }
        let sentence = match refusal {
            None => format!("this changed in the {databases} databases, and nothing else"),
            Some(refusal) => refusal.sentence(databases),
        };
        screen.check(said && after == expected, &sentence)?;
        all_as_expected &= said && after == expected;
        before = after;
    }
    screen.chapter(&format!(
        "Both alliances want the same vehicle, {contests} times"
    ))?;
    all_as_expected &= contest::play(screen, &by_name, contests).await?;
    let after = Snapshot::read(world, &clients).await?;
    screen.check(after == before, "all vehicles are free again, as before")?;
    Ok(all_as_expected && after == before)
}
