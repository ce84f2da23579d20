#![no_main]

use otturnaut::shell::properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::parse(bytes));
