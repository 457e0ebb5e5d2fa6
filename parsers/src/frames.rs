//! Several messages in one input: each has a byte that says its kind, two that say its length, and its own bytes.

use prost::Message;

/// The frames of an input; one that is cut off counts as far as it goes.
pub(crate) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, low, high], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        bytes = rest;
        Some((kind, frame))
    })
}

/// An input of these frames.
pub(crate) fn input(frames: impl IntoIterator<Item = (u8, Vec<u8>)>) -> Vec<u8> {
    let frame = |(kind, bytes): (u8, Vec<u8>)| {
        let length = u16::try_from(bytes.len()).expect("a seed is small");
        [&[kind][..], &length.to_le_bytes(), &bytes].concat()
    };
    frames.into_iter().flat_map(frame).collect()
}

/// A frame with a message.
pub(crate) fn message(kind: u8, message: &impl Message) -> (u8, Vec<u8>) {
    (kind, message.encode_to_vec())
}
