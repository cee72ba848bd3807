//! Commands that belong to one service: its binary carries them out, in the place of this process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use tgmesh_testkit::find_binary;

use crate::cli::Outcome;

/// Becomes the service's binary with these arguments.
pub(crate) fn hand_over(binary: &str, command: &str, args: &[OsString]) -> Outcome {
    hand_over_with(binary, command, args, Vec::new())
}

/// The same, with these variables over those of this process.
pub(crate) fn hand_over_with(
    binary: &str,
    command: &str,
    args: &[OsString],
    env: Vec<(&'static str, OsString)>,
) -> Outcome {
    let program = find_binary(binary)?;
    // Returns only when it failed.
    let error = Command::new(&program).arg(command).args(args).envs(env).exec();
    Err(error).with_context(|| format!("couldn't start {}", program.display()))?
}
