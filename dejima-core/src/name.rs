//! The names that everything is called by: peers, Dejima tables, global transactions.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plain;

/// PostgreSQL keeps 63 bytes of an identifier (NAMEDATALEN - 1).
pub const IDENTIFIER_BYTES_MAX: usize = 63;
/// Leaves room for two peer names and a gid in the 199 bytes that PREPARE TRANSACTION takes.
pub const PEER_NAME_BYTES_MAX: usize = 40;

/// How much of a text that is no name an error shows.
const SHOWN_CHARS_MAX: usize = 80;

/// Why a text is not a name. It shows the text as far as that is fit for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A peer's name goes into gids, file names and log lines.
    #[error(
        "\"{0}\" is no peer name: use a lower-case letter, then lower-case letters, digits, '_' or '-', \
         {PEER_NAME_BYTES_MAX} bytes at most"
    )]
    Peer(String),
    /// A Dejima table's name becomes the name of a view.
    #[error(
        "\"{0}\" is no name of a Dejima table: use 1 to {IDENTIFIER_BYTES_MAX} bytes without control characters"
    )]
    Table(String),
    /// A gid is made by the hook: the origin's name, a colon, and 36 bytes of UUID.
    #[error("\"{0}\" is no gid: it reads ORIGIN:UUID")]
    Gid(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }
    };
}

name!(
    /// The name of a peer, unique among all that ever share with each other.
    PeerName
);
name!(
    /// The name of a Dejima table, the same at every member.
    TableName
);
name!(
    /// The identity of a global transaction: the origin's name, a colon, a UUID.
    Gid
);

impl PeerName {
    /// Checks and takes a peer's name.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let mut bytes = text.bytes();
        let fits = text.len() <= PEER_NAME_BYTES_MAX
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        fits.then(|| Self(text.into()))
            .ok_or_else(|| InvalidName::Peer(plain::line(text, SHOWN_CHARS_MAX)))
    }

    /// A hash that is the same at every peer and in every version: FNV-1a, mixed so that each bit depends on all.
    pub(crate) fn hash64(&self) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = self.0.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }
}

impl TableName {
    /// Checks and takes a Dejima table's name.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let fits =
            (1..=IDENTIFIER_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into()))
            .ok_or_else(|| InvalidName::Table(plain::line(text, SHOWN_CHARS_MAX)))
    }
}

impl Gid {
    /// Checks and takes a gid.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::Gid(plain::line(text, SHOWN_CHARS_MAX));
        let (origin, id) = text.split_once(':').ok_or_else(invalid)?;
        PeerName::new(origin).map_err(|_| invalid())?;
        let is_id = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        is_id.then(|| Self(text.into())).ok_or_else(invalid)
    }

    /// The peer where the transaction began.
    pub fn origin(&self) -> PeerName {
        let (origin, _) = self.0.split_once(':').unwrap_or((&self.0, ""));
        PeerName(origin.into())
    }
}

/// What a participant's prepared transaction is called: `dejima:<me>:<parent>:<gid>`, 166 bytes at most. All three are
/// checked when they are made, so no quote can be in them.
pub fn prepared_name(me: &PeerName, parent: &PeerName, gid: &Gid) -> String {
    format!("dejima:{me}:{parent}:{gid}")
}

/// The gid and the parent in the name of a prepared transaction of this peer; none if it is called otherwise.
pub fn read_prepared_name(me: &PeerName, name: &str) -> Option<(Gid, PeerName)> {
    let rest = name.strip_prefix("dejima:")?.strip_prefix(me.as_str())?;
    let (parent, gid) = rest.strip_prefix(':')?.split_once(':')?;
    Some((Gid::new(gid).ok()?, PeerName::new(parent).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_names_are_plain() {
        assert!(PeerName::new("bank-2").is_ok());
        for bad in ["", "Bank", "2bank", "a b", "a'b", &"a".repeat(41)] {
            assert_eq!(PeerName::new(bad), Err(InvalidName::Peer(bad.to_owned())));
        }
    }

    #[test]
    fn an_error_shows_no_more_than_is_fit_for_a_log() {
        let long = format!("\u{1b}[2J\n{}", "x".repeat(1_000_000));
        for error in [
            PeerName::new(&long).expect_err("none"),
            TableName::new(&long).expect_err("none"),
            Gid::new(&long).expect_err("none"),
        ] {
            let shown = error.to_string();
            assert!(shown.len() < 300 && !shown.contains(char::is_control));
            assert!(shown.contains("\\u{1b}[2J\\nxxx"), "{shown}");
        }
    }

    #[test]
    fn a_gid_knows_its_origin() {
        let gid = Gid::new("bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e").expect("well formed");
        assert_eq!(gid.origin().as_str(), "bank");
        for bad in [
            "bank",
            "bank:1",
            "Bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e",
            "bank:6f3c1b52'4c9f-4c9e-9a53-1f2a3b4c5d6e",
        ] {
            assert!(Gid::new(bad).is_err(), "{bad}");
        }
    }
}
