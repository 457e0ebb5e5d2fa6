//! Prepare and Rollback: the end of a participant's session with its transaction.

use super::*;

contract!(
    prepare_promises_and_shows_nothing,
    what_is_not_open_cannot_be_prepared,
    a_transaction_is_prepared_once,
    a_gid_cannot_be_prepared_twice_for_one_parent,
    a_gid_can_be_prepared_for_two_parents,
    a_participant_row_is_written_once,
    a_participant_row_that_may_come_refuses_another,
    rollback_takes_everything_back,
    rollback_of_nothing_succeeds,
    rollback_leaves_alone_what_is_prepared,
);

const ROW: Values = &[("a", "x")];

fn prepare_for(parent: &str, children: &[PeerName]) -> Request {
    Request::Prepare {
        gid: gid(1),
        parent: peer(parent),
        children: children.to_vec(),
    }
}

async fn prepare_promises_and_shows_nothing(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.execute(prepare(1, &[peer("ins")])).await, prepared(1));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -"]).prepared(&[gid(1)]),
        "neither the row nor the participant row is visible"
    );
}

async fn what_is_not_open_cannot_be_prepared(mut s: impl Subject) {
    assert_eq!(s.refused(prepare(1, &[])).await, "40001");
    assert_eq!(s.refused(prepare(1, &[peer("ins")])).await, "40001");
    assert_eq!(s.facts().await, Facts::default());
}

async fn a_transaction_is_prepared_once(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    assert_eq!(s.refused(prepare(1, &[])).await, "40001");
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -"]).prepared(&[gid(1)])
    );
}

async fn a_gid_cannot_be_prepared_twice_for_one_parent(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    // A late delta, after the peer has forgotten the transaction.
    s.captured(change(1, "2")).await;
    assert_eq!(s.refused(prepare(1, &[])).await, "42710");
    assert!(s.is_locked("1").await && !s.is_locked("2").await);
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -", "2 x - -"]));
}

async fn a_gid_can_be_prepared_for_two_parents(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.execute(prepare_for("gov", &[])).await, prepared(1));
    s.captured(change(1, "2")).await;
    assert_eq!(s.execute(prepare_for("ins", &[])).await, prepared(1));
    let found = s.recovered().await.prepared;
    assert_eq!(found, [(gid(1), peer("gov")), (gid(1), peer("ins"))]);
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 y - -", "2 x - -"]).prepared(&[gid(1)]),
        "the parent is part of the name"
    );
}

async fn a_participant_row_is_written_once(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[peer("ins")])).await;
    s.execute(finish(1, Decision::Commit)).await;
    s.captured(change(1, "2")).await;
    assert_eq!(s.refused(prepare(1, &[peer("tax")])).await, "23505");
    assert!(!s.is_locked("2").await);
    s.captured(change(1, "2")).await;
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 y - -", "2 x - -"])
            .prepared(&[gid(1)])
            .finished(&gid(1), &[peer("ins")])
    );
}

async fn a_participant_row_that_may_come_refuses_another(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare_for("gov", &[peer("ins")])).await;
    s.captured(change(1, "2")).await;
    assert_eq!(s.refused(prepare_for("ins", &[peer("tax")])).await, "40001");
    assert!(!s.is_locked("2").await);
    s.captured(change(1, "2")).await;
    assert_eq!(s.execute(prepare_for("ins", &[])).await, prepared(1));
}

async fn rollback_takes_everything_back(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.captured(put(1, "BC", vec![insert(&[("k", "2")])])).await;
    for _ in 0..2 {
        assert_eq!(s.execute(roll_back(1)).await, rolled_back(1));
    }
    assert!(!s.is_locked("1").await);
    assert_eq!(s.refused(prepare(1, &[])).await, "40001");
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
}

async fn rollback_of_nothing_succeeds(mut s: impl Subject) {
    assert_eq!(s.execute(roll_back(1)).await, rolled_back(1));
}

async fn rollback_leaves_alone_what_is_prepared(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    assert_eq!(s.execute(roll_back(1)).await, rolled_back(1));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -"]).prepared(&[gid(1)])
    );
}
