#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| exeat_fuzz::client_hello::check(data));
