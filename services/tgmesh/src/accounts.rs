//! `tgmesh login`, `sessions` and `chats`: the listener's binary carries them out. Where nothing
//! says otherwise, sessions and their key are those of the state folder that `tgmesh up` uses, so
//! that an account can be signed in before the first start.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::Outcome;
use crate::mesh;
use crate::service;

/// `tgmesh up --state` by default.
const STATE: &str = ".tgmesh";

/// Becomes the listener's binary with these arguments.
pub(crate) fn hand_over(command: &str, args: &[OsString]) -> Outcome {
    let given = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_asked = |flag: &str| args.iter().any(|arg| arg == flag);
    let mut env = Vec::new();
    if !is_asked("--help") && !is_asked("-h") {
        // A relative path would be another one if the binary ever changed its folder.
        let state = std::path::absolute(STATE)?;
        if !given("SESSION_STORE") {
            env.push(("SESSION_STORE", state.join(mesh::SESSIONS).into_os_string()));
        }
        if !given("TELEGRAM_ENCRYPTION_KEY") && !given("TELEGRAM_ENCRYPTION_KEY_FILE") {
            let file = mesh::encryption_key(Path::new(&state))?;
            env.push(("TELEGRAM_ENCRYPTION_KEY_FILE", file.into_os_string()));
        }
    }
    service::hand_over_with("tgmesh-listener", command, args, env)
}
