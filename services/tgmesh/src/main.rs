//! The tool that a person types.

use std::process::ExitCode;

fn main() -> ExitCode {
    tgmesh::cli::main(std::env::args_os())
}
