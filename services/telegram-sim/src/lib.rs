#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod clock;
mod control;
mod faults;
mod load;
mod mtproto;
mod posted;
mod ranges;
mod rpc;
mod scenario;
pub mod settings;
mod sim;
mod view;
mod world;

use anyhow::Context as _;
use tgmesh_lifecycle::Process;

pub use faults::{Fault, FaultError, FaultKind, FaultReport, Garbage, MAX_HELD, Of, Refusal};
pub use load::{LoadError, LoadReport, LoadSpec, LoadState};
pub use mtproto::duplicate::KeyUse;
pub use posted::{Item, Kind, Page};
pub use sim::{
    AccountInfo, ChatInfo, Code, Config, KeyInfo, LoginError, OtherKey, Person, Running, Sim, StartError, start,
};
pub use world::message::{Author, Button, Entity, EntityKind, Forward};
pub use world::peer::ChatKind;
pub use world::{Change, Draft, Folder, HistoryRequest, Ids, WorldError};

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
