//! Both alliances assign the same vehicle at the same time, again and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::demo::screen::Screen;
use crate::output::print;

const ALLIANCES: [&str; 2] = ["north", "south"];
/// How long somebody tries before he says that it does not work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who was refused waits this long, times the tries so far, and a little longer if the other one is to have the next try.
const BACKOFF: Duration = Duration::from_millis(2);

/// A vehicle that both alliances may assign, and how its provider frees it of a request.
struct Vehicle {
    provider: &'static str,
    name: &'static str,
    free: &'static str,
}

const VEHICLES: [Vehicle; 2] = [
    Vehicle {
        provider: "blue",
        name: "B-1",
        free: "UPDATE vehicle SET request = NULL WHERE id = $1 AND request = $2",
    },
    Vehicle {
        provider: "green",
        name: "G-1",
        free: "DELETE FROM booking WHERE plate = $1 AND request = $2",
    },
];

const ASSIGN: &str =
    "UPDATE fleet SET request = $3 WHERE provider = $1 AND vehicle = $2 AND request IS NULL";
const SEE: &str = "SELECT request FROM fleet WHERE provider = $1 AND vehicle = $2";

/// What an alliance came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its request has the vehicle.
    Assigned,
    /// It sees the request of the other one.
    Late,
}

#[derive(Default)]
struct Tally {
    /// How often each alliance got the vehicle.
    assigned: [u32; 2],
    /// How often neither did.
    nobody: u32,
    /// Refused, and tried again.
    again: u32,
}

/// True if every vehicle went to one alliance, each time.
pub(super) async fn play(
    screen: &Screen,
    clients: &BTreeMap<&str, &Client>,
    contests: u32,
) -> anyhow::Result<bool> {
    let started = Instant::now();
    let mut tally = Tally::default();
    for number in 0..contests {
        contest(clients, number, &mut tally).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let Tally {
        assigned: [north, south],
        nobody,
        again,
    } = tally;
    print(format_args!(
        "north {north}, south {south}, never both, neither {nobody}; refused with 40001 and tried again {again} times; {seconds:.1} s"
    ))?;
    let as_expected = nobody == 0 && north + south == contests;
    screen.check(
        as_expected,
        "each time exactly one alliance got the vehicle, and its provider knows which",
    )?;
    Ok(as_expected)
}

async fn contest(
    clients: &BTreeMap<&str, &Client>,
    number: u32,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let vehicle = &VEHICLES[number as usize % VEHICLES.len()];
    let requests = ALLIANCES.map(|alliance| format!("{alliance}-{number}"));
    let [north, south] = ALLIANCES.map(|alliance| clients[alliance]);
    // The two take turns in who waits less.
    let favours_north = (number / 2).is_multiple_of(2);
    let ends = tokio::join!(
        assign(north, vehicle, &requests[0], favours_north),
        assign(south, vehicle, &requests[1], !favours_north),
    );
    let ends = [ends.0?, ends.1?];
    for (at, (end, again)) in ends.iter().enumerate() {
        tally.again += again;
        if *end == End::Assigned {
            tally.assigned[at] += 1;
        }
    }
    let winners: Vec<&String> = ends
        .iter()
        .zip(&requests)
        .filter(|((end, _), _)| *end == End::Assigned)
        .map(|(_, request)| request)
        .collect();
    match winners[..] {
        [winner] => {
            tally.again += free(clients[vehicle.provider], vehicle, winner).await?;
        }
        [] => tally.nobody += 1,
        _ => bail!("{} was assigned twice: {winners:?}", vehicle.name),
    }
    Ok(())
}

/// Tries until the alliance has the vehicle or sees that the other one has it; says how often it was refused.
async fn assign(
    client: &Client,
    vehicle: &Vehicle,
    request: &str,
    is_favoured: bool,
) -> anyhow::Result<(End, u32)> {
    let mut again = 0;
    let mut last = None;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let done = client
            .execute(ASSIGN, &[&vehicle.provider, &vehicle.name, &request])
            .await;
        match done {
            Ok(1) => return Ok((End::Assigned, again)),
            Ok(_) => {
                let seen = client
                    .query_one(SEE, &[&vehicle.provider, &vehicle.name])
                    .await?;
                let seen: Option<String> = seen.get(0);
                let number = |request: &str| request.rsplit_once('-').map(|(_, n)| n.to_owned());
                // The end of the contest before may still be on its way here.
                if seen
                    .as_deref()
                    .is_some_and(|seen| number(seen) == number(request))
                {
                    return Ok((End::Late, again));
                }
                last = seen;
            }
            Err(error) if is_refused(&error) => again += 1,
            Err(error) => return Err(error.into()),
        }
        let tries = again.clamp(1, 20) * if is_favoured { 1 } else { 3 };
        tokio::time::sleep(BACKOFF * tries).await;
    }
    bail!(
        "{request} could not be assigned to {}: it had {last:?} in the end, and {again} times it was refused",
        vehicle.name
    )
}

/// Takes the request away at the provider as soon as it has come there; says how often that was refused.
async fn free(client: &Client, vehicle: &Vehicle, request: &str) -> anyhow::Result<u32> {
    let mut again = 0;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let freed = client
            .execute(vehicle.free, &[&vehicle.name, &request])
            .await;
        match freed {
            Ok(1) => return Ok(again),
            Ok(_) => {}
            Err(error) if is_refused(&error) => again += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(BACKOFF).await;
    }
    bail!("{request} never came to the provider of {}", vehicle.name)
}

/// Another transaction was in the way: to be tried again.
fn is_refused(error: &tokio_postgres::Error) -> bool {
    let retried = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| retried.contains(code))
}
