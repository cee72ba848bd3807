//! `tgmesh topology`: streams and buckets in NATS.

use std::process::ExitCode;

use tgmesh_lifecycle::settings::Faults;
use tgmesh_stream::{Mesh, NatsArgs, topology};

use crate::cli::{Failure, Outcome};

/// What `tgmesh topology` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create what is missing, update what differs, and print what was changed
    Apply {
        #[command(flatten)]
        nats: NatsArgs,
    },
    /// Print what `apply` would change; exit 1 when there is something
    Diff {
        #[command(flatten)]
        nats: NatsArgs,
    },
}

pub(crate) async fn run(args: Args) -> Outcome {
    let (nats, apply) = match &args.command {
        Command::Apply { nats } => (nats, true),
        Command::Diff { nats } => (nats, false),
    };
    let mut faults = Faults::default();
    let Some(config) = faults.absorb(nats.read()) else {
        return Err(Failure::Usage(faults));
    };
    let mesh = Mesh::connect(&config, "tgmesh-topology").await?;
    let desired = topology::desired(&config);
    let changes = if apply {
        topology::apply(&mesh, &desired).await?
    } else {
        topology::diff(&mesh, &desired).await?
    };
    for change in &changes {
        println!("{change}");
    }
    if changes.is_empty() {
        eprintln!("tgmesh: nothing to change");
    }
    Ok(if apply || changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
