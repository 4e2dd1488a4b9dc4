//! See `targets::envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| outbox_fuzz::targets::envelope(bytes));
