//! Recover, and what a killed peer and a killed server leave behind.

use super::*;

contract!(
    recover_finds_everything_at_once,
    recover_leaves_own_sessions_alone,
    a_killed_peer_loses_what_it_had_open,
    a_killed_peer_loses_neither_prepared_nor_finished,
    a_killed_peer_loses_a_request_that_waits,
    clients_survive_the_peer,
    a_crash_breaks_the_sessions_of_the_peer,
    a_crash_ends_clients_transactions,
    a_crash_spares_what_is_prepared,
    a_crash_spares_what_is_committed,
    a_crash_spares_decision_rows_and_participant_rows,
    a_crash_keeps_aborted_what_was_aborted,
    a_peer_that_starts_after_a_crash_begins_anew,
);

const ROW: Values = &[("a", "x")];

async fn four_rows(s: &mut impl Subject) {
    s.given(&[("1", ROW), ("2", ROW), ("3", ROW), ("4", ROW)])
        .await;
}

async fn recover_finds_everything_at_once<S: Subject>(mut s: S) {
    four_rows(&mut s).await;
    for (number, key) in [(1, "1"), (2, "2"), (3, "3")] {
        s.captured(change(number, key)).await;
        s.execute(prepare(number, &[peer("ins"), peer("tax")]))
            .await;
    }
    s.execute(finish(2, Decision::Commit)).await;
    s.execute(finish(3, Decision::Abort)).await;
    s.captured(change(4, "3")).await;
    let mut client = s.begin(Statement::Update("4", &[("a", "c")])).await;
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    let decided = S::gid(&client);
    s.commit(client).await;
    let _undecided = s.begin(Statement::Delete("4")).await;
    assert_eq!(
        s.recovered().await,
        Recovered {
            decided: vec![(decided, vec![peer("gov")])],
            prepared: vec![(gid(1), peer("gov"))],
            finished: vec![(gid(2), vec![peer("ins"), peer("tax")])],
            resolved: vec![],
        }
    );
}

async fn recover_leaves_own_sessions_alone(mut s: impl Subject) {
    four_rows(&mut s).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.recovered().await, Recovered::default());
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
}

async fn a_killed_peer_loses_what_it_had_open(mut s: impl Subject) {
    four_rows(&mut s).await;
    s.captured(change(1, "1")).await;
    s.captured(change(2, "2")).await;
    assert_eq!(found(s.restart_peer().await), Recovered::default());
    assert!(!s.is_locked("1").await && !s.is_locked("2").await);
    assert_eq!(s.refused(prepare(1, &[])).await, "40001");
    assert_eq!(s.execute(roll_back(2)).await, rolled_back(2));
    s.captured(change(1, "2")).await;
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
}

async fn a_killed_peer_loses_neither_prepared_nor_finished(mut s: impl Subject) {
    four_rows(&mut s).await;
    for (number, key) in [(1, "1"), (2, "2")] {
        s.captured(change(number, key)).await;
        s.execute(prepare(number, &[peer("ins")])).await;
    }
    s.execute(finish(2, Decision::Commit)).await;
    let left = Recovered {
        prepared: vec![(gid(1), peer("gov"))],
        finished: vec![(gid(2), vec![peer("ins")])],
        ..Recovered::default()
    };
    assert_eq!(found(s.restart_peer().await), left);
    assert_eq!(found(s.restart_peer().await), left, "again");
    assert!(s.is_locked("1").await);
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
    assert_eq!(
        s.facts().await.rows,
        ["1 y - -", "2 y - -", "3 x - -", "4 x - -"]
    );
}

async fn a_killed_peer_loses_a_request_that_waits(mut s: impl Subject) {
    four_rows(&mut s).await;
    s.captured(change(1, "2")).await;
    s.execute(prepare(1, &[])).await;
    let rows = ["1", "2"].map(|key| update(key, ROW, &[("a", "z")]));
    let _lost = s.wait(put(2, "AB", rows.to_vec())).await;
    s.restart_peer().await;
    s.execute(finish(1, Decision::Abort)).await;
    assert!(!s.is_locked("1").await && !s.is_locked("2").await);
    assert_eq!(s.refused(prepare(2, &[])).await, "40001");
}

async fn clients_survive_the_peer<S: Subject>(mut s: S) {
    four_rows(&mut s).await;
    let mut voted = s.begin(Statement::Update("1", &[("a", "c")])).await;
    s.close(&mut voted, &[], &[peer("gov")])
        .await
        .expect("voted");
    let open = s.begin(Statement::Update("2", &[("a", "c")])).await;
    let gids = [S::gid(&voted), S::gid(&open)];
    assert_eq!(found(s.restart_peer().await), Recovered::default());
    for gid in &gids {
        assert_eq!(s.outcome(gid).await, Outcome::Pending);
    }
    s.commit(voted).await;
    s.roll_back(open).await;
    assert_eq!(s.outcome(&gids[0]).await, committed(&[peer("gov")]));
    assert_eq!(s.outcome(&gids[1]).await, Outcome::Aborted);
}

