//! Crash points stop who is armed and nobody else, and are in no program but those made for them.

use std::path::Path;
use std::time::Duration;

use dejima_core::crash_point::CrashPoint;
use dejima_testbed::{Binaries, Counts, CrashPoints, Scratch, World, WorldOptions, worked_example};

const HIT_MAX: Duration = Duration::from_secs(10);

fn knows_crash_points(program: &Path) -> bool {
    const VARIABLE: &[u8] = b"DEJIMA_CRASH_POINTS";
    let bytes = std::fs::read(program).expect("the program was placed");
    bytes
        .windows(VARIABLE.len())
        .any(|window| window == VARIABLE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_waits_at_every_point_on_his_way_until_it_is_let_go() {
    let scratch = Scratch::new().unwrap();
    let ordinary = Binaries::place(&scratch).unwrap();
    assert!(!knows_crash_points(&ordinary.peer));
    assert!(!knows_crash_points(&ordinary.callback));
    let options = WorldOptions {
        crash_points: true,
        ..WorldOptions::default()
    };
    let organisations = worked_example(Counts::default());
    let world = World::start_in(scratch.clone(), organisations, options).await;
    let world = world.unwrap();
    let made_for_them = scratch.folder().join("bin/dejima-peer-with-crash-points");
    assert!(knows_crash_points(&made_for_them));

    let mut points = CrashPoints::new(&world).await.unwrap();
    let bank = world.client("bank").await.unwrap();
    for (number, point) in CrashPoint::all().enumerate() {
        let name = point.to_string();
        let organisation = match name.split_once('.') {
            Some(("origin", _)) => "bank",
            // Whoever is second to hear has no children, so nothing to forget.
            _ if name.contains("forget") => continue,
            _ => "government",
        };
        points.arm(&world, organisation, point).await.unwrap();
        let sql = format!("INSERT INTO bank_users VALUES ('P{number}', 'Point', '1', 'x', 1)");
        let stopped = async {
            let hit = points.hit(HIT_MAX).await;
            points.disarm(&world).await;
            hit
        };
        let (inserted, hit) = tokio::join!(bank.batch_execute(&sql), stopped);
        inserted.unwrap();
        assert!(hit.is_some(), "{point}");
        world.await_quiet().await.unwrap();
    }
    assert!(world.compare().await.unwrap().holds());
}
