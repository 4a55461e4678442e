//! The `guardian` command.

use std::process::ExitCode;

use guardian::cli;

mod host;

fn main() -> ExitCode {
    ExitCode::from(cli::main(std::env::args_os(), &host::Here).code())
}
