//! What the installer is told: it becomes the text of functions, and the command line of a shell.

use std::path::PathBuf;

use dejima_core::database::{Installation, install, install_sql};
use dejima_core::name::PeerName;

use super::Canary;
use crate::fixture::own_world;

const PEER: &str = "insurance";

/// All ways in which the helper is looked for and started.
const CALLS: [&str; 4] = [
    "SELECT dejima.verify_helper()",
    "SELECT dejima.call_peer('a;b', 0, 0, '')",
    "SELECT dejima.close_by_shell('close', '$(x)', '0', '0', '`x`')",
    "SELECT dejima.upload_by_shell('upload', ';x', '0', ';', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '')",
];

#[tokio::test(flavor = "multi_thread")]
async fn neither_path_nor_address_is_executed() {
    let mut world = own_world().await;
    let process = &mut world.member_mut(PEER).process;
    assert!(process.stop().await, "it stops in peace");
    let canary = Canary::plant(&world, &[PEER]).await;
    let superuser = world.superuser(PEER).await.expect("a connection");
    let url = world.cluster(PEER).url("postgres", PEER);
    let file = canary.file.to_str().expect("a plain path");
    // The first is a program that is there: what follows it would be executed if a shell saw it.
    let mut texts = vec![
        format!("/bin/true;touch${{IFS}}{file}"),
        format!("/bin/true$(touch${{IFS}}{file})"),
        format!("/bin/true`touch${{IFS}}{file}`"),
        format!("/bin/true&touch${{IFS}}{file}"),
        "/$dejima$;DROP/**/TABLE/**/canary;--".to_owned(),
        "/$shell$;DROP/**/TABLE/**/canary;--".to_owned(),
        "/%s%I%1$s".to_owned(),
    ];
    texts.extend(canary.texts().into_iter().map(|text| format!("/{text}")));
    for told in &texts {
        for (helper, callback) in [
            (told.as_str(), "unix:/nowhere"),
            ("/bin/true", told.as_str()),
        ] {
            let installation = Installation {
                peer: PeerName::new(PEER).expect("a name"),
                helper: PathBuf::from(helper),
                callback: callback.to_owned(),
            };
            let installed = install(&url, &installation).await;
            let printed = world
                .cluster(PEER)
                .run_sql(PEER, &install_sql(&installation));
            assert_eq!(
                installed.is_ok(),
                printed.is_ok(),
                "{helper} {callback}: {installed:?} {printed:?}"
            );
            let is_refused = told.contains(|c: char| c.is_whitespace() || "'\"\\".contains(c));
            assert_eq!(
                installed.is_err(),
                is_refused,
                "{helper} {callback}: {installed:?}"
            );
            if installed.is_ok() {
                // Whether the helper is started by a shell or not.
                for call in CALLS {
                    // It starts nothing that answers: only what it does not start is of interest.
                    drop(superuser.query(call, &[]).await);
                }
            }
            canary.sings(&world, &[PEER]).await;
        }
    }
}
