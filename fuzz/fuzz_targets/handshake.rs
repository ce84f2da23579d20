#![no_main]

use otturnaut::node::properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::handshake(bytes));
