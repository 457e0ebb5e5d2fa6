//! The command `dejima`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dejima_cli::main_of(std::env::args_os().collect())
}
