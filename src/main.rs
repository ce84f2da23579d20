//! The `otturnaut` program.

fn main() {}
