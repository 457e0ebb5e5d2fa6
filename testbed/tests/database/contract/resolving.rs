//! Resolve and Settle: what the operator chose, until the true decision is known. And what Finish can say of children.

use dejima_core::transaction::Resolution;

use super::*;

contract!(
    finish_names_the_children_of_the_row_if_asked,
    what_the_operator_chose_is_noted_and_carried_out,
    an_abort_that_the_operator_chose_leaves_the_note,
    the_first_choice_stays,
    what_is_settled_is_not_found_again,
    a_crash_spares_the_note,
);

fn resolve(decision: Decision, children: &[PeerName]) -> Request {
    Request::Resolve {
        resolution: resolution(decision, children),
    }
}

fn resolution(decision: Decision, children: &[PeerName]) -> Resolution {
    Resolution {
        gid: gid(1),
        parent: peer("gov"),
        children: children.to_vec(),
        decision,
    }
}

async fn one_is_prepared(s: &mut impl Subject, children: &[PeerName]) {
    s.given(&[("1", &[("a", "x")])]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.execute(prepare(1, children)).await, prepared(1));
}

async fn finish_names_the_children_of_the_row_if_asked(mut s: impl Subject) {
    let children = [peer("ins"), peer("tax")];
    one_is_prepared(&mut s, &children).await;
    let commit = Request::Finish {
        gid: gid(1),
        parent: peer("gov"),
        decision: Decision::Commit,
        asks_children: true,
    };
    for _ in 0..2 {
        let answer = s.execute(commit.clone()).await;
        assert_eq!(answer, finished_with(1, &children), "as often as asked");
    }
    let gids = vec![gid(1)];
    s.execute(Request::Forget { gids }).await;
    assert_eq!(s.execute(commit).await, finished(1), "there is no row");
}

async fn what_the_operator_chose_is_noted_and_carried_out(mut s: impl Subject) {
    let children = [peer("ins")];
    one_is_prepared(&mut s, &children).await;
    let answer = s.execute(resolve(Decision::Commit, &[])).await;
    assert_eq!(answer, finished_with(1, &children));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 y - -"]).finished(&gid(1), &children)
    );
    let found = Recovered {
        finished: vec![(gid(1), children.to_vec())],
        resolved: vec![resolution(Decision::Commit, &[])],
        ..Recovered::default()
    };
    assert_eq!(s.recovered().await, found);
}

async fn an_abort_that_the_operator_chose_leaves_the_note(mut s: impl Subject) {
    one_is_prepared(&mut s, &[peer("ins")]).await;
    let children = [peer("ins")];
    let answer = s.execute(resolve(Decision::Abort, &children)).await;
    assert_eq!(answer, finished(1));
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
    let resolved = s.recovered().await.resolved;
    assert_eq!(resolved, [resolution(Decision::Abort, &children)]);
}

async fn the_first_choice_stays(mut s: impl Subject) {
    one_is_prepared(&mut s, &[]).await;
    s.execute(resolve(Decision::Abort, &[])).await;
    s.execute(resolve(Decision::Commit, &[])).await;
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
    let resolved = s.recovered().await.resolved;
    assert_eq!(resolved, [resolution(Decision::Abort, &[])]);
}

async fn what_is_settled_is_not_found_again(mut s: impl Subject) {
    for truth in [Decision::Abort, Decision::Commit] {
        s.captured(put(1, "AB", vec![insert(&[("k", "1")])])).await;
        s.execute(prepare(1, &[])).await;
        s.execute(resolve(Decision::Abort, &[])).await;
        let decision = truth;
        let settle = Request::Settle {
            gid: gid(1),
            decision,
        };
        for _ in 0..2 {
            assert_eq!(s.execute(settle.clone()).await, finished(1));
        }
        assert_eq!(s.recovered().await, Recovered::default());
        assert_eq!(s.facts().await, Facts::default());
    }
}

async fn a_crash_spares_the_note(mut s: impl Subject) {
    one_is_prepared(&mut s, &[]).await;
    s.execute(resolve(Decision::Commit, &[])).await;
    s.crash().await;
    let resolved = s.recovered().await.resolved;
    assert_eq!(resolved, [resolution(Decision::Commit, &[])]);
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -"]));
}
