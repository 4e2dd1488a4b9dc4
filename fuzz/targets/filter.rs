//! See `targets::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| outbox_fuzz::targets::filter(bytes));
