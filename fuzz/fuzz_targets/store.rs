#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rbdgate_fuzz::store::run(data));
