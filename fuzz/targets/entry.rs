//! See `targets::entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| outbox_fuzz::targets::entry(bytes));
