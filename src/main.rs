//! `kadalu`: one binary, one subcommand a task. See `kadalu --help` and the README.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
