#![no_main]

use otturnaut::term::properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::terms(bytes));
