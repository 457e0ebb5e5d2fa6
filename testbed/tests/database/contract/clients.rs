//! Clients' transactions, and Outcomes: how the peer learns what became of them.

use super::*;
use crate::bed::row;

contract!(
    an_open_transaction_is_pending,
    between_vote_and_commit_it_is_pending,
    a_commit_is_the_decision,
    a_rollback_is_an_abort,
    a_killed_client_is_an_abort,
    a_client_killed_after_the_vote_is_an_abort,
    an_error_is_an_abort_at_once,
    what_nobody_shares_leaves_no_decision_row,
    a_participants_transaction_is_not_pending,
    many_are_answered_in_the_order_asked,
    the_hook_takes_what_was_captured,
    the_hook_puts_what_the_peers_changed,
    a_put_of_the_hook_that_is_stale_aborts,
    a_gid_of_a_client_can_be_a_participants_too,
);

const ROW: Values = &[("a", "x")];

async fn an_open_transaction_is_pending<S: Subject>(mut s: S) {
    let client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    assert!(s.is_held(&gid).await);
    assert_eq!(s.outcome(&gid).await, Outcome::Pending);
    assert_eq!(s.facts().await, Facts::default());
    assert_eq!(s.recovered().await, Recovered::default());
}

async fn between_vote_and_commit_it_is_pending<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    assert!(s.is_held(&gid).await);
    assert_eq!(s.outcome(&gid).await, Outcome::Pending);
    assert_eq!(s.facts().await, Facts::default());
}

async fn a_commit_is_the_decision<S: Subject>(mut s: S) {
    let participants = [peer("tax"), peer("gov")];
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    s.close(&mut client, &[], &participants)
        .await
        .expect("voted");
    s.commit(client).await;
    assert!(!s.is_held(&gid).await);
    assert_eq!(s.outcome(&gid).await, committed(&participants));
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -"]).decided(&gid, &participants)
    );
    assert_eq!(s.recovered().await.decided, [(gid, participants.to_vec())]);
}

/// No lock, no row, and nothing else either.
async fn is_aborted(s: &mut impl Subject, gid: &Gid) {
    assert!(!s.is_held(gid).await);
    assert_eq!(s.outcome(gid).await, Outcome::Aborted);
    assert_eq!(s.facts().await, Facts::default());
}

async fn a_rollback_is_an_abort<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    s.roll_back(client).await;
    is_aborted(&mut s, &gid).await;
}

async fn a_killed_client_is_an_abort<S: Subject>(mut s: S) {
    let client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    s.vanish(client).await;
    is_aborted(&mut s, &gid).await;
}

async fn a_client_killed_after_the_vote_is_an_abort<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    s.vanish(client).await;
    is_aborted(&mut s, &gid).await;
}

async fn an_error_is_an_abort_at_once<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    let bad = Statement::Update("1", &[("c", "bad")]);
    assert_eq!(s.run(&mut client, bad).await, Err("23514".to_owned()));
    is_aborted(&mut s, &gid).await;
}

async fn what_nobody_shares_leaves_no_decision_row<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    s.close(&mut client, &[], &[]).await.expect("unshared");
    assert_eq!(s.outcome(&gid).await, Outcome::Pending);
    s.commit(client).await;
    assert_eq!(s.outcome(&gid).await, Outcome::Aborted);
    assert_eq!(s.facts().await, Facts::rows(&["1 x - -"]));
}

async fn a_participants_transaction_is_not_pending(mut s: impl Subject) {
    s.captured(put(1, "AB", vec![insert(&[("k", "1")])])).await;
    assert!(!s.is_held(&gid(1)).await);
    assert_eq!(s.outcome(&gid(1)).await, Outcome::Aborted);
    s.execute(prepare(1, &[peer("ins")])).await;
    assert_eq!(s.outcome(&gid(1)).await, Outcome::Aborted);
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(s.outcome(&gid(1)).await, Outcome::Aborted);
}