async fn a_crash_breaks_the_sessions_of_the_peer(mut s: impl Subject) {
    four_rows(&mut s).await;
    for (number, key) in [(1, "1"), (2, "2"), (3, "3")] {
        s.captured(change(number, key)).await;
    }
    s.crash().await;
    assert!(!s.is_locked("1").await);
    // The peer finds out when it uses the session, once.
    assert_eq!(s.refused(prepare(1, &[])).await, "08006");
    assert_eq!(s.refused(prepare(1, &[])).await, "40001");
    assert_eq!(s.refused(change(2, "2")).await, "08006");
    s.captured(change(2, "2")).await;
    assert_eq!(s.execute(roll_back(3)).await, rolled_back(3));
    s.captured(change(3, "3")).await;
    s.captured(change(4, "4")).await;
    assert_eq!(s.execute(prepare(2, &[])).await, prepared(2));
}

async fn a_crash_ends_clients_transactions<S: Subject>(mut s: S) {
    four_rows(&mut s).await;
    let open = s.begin(Statement::Update("1", &[("a", "c")])).await;
    let mut voted = s.begin(Statement::Update("2", &[("a", "c")])).await;
    s.close(&mut voted, &[], &[peer("gov")])
        .await
        .expect("voted");
    s.crash().await;
    for gid in [S::gid(&open), S::gid(&voted)] {
        assert!(!s.is_held(&gid).await);
        assert_eq!(s.outcome(&gid).await, Outcome::Aborted);
    }
    assert!(!s.is_locked("1").await && !s.is_locked("2").await);
    let rows = ["1 x - -", "2 x - -", "3 x - -", "4 x - -"];
    assert_eq!(s.facts().await, Facts::rows(&rows));
}

async fn a_crash_spares_what_is_prepared(mut s: impl Subject) {
    four_rows(&mut s).await;
    for (number, key) in [(1, "1"), (2, "2")] {
        s.captured(change(number, key)).await;
        s.execute(prepare(number, &[peer("ins")])).await;
    }
    s.crash().await;
    assert!(s.is_locked("1").await && s.is_locked("2").await);
    assert_eq!(s.refused(change(3, "1")).await, "40001");
    assert_eq!(
        s.recovered().await,
        Recovered {
            prepared: vec![(gid(1), peer("gov")), (gid(2), peer("gov"))],
            ..Recovered::default()
        }
    );
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
    assert_eq!(s.execute(finish(2, Decision::Abort)).await, finished(2));
    let rows = ["1 y - -", "2 x - -", "3 x - -", "4 x - -"];
    assert_eq!(
        s.facts().await,
        Facts::rows(&rows).finished(&gid(1), &[peer("ins")])
    );
}

async fn a_crash_spares_what_is_committed(mut s: impl Subject) {
    four_rows(&mut s).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    s.execute(finish(1, Decision::Commit)).await;
    s.crash().await;
    let rows = ["1 y - -", "2 x - -", "3 x - -", "4 x - -"];
    assert_eq!(s.facts().await, Facts::rows(&rows));
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
}

async fn a_crash_spares_decision_rows_and_participant_rows<S: Subject>(mut s: S) {
    four_rows(&mut s).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[peer("ins")])).await;
    s.execute(finish(1, Decision::Commit)).await;
    let mut client = s.begin(Statement::Update("2", &[("a", "c")])).await;
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    let decided = S::gid(&client);
    s.commit(client).await;
    s.crash().await;
    assert_eq!(s.outcome(&decided).await, committed(&[peer("gov")]));
    let rows = ["1 y - -", "2 c - -", "3 x - -", "4 x - -"];
    assert_eq!(
        s.facts().await,
        Facts::rows(&rows)
            .finished(&gid(1), &[peer("ins")])
            .decided(&decided, &[peer("gov")])
    );
}

async fn a_crash_keeps_aborted_what_was_aborted(mut s: impl Subject) {
    four_rows(&mut s).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[peer("ins")])).await;
    s.execute(finish(1, Decision::Abort)).await;
    s.crash().await;
    assert!(!s.is_locked("1").await);
    let rows = ["1 x - -", "2 x - -", "3 x - -", "4 x - -"];
    assert_eq!(s.facts().await, Facts::rows(&rows));
}

async fn a_peer_that_starts_after_a_crash_begins_anew(mut s: impl Subject) {
    four_rows(&mut s).await;
    s.captured(change(1, "1")).await;
    s.crash().await;
    assert_eq!(found(s.restart_peer().await), Recovered::default());
    s.captured(change(1, "1")).await;
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
}
