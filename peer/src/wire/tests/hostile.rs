//! What a member may say that is no fool but an enemy: pinned cases, some of which the fuzzer or a reader of the code found.

use super::*;

const HOSTILE: &str = "\u{1b}]0;title\u{7}\0\r\u{9b}2J\u{202e}%s %I '; DROP TABLE x; --";

fn fact_with(change: impl FnOnce(&mut v1::Fact)) -> Result<Fact, Invalid> {
    let column = |name: &str| v1::Column {
        name: name.into(),
        r#type: "text".into(),
        linked: vec![v1::Attribute {
            table: "U".into(),
            column: "x".into(),
        }],
    };
    let mut fact = v1::Fact {
        peer: "gov".into(),
        address: "http://gov:7001".into(),
        incarnation: 1,
        table: "T".into(),
        columns: vec![column("a"), column("b")],
        key: vec!["a".into()],
        has_left: false,
    };
    change(&mut fact);
    fact_from_wire(fact)
}

#[test]
fn words_of_a_refusal_are_fit_for_a_terminal_and_for_the_hook() {
    let refusal = refusal_from_wire(v1::Refusal {
        peer: "gov".into(),
        sqlstate: "23514".into(),
        message: HOSTILE.into(),
        detail: "two\n\tlines".into(),
        hint: "x".repeat(1_000_000),
    });
    let refusal = refusal.expect("it is one all the same");
    let expected = "\\u{1b}]0;title\\u{7}\\u{0}\\r\\u{9b}2J\\u{202e}%s %I '; DROP TABLE x; --";
    assert_eq!(refusal.message, expected);
    assert_eq!(refusal.detail, "two\n\tlines");
    assert!(refusal.hint.len() < 3_000 && refusal.hint.ends_with('…'));
}

/// One such fact would keep all that are saved with it out of the database, which takes no NUL into a jsonb.
#[test]
fn a_fact_holds_only_names_that_a_database_can_have() {
    let refused: [fn(&mut v1::Fact); 9] = [
        |fact| fact.columns[1].name = "b\0".into(),
        |fact| fact.columns[1].name = String::new(),
        |fact| fact.columns[1].name = "b".repeat(64),
        |fact| fact.columns[1].r#type = "text\0".into(),
        |fact| fact.columns[1].r#type = "t".repeat(1_000),
        |fact| fact.columns[0].linked[0].column = "\0".into(),
        |fact| fact.columns = vec![fact.columns[0].clone(); 2_000],
        |fact| fact.peer = HOSTILE.into(),
        |fact| fact.key = vec![HOSTILE.into()],
    ];
    assert!(fact_with(|_| ()).is_ok());
    assert!(fact_with(|fact| fact.columns[1].name = "'; DROP \u{1b}\n".into()).is_ok());
    for change in refused {
        let error = fact_with(change).expect_err("it is none").to_string();
        assert!(
            !error.contains(char::is_control) && error.len() < 500,
            "{error:?}"
        );
    }
}

#[test]
fn a_fact_names_an_address_that_can_be_called() {
    let long = format!("http://{}:1", "x".repeat(1_000));
    for address in [
        "",
        "gov:7001",
        "unix:/run/x",
        "http://a b:1",
        "http://\u{1b}[2J:1",
        "http://a\n:1",
        "http://a:1#b",
        "http://i#surer:\0\u{1}",
        &long,
    ] {
        let refused = fact_with(|fact| fact.address = address.into());
        assert!(refused.is_err(), "{address:?}");
    }
    for address in [
        "http://gov:7001",
        "https://[::1]:7001",
        "http://10.0.0.1:1/",
    ] {
        assert!(
            fact_with(|fact| fact.address = address.into()).is_ok(),
            "{address}"
        );
    }
}

#[test]
fn a_value_holds_no_nul() {
    let key = || vec!["k".to_owned(), "l".to_owned()];
    let update = |old: Option<&str>, new: Option<&str>| {
        v1::row::Change::Update(v1::Update {
            old: vec![v1::OldCell {
                column: 1,
                value: old.map(str::to_owned),
            }],
            new: vec![cell_of(1, new)],
        })
    };
    let row = |key, change| v1::Row {
        key,
        change: Some(change),
    };
    assert!(with_row(row(key(), update(Some("a\u{1}"), Some("'; --")))).is_ok());
    for row in [
        row(key(), update(Some("a\0"), None)),
        row(key(), update(None, Some("\0"))),
        row(vec!["k\0".into(), "l".into()], update(None, None)),
    ] {
        let error = with_row(row).expect_err("no text of PostgreSQL holds it");
        assert!(error.to_string().contains("NUL"), "{error}");
    }
}

/// tonic panics at a deadline of more than eight digits of hours.
#[test]
fn patience_has_an_end() {
    let mut part = parts(Delta::default()).remove(0);
    part.patience_ms = u64::MAX;
    assert!(IncomingDelta::new(part.clone()).is_err());
    part.patience_ms = 7 * 24 * 60 * 60 * 1_000;
    assert!(IncomingDelta::new(part).is_ok());
}

#[test]
fn an_error_shows_little_of_what_was_sent() {
    let long = HOSTILE.repeat(10_000);
    for error in [
        gid(&long).expect_err("none"),
        peer(&long).expect_err("none"),
        table(&long).expect_err("none"),
    ] {
        let shown = tonic::Status::from(error);
        let shown = shown.message();
        assert!(
            shown.len() < 500 && !shown.contains(char::is_control),
            "{shown:?}"
        );
    }
}
