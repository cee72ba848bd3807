//! A crowd in front of one gateway, for `deploy/bench/gateway.py`: prints a line of JSON.
//!
//! `crowd PART [--quick]` starts a nats-server and the gateway's binary, publishes, and has a second
//! process of its own for the clients (`crowd clients PORTS PROTOCOL`), which parse no more of a frame than the
//! numbers they need, so that they are not what is measured.
//!
//! Times: `times.published_us` is written immediately before an event is handed to the publisher,
//! the client takes its own right after the read that brought the frame; both are the host's
//! wall clock. The stream's acknowledgement is not waited for.

mod clients;
mod drive;
mod frame;
mod protocol;
mod scale;
mod servers;
mod stream;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use protocol::Protocol;

fn main() -> Result<()> {
    // `cargo bench` adds a word of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // One for the clients as well: what they need of the machine is missing elsewhere.
        .worker_threads(1)
        .enable_all()
        .build()?;
    match words.as_slice() {
        ["clients", ports, protocol, certificate @ ..] => {
            let ports: Result<Vec<u16>, _> = ports.split(',').map(str::parse).collect();
            let certificate = certificate.first().map(Path::new);
            let protocol = Protocol::parse(protocol)?;
            runtime.block_on(clients::serve(ports.context("a port")?, protocol, certificate))
        }
        [part] => runtime.block_on(drive::run(part, false)),
        [part, "--quick"] => runtime.block_on(drive::run(part, true)),
        _ => bail!("crowd PART [--quick]"),
    }
}
