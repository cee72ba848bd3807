//! `tgmesh-gateway`: detections to WebSocket clients.

use std::process::ExitCode;

fn main() -> ExitCode {
    tgmesh_lifecycle::main::<tgmesh_gateway::settings::Args, _, _>("gateway", tgmesh_gateway::run)
}
