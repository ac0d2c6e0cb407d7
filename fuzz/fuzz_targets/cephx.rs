#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rbdgate_fuzz::cephx::run(data));
