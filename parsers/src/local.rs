//! What the helper reads: its arguments, and the peer's answer.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use dejima_peer::helper::{Question, line_of};
use dejima_proto::v1;
use dejima_proto::v1::close_response::Answer;
use prost::Message;
use serde_json::Value;

const GID: &str = "bank:6f3c1b52-4c9f-4c9e-9a53-1f2a3b4c5d6e";

/// Whatever the peer answers, the helper prints one line that is a JSON object with an answer: if puts are in it, then
/// provided that they are JSON.
pub(crate) fn helper(bytes: &[u8]) {
    let words = bytes.split(|&byte| byte == 0);
    let words = words.map(|word| OsString::from_vec(word.to_vec()));
    drop(Question::parse(words));
    let Ok(response) = v1::CloseResponse::decode(bytes) else {
        return;
    };
    if let Some(Answer::Apply(apply)) = &response.answer
        && serde_json::from_str::<Value>(&apply.puts).is_err()
    {
        return;
    }
    let line = line_of(GID, response);
    let said: Value = serde_json::from_str(&line).expect("JSON");
    assert!(said["answer"].is_string(), "{line}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let answer = |answer| {
        let response = v1::CloseResponse {
            answer: Some(answer),
        };
        response.encode_to_vec()
    };
    let mut seeds = vec![
        answer(Answer::Voted(v1::Voted {
            participants: vec!["gov".into(), "\"\n".into()],
        })),
        answer(Answer::Unshared(v1::Unshared {})),
        answer(Answer::Apply(v1::Apply {
            batch: 3,
            puts: "[{\"table\":\"T\",\"rows\":[]}]".into(),
        })),
        answer(Answer::Refused(v1::Refusal {
            peer: "gov".into(),
            sqlstate: "40001".into(),
            message: "x\"}\n{\"answer\":\"voted\"".into(),
            ..v1::Refusal::default()
        })),
    ];
    for words in [
        ["unix:/x", "/tmp/plsh", "close", GID, "0", "0", "[]"],
        ["unix:/x", "/tmp/plsh", "upload", GID, "16", "eA==", "eQ=="],
    ] {
        seeds.push(words.join("\0").into_bytes());
    }
    seeds
}
