//! See `dejima_parsers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dejima_parsers::feed("helper", bytes));
