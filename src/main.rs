//! The `otturnaut` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    otturnaut::cli::run().into()
}
