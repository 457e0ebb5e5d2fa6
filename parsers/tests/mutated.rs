//! Each reader of bytes from outside is fed its seeds, changed at random, and bytes that are nothing at all.

use dejima_parsers::{TARGETS, Target};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// For each reader; the fuzzer tries as many in a second.
const CASES: u32 = 2_000;
const MUTATIONS_MAX: usize = 8;

/// One change of an input.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A piece of it once more, elsewhere.
    Copy(Index, Index, usize),
    /// The rest comes from another seed.
    Splice(Index, Index),
}

impl Mutation {
    fn apply(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let end = input.len();
        let at = |index: &Index| index.index(end + 1);
        match self {
            Self::Set(index, byte) if end > 0 => input[index.index(end)] = *byte,
            Self::Set(_, byte) => input.push(*byte),
            Self::Insert(index, bytes) => {
                let at = at(index);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(index, length) => {
                let at = at(index);
                input.drain(at..end.min(at + length));
            }
            Self::Copy(from, to, length) => {
                let from = at(from);
                let piece = input[from..end.min(from + length)].to_vec();
                let to = at(to);
                input.splice(to..to, piece);
            }
            Self::Splice(index, seed) => {
                input.truncate(at(index));
                let seed = seed.get(seeds);
                input.extend(&seed[seed.len().min(input.len())..]);
            }
        }
    }
}

/// What breaks readers more often than other bytes do.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 12] = [
        b"\0",
        b"'; DROP TABLE x; --",
        b"\x1b[2J",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80",
        b"\"",
        b"\\u0000",
        b"$dejima$",
        b"[[[[[[[[[[[[[[[[",
        b"-0e99999",
        b"\n",
    ];
    prop_oneof![
        proptest::sample::select(pieces.map(<[u8]>::to_vec).to_vec()),
        proptest::collection::vec(any::<u8>(), 1..20),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (index(), piece()).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (index(), 1usize..40).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (index(), index(), 1usize..200)
            .prop_map(|(from, to, length)| Mutation::Copy(from, to, length)),
        (index(), index()).prop_map(|(at, seed)| Mutation::Splice(at, seed)),
    ]
}

fn feed(target: &Target) {
    let seeds = (target.seeds)();
    seeds.iter().for_each(|seed| (target.run)(seed));
    let mutations = proptest::collection::vec(mutation(), 1..MUTATIONS_MAX);
    let inputs = prop_oneof![
        9 => (any::<Index>(), mutations).prop_map({
            let seeds = seeds.clone();
            move |(seed, mutations)| {
                let mut input = seed.get(&seeds).clone();
                mutations.iter().for_each(|mutation| mutation.apply(&mut input, &seeds));
                input
            }
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ];
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let fed = TestRunner::new(config).run(&inputs, |input| {
        (target.run)(&input);
        Ok(())
    });
    if let Err(found) = fed {
        panic!("{}: {found}", target.name);
    }
}

#[test]
fn nothing_from_outside_breaks_a_reader() {
    TARGETS.iter().for_each(feed);
}

/// The fuzzer has a program for each target, and its own workspace lists them.
#[test]
fn the_fuzzer_knows_all_targets() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for target in &TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{}\"", target.name)),
            "{}",
            target.name
        );
    }
}
