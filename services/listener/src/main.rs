//! `tgmesh-listener`: the service, and the commands about its sessions.

use std::process::ExitCode;

use clap::Parser as _;
use tgmesh_listener::{commands, settings};

fn main() -> ExitCode {
    match settings::Args::try_parse() {
        Ok(args) if commands::is_command(&args) => commands::main(&args),
        // The frame reads the command line by itself, and tells what is wrong with it.
        _ => tgmesh_lifecycle::main::<settings::Args, _, _>("listener", tgmesh_listener::run),
    }
}
