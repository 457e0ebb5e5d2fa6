//! Names: of peers, of Dejima tables, of transactions, of prepared transactions.

use std::str;

use dejima_core::name::{Gid, InvalidName, PeerName, TableName, prepared_name, read_prepared_name};

use crate::refusal::assert_plain;

/// What is a name is printed as it was read, and can stand in SQL text where the peer lets it stand.
pub(crate) fn names(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    assert_read(text, PeerName::new(text), PeerName::as_str, is_safe);
    assert_read(text, Gid::new(text), Gid::as_str, is_safe);
    let is_one_line = |name: &str| !name.contains(char::is_control);
    assert_read(text, TableName::new(text), TableName::as_str, is_one_line);
    let me = PeerName::new("gov").expect("a name");
    if let Some((gid, parent)) = read_prepared_name(&me, text) {
        assert!(is_safe(text) && text.len() <= 166);
        assert_eq!(prepared_name(&me, &parent, &gid), text);
        assert!(PeerName::new(gid.origin().as_str()).is_ok());
    }
}

fn assert_read<T>(
    text: &str,
    read: Result<T, InvalidName>,
    print: impl Fn(&T) -> &str,
    fits: impl Fn(&str) -> bool,
) {
    match read {
        Ok(name) => assert!(print(&name) == text && fits(text), "{text:?}"),
        Err(error) => assert_plain(&error.to_string(), 400),
    }
}

/// No quote, no white space, no backslash, nothing that a shell or SQL reads in any other way.
fn is_safe(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "bank",
        "ShareGovBank",
        "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e",
        "dejima:gov:bank:bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e",
        "'; DROP TABLE x; --",
        "\u{1b}[2J\u{202e}",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
