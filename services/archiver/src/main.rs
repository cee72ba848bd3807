//! `tgmesh-archiver`: the service, and its commands: migrations and dead letters.

use std::process::ExitCode;

use clap::Parser as _;
use tgmesh_archiver::{Args, Command, deadletters, migrate};

fn main() -> ExitCode {
    match Args::try_parse() {
        Ok(Args {
            command: Some(Command::Deadletters(command)),
            ..
        }) => deadletters::main(&command),
        Ok(Args {
            command: Some(Command::Migrate),
            ..
        }) => migrate::main(),
        // The frame reads the command line by itself, and tells what is wrong with it.
        _ => tgmesh_lifecycle::main::<Args, _, _>("archiver", tgmesh_archiver::run),
    }
}
