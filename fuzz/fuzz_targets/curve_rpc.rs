#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rbdgate_fuzz::curve_rpc::run(data));
