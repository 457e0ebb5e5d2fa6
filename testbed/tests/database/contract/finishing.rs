//! Finish and Forget: what a decision leaves, and for how long.

use super::*;

contract!(
    commit_makes_the_rows_and_the_participant_row_visible,
    commit_without_children_leaves_no_participant_row,
    abort_leaves_nothing,
    finishing_again_succeeds,
    what_was_never_prepared_is_finished,
    an_open_transaction_is_not_finished,
    only_the_named_parent_finishes,
    forget_deletes_participant_rows,
    forget_deletes_decision_rows,
    forget_of_the_unknown_does_nothing,
    forget_does_not_reach_what_is_not_committed,
);

const ROW: Values = &[("a", "x")];

fn forget(gids: &[Gid]) -> Request {
    Request::Forget {
        gids: gids.to_vec(),
    }
}

async fn one_is_prepared(s: &mut impl Subject, children: &[PeerName]) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.execute(prepare(1, children)).await, prepared(1));
}

async fn commit_makes_the_rows_and_the_participant_row_visible(mut s: impl Subject) {
    let children = [peer("tax"), peer("ins")];
    one_is_prepared(&mut s, &children).await;
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 y - -"]).finished(&gid(1), &children)
    );
}

async fn commit_without_children_leaves_no_participant_row(mut s: impl Subject) {
    one_is_prepared(&mut s, &[]).await;
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -"]));
}

async fn abort_leaves_nothing(mut s: impl Subject) {
    one_is_prepared(&mut s, &[peer("ins")]).await;
    assert_eq!(s.execute(finish(1, Decision::Abort)).await, finished(1));
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
    assert!(!s.is_locked("1").await);
}

async fn finishing_again_succeeds(mut s: impl Subject) {
    one_is_prepared(&mut s, &[]).await;
    s.execute(finish(1, Decision::Commit)).await;
    // Even the contrary: what is done is done.
    for decision in [Decision::Commit, Decision::Abort] {
        assert_eq!(s.execute(finish(1, decision)).await, finished(1));
    }
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -"]));
}

async fn what_was_never_prepared_is_finished(mut s: impl Subject) {
    for decision in [Decision::Commit, Decision::Abort] {
        assert_eq!(s.execute(finish(1, decision)).await, finished(1));
    }
    assert_eq!(s.facts().await, Facts::default());
}

async fn an_open_transaction_is_not_finished(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
}

async fn only_the_named_parent_finishes(mut s: impl Subject) {
    one_is_prepared(&mut s, &[]).await;
    let by_another = Request::Finish {
        gid: gid(1),
        parent: peer("ins"),
        decision: Decision::Commit,
        asks_children: false,
    };
    assert_eq!(s.execute(by_another).await, finished(1));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -"]).prepared(&[gid(1)])
    );
}

async fn forget_deletes_participant_rows(mut s: impl Subject) {
    one_is_prepared(&mut s, &[peer("ins")]).await;
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(s.execute(forget(&[gid(2), gid(1)])).await, None);
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -"]));
    assert_eq!(s.recovered().await, Recovered::default());
}

async fn forget_deletes_decision_rows<S: Subject>(mut s: S) {
    let mut gids = vec![];
    for key in ["1", "2"] {
        let mut client = s.begin(Statement::Insert(key, ROW)).await;
        s.close(&mut client, &[], &[peer("gov")])
            .await
            .expect("voted");
        gids.push(S::gid(&client));
        s.commit(client).await;
    }
    assert_eq!(s.execute(forget(&gids[..1])).await, None);
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -", "2 x - -"]).decided(&gids[1], &[peer("gov")])
    );
    assert_eq!(s.outcome(&gids[0]).await, Outcome::Aborted);
    assert_eq!(s.outcome(&gids[1]).await, committed(&[peer("gov")]));
}

async fn forget_of_the_unknown_does_nothing(mut s: impl Subject) {
    one_is_prepared(&mut s, &[peer("ins")]).await;
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(s.execute(forget(&[gid(2)])).await, None);
    assert_eq!(s.execute(forget(&[])).await, None);
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 y - -"]).finished(&gid(1), &[peer("ins")])
    );
}

async fn forget_does_not_reach_what_is_not_committed<S: Subject>(mut s: S) {
    one_is_prepared(&mut s, &[peer("ins")]).await;
    let mut client = s.begin(Statement::Insert("2", ROW)).await;
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    let own = S::gid(&client);
    assert_eq!(s.execute(forget(&[gid(1), own.clone()])).await, None);
    s.execute(finish(1, Decision::Commit)).await;
    s.commit(client).await;
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 y - -", "2 x - -"])
            .finished(&gid(1), &[peer("ins")])
            .decided(&own, &[peer("gov")])
    );
}