async fn many_are_answered_in_the_order_asked<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let of_committed = S::gid(&client);
    s.close(&mut client, &[], &[peer("gov")])
        .await
        .expect("voted");
    s.commit(client).await;
    let client = s.begin(Statement::Insert("2", ROW)).await;
    let pending = S::gid(&client);
    let expected = vec![
        (pending.clone(), Outcome::Pending),
        (gid(1), Outcome::Aborted),
        (of_committed, committed(&[peer("gov")])),
        (pending, Outcome::Pending),
    ];
    let gids = expected.iter().map(|(gid, _)| gid.clone()).collect();
    assert_eq!(
        s.execute(Request::Outcomes { gids }).await,
        Some(Answer::Outcomes { outcomes: expected })
    );
    assert_eq!(
        s.execute(Request::Outcomes { gids: vec![] }).await,
        Some(Answer::Outcomes { outcomes: vec![] })
    );
    s.roll_back(client).await;
}

async fn the_hook_takes_what_was_captured(mut s: impl Subject) {
    let mut client = s.begin(Statement::Insert("1", &[("b", "y")])).await;
    let statement = Statement::Update("1", &[("a", "x")]);
    s.run(&mut client, statement).await.expect("it is valid");
    assert_eq!(
        s.close(&mut client, &[], &[peer("gov")]).await,
        Ok(vec![
            ("AB".to_owned(), None, row(&["1", "NULL", "Y"])),
            (
                "AB".to_owned(),
                row(&["1", "NULL", "Y"]),
                row(&["1", "x", "Y"])
            ),
            ("BC".to_owned(), None, row(&["1", "Y", "NULL"])),
        ])
    );
    s.commit(client).await;
    let mut client = s.begin(Statement::Delete("1")).await;
    assert_eq!(
        s.close(&mut client, &[], &[peer("gov")]).await,
        Ok(vec![
            ("AB".to_owned(), row(&["1", "x", "Y"]), None),
            ("BC".to_owned(), row(&["1", "Y", "NULL"]), None),
        ])
    );
}

/// What the peers answer to the hook: `a` of row 1.
fn answer(old: Values, new: Values) -> Vec<Put> {
    match put(1, "AB", vec![update("1", old, new)]) {
        Request::Apply { puts, .. } => puts,
        other => panic!("{other:?}"),
    }
}

async fn the_hook_puts_what_the_peers_changed<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    let puts = answer(ROW, &[("a", "X")]);
    assert_eq!(
        s.close(&mut client, &puts, &[peer("gov")]).await,
        Ok(vec![
            ("AB".to_owned(), None, row(&["1", "x", "NULL"])),
            (
                "AB".to_owned(),
                row(&["1", "x", "NULL"]),
                row(&["1", "X", "NULL"])
            ),
            ("BC".to_owned(), None, row(&["1", "NULL", "NULL"])),
        ])
    );
    s.commit(client).await;
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 X - -"]).decided(&gid, &[peer("gov")])
    );
}

async fn a_put_of_the_hook_that_is_stale_aborts<S: Subject>(mut s: S) {
    let mut client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    let puts = answer(&[("a", "w")], &[("a", "X")]);
    assert_eq!(
        s.close(&mut client, &puts, &[peer("gov")]).await,
        Err("40001".to_owned())
    );
    is_aborted(&mut s, &gid).await;
}

async fn a_gid_of_a_client_can_be_a_participants_too<S: Subject>(mut s: S) {
    let client = s.begin(Statement::Insert("1", ROW)).await;
    let gid = S::gid(&client);
    let insert = |new| apply(&gid, "AB", vec![insert(new)]);
    assert_eq!(s.refused(insert(&[("k", "1")])).await, "40001");
    let rollback = Request::Rollback { gid: gid.clone() };
    s.captured(insert(&[("k", "2")])).await;
    s.execute(rollback).await;
    assert_eq!(s.outcome(&gid).await, Outcome::Pending);
    s.captured(insert(&[("k", "2")])).await;
    s.roll_back(client).await;
    assert_eq!(s.outcome(&gid).await, Outcome::Aborted);
    assert_eq!(
        s.execute(bed::prepare(&gid, &[])).await,
        Some(Answer::Prepared { gid }),
        "they are two transactions"
    );
}
