//! Refusals of other peers, whose words a client reads at his terminal.

use dejima_peer::wire::{refusal_from_wire, refusal_to_wire};
use dejima_proto::v1;
use prost::Message;

/// What is taken in is said again in the same words, and holds nothing that a terminal or the hook's JSON cannot take.
pub(crate) fn refusal(bytes: &[u8]) {
    let Ok(sent) = v1::Refusal::decode(bytes) else {
        return;
    };
    match refusal_from_wire(sent) {
        Ok(taken) => {
            for words in [&taken.message, &taken.detail, &taken.hint] {
                assert_plain(&words.replace(['\n', '\t'], ""), 10 * 2_001);
            }
            let said = refusal_to_wire(taken.clone());
            let again = refusal_from_wire(said).expect("it was taken in before");
            // What was cut is cut again.
            assert!(again.sqlstate == taken.sqlstate && again.peer == taken.peer);
        }
        Err(error) => assert_plain(&error.to_string(), 1_000),
    }
}

/// Demands that a text is fit for a log and a terminal.
pub(crate) fn assert_plain(text: &str, bytes_max: usize) {
    assert!(text.len() <= 4 * bytes_max, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |sqlstate: &str, message: &str| {
        let refusal = v1::Refusal {
            peer: "gov".into(),
            sqlstate: sqlstate.into(),
            message: message.into(),
            detail: "Peer \"gov\" refuses: constraint \"c\" of table \"t\".".into(),
            hint: "Try again.\n\tOr not.".into(),
        };
        refusal.encode_to_vec()
    };
    vec![
        seed("23514", "it is refused"),
        seed("00000", "\u{1b}]0;x\u{7}\0%s %I"),
        seed("4000", "x"),
    ]
}
