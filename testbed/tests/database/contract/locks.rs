//! Row locks: who holds one, for how long, and what a bounded wait ends in.

use super::*;

contract!(
    an_open_transaction_refuses_others,
    a_prepared_transaction_refuses_others_until_it_is_finished,
    a_prepared_transaction_refuses_its_own_gid,
    a_client_refuses_the_peer,
    the_peer_refuses_a_client,
    a_new_key_is_locked,
    different_rows_do_not_meet,
    who_waited_for_an_abort_goes_on,
    who_waited_for_a_commit_is_stale,
    who_waited_with_an_insert_finds_the_key_present,
    who_waits_keeps_what_he_has_locked,
    who_waited_in_vain_keeps_nothing,
);

const ROW: Values = &[("a", "x")];

async fn an_open_transaction_refuses_others(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    assert_eq!(s.refused(change(2, "1")).await, "40001");
    assert_eq!(
        s.refused(put(3, "AB", vec![delete("1", ROW)])).await,
        "40001"
    );
    s.execute(roll_back(1)).await;
    s.captured(change(2, "1")).await;
}

async fn a_prepared_transaction_refuses_others_until_it_is_finished(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    for (number, key, decision) in [(1, "1", Decision::Commit), (2, "2", Decision::Abort)] {
        s.captured(change(number, key)).await;
        s.execute(prepare(number, &[])).await;
        assert!(s.is_locked(key).await);
        assert_eq!(s.refused(change(3, key)).await, "40001");
        s.execute(finish(number, decision)).await;
        assert!(!s.is_locked(key).await);
    }
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -", "2 x - -"]));
}

async fn a_prepared_transaction_refuses_its_own_gid(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    let again = put(1, "AB", vec![update("1", &[("a", "y")], &[("a", "z")])]);
    assert_eq!(s.refused(again).await, "40001");
    assert_eq!(
        s.facts().await,
        Facts::rows(&["1 x - -"]).prepared(&[gid(1)])
    );
}

async fn a_client_refuses_the_peer(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    let client = s.begin(Statement::Update("1", &[("a", "c")])).await;
    assert_eq!(s.refused(change(1, "1")).await, "40001");
    s.roll_back(client).await;
    s.captured(change(1, "1")).await;
}

async fn the_peer_refuses_a_client(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    let mut client = s.begin(Statement::Insert("2", ROW)).await;
    let statement = Statement::Update("1", &[("a", "c")]);
    assert_eq!(s.run(&mut client, statement).await, Err("55P03".to_owned()));
    s.captured(put(2, "AB", vec![insert(&[("k", "2")])])).await;
}

async fn a_new_key_is_locked(mut s: impl Subject) {
    s.captured(put(1, "AB", vec![insert(&[("k", "1")])])).await;
    let rows = || vec![insert(&[("k", "1")])];
    assert_eq!(s.refused(put(2, "AB", rows())).await, "40001");
    s.execute(roll_back(1)).await;
    s.captured(put(2, "AB", rows())).await;
}

async fn different_rows_do_not_meet(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.captured(change(2, "2")).await;
    assert_eq!(s.execute(prepare(1, &[])).await, prepared(1));
    assert_eq!(s.execute(prepare(2, &[])).await, prepared(2));
    assert_eq!(s.execute(finish(2, Decision::Abort)).await, finished(2));
    assert_eq!(s.execute(finish(1, Decision::Commit)).await, finished(1));
    assert_eq!(s.facts().await, Facts::rows(&["1 y - -", "2 x - -"]));
}

async fn who_waited_for_an_abort_goes_on(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    let waiting = s.wait(change(2, "1")).await;
    s.execute(finish(1, Decision::Abort)).await;
    assert_eq!(told(s.answer(waiting).await).len(), 1);
}

async fn who_waited_for_a_commit_is_stale(mut s: impl Subject) {
    s.given(&[("1", ROW)]).await;
    s.captured(change(1, "1")).await;
    s.execute(prepare(1, &[])).await;
    let waiting = s.wait(change(2, "1")).await;
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(refused(s.answer(waiting).await).0, "40001");
    assert!(!s.is_locked("1").await);
}

async fn who_waited_with_an_insert_finds_the_key_present(mut s: impl Subject) {
    s.captured(put(1, "AB", vec![insert(&[("k", "1")])])).await;
    s.execute(prepare(1, &[])).await;
    let waiting = s.wait(put(2, "AB", vec![insert(&[("k", "1")])])).await;
    s.execute(finish(1, Decision::Commit)).await;
    assert_eq!(refused(s.answer(waiting).await).0, "40001");
}

fn change_both(number: u32) -> Request {
    let rows = ["1", "2"].map(|key| update(key, ROW, &[("a", "y")]));
    put(number, "AB", rows.to_vec())
}

async fn who_waits_keeps_what_he_has_locked(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "2")).await;
    let waiting = s.wait(change_both(2)).await;
    assert!(s.is_locked("1").await);
    s.execute(roll_back(1)).await;
    assert_eq!(told(s.answer(waiting).await).len(), 2);
}

async fn who_waited_in_vain_keeps_nothing(mut s: impl Subject) {
    s.given(&[("1", ROW), ("2", ROW)]).await;
    s.captured(change(1, "2")).await;
    assert_eq!(s.refused(change_both(2)).await, "40001");
    assert!(!s.is_locked("1").await);
}
