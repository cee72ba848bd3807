//! A Telegram data centre on loopback, for demos, tests and load.
//!
//! It speaks real MTProto 2.0 over TCP, so that a client which talks to it is the very program
//! that talks to Telegram: only the session differs, which is seeded with this data centre's
//! address and an authorization key. Whatever a client can do with such a session works as it
//! is; there is no test mode in any client.
//!
//! The world behind it (accounts, chats, people, messages) is made from a seed and lives in
//! memory. A scenario player fills it with believable chat, a load player with many messages;
//! a control port posts, edits, deletes, and tells what was posted and when it went out.
//!
//! [`start`] runs it inside a test; the binary runs it beside other processes.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod clock;
mod control;
mod load;
mod mtproto;
mod posted;
mod rpc;
mod scenario;
pub mod settings;
mod sim;
mod view;
mod world;

use anyhow::Context as _;
use tgmesh_lifecycle::Process;

pub use load::{LoadError, LoadReport, LoadSpec, LoadState};
pub use posted::{Item, Kind, Page};
pub use sim::{AccountInfo, ChatInfo, Config, Running, Sim, StartError, start};
pub use world::message::{Author, Button, Entity, EntityKind, Forward};
pub use world::peer::ChatKind;
pub use world::{Change, Draft, WorldError};

/// Runs the simulator until the process is told to stop.
///
/// # Errors
/// When a port cannot be opened or the ready file cannot be written.
pub async fn run(config: settings::Config, process: Process) -> anyhow::Result<()> {
    let part = process.health.part("listener");
    let running = start(config.sim).await.context("couldn't start")?;
    if let Some(path) = &config.ready {
        let ready = serde_json::json!({
            "mtproto": running.mtproto_addr.to_string(),
            "control": format!("http://{}", running.control_addr),
        });
        // Renamed into place: whoever waits for the file never reads half of it.
        let draft = path.with_extension("tmp");
        tokio::fs::write(&draft, ready.to_string())
            .await
            .with_context(|| format!("couldn't write {}", draft.display()))?;
        tokio::fs::rename(&draft, path)
            .await
            .with_context(|| format!("couldn't write {}", path.display()))?;
    }
    part.up();
    process.shutdown.soft().cancelled().await;
    running.stop().await;
    Ok(())
}
