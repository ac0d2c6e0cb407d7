#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rbdgate_fuzz::op_vectors::run(data));
